// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILedger} from "../../../../contracts/interfaces/ILedger.sol";
import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Order, OrderId, OrderState} from "../../../../contracts/types/Orders.sol";
import {Deal} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";
import {Stage} from "./Stage.sol";

contract CancelTest is Stage {
    function test_RevertGiven_TheOrderIsNotPlaced() external {
        Deal memory deal = _deal();
        _wrong(deal, OrderState.NONE);
        _place(deal);
        _accept(deal);
        _wrong(deal, OrderState.ACCEPTED);
        _start(deal);
        _wrong(deal, OrderState.RUNNING);
        _stop(deal);
        _wrong(deal, OrderState.STOPPING);
        _refuse(deal, 0);
        _wrong(deal, OrderState.REFUSED);
        deal.terms.salt = "other";
        _place(deal);
        _cancelAs(client, deal);
        _wrong(deal, OrderState.CANCELLED);
    }

    function test_RevertWhen_TheBytesAreNoOrders() external {
        bytes memory order = bytes.concat(Pack.order(_placed().terms), hex"00");
        vm.expectRevert(_wrongLength(order.length));
        vm.prank(client);
        book.cancel(order);
    }

    function test_WhenTheClientCalls() external {
        Deal memory deal = _placed();
        _cancelAs(client, deal);
        assertState(deal, OrderState.CANCELLED);
        deal.terms.salt = "late";
        _place(deal);
        skip(3650 days);
        _cancelAs(client, deal);
        assertState(deal, OrderState.CANCELLED);
        assertEq(_credit(client), 2 * uint256(deal.terms.deposit));
    }

    function test_WhenAnybodyElseCalls() external {
        Deal memory deal = _sponsoredPlaced();
        uint256 deadline = T0 + deal.terms.windows.acceptWithin;
        address[3] memory others = [poker, operator, sponsor];
        for (uint256 i = 0; i < 3; ++i) {
            _willRevert(_tooEarly(deal, deadline));
            _cancelAs(others[i], deal);
        }
        vm.warp(deadline);
        _willRevert(_tooEarly(deal, deadline));
        _cancelAs(poker, deal);
        vm.warp(deadline + 1);
        _cancelAs(poker, deal);
        assertState(deal, OrderState.CANCELLED);
        assertEq(_credit(sponsor), deal.terms.deposit, "the sponsor's");
        assertEq(_credit(client), 0);
    }

    function test_WhenAcceptWithinIsZeroOrAllOf32Bits() external {
        Deal memory deal = _deal();
        deal.terms.windows.acceptWithin = 0;
        _place(deal);
        _willRevert(_tooEarly(deal, T0));
        _cancelAs(poker, deal);
        skip(1);
        _cancelAs(poker, deal);
        deal.terms.windows.acceptWithin = type(uint32).max;
        _place(deal);
        uint256 deadline = T0 + 1 + type(uint32).max;
        vm.warp(deadline);
        _willRevert(_tooEarly(deal, deadline));
        _cancelAs(poker, deal);
        skip(1);
        _cancelAs(poker, deal);
        assertState(deal, OrderState.CANCELLED);
    }

    function test_GivenTheBookIsPaused() external {
        Deal memory deal = _placed();
        _pause(true);
        _cancelAs(client, deal);
        assertState(deal, OrderState.CANCELLED);
    }

    function test_GivenAnInputIsLeased() external {
        Deal memory deal = _leasedDeal();
        bytes32 lease = deal.terms.inputs[1].lease;
        _place(deal);
        assertEq(_places(lease), 0);
        _cancelAs(client, deal);
        assertEq(_places(lease), 1);
    }

    function test_WhenItCancels() external {
        Deal memory deal = _sponsoredPlaced();
        skip(5);
        OrderId id = _id(deal);
        bytes memory order = Pack.order(deal.terms);
        vm.expectEmit(address(book));
        emit IOrderBook.OrderEnded(id, 0, OrderState.CANCELLED, uint256(1) << 240, 0);
        vm.prank(client);
        book.cancel(order);
        Order memory expected;
        expected.state = OrderState.CANCELLED;
        expected.since = uint40(T0 + 5);
        expected.claimed = uint32(1 << REST);
        expected.events = 2;
        assertEq(abi.encode(book.getOrder(id)), abi.encode(expected));
        assertEq(_credit(sponsor), deal.terms.deposit);
        assertEq(_free(), STAKE, "no lock was there");
        ILedger(address(book)).withdraw(address(token), sponsor);
        assertEq(token.balanceOf(address(book)), 0);
        // Nothing is left.
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_AlreadyClaimed.selector, id, REST));
        _claimRest(deal);
        for (uint256 k = 0; k < 4; ++k) {
            _willRevert(abi.encodeWithSelector(Errors.OrderBook_NothingDue.selector, id, k));
            _claim(deal, k);
        }
    }

    function _wrong(Deal memory deal, OrderState actual) private {
        _willRevert(_wrongState(deal, actual, OrderState.CANCELLED));
        _cancelAs(client, deal);
    }
}
