// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OrderId, OrderPreimage, OrderState, Phase} from "../../../../contracts/types/Orders.sol";
import {Market} from "../utils/Market.sol";

contract CancelTest is Market {
    function test_RevertGiven_TheOrderIsNotPlaced() external {
        OrderPreimage memory pre = _preimage();
        _wrong(pre, OrderState.NONE);
        _place(pre);
        _accept(pre);
        _wrong(pre, OrderState.ACCEPTED);
        _start(pre);
        _wrong(pre, OrderState.RUNNING);
        _stop(pre);
        _wrong(pre, OrderState.STOPPED);
    }

    function test_WhenTheClientCalls() external {
        OrderPreimage memory pre = _placed();
        OrderId id = _id(pre);
        vm.expectEmit(address(book));
        emit IOrderBook.OrderEnded(id, 0, OrderState.CANCELLED, Phase.NONE, 0, 0);
        vm.prank(client);
        book.cancel(pre.terms);
        assertState(pre, OrderState.CANCELLED);
    }

    function test_RevertWhen_AnybodyElseCallsInTime() external {
        OrderPreimage memory pre = _placed();
        uint256 deadline = T0 + pre.terms.windows.acceptWithin;
        vm.warp(deadline);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_TooEarly.selector, _id(pre), deadline, deadline));
        _cancelAs(poker, pre);
    }

    function test_WhenAnybodyElseCallsAfterAcceptWithin() external {
        OrderPreimage memory pre = _placed();
        vm.warp(T0 + pre.terms.windows.acceptWithin + 1);
        _cancelAs(poker, pre);
        assertState(pre, OrderState.CANCELLED);
        uint256 before = token.balanceOf(client);
        _claimAll(pre, 0);
        assertEq(token.balanceOf(client) - before, pre.terms.deposit);
    }

    function _wrong(OrderPreimage memory pre, OrderState actual) private {
        _willRevert(
            abi.encodeWithSelector(Errors.OrderBook_WrongState.selector, _id(pre), actual, OrderState.CANCELLED)
        );
        _cancelAs(client, pre);
    }
}
