// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILedger} from "../../../../contracts/interfaces/ILedger.sol";
import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OfferTerms} from "../../../../contracts/types/Offers.sol";
import {OrderId, OrderState, Outcome, Params} from "../../../../contracts/types/Orders.sol";
import {Deal, Said} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";
import {Money} from "./Money.sol";

contract BatchTest is Money {
    function test_RevertWhen_ThereAreMoreThan256Calls() external {
        bytes memory calls = Pack.calls(new bytes[](257));
        vm.expectRevert(abi.encodeWithSelector(Errors.OrderBook_BatchTooLong.selector, 256));
        book.batch(calls);
        bytes[] memory most = new bytes[](256);
        for (uint256 i = 0; i < 256; ++i) {
            most[i] = abi.encodeCall(IOrderBook.paramsVersion, ());
        }
        assertEq(book.batch(Pack.calls(most)), type(uint256).max);
    }

    function test_RevertWhen_TheLastCallIsCut() external {
        bytes memory call = abi.encodeCall(IOrderBook.paramsVersion, ());
        bytes memory good = abi.encodePacked(uint16(4), call);
        bytes[4] memory bad = [
            bytes.concat(good, hex"00"),
            bytes.concat(good, hex"0001"),
            bytes.concat(good, hex"0005", call),
            bytes.concat(good, hex"ffff", call)
        ];
        uint256[4] memory sizes = [uint256(0), 1, 5, 0xffff];
        for (uint256 i = 0; i < 4; ++i) {
            vm.expectRevert(abi.encodeWithSelector(Errors.OrderBook_BatchCut.selector, 1, sizes[i]));
            book.batch(bad[i]);
        }
        assertEq(book.batch(bytes.concat(good, hex"0000")), 1, "nothing is no function");
    }

    function test_WhenThereIsNothingToCall() external {
        assertEq(book.batch(""), 0);
    }

    function test_WhenTheCallsAreOfEveryPart() external {
        Deal memory deal = _completed();
        Deal memory next = _deal();
        next.terms.salt = "next";
        bytes[] memory calls = new bytes[](9);
        for (uint256 k = 0; k < 4; ++k) {
            calls[k] = _claimCall(deal, k);
        }
        calls[4] = abi.encodeCall(IOrderBook.claimRest, (Pack.order(deal.terms), _heads(deal)));
        calls[5] = abi.encodeCall(ILedger.withdraw, (address(token), provider));
        calls[6] = abi.encodeCall(ILedger.withdrawTo, (address(token), 5, poker));
        calls[7] = abi.encodeCall(IOrderBook.place, (Pack.order(next.terms), WHERE));
        calls[8] = abi.encodeCall(IOrderBook.cancel, (Pack.order(next.terms)));
        vm.prank(client);
        assertEq(book.batch(Pack.calls(calls)), (1 << 9) - 1);
        assertEq(token.balanceOf(provider), _net(_amount(deal.compute.price, 1000, 50)));
        assertEq(token.balanceOf(poker), 5);
        assertState(next, OrderState.CANCELLED);
        assertEq(_order(deal).claimed, 15 | (1 << REST));
    }

    function test_WhenACallFails() external {
        Deal memory deal = _completed();
        bytes[] memory calls = new bytes[](4);
        calls[0] = _claimCall(deal, 0);
        calls[1] = _claimCall(deal, 0);
        calls[2] = abi.encodeCall(ILedger.withdraw, (address(token), operator));
        calls[3] = _claimCall(deal, 1);
        vm.expectEmit(address(book));
        emit IOrderBook.BatchItemFailed(1, _alreadyClaimed(deal, 0));
        vm.expectEmit(address(book));
        emit IOrderBook.BatchItemFailed(
            2, abi.encodeWithSelector(Errors.Ledger_NothingCredited.selector, address(token), operator)
        );
        vm.prank(poker);
        assertEq(book.batch(Pack.calls(calls)), 9);
        assertEq(_credit(provider), _net(_amount(deal.compute.price, 1000, 50)));
        assertEq(_credit(engineOwner), _net(_amount(deal.inputs[0].price, 1000, 50)));
    }

    function test_WhenACallIsNoFunction() external {
        bytes[] memory calls = new bytes[](3);
        calls[0] = "";
        calls[1] = hex"deadbeef";
        calls[2] = abi.encodeCall(IOrderBook.isPaused, ());
        assertEq(book.batch(Pack.calls(calls)), 4);
    }

    function test_WhenABatchIsWithinABatch() external {
        Deal memory deal = _completed();
        bytes[] memory inner = new bytes[](2);
        (inner[0], inner[1]) = (_claimCall(deal, 0), _claimCall(deal, 0));
        bytes[] memory outer = new bytes[](2);
        outer[0] = abi.encodeCall(IOrderBook.batch, (Pack.calls(inner)));
        outer[1] = _claimCall(deal, 1);
        assertEq(book.batch(Pack.calls(outer)), 3, "an inner failure is reported by the inner batch");
        assertEq(_order(deal).claimed, 3);
    }

    function test_WhenSomebodyBatchesWhatAnotherMay() external {
        Deal memory deal = _placed();
        Deal memory other = _deal();
        other.terms.salt = "of the client's money";
        bytes[] memory calls = new bytes[](5);
        calls[0] = abi.encodeCall(IOrderBook.cancel, (Pack.order(deal.terms)));
        calls[1] = abi.encodeCall(IOrderBook.place, (Pack.order(other.terms), WHERE));
        calls[2] = abi.encodeCall(IOrderBook.setPaused, (true));
        calls[3] = abi.encodeCall(IOrderBook.addParams, (Params(0, 0, 0, poker)));
        calls[4] = abi.encodeCall(ILedger.withdrawTo, (address(token), 1, poker));
        vm.prank(poker);
        assertEq(book.batch(Pack.calls(calls)), 0);
    }

    /// @dev Eight checkpoints of eight orders, one of them bad.
    function test_WhenAProviderBatchesCheckpoints() external {
        bytes[] memory calls = new bytes[](8);
        Deal[] memory deals = new Deal[](8);
        for (uint256 i = 0; i < 8; ++i) {
            deals[i] = _deal();
            deals[i].terms.salt = bytes32(i + 1);
            _place(deals[i]);
            _accept(deals[i]);
            _start(deals[i]);
        }
        skip(100);
        for (uint256 i = 0; i < 8; ++i) {
            Said memory said = _integrity(uint32(10 * i), 0);
            (bytes32 r, bytes32 vs) = _signSaid(deals[i], said, i == 3 ? operatorKey : signerKey);
            calls[i] = abi.encodeCall(IOrderBook.enterEngine, (_id(deals[i]), _numbers(said), said.statement, r, vs));
        }
        vm.prank(operator);
        assertEq(book.batch(Pack.calls(calls)), 0xff ^ 8);
        assertEq(_order(deals[7]).secondsUsed, 70);
        assertEq(_order(deals[3]).sequence, 0);
    }

    function _claimCall(Deal memory deal, uint256 k) private pure returns (bytes memory) {
        return abi.encodeCall(IOrderBook.claim, (Pack.order(deal.terms), Pack.proof(k, _termsOf(deal, k), "")));
    }
}
