// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OfferTerms} from "../../../../contracts/types/Offers.sol";
import {OrderId, OrderState, Outcome} from "../../../../contracts/types/Orders.sol";
import {Deal} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";
import {Money} from "./Money.sol";

contract ClaimTest is Money {
    function test_RevertGiven_TheOrderDoesNotRunYet() external {
        Deal memory deal = _deal();
        _notYet(deal, OrderState.NONE);
        _place(deal);
        _notYet(deal, OrderState.PLACED);
        _accept(deal);
        _notYet(deal, OrderState.ACCEPTED);
    }

    function test_RevertWhen_TheBytesAreNoOrdersOrThereIsNoSuchOffer() external {
        Deal memory deal = _completed();
        bytes memory order = bytes.concat(Pack.order(deal.terms), hex"00");
        _refused(order, 0, deal.compute, _wrongLength(order.length));
        uint256[4] memory missing = [uint256(4), 16, 17, 255];
        for (uint256 i = 0; i < 4; ++i) {
            bytes memory error_ =
                abi.encodeWithSelector(Errors.OrderBook_NoSuchOffer.selector, _id(deal), missing[i], 3);
            _refused(Pack.order(deal.terms), missing[i], deal.compute, error_);
        }
    }

    function test_RevertWhen_TheHeadIsAnothers() external {
        Deal memory deal = _completed();
        bytes memory order = Pack.order(deal.terms);
        _refused(order, 0, deal.inputs[0], _otherTerms(computeOffer, deal.inputs[0], deal.compute));
        _refused(order, 1, deal.inputs[2], _otherTerms(inputOffers[0], deal.inputs[2], deal.inputs[0]));
        OfferTerms memory dearer = _engineTerms();
        dearer.price.fixedPrice += 1;
        _refused(order, 1, dearer, _otherTerms(inputOffers[0], dearer, deal.inputs[0]));
        dearer = _engineTerms();
        dearer.payees = _solo(poker);
        _refused(order, 1, dearer, _otherTerms(inputOffers[0], dearer, deal.inputs[0]));
        // Too few bytes for what they say that they hold.
        bytes memory proof = Pack.proof(0, deal.compute, "");
        assertEq(proof.length, 265);
        uint256[4] memory sizes = [uint256(0), 1, 2, 264];
        for (uint256 i = 0; i < 4; ++i) {
            uint256 size = sizes[i];
            assembly ("memory-safe") {
                mstore(proof, size)
            }
            // Without its second byte a proof has no payees.
            uint256 least = size < 2 ? 243 : 265;
            vm.expectRevert(abi.encodeWithSelector(Errors.OrderBook_ProofLength.selector, size, least));
            book.claim(order, proof);
        }
    }

    function test_RevertWhen_ThePayeesAreOthers() external {
        Deal memory deal = _completed();
        bytes memory order = Pack.order(deal.terms);
        bytes memory head = Pack.head(deal.inputs[1]);
        bytes memory payees = Pack.payees(_solo(poker));
        vm.expectRevert(_otherPayees(inputOffers[1], _solo(poker), deal.inputs[1].payees));
        book.claim(order, abi.encodePacked(uint8(2), uint8(1), head, payees));
        payees = Pack.payees(deal.inputs[1].payees);
        uint8[3] memory counts = [0, 9, 255];
        for (uint256 i = 0; i < 3; ++i) {
            bytes memory row = new bytes(22 * uint256(counts[i]));
            vm.expectRevert(abi.encodeWithSelector(Errors.OfferCodec_PayeesLength.selector, row.length, 22, 8));
            book.claim(order, abi.encodePacked(uint8(2), counts[i], head, row));
        }
        // One payee fewer, and one more.
        for (uint8 count = 2; count < 5; count += 2) {
            bytes memory row = bytes.concat(payees, new bytes(22));
            assembly ("memory-safe") {
                mstore(row, mul(count, 22))
            }
            vm.expectPartialRevert(Errors.OrderBook_PayeesHash.selector);
            book.claim(order, abi.encodePacked(uint8(2), count, head, row));
        }
    }

    function test_WhenALineageIsGivenForAnOfferWithoutParents() external {
        Deal memory deal = _completed();
        bytes memory table = abi.encodePacked(bytes32("an order"), poker, uint16(5000), uint8(1));
        book.claim(Pack.order(deal.terms), Pack.proof(1, deal.inputs[0], table));
        assertEq(_credit(poker), 0);
        assertEq(_credit(engineOwner), _net(_amount(deal.inputs[0].price, 1000, 50)));
    }

    function test_GivenTheOrderIsInSetup() external {
        Deal memory deal = _setup();
        _nothing(deal, 0);
        skip(200);
        _nothing(deal, 0); // time alone proves nothing
        _say(deal, _setupSaid(1, 130));
        _nothing(deal, 1);
        _claim(deal, 0);
        assertEq(_credit(provider), _net(_usage(deal.compute.price, 130, 0)));
        _nothing(deal, 0);
        skip(200);
        _say(deal, _setupSaid(2, 399));
        _claim(deal, 0);
        assertEq(_credit(provider), _net(_usage(deal.compute.price, 240, 0)), "setupSeconds at most");
        skip(200);
        _say(deal, _setupSaid(3, 600));
        _nothing(deal, 0);
        for (uint256 k = 1; k < 4; ++k) {
            _nothing(deal, k);
        }
        assertTrue(_order(deal).drawn);
    }

    function test_GivenABatchOrderIsInEngine() external {
        Deal memory deal = _engine();
        skip(900);
        _prove(deal, 777, 41);
        _claim(deal, 0);
        assertEq(_credit(provider), _net(_usage(deal.compute.price, 777, 41)), "no fixed part, no minimum");
        for (uint256 k = 1; k < 4; ++k) {
            _nothing(deal, k);
        }
        skip(4000);
        _prove(deal, 4900, 1001);
        _claim(deal, 0);
        assertEq(_credit(provider), _net(_usage(deal.compute.price, 4900, 1000)), "maxUnits at most");
        _stop(deal);
        _nothing(deal, 0);
        skip(300);
        _prove(deal, 5300, 1001);
        _claim(deal, 0);
        assertEq(_credit(provider), _net(_usage(deal.compute.price, 5000, 1000)), "maxSeconds at most");
    }

    function test_GivenAServedOrderIsInEngine() external {
        Deal memory deal = _servedDeal();
        _runs(deal);
        skip(900);
        _prove(deal, 777, 41);
        _claim(deal, 1);
        uint256 gross = _prorata(deal.inputs[0].price, 777, 41, 5000);
        assertEq(gross, uint256(1_000_003) * 777 / 5000 + 82);
        assertEq(_credit(engineOwner), _net(gross));
        _claim(deal, 2);
        uint256 net = _net(_prorata(deal.inputs[1].price, 777, 41, 5000));
        assertEq(_credit(ownerA), net * 3333 / 10_000);
        assertEq(_credit(coAuthor), net * 3333 / 10_000);
        assertEq(_credit(ownerB), net * 3334 / 10_000, "the last gets no remainder yet");
    }

    function test_GivenAHoldback() external {
        Deal memory deal = _heldDeal();
        _runs(deal);
        skip(900);
        _prove(deal, 777, 41);
        _claim(deal, 0);
        uint256 due = _usage(deal.compute.price, 777, 41);
        assertEq(_credit(provider), _net(due - due * HELD_BPS / 10_000));
        // The order can no longer complete: nothing of it is held back any more.
        _complete(deal, Outcome.FAILED, 777, 41);
        _claim(deal, 0);
        assertEq(_credit(provider), _net(_amount(deal.compute.price, 777, 41)));
    }

    function test_GivenTheDepositPaysForFewerSeconds() external {
        Deal memory deal = _partlyDeal(1100);
        _runs(deal);
        for (uint256 i = 1; i < 5; ++i) {
            skip(300);
            _prove(deal, uint32(100 + 300 * i), 0);
        }
        _claim(deal, 0);
        assertEq(_credit(provider), _net(_usage(deal.compute.price, 1100, 0)));
        _nothing(deal, 0);
        _topUpAs(client, deal, _deposit(deal, 1200) - deal.terms.deposit);
        assertEq(_order(deal).extra.limit, 1200);
        _claim(deal, 0);
        assertEq(_credit(provider), _net(_usage(deal.compute.price, 1200, 0)));
    }

    function test_WhenItIsTheSecondClaim() external {
        Deal memory deal = _servedDeal();
        _runs(deal);
        uint256 before = 0;
        for (uint32 secs = 101; secs < 140; secs += 3) {
            skip(3);
            _prove(deal, secs, secs);
            for (uint256 k = 0; k < 4; ++k) {
                _claim(deal, k);
            }
            uint256 a = _net(_prorata(deal.inputs[1].price, secs, secs, 5000));
            assertEq(_credit(ownerA), a * 3333 / 10_000, "floor of the whole, not a sum of floors");
            assertEq(
                _credit(ownerB), 2 * (a * 3334 / 10_000) + a * 3333 / 10_000, "the last payee of A, first and last of B"
            );
            assertGt(_credits(), before);
            before = _credits();
        }
    }

    function test_RevertGiven_NothingIsDue() external {
        Deal memory deal = _setup();
        skip(10);
        _refuse(deal, 0);
        for (uint256 k = 0; k < 4; ++k) {
            _nothing(deal, k);
        }
        deal.terms.salt = "in engine";
        _runs(deal);
        _complete(deal, Outcome.HOST, 100, 0);
        _claim(deal, 0);
        for (uint256 k = 1; k < 4; ++k) {
            _nothing(deal, k);
        }
    }

    function test_RevertGiven_ItExpiredAndClaimRestWasNotCalled() external {
        Deal memory deal = _expired();
        for (uint256 k = 0; k < 4; ++k) {
            _willRevert(abi.encodeWithSelector(Errors.OrderBook_SlashFirst.selector, _id(deal)));
            _claim(deal, k);
        }
        _claimRest(deal);
        for (uint256 k = 0; k < 4; ++k) {
            _claim(deal, k);
        }
        assertEq(token.balanceOf(address(book)), _credits());
        // Never started: nothing is due to anybody.
        deal = _deal();
        deal.terms.salt = "never started";
        _place(deal);
        _accept(deal);
        skip(301);
        _expire(deal);
        _claimRest(deal);
        _nothing(deal, 0);
        _nothing(deal, 1);
    }

    function test_GivenItsHoldbackIsPending() external {
        Deal memory deal = _held();
        uint256 due = _amount(deal.compute.price, 1000, 50);
        uint256 held = due * HELD_BPS / 10_000;
        _claim(deal, 0);
        assertEq(_credit(provider), _net(due - held));
        assertEq(_order(deal).claimed, 0, "it is not over");
        _nothing(deal, 0);
        _claim(deal, 1);
        assertEq(_order(deal).claimed, 1 << 1, "inputs wait for nobody");
        skip(WINDOW);
        _nothing(deal, 0);
        skip(1);
        _claim(deal, 0);
        assertEq(_credit(provider), _net(due));
        assertEq(_order(deal).claimed, 3);
    }

    function test_RevertWhen_TheOfferWasClaimed() external {
        Deal memory deal = _completed();
        for (uint256 k = 0; k < 4; ++k) {
            _claim(deal, k);
            _willRevert(_alreadyClaimed(deal, k));
            _claim(deal, k);
        }
        assertEq(_order(deal).claimed, 15);
    }

    function test_WhenItIsClaimed() external {
        Deal memory deal = _completed();
        OrderId id = _id(deal);
        uint256 gross = _amount(deal.inputs[1].price, 1000, 50);
        uint256 net = _net(gross);
        uint16 n = _order(deal).events;
        vm.expectEmit(address(book));
        emit IOrderBook.Claimed(id, gross | (2 << 224) | (1 << 232) | (uint256(n) << 240));
        _claim(deal, 2);
        assertEq(_credit(ownerA), net * 3333 / 10_000);
        assertEq(_credit(ownerB), net - 2 * (net * 3333 / 10_000), "the remainder too");
        assertGt(net - 2 * (net * 3333 / 10_000), net * 3334 / 10_000, "there is one");
        assertEq(_order(deal).claimed, 1 << 2);
        assertEq(_order(deal).events, n + 1);
        assertEq(_credit(poker) + _credit(treasury), 0);
    }

    function test_WhenItIsClaimedWhileItRuns() external {
        Deal memory deal = _engine();
        OrderId id = _id(deal);
        uint16 n = _order(deal).events;
        uint256 gross = _usage(deal.compute.price, 100, 0);
        vm.expectEmit(address(book));
        emit IOrderBook.Claimed(id, gross | (uint256(n) << 240));
        _claim(deal, 0);
        assertEq(_order(deal).events, n + 1);
        assertTrue(_order(deal).drawn);
        assertEq(_order(deal).sequence, 1, "the CVM's sequence stays");
    }

    /// @dev What was drawn before makes up the whole already: the last claim still gives the last payee its remainder.
    function test_GivenAllWasDrawnBeforeTheEnd() external {
        Deal memory deal = _servedDeal();
        deal.inputs[1].price = _price(0, 777_777, 0, 0);
        _relist(deal);
        _runs(deal);
        _claim(deal, 2);
        uint256 net = _net(_usage(deal.inputs[1].price, 100, 0));
        assertEq(_credit(ownerB), net * 3334 / 10_000);
        _complete(deal, Outcome.COMPLETED, 100, 0);
        _claim(deal, 2);
        assertEq(_credit(ownerA) + _credit(ownerB) + _credit(coAuthor), net);
        _willRevert(_alreadyClaimed(deal, 2));
        _claim(deal, 2);
    }

    function _notYet(Deal memory deal, OrderState state) private {
        for (uint256 k = 0; k < 4; ++k) {
            _willRevert(_notTerminal(deal, state));
            _claim(deal, k);
        }
    }

    function _nothing(Deal memory deal, uint256 k) private {
        _willRevert(_nothingDue(deal, k));
        _claim(deal, k);
    }

    function _refused(bytes memory order, uint256 k, OfferTerms memory terms, bytes memory error_) private {
        bytes memory proof = Pack.proof(k, terms, "");
        vm.expectRevert(error_);
        book.claim(order, proof);
    }
}
