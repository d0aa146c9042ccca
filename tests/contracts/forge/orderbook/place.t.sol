// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {InputRef, Order, OrderId, OrderPreimage, OrderState} from "../../../../contracts/types/Orders.sol";
import {Market} from "../utils/Market.sol";

contract PlaceTest is Market {
    function test_RevertGiven_TheIdIsTaken() external {
        OrderPreimage memory pre = _placed();
        _willRevert(_wrongState(pre, OrderState.PLACED));
        _place(pre);
        _cancelAs(client, pre);
        _willRevert(_wrongState(pre, OrderState.CANCELLED));
        _place(pre);
    }

    function test_RevertWhen_TheCallerIsNotTheClient() external {
        OrderPreimage memory pre = _preimage();
        OrderId id = _id(pre);
        vm.expectRevert(abi.encodeWithSelector(Errors.OrderBook_NotClient.selector, id, poker, client));
        vm.prank(poker);
        book.place(pre.terms, WHERE);
    }

    function test_RevertWhen_PayerAndClientDiffer() external {
        OrderPreimage memory pre = _preimage();
        pre.terms.payer = poker;
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_OtherPayer.selector, poker, client));
        _place(pre);
    }

    function test_RevertWhen_PlaceBeforeIsOver() external {
        OrderPreimage memory pre = _preimage();
        OrderId id = _id(pre);
        uint256 deadline = pre.terms.placeBefore;
        vm.warp(deadline + 1);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_TooLate.selector, id, deadline, deadline + 1));
        _place(pre);
        vm.warp(deadline);
        _place(pre);
        assertState(pre, OrderState.PLACED);
    }

    function test_RevertWhen_AReservedMemberIsSet() external {
        OrderPreimage memory pre = _preimage();
        pre.terms.accessKeyDigest = "x";
        _reserved(pre, "accessKeyDigest");
        pre.terms.accessKeyDigest = 0;
        pre.terms.holdback.bps = 1;
        _reserved(pre, "holdback.bps");
        pre.terms.holdback.bps = 0;
        pre.terms.holdback.window = 1;
        _reserved(pre, "holdback.window");
        pre.terms.holdback.window = 0;
        pre.terms.delivery = 1;
        _reserved(pre, "delivery");
        pre.terms.delivery = 0;
        pre.terms.deliveryDigest = "x";
        _reserved(pre, "deliveryDigest");
        pre.terms.deliveryDigest = 0;
        pre.terms.inputs[2].lease = "x";
        _reserved(pre, "inputs.lease");
    }

    function test_RevertWhen_ThereIsNoInput() external {
        OrderPreimage memory pre = _preimage();
        pre.terms.inputs = new InputRef[](0);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_InputCount.selector, 0, 16));
        _place(pre);
    }

    function test_RevertWhen_ThereAreMoreThanSixteenInputs() external {
        OrderPreimage memory pre = _preimage();
        pre.terms.inputs = new InputRef[](17);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_InputCount.selector, 17, 16));
        _place(pre);
    }

    function test_WhenThereAreSixteenInputs() external {
        OrderPreimage memory pre = _preimage();
        pre.terms.inputs = new InputRef[](16);
        for (uint64 i = 0; i < 16; ++i) {
            pre.terms.inputs[i].offer = i;
        }
        _place(pre);
        assertState(pre, OrderState.PLACED);
    }

    function test_RevertWhen_TwoInputsNameOneOffer() external {
        OrderPreimage memory pre = _preimage();
        pre.terms.inputs[2].offer = inputOffers[1];
        pre.terms.inputs[2].version = 2;
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_DuplicateInput.selector, 2, inputOffers[1]));
        _place(pre);
    }

    function test_RevertWhen_AWindowIsBelowTheMinimum() external {
        OrderPreimage memory pre = _preimage();
        pre.terms.windows.grace = MIN_GRACE - 1;
        _willRevert(_tooShort("grace"));
        _place(pre);
        pre.terms.windows.grace = MIN_GRACE;
        pre.terms.windows.keysWithin = MIN_GRACE - 1;
        _willRevert(_tooShort("keysWithin"));
        _place(pre);
        pre.terms.windows.keysWithin = MIN_GRACE;
        _place(pre);
    }

    function test_RevertWhen_TheLocationIsTooLong() external {
        OrderPreimage memory pre = _preimage();
        vm.startPrank(client);
        vm.expectRevert(abi.encodeWithSelector(Errors.OrderBook_LocationTooLong.selector, 257, 256));
        book.place(pre.terms, string(new bytes(257)));
        book.place(pre.terms, string(new bytes(256)));
    }

    function test_RevertWhen_TheTokenGivesLess() external {
        OrderPreimage memory pre = _preimage();
        vm.prank(client);
        token.approve(address(book), pre.terms.deposit - 1);
        vm.expectRevert();
        vm.prank(client);
        book.place(pre.terms, WHERE);
    }

    function test_WhenTheDepositIsZero() external {
        OrderPreimage memory pre = _preimage();
        pre.terms.deposit = 0;
        _place(pre);
        assertEq(token.balanceOf(address(book)), 0);
        assertState(pre, OrderState.PLACED);
    }

    function test_WhenTheTermsAreGood() external {
        OrderPreimage memory pre = _preimage();
        OrderId id = _id(pre);
        uint256 before = token.balanceOf(client);
        vm.expectEmit(address(book));
        emit IOrderBook.OrderPlaced(
            id, client, computeOffer, client, address(token), pre.terms.deposit, abi.encode(pre.terms), WHERE
        );
        vm.prank(client);
        OrderId returned = book.place(pre.terms, WHERE);
        assertEq(OrderId.unwrap(returned), OrderId.unwrap(id));
        assertEq(OrderId.unwrap(book.orderId(pre.terms)), OrderId.unwrap(id));
        assertEq(token.balanceOf(address(book)), pre.terms.deposit);
        assertEq(before - token.balanceOf(client), pre.terms.deposit);
        Order memory order = book.getOrder(id);
        assertEq(uint8(order.state), uint8(OrderState.PLACED));
        assertEq(order.since, block.timestamp);
        assertEq(order.cvmId, 0);
        assertEq(order.paramsVersion, 0);
    }

    function _reserved(OrderPreimage memory pre, bytes32 field) private {
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_Reserved.selector, field));
        _place(pre);
    }

    function _tooShort(bytes32 field) private pure returns (bytes memory) {
        return abi.encodeWithSelector(Errors.OrderBook_WindowTooShort.selector, field, MIN_GRACE - 1, MIN_GRACE);
    }

    function _wrongState(OrderPreimage memory pre, OrderState actual) private view returns (bytes memory) {
        return abi.encodeWithSelector(Errors.OrderBook_WrongState.selector, _id(pre), actual, OrderState.PLACED);
    }
}
