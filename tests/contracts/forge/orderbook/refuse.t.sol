// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {
    OrderId,
    OrderPreimage,
    OrderState,
    Outcome,
    Phase,
    ReportSummary
} from "../../../../contracts/types/Orders.sol";
import {Market} from "../utils/Market.sol";

contract RefuseTest is Market {
    function test_RevertGiven_TheOrderDoesNotRun() external {
        OrderPreimage memory pre = _accepted();
        _willRevert(
            abi.encodeWithSelector(
                Errors.OrderBook_WrongState.selector, _id(pre), OrderState.ACCEPTED, OrderState.REFUSED
            )
        );
        _refuse(pre, 0);
    }

    function test_RevertGiven_EngineWasProven() external {
        OrderPreimage memory pre = _engine();
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_WrongPhase.selector, _id(pre), Phase.ENGINE, Phase.SETUP));
        _refuse(pre, 100);
    }

    function test_RevertWhen_TheSummaryDoesNotFit() external {
        OrderPreimage memory pre = _setup();
        ReportSummary memory s = _refusal(pre);
        s.phase = uint8(Phase.ENGINE);
        _mismatch(pre, s, "phase");
        s = _refusal(pre);
        s.attributableInput = 3;
        _mismatch(pre, s, "attributableInput");
        s = _refusal(pre);
        s.resultDigest = "x";
        _mismatch(pre, s, "resultDigest");
        s = _refusal(pre);
        s.sequence = LAST - 1;
        _mismatch(pre, s, "sequence");
        s = _refusal(pre);
        s.orderId = "x";
        _mismatch(pre, s, "orderId");
        s = _refusal(pre);
        s.outcome = uint8(Outcome.HOST);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_Outcome.selector, _id(pre), Outcome.HOST));
        _refuseWith(pre, s);
    }

    function test_RevertWhen_AnotherKeySigned() external {
        OrderPreimage memory pre = _setup();
        ReportSummary memory s = _refusal(pre);
        bytes memory forged = _sign(operatorKey, _bookDigest(hashes.hashSummary(s)));
        OrderId id = _id(pre);
        vm.expectRevert(abi.encodeWithSelector(Errors.OrderBook_NotSigned.selector, id, operator, signer));
        book.refuse(pre, s, forged, WHERE);
    }

    function test_RevertGiven_TheCvmWasRevoked() external {
        OrderPreimage memory pre = _setup();
        _revoke();
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_CvmRevoked.selector, cvmId));
        _refuse(pre, 0);
    }

    function test_WhenTheCvmSigned() external {
        OrderPreimage memory pre = _setup();
        skip(200);
        ReportSummary memory s = _refusal(pre);
        s.secondsUsed = 199;
        s.attributableInput = 2;
        OrderId id = _id(pre);
        bytes memory signature = _signSummary(s);
        vm.expectEmit(address(book));
        emit IOrderBook.OrderReported(id, cvmId, OrderState.REFUSED, 199, 0, s, WHERE);
        vm.prank(poker);
        book.refuse(pre, s, signature, WHERE);
        _settles(pre, 199);
    }

    function test_WhenMoreThanSetupSecondsPassed() external {
        OrderPreimage memory pre = _setup();
        skip(1000);
        _refuse(pre, 1000);
        _settles(pre, 240);
    }

    function test_WhenMoreSecondsAreReportedThanPassed() external {
        OrderPreimage memory pre = _setup();
        skip(9);
        _refuse(pre, 1000);
        _settles(pre, 9);
    }

    function test_GivenNoSecondPassed() external {
        OrderPreimage memory pre = _setup();
        _refuse(pre, 0);
        // The minimum of 60 seconds is not billed either: nothing was proven.
        _settles(pre, 0);
    }

    function _settles(OrderPreimage memory pre, uint256 secs) private {
        assertState(pre, OrderState.REFUSED);
        assertEq(_order(pre).secondsUsed, secs);
        assertEq(_order(pre).sequence, LAST);
        assertEq(_free(), STAKE);
        uint256 gross = uint256(3_600_007) * secs / 3600;
        assertEq(_payout(pre, 8), gross - gross * 250 / 10_000, "compute");
        assertEq(_payout(pre, 2), gross * 250 / 10_000, "fee");
        assertEq(_payout(pre, 16), 0, "engine");
        assertEq(_payout(pre, 24), 0, "dataset A");
        assertEq(_payout(pre, 0), pre.terms.deposit - gross, "refund");
        _claimAll(pre, 0);
    }

    function _refusal(OrderPreimage memory pre) private view returns (ReportSummary memory) {
        return _final(pre, Phase.SETUP, Outcome.REFUSED, 0, 0);
    }

    function _mismatch(OrderPreimage memory pre, ReportSummary memory s, bytes32 field) private {
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_SummaryMismatch.selector, _id(pre), field));
        _refuseWith(pre, s);
    }
}
