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

contract CompleteTest is Market {
    function test_RevertGiven_TheOrderDoesNotRun() external {
        OrderPreimage memory pre = _accepted();
        _willRevert(_wrong(pre, OrderState.ACCEPTED, OrderState.COMPLETED));
        _complete(pre, Outcome.COMPLETED, 0, 0);
    }

    function test_RevertWhen_ASecondReportComes() external {
        OrderPreimage memory pre = _engine();
        _complete(pre, Outcome.FAILED, 100, 0);
        _willRevert(_wrong(pre, OrderState.FAILED, OrderState.COMPLETED));
        _complete(pre, Outcome.COMPLETED, 100, 0);
    }

    function test_RevertWhen_TheOutcomeIsAnother() external {
        OrderPreimage memory pre = _engine();
        Outcome[3] memory others = [Outcome.NONE, Outcome.LAPSED, Outcome.REFUSED];
        for (uint256 i = 0; i < 3; ++i) {
            _willRevert(abi.encodeWithSelector(Errors.OrderBook_Outcome.selector, _id(pre), others[i]));
            _complete(pre, others[i], 100, 0);
        }
        ReportSummary memory s = _final(pre, Phase.ENGINE, Outcome.NONE, 100, 0);
        s.outcome = 200;
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_Outcome.selector, _id(pre), 200));
        _completeWith(pre, s);
    }

    function test_RevertGiven_EngineWasNotProven() external {
        OrderPreimage memory pre = _setup();
        bytes memory expected =
            abi.encodeWithSelector(Errors.OrderBook_WrongPhase.selector, _id(pre), Phase.SETUP, Phase.ENGINE);
        _willRevert(expected);
        _complete(pre, Outcome.COMPLETED, 0, 0);
        _willRevert(expected);
        _complete(pre, Outcome.FAILED, 0, 0);
    }

    function test_RevertWhen_TheSummaryDoesNotFit() external {
        OrderPreimage memory pre = _engine();
        ReportSummary memory s = _report(pre);
        s.phase = uint8(Phase.SETUP);
        _mismatch(pre, s, "phase");
        s = _report(pre);
        s.attributableInput = 1;
        _mismatch(pre, s, "attributableInput");
        s = _report(pre);
        s.sequence = 2;
        _mismatch(pre, s, "sequence");
        s = _report(pre);
        s.orderId = "x";
        _mismatch(pre, s, "orderId");
        s = _report(pre);
        s.cvmId = "x";
        _mismatch(pre, s, "cvmId");
        s = _report(pre);
        s.inputsRoot = "x";
        _mismatch(pre, s, "inputsRoot");
        s = _report(pre);
        s.statementDigest = 0;
        _mismatch(pre, s, "statementDigest");
        s = _report(pre);
        s.secondsUsed = 99;
        _mismatch(pre, s, "secondsUsed");
    }

    function test_RevertWhen_UnitsFell() external {
        OrderPreimage memory pre = _setup();
        _checkpoint(pre, 0, 10);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_SummaryMismatch.selector, _id(pre), bytes32("unitsUsed")));
        _complete(pre, Outcome.COMPLETED, 0, 9);
    }

    function test_RevertWhen_AnotherKeySigned() external {
        OrderPreimage memory pre = _engine();
        ReportSummary memory s = _report(pre);
        bytes memory forged = _sign(operatorKey, _bookDigest(hashes.hashSummary(s)));
        OrderId id = _id(pre);
        vm.expectRevert(abi.encodeWithSelector(Errors.OrderBook_NotSigned.selector, id, operator, signer));
        book.complete(pre, s, forged, WHERE);
    }

    function test_RevertWhen_AnotherOrdersReportIsShown() external {
        OrderPreimage memory pre = _engine();
        OrderPreimage memory other = _preimage();
        other.terms.salt = "other";
        _place(other);
        _accept(other);
        _start(other);
        _checkpoint(other, 0, 0);
        _mismatch(pre, _report(other), "orderId");
    }

    function test_RevertGiven_TheCvmWasRevoked() external {
        OrderPreimage memory pre = _engine();
        _revoke();
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_CvmRevoked.selector, cvmId));
        _complete(pre, Outcome.COMPLETED, 100, 0);
    }

    function test_GivenTheCertificateExpiredMeanwhile() external {
        OrderPreimage memory pre = _engine();
        vm.prank(operator);
        cvms.retire(cvmId);
        _complete(pre, Outcome.COMPLETED, 100, 0);
        assertState(pre, OrderState.COMPLETED);
    }

    function test_GivenGraceIsOver() external {
        OrderPreimage memory pre = _engine();
        skip(10 days);
        _complete(pre, Outcome.COMPLETED, type(uint32).max, type(uint64).max);
        _settles(pre, OrderState.COMPLETED, 5000, 1000);
    }

    function test_WhenMoreSecondsAreReportedThanPassed() external {
        OrderPreimage memory pre = _engine();
        skip(900);
        _complete(pre, Outcome.FAILED, 4000, 7);
        _settles(pre, OrderState.FAILED, 1000, 7);
    }

    function test_WhenFewerSecondsAreReportedThanPassed() external {
        OrderPreimage memory pre = _engine();
        skip(900);
        _complete(pre, Outcome.COMPLETED, 500, 0);
        _settles(pre, OrderState.COMPLETED, 500, 0);
    }

    function test_WhenLessThanTheMinimumIsReported() external {
        OrderPreimage memory pre = _setup();
        skip(5);
        _checkpoint(pre, 5, 0);
        _complete(pre, Outcome.COMPLETED, 5, 0);
        // 60 seconds of compute and 120 of each dataset are the least.
        _settles(pre, OrderState.COMPLETED, 5, 0);
        uint256 gross = 11 + uint256(3_600_007) * 60 / 3600;
        assertEq(_payout(pre, 8), gross - gross * 250 / 10_000);
    }

    function test_WhenTheOutcomeIsHostInEngine() external {
        OrderPreimage memory pre = _engine();
        _complete(pre, Outcome.HOST, 100, 0);
        _paysNobody(pre);
    }

    function test_WhenTheOutcomeIsHostInSetup() external {
        OrderPreimage memory pre = _setup();
        skip(500);
        _completeWith(pre, _final(pre, Phase.SETUP, Outcome.HOST, 500, 0));
        _paysNobody(pre);
    }

    function test_EmitsTheWholeSummary() external {
        OrderPreimage memory pre = _engine();
        OrderId id = _id(pre);
        ReportSummary memory s = _final(pre, Phase.ENGINE, Outcome.COMPLETED, 4000, 2000);
        bytes memory signature = _signSummary(s);
        vm.expectEmit(address(book));
        emit IOrderBook.OrderReported(id, cvmId, OrderState.COMPLETED, 100, 1000, s, WHERE);
        book.complete(pre, s, signature, WHERE);
    }

    function _paysNobody(OrderPreimage memory pre) private {
        assertState(pre, OrderState.HOST);
        assertEq(_order(pre).secondsUsed, 0);
        assertEq(_free(), STAKE);
        uint256 before = token.balanceOf(client);
        _claimAll(pre, 0);
        assertEq(token.balanceOf(client) - before, pre.terms.deposit);
    }

    function _settles(OrderPreimage memory pre, OrderState state, uint256 secs, uint256 units) private {
        assertState(pre, state);
        assertEq(_order(pre).secondsUsed, secs);
        assertEq(_order(pre).unitsUsed, units);
        assertEq(_free(), STAKE);
        uint256 left = pre.terms.deposit;
        uint256 fees = 0;
        for (uint256 k = 0; k < 4; ++k) {
            uint256 due = _amount(k == 0 ? pre.compute.price : pre.inputs[k - 1].price, secs, units);
            left -= due;
            fees += due * 250 / 10_000;
        }
        assertEq(_payout(pre, 0), left, "refund");
        assertEq(_payout(pre, 2), fees, "fees");
        assertEq(_payout(pre, 3), 0, "penalty");
        _claimAll(pre, 0);
    }

    function _report(OrderPreimage memory pre) private view returns (ReportSummary memory) {
        return _final(pre, Phase.ENGINE, Outcome.COMPLETED, 100, 0);
    }

    function _mismatch(OrderPreimage memory pre, ReportSummary memory s, bytes32 field) private {
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_SummaryMismatch.selector, _id(pre), field));
        _completeWith(pre, s);
    }

    function _wrong(OrderPreimage memory pre, OrderState actual, OrderState wanted)
        private
        view
        returns (bytes memory)
    {
        return abi.encodeWithSelector(Errors.OrderBook_WrongState.selector, _id(pre), actual, wanted);
    }
}
