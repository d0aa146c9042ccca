// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OrderId, OrderPreimage, OrderState, Phase} from "../../../../contracts/types/Orders.sol";
import {Market} from "../utils/Market.sol";

contract ExpireTest is Market {
    function test_RevertGiven_TheOrderIsNeitherAcceptedNorRunning() external {
        OrderPreimage memory pre = _placed();
        skip(365 days);
        _wrong(pre, OrderState.PLACED);
        _cancelAs(client, pre);
        _wrong(pre, OrderState.CANCELLED);
    }

    function test_RevertGiven_AcceptedWhen_StartWithinIsNotOver() external {
        OrderPreimage memory pre = _accepted();
        _tooEarly(pre, T0 + pre.terms.windows.startWithin);
    }

    function test_RevertGiven_AcceptedAndTheCvmWasRevoked() external {
        OrderPreimage memory pre = _accepted();
        _revoke();
        skip(1 days);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_CvmRevoked.selector, cvmId));
        _expire(pre);
    }

    function test_RevertGiven_AcceptedAndTheRuntimeWasRemoved() external {
        OrderPreimage memory pre = _accepted();
        vm.prank(admin);
        references.removeMeasurement(MEASUREMENT);
        skip(1 days);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_NotReference.selector, cvmId, MEASUREMENT, ROOT_SET));
        _expire(pre);
    }

    function test_GivenAcceptedWhen_StartWithinIsOver() external {
        OrderPreimage memory pre = _accepted();
        skip(uint256(pre.terms.windows.startWithin) + 1);
        uint256 penalty = _penalty(pre);
        assertGt(penalty, 0);
        OrderId id = _id(pre);
        vm.expectEmit(address(book));
        emit IOrderBook.OrderEnded(id, cvmId, OrderState.EXPIRED, Phase.NONE, 0, penalty);
        vm.prank(poker);
        book.expire(pre);
        assertState(pre, OrderState.EXPIRED);
        assertEq(_locked(), 0);
        assertEq(_free(), STAKE - penalty);
        assertEq(token.balanceOf(address(providers)), STAKE - penalty);
        assertEq(token.balanceOf(address(book)), pre.terms.deposit + penalty);
        assertEq(_payout(pre, 0), pre.terms.deposit, "refund");
        assertEq(_payout(pre, 3), penalty, "penalty");
        assertEq(_payout(pre, 2), 0, "no fee on a penalty");
        _claimAll(pre, penalty);
    }

    function test_GivenAcceptedAndTheCvmExpiredWhen_StartWithinIsOver() external {
        OrderPreimage memory pre = _accepted();
        vm.prank(operator);
        cvms.retire(cvmId);
        skip(60 days);
        _expire(pre);
        assertEq(_free(), STAKE - _penalty(pre));
    }

    function test_RevertGiven_RunningWhen_GraceIsNotOver() external {
        OrderPreimage memory pre = _setup();
        _tooEarly(pre, T0 + 5400);
    }

    function test_RevertGiven_RunningAndTheCvmWasRevoked() external {
        OrderPreimage memory pre = _setup();
        _revoke();
        skip(1 days);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_CvmRevoked.selector, cvmId));
        _expire(pre);
    }

    function test_GivenSetupWhen_GraceIsOver() external {
        _silence(_setup(), Phase.SETUP);
    }

    function test_GivenEngineWhen_GraceIsOver() external {
        OrderPreimage memory pre = _setup();
        _checkpoint(pre, 0, 500);
        _silence(pre, Phase.ENGINE);
    }

    function test_GivenRunningAndTheRuntimeWasRemovedWhen_GraceIsOver() external {
        OrderPreimage memory pre = _setup();
        // A removal voids what did not start; it does not excuse the silence of what did.
        vm.prank(admin);
        references.removeMeasurement(MEASUREMENT);
        _silence(pre, Phase.SETUP);
    }

    function _silence(OrderPreimage memory pre, Phase phase) private {
        vm.warp(T0 + 5401);
        uint256 engine = 1_000_003;
        uint256 dataset = 17 + uint256(777_777) * 5000 / 3600;
        uint256 slashed = engine + 2 * dataset;
        OrderId id = _id(pre);
        vm.expectEmit(address(book));
        emit IOrderBook.OrderEnded(id, cvmId, OrderState.EXPIRED, phase, 5000, slashed);
        vm.prank(poker);
        book.expire(pre);
        assertEq(_locked(), 0);
        assertEq(_free(), STAKE - slashed);
        assertEq(_order(pre).unitsUsed, 0);
        assertEq(_payout(pre, 0), pre.terms.deposit, "refund");
        assertEq(_payout(pre, 3), 0, "penalty");
        assertEq(_payout(pre, 8), 0, "compute");
        assertEq(_payout(pre, 16), engine - engine * 250 / 10_000, "engine");
        uint256 net = dataset - dataset * 250 / 10_000;
        assertEq(_payout(pre, 24), net * 3333 / 10_000, "first payee");
        assertEq(_payout(pre, 26), net - 2 * (net * 3333 / 10_000), "last payee");
        assertEq(_payout(pre, 2), engine * 250 / 10_000 + 2 * (dataset * 250 / 10_000), "fees");
        _claimAll(pre, slashed);
    }

    function _tooEarly(OrderPreimage memory pre, uint256 deadline) private {
        vm.warp(deadline);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_TooEarly.selector, _id(pre), deadline, deadline));
        _expire(pre);
    }

    function _wrong(OrderPreimage memory pre, OrderState actual) private {
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_WrongState.selector, _id(pre), actual, OrderState.EXPIRED));
        _expire(pre);
    }
}
