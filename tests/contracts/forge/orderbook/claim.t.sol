// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {SettlementLib} from "../../../../contracts/libraries/SettlementLib.sol";
import {OfferTerms} from "../../../../contracts/types/Offers.sol";
import {OrderId, OrderPreimage, OrderState, Outcome} from "../../../../contracts/types/Orders.sol";
import {Market} from "../utils/Market.sol";

contract ClaimTest is Market {
    function test_RevertGiven_TheOrderIsNotSettled() external {
        OrderPreimage memory pre = _preimage();
        _notYet(pre, OrderState.NONE);
        _place(pre);
        _notYet(pre, OrderState.PLACED);
        _accept(pre);
        _notYet(pre, OrderState.ACCEPTED);
        _start(pre);
        _notYet(pre, OrderState.RUNNING);
        _checkpoint(pre, 0, 0);
        _notYet(pre, OrderState.RUNNING);
    }

    function test_RevertWhen_TheOffersTermsAreOthers() external {
        OrderPreimage memory pre = _completed();
        pre.compute.payees[0].account = poker;
        bytes32 got = hashes.hashOffer(pre.compute);
        vm.expectRevert(
            abi.encodeWithSelector(Errors.OrderBook_TermsHash.selector, computeOffer, got, pre.terms.compute.termsHash)
        );
        book.claim(pre, type(uint256).max);
    }

    function test_GivenTheOrderWasNeverAccepted() external {
        OrderPreimage memory pre = _preimage();
        pre.terms.compute.termsHash = "nobody knows its preimage";
        _place(pre);
        _cancelAs(client, pre);
        // Whatever stands in the place of the offers gets nothing.
        pre.compute.payees[0].account = poker;
        pre.compute.price.fixedPrice = type(uint128).max;
        uint256 before = token.balanceOf(client);
        _claimAll(pre, 0);
        assertEq(token.balanceOf(client) - before, pre.terms.deposit);
        assertEq(token.balanceOf(poker), 0);
        OfferTerms memory none;
        pre.compute = none;
        pre.inputs = new OfferTerms[](0);
        assertEq(book.payouts(pre).length, 3);
        book.claim(pre, type(uint256).max);
        assertEq(token.balanceOf(client) - before, pre.terms.deposit);
    }

    function test_WhenTheMaskNamesOnePayout() external {
        OrderPreimage memory pre = _completed();
        OrderId id = _id(pre);
        uint256 amount = _payout(pre, 8);
        vm.expectEmit(address(book));
        emit IOrderBook.Claimed(id, 8, provider, amount);
        vm.prank(poker);
        book.claim(pre, 1 << 8);
        assertEq(token.balanceOf(provider), amount);
        assertEq(book.claimedOf(id), 1 << 8);
        book.claim(pre, 1 << 8);
        assertEq(token.balanceOf(provider), amount, "once");
    }

    function test_WhenTheMaskNamesNothing() external {
        OrderPreimage memory pre = _completed();
        uint256 before = token.balanceOf(address(book));
        // No bit, unused indices, a penalty of zero, payees that do not exist, offers that do not exist.
        uint256 nothing = (1 << 1) | (0xF << 4) | (1 << 3) | (1 << 9) | (1 << 39) | (1 << 200);
        book.claim(pre, 0);
        book.claim(pre, nothing);
        assertEq(token.balanceOf(address(book)), before);
        assertEq(book.claimedOf(_id(pre)), 0);
    }

    function test_WhenTheMaskIsAllOnes() external {
        OrderPreimage memory pre = _completed();
        book.claim(pre, 1 << 24);
        uint256 left = token.balanceOf(address(book));
        assertGt(left, 0);
        book.claim(pre, type(uint256).max);
        assertEq(token.balanceOf(address(book)), 0);
        SettlementLib.Payout[] memory list = book.payouts(pre);
        uint256 all = 0;
        for (uint256 i = 0; i < list.length; ++i) {
            if (list[i].amount != 0) all |= 1 << list[i].index;
        }
        assertEq(book.claimedOf(_id(pre)), all);
        book.claim(pre, type(uint256).max);
        assertEq(token.balanceOf(address(book)), 0);
    }

    function test_GivenTheTokenRefusesAReceiver() external {
        OrderPreimage memory pre = _completed();
        bytes memory transfer = abi.encodeWithSignature("transfer(address,uint256)", ownerA, _payout(pre, 24));
        vm.mockCallRevert(address(token), transfer, "blacklisted");
        vm.expectRevert();
        book.claim(pre, type(uint256).max);
        book.claim(pre, ~uint256(1 << 24));
        assertEq(token.balanceOf(address(book)), _payout(pre, 24));
        vm.clearMockedCalls();
        book.claim(pre, 1 << 24);
        assertEq(token.balanceOf(address(book)), 0);
    }

    function test_PayoutsNameEveryIndexOnce() external {
        OrderPreimage memory pre = _completed();
        SettlementLib.Payout[] memory list = book.payouts(pre);
        uint8[11] memory expected = [0, 2, 3, 8, 16, 24, 25, 26, 32, 33, 34];
        assertEq(list.length, expected.length);
        uint256 sum = 0;
        for (uint256 i = 0; i < list.length; ++i) {
            assertEq(list[i].index, expected[i]);
            sum += list[i].amount;
        }
        assertEq(sum, pre.terms.deposit);
        assertEq(list[0].receiver, client);
        assertEq(list[1].receiver, treasury);
        assertEq(list[2].receiver, client);
        assertEq(list[3].receiver, provider);
    }

    function _completed() private returns (OrderPreimage memory pre) {
        pre = _engine();
        skip(1000);
        _complete(pre, Outcome.COMPLETED, 1000, 10);
    }

    function _notYet(OrderPreimage memory pre, OrderState actual) private {
        bytes memory error_ = abi.encodeWithSelector(Errors.OrderBook_NotTerminal.selector, _id(pre), actual);
        vm.expectRevert(error_);
        book.claim(pre, 1);
        vm.expectRevert(error_);
        book.payouts(pre);
    }
}
