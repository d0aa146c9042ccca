// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILedger} from "../../../../contracts/interfaces/ILedger.sol";
import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OfferTerms} from "../../../../contracts/types/Offers.sol";
import {Order, OrderId, OrderState, Outcome, Params, Phase, Report, Sale} from "../../../../contracts/types/Orders.sol";
import {Deal} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";
import {Stage} from "./Stage.sol";

/// @notice That all of IOrderBook and ILedger stands behind one address, whichever contract has the code.
contract SelectorsTest is Stage {
    /// @dev A call that changes state, the contract that has its code, and the error that it throws for these arguments.
    struct Case {
        bytes data;
        uint256 part;
        bytes error_;
    }

    /// @dev A call that only looks.
    struct Look {
        bytes data;
        uint256 part;
        bytes answer;
    }

    uint256 private constant _CORE = 3;

    Case[] private _cases;
    Look[] private _looks;
    address[4] private _parts;

    function setUp() public override {
        super.setUp();
        (_parts[0], _parts[1], _parts[2]) = book.parts();
        _parts[_CORE] = address(book);
        _placing();
        _running();
        _ending();
        _money();
        _governing();
        _looking();
    }

    // ------------------------------------------------------------------------------------------- the tests
    function test_EveryFunctionAnswers() external {
        for (uint256 i = 0; i < _cases.length; ++i) {
            (bool done, bytes memory got) = address(book).call(_cases[i].data);
            assertFalse(done, "a no-op");
            assertEq(got, _cases[i].error_, "its own error");
        }
        for (uint256 i = 0; i < _looks.length; ++i) {
            (bool done, bytes memory got) = address(book).staticcall(_looks[i].data);
            assertTrue(done, "answers");
            assertEq(got, _looks[i].answer, "its answer");
        }
    }

    function test_NoFunctionIsMissingHere() external view {
        uint256 declared = _count("contracts/interfaces/IOrderBook.sol") + _count("contracts/interfaces/ILedger.sol");
        assertEq(_cases.length + _looks.length, declared);
        // Each is there once.
        for (uint256 i = 0; i < _cases.length; ++i) {
            for (uint256 j = 0; j < i; ++j) {
                assertNotEq(bytes32(bytes4(_cases[i].data)), bytes32(bytes4(_cases[j].data)));
            }
            for (uint256 j = 0; j < _looks.length; ++j) {
                assertNotEq(bytes32(bytes4(_cases[i].data)), bytes32(bytes4(_looks[j].data)));
            }
        }
        for (uint256 i = 0; i < _looks.length; ++i) {
            for (uint256 j = 0; j < i; ++j) {
                assertNotEq(bytes32(bytes4(_looks[i].data)), bytes32(bytes4(_looks[j].data)));
            }
        }
    }

    function test_OneBatchGoesToAllFour() external {
        Deal memory deal = _fresh();
        Deal memory next = _deal();
        next.terms.salt = "next";
        bytes[] memory calls = new bytes[](4);
        // Endings, entries, accounts (fails), core.
        calls[0] = abi.encodeCall(IOrderBook.cancel, (Pack.order(deal.terms)));
        calls[1] = abi.encodeCall(IOrderBook.placeFor, (Pack.order(next.terms), WHERE, "", ""));
        calls[2] = abi.encodeCall(IOrderBook.claimRest, (Pack.order(deal.terms), _heads(deal)));
        next.terms.salt = "last";
        calls[3] = abi.encodeCall(IOrderBook.place, (Pack.order(next.terms), WHERE));
        bytes memory reason = abi.encodeWithSelector(Errors.OrderBook_AlreadyClaimed.selector, _id(deal), REST);
        vm.expectEmit(address(book));
        emit IOrderBook.BatchItemFailed(2, reason);
        vm.prank(client);
        assertEq(book.batch(Pack.calls(calls)), 11);
        assertState(deal, OrderState.CANCELLED);
        assertState(next, OrderState.PLACED);
        next.terms.salt = "next";
        assertState(next, OrderState.PLACED);
    }

    function test_RevertWhen_ASelectorIsNobodys() external {
        bytes[5] memory calls = [
            bytes(""),
            hex"00",
            hex"00000000",
            abi.encodeWithSignature("upgradeTo(address)", poker),
            abi.encodeWithSignature("transferOwnership(address)", poker)
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            for (uint256 part = 0; part < 4; ++part) {
                (bool done, bytes memory got) = _parts[part].call(calls[i]);
                assertFalse(done);
                assertEq(got.length, 0);
            }
        }
    }

    function test_RevertWhen_EtherIsSent() external {
        vm.deal(address(this), 1 ether);
        for (uint256 part = 0; part < 4; ++part) {
            (bool done,) = _parts[part].call{value: 1}("");
            assertFalse(done);
        }
        for (uint256 i = 0; i < _looks.length; ++i) {
            (bool done,) = address(book).call{value: 1}(_looks[i].data);
            assertFalse(done);
        }
        assertEq(address(this).balance, 1 ether);
    }

    function test_RevertWhen_APartIsCalledByItself() external {
        for (uint256 i = 0; i < _cases.length; ++i) {
            for (uint256 part = 0; part < 3; ++part) {
                (bool done, bytes memory got) = _parts[part].call(_cases[i].data);
                assertFalse(done, "acts");
                if (part == _cases[i].part) {
                    assertEq(
                        got, abi.encodeWithSelector(Errors.OrderBook_NotTheBook.selector, _parts[part], address(book))
                    );
                } else if (!_isLedger(_cases[i].data)) {
                    assertEq(got.length, 0, "not its own");
                }
            }
        }
    }

    /// @dev Not even for those who could act at the book: the authority, and a client with an allowance for the part.
    function test_RevertWhen_ARightfulCallerCallsAPart() external {
        bytes memory wrong = abi.encodeWithSelector(Errors.OrderBook_NotTheBook.selector, _parts[0], address(book));
        vm.startPrank(address(authority));
        vm.expectRevert(wrong);
        IOrderBook(_parts[0]).setPaused(true);
        vm.expectRevert(wrong);
        IOrderBook(_parts[0]).addParams(Params(0, 0, 0, treasury));
        vm.stopPrank();
        bytes memory order = Pack.order(_deal().terms);
        vm.startPrank(client);
        token.approve(_parts[0], type(uint256).max);
        vm.expectRevert(wrong);
        IOrderBook(_parts[0]).placeFor(order, WHERE, "", "");
        vm.stopPrank();
    }

    function test_PartsKnowNothing() external {
        Deal memory deal = _fresh();
        _cancelAs(client, deal);
        assertEq(abi.encode(IOrderBook(_parts[2]).getOrder(_id(deal))), abi.encode(_none()));
        assertEq(IOrderBook(_parts[2]).paramsVersion(), 0);
        for (uint256 part = 0; part < 3; ++part) {
            assertEq(ILedger(_parts[part]).creditOf(address(token), client), 0);
            vm.expectRevert(abi.encodeWithSelector(Errors.Ledger_NothingCredited.selector, address(token), client));
            ILedger(_parts[part]).withdraw(address(token), client);
        }
        // Its hash is the book's, whoever computes it.
        assertEq(OrderId.unwrap(IOrderBook(_parts[2]).orderId(Pack.order(deal.terms))), OrderId.unwrap(_id(deal)));
    }

    /// @dev Immutable in fact: no CALLCODE or SELFDESTRUCT anywhere, and DELEGATECALL in the book alone.
    function test_NothingTakesTheCodeAway() external view {
        for (uint256 part = 0; part < 4; ++part) {
            bytes memory code = _parts[part].code;
            assertGt(code.length, 0);
            assertLe(code.length, 24_576, "EIP-170");
            assertFalse(_has(code, 0xff), "SELFDESTRUCT");
            assertFalse(_has(code, 0xf2), "CALLCODE");
            assertEq(_has(code, 0xf4), part == _CORE, "DELEGATECALL");
        }
        assertTrue(_parts[0] != _parts[1] && _parts[1] != _parts[2] && _parts[0] != _parts[2]);
    }

    // ------------------------------------------------------------------------------------------- cases
    function _placing() private {
        bytes memory noOrder = _wrongLength(0);
        _case(abi.encodeCall(IOrderBook.place, ("", "")), _CORE, noOrder);
        bytes[] memory one = new bytes[](1);
        _case(abi.encodeCall(IOrderBook.placeBatch, (one, "")), _CORE, noOrder);
        _case(abi.encodeCall(IOrderBook.placeWithPermit, ("", "", 0, 0, 0, 0)), 0, noOrder);
        _case(abi.encodeCall(IOrderBook.placeFor, ("", "", "", "")), 0, noOrder);
        _case(abi.encodeCall(IOrderBook.placeWithPermit2, ("", "", "", 0, 0, "")), 0, noOrder);
        _case(abi.encodeCall(IOrderBook.cancel, ("")), 1, noOrder);
        _case(abi.encodeCall(IOrderBook.accept, ("", "", "", 0)), _CORE, noOrder);
        _case(abi.encodeCall(IOrderBook.acceptWith, ("", "", "", 0, Sale(one, one))), 0, noOrder);
        _case(abi.encodeCall(IOrderBook.voidOrder, ("", "")), 1, noOrder);
    }

    function _running() private {
        OrderId nothing = OrderId.wrap(0);
        bytes memory notThere =
            abi.encodeWithSelector(Errors.OrderBook_WrongState.selector, 0, OrderState.NONE, OrderState.RUNNING);
        _case(abi.encodeCall(IOrderBook.start, (nothing, 0, 0, 0, 0)), _CORE, notThere);
        _case(abi.encodeCall(IOrderBook.checkpoint, (nothing, 0, 0, 0)), _CORE, notThere);
        _case(abi.encodeCall(IOrderBook.enterEngine, (nothing, 0, "a statement", 0, 0)), _CORE, notThere);
        Report memory report;
        report.numbers = uint256(Outcome.COMPLETED) << 8;
        _case(abi.encodeCall(IOrderBook.refuse, ("", report, "")), 1, _wrongLength(0));
        _case(abi.encodeCall(IOrderBook.complete, ("", report, "")), _CORE, _wrongLength(0));
        _case(
            abi.encodeCall(IOrderBook.locate, (nothing, "")),
            1,
            abi.encodeWithSelector(Errors.OrderBook_CvmOperator.selector, 0, address(0), address(this))
        );
    }

    function _ending() private {
        bytes memory noOrder = _wrongLength(0);
        Report memory report;
        _case(abi.encodeCall(IOrderBook.stop, ("", "")), 1, noOrder);
        _case(abi.encodeCall(IOrderBook.expire, ("")), 1, noOrder);
        _case(abi.encodeCall(IOrderBook.settleRevoked, ("")), 1, noOrder);
        _case(abi.encodeCall(IOrderBook.equivocate, ("", "", report, report)), 2, noOrder);
    }

    function _money() private {
        bytes memory noOrder = _wrongLength(0);
        bytes[] memory none;
        // With a head and payees that fit each other: which of the three is looked at first is nobody's concern.
        OfferTerms memory compute = _computeTerms();
        _case(abi.encodeCall(IOrderBook.claim, ("", Pack.proof(0, compute, ""))), _CORE, noOrder);
        _case(abi.encodeCall(IOrderBook.claimRest, ("", "")), 2, noOrder);
        _case(abi.encodeCall(IOrderBook.receipt, ("", "")), 2, noOrder);
        _case(abi.encodeCall(IOrderBook.contest, ("")), 2, noOrder);
        _case(abi.encodeCall(IOrderBook.topUp, ("", "", 0)), 1, noOrder);
        _case(abi.encodeCall(IOrderBook.reclaim, ("", "", 0)), 1, noOrder);
        _case(abi.encodeCall(IOrderBook.payService, ("", "", none, none, 0)), 1, noOrder);
        _case(
            abi.encodeCall(IOrderBook.batch, (hex"0001")),
            _CORE,
            abi.encodeWithSelector(Errors.OrderBook_BatchCut.selector, 0, 1)
        );
        _case(
            abi.encodeCall(ILedger.withdraw, (address(token), poker)),
            _CORE,
            abi.encodeWithSelector(Errors.Ledger_NothingCredited.selector, address(token), poker)
        );
        _case(
            abi.encodeCall(ILedger.withdrawTo, (address(token), 1, poker)),
            _CORE,
            abi.encodeWithSelector(Errors.Ledger_CreditTooLow.selector, address(token), address(this), 0, 1)
        );
    }

    function _governing() private {
        bytes memory notAuthority =
            abi.encodeWithSelector(Errors.OrderBook_NotAuthority.selector, address(this), address(authority));
        _case(abi.encodeCall(IOrderBook.addParams, (Params(0, 0, 0, treasury))), 0, notAuthority);
        _case(abi.encodeCall(IOrderBook.setPaused, (true)), 0, notAuthority);
    }

    /// @dev With an order that completed and was claimed, so that answers have something in them.
    function _looking() private {
        Deal memory deal = _engine();
        Report memory report = _report(deal, _final(Phase.ENGINE, Outcome.COMPLETED, 100, 0), signerKey);
        _completeWithReport(deal, report);
        _claim(deal, 1);
        bytes memory order = Pack.order(deal.terms);
        OrderId id = _id(deal);
        OrderId[] memory ids = new OrderId[](2);
        (ids[0], ids[1]) = (id, OrderId.wrap(0));
        uint256 due = _amount(deal.inputs[0].price, 100, 0);
        _look(abi.encodeCall(IOrderBook.orderId, (order)), 2, abi.encode(id));
        _look(abi.encodeCall(IOrderBook.decodeOrder, (order)), 2, abi.encode(deal.terms));
        _look(abi.encodeCall(IOrderBook.getOrder, (id)), 2, abi.encode(_expected(deal)));
        _look(abi.encodeCall(IOrderBook.wordsOf, (ids)), 2, abi.encode(_words(deal)));
        _look(abi.encodeCall(IOrderBook.dueOf, (order, 1, Pack.head(deal.inputs[0]))), 2, abi.encode(due, due));
        _look(abi.encodeCall(IOrderBook.checkReport, (order, report)), 2, abi.encode(id));
        _look(abi.encodeCall(IOrderBook.params, (1)), 2, abi.encode(Params(FEE_BPS, PENALTY_BPS, MIN_GRACE, treasury)));
        _look(abi.encodeCall(IOrderBook.paramsVersion, ()), 2, abi.encode(1));
        _look(abi.encodeCall(IOrderBook.isPaused, ()), 2, abi.encode(false));
        _look(abi.encodeCall(IOrderBook.AUTHORITY, ()), _CORE, abi.encode(address(authority)));
        _look(abi.encodeCall(IOrderBook.parts, ()), _CORE, abi.encode(_parts[0], _parts[1], _parts[2]));
        _look(
            abi.encodeCall(ILedger.creditOf, (address(token), engineOwner)),
            _CORE,
            abi.encode(due - due * FEE_BPS / 10_000)
        );
    }

    function _expected(Deal memory deal) private view returns (Order memory order) {
        order.state = OrderState.COMPLETED;
        order.phase = Phase.ENGINE;
        order.since = uint40(T0 + 100);
        order.secondsUsed = 100;
        order.claimed = 2;
        order.paramsVersion = 1;
        order.cvm = cvm;
        order.lock = _lock(deal);
        order.events = 6;
    }

    /// @dev By the table of OrderWord, member by member.
    function _words(Deal memory deal) private view returns (uint256[] memory words) {
        words = new uint256[](2);
        uint256 lock = _lock(deal);
        uint256 exponent = 0;
        while (lock >> 17 != 0) {
            lock >>= 1;
            ++exponent;
        }
        words[0] = uint256(OrderState.COMPLETED) | (uint256(Phase.ENGINE) << 4) | ((T0 + 100) << 11)
            | (uint256(2) << 74) | (uint256(100) << 98) | (uint256(1) << 166) | (uint256(cvm) << 174)
            | ((exponent << 17 | lock) << 206) | (uint256(FEE_BPS) << 230) | (uint256(6) << 240);
    }

    function _none() private pure returns (Order memory order) {}

    // ------------------------------------------------------------------------------------------- helpers
    /// @dev Another order than the one that `_looking` left behind.
    function _fresh() private returns (Deal memory deal) {
        deal = _deal();
        deal.terms.salt = "fresh";
        _place(deal);
    }

    function _case(bytes memory data, uint256 part, bytes memory error_) private {
        _cases.push(Case(data, part, error_));
    }

    function _look(bytes memory data, uint256 part, bytes memory answer) private {
        _looks.push(Look(data, part, answer));
    }

    /// @dev Every part stands on the Ledger, and has its functions without being asked for them.
    function _isLedger(bytes memory data) private pure returns (bool) {
        return bytes4(data) == ILedger.withdraw.selector || bytes4(data) == ILedger.withdrawTo.selector;
    }

    /// @return count Functions that a file declares.
    function _count(string memory path) private view returns (uint256 count) {
        bytes memory text = bytes(vm.readFile(path));
        bytes memory word = "\n    function ";
        for (uint256 i = 0; i + word.length < text.length; ++i) {
            uint256 j = 0;
            while (j < word.length && text[i + j] == word[j]) ++j;
            if (j == word.length) ++count;
        }
    }

    /// @return Whether an instruction is in the code; what PUSH carries is passed over.
    function _has(bytes memory code, uint8 instruction) private pure returns (bool) {
        for (uint256 i = 0; i < code.length; ++i) {
            uint8 got = uint8(code[i]);
            if (got == instruction) return true;
            // PUSH1 is 0x60, PUSH32 0x7f.
            if (got >= 0x60 && got <= 0x7f) i += got - 0x5f;
        }
        return false;
    }
}
