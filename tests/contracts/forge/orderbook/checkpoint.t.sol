// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {
    Order,
    OrderId,
    OrderPreimage,
    OrderState,
    Outcome,
    Phase,
    ReportSummary
} from "../../../../contracts/types/Orders.sol";
import {Market} from "../utils/Market.sol";

contract CheckpointTest is Market {
    function test_RevertGiven_TheOrderDoesNotRun() external {
        OrderPreimage memory pre = _accepted();
        _willRevert(_wrong(pre, OrderState.ACCEPTED));
        _checkpoint(pre, 0, 0);
        _start(pre);
        _stop(pre);
        _willRevert(_wrong(pre, OrderState.STOPPED));
        _checkpoint(pre, 0, 0);
    }

    function test_RevertGiven_ACheckpointWasTaken() external {
        OrderPreimage memory pre = _engine();
        ReportSummary memory next = _integrity(pre, 100, 0);
        next.sequence = 2;
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_WrongPhase.selector, _id(pre), Phase.ENGINE, Phase.SETUP));
        _checkpointWith(pre, next);
    }

    function test_RevertWhen_TheSummaryDoesNotFit() external {
        OrderPreimage memory pre = _setup();
        ReportSummary memory s = _integrity(pre, 0, 0);
        s.phase = uint8(Phase.SETUP);
        _mismatch(pre, s, "phase");
        s = _integrity(pre, 0, 0);
        s.attributableInput = 0;
        _mismatch(pre, s, "attributableInput");
        s = _integrity(pre, 0, 0);
        s.resultDigest = "x";
        _mismatch(pre, s, "resultDigest");
        s = _integrity(pre, 0, 0);
        s.sequence = 0;
        _mismatch(pre, s, "sequence");
        s.sequence = LAST;
        _mismatch(pre, s, "sequence");
        s = _integrity(pre, 0, 0);
        s.orderId = "x";
        _mismatch(pre, s, "orderId");
        s = _integrity(pre, 0, 0);
        s.cvmId = "x";
        _mismatch(pre, s, "cvmId");
        s = _integrity(pre, 0, 0);
        s.inputsRoot = "x";
        _mismatch(pre, s, "inputsRoot");
        s = _integrity(pre, 0, 0);
        s.statementDigest = 0;
        _mismatch(pre, s, "statementDigest");
        s = _integrity(pre, 0, 0);
        s.outcome = uint8(Outcome.COMPLETED);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_Outcome.selector, _id(pre), Outcome.COMPLETED));
        _checkpointWith(pre, s);
    }

    function test_RevertWhen_AnotherKeySigned() external {
        OrderPreimage memory pre = _setup();
        ReportSummary memory s = _integrity(pre, 0, 0);
        bytes memory forged = _sign(operatorKey, _bookDigest(hashes.hashSummary(s)));
        OrderId id = _id(pre);
        vm.expectRevert(abi.encodeWithSelector(Errors.OrderBook_NotSigned.selector, id, operator, signer));
        book.checkpoint(pre.terms, s, forged, WHERE);
    }

    function test_RevertGiven_TheCvmWasRevoked() external {
        OrderPreimage memory pre = _setup();
        _revoke();
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_CvmRevoked.selector, cvmId));
        _checkpoint(pre, 0, 0);
    }

    function test_RevertWhen_TheLocationIsTooLong() external {
        OrderPreimage memory pre = _setup();
        ReportSummary memory s = _integrity(pre, 0, 0);
        bytes memory signature = _signSummary(s);
        vm.expectRevert(abi.encodeWithSelector(Errors.OrderBook_LocationTooLong.selector, 257, 256));
        book.checkpoint(pre.terms, s, signature, string(new bytes(257)));
    }

    function test_WhenTheCvmSigned() external {
        OrderPreimage memory pre = _setup();
        skip(50);
        OrderId id = _id(pre);
        ReportSummary memory s = _integrity(pre, 49, 5);
        s.sequence = 9;
        bytes memory signature = _signSummary(s);
        vm.expectEmit(address(book));
        emit IOrderBook.OrderCheckpointed(id, cvmId, 49, s, WHERE);
        vm.prank(poker);
        book.checkpoint(pre.terms, s, signature, WHERE);
        Order memory order = book.getOrder(id);
        assertEq(uint8(order.state), uint8(OrderState.RUNNING));
        assertEq(uint8(order.phase), uint8(Phase.ENGINE));
        assertEq(order.sequence, 9);
        assertEq(order.secondsUsed, 49);
        assertEq(order.unitsUsed, 5);
        assertEq(order.since, T0);
        assertEq(order.lastProof, T0 + 50);
    }

    function test_WhenMoreSecondsAreReportedThanPassed() external {
        OrderPreimage memory pre = _setup();
        skip(50);
        _checkpoint(pre, 4999, type(uint64).max);
        assertEq(_order(pre).secondsUsed, 50);
        assertEq(_order(pre).unitsUsed, pre.terms.maxUnits);
    }

    function test_WhenMoreSecondsPassedThanMaxSeconds() external {
        OrderPreimage memory pre = _setup();
        skip(5001);
        _checkpoint(pre, 5001, 0);
        assertEq(_order(pre).secondsUsed, 5000);
    }

    function _mismatch(OrderPreimage memory pre, ReportSummary memory s, bytes32 field) private {
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_SummaryMismatch.selector, _id(pre), field));
        _checkpointWith(pre, s);
    }

    function _wrong(OrderPreimage memory pre, OrderState actual) private view returns (bytes memory) {
        return abi.encodeWithSelector(Errors.OrderBook_WrongState.selector, _id(pre), actual, OrderState.RUNNING);
    }
}
