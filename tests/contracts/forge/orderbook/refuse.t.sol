// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OrderHashLib} from "../../../../contracts/libraries/OrderHashLib.sol";
import {Order, OrderId, OrderState, Outcome, Phase, Report} from "../../../../contracts/types/Orders.sol";
import {Deal, Said} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";
import {Stage} from "./Stage.sol";

contract RefuseTest is Stage {
    function test_RevertGiven_TheOrderDoesNotRun() external {
        Deal memory deal = _deal();
        _wrong(deal, OrderState.NONE);
        _place(deal);
        _wrong(deal, OrderState.PLACED);
        _accept(deal);
        _wrong(deal, OrderState.ACCEPTED);
        _start(deal);
        _refuse(deal, 0);
        _wrong(deal, OrderState.REFUSED);
    }

    function test_RevertGiven_EngineWasProven() external {
        Deal memory deal = _engine();
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_WrongPhase.selector, _id(deal), Phase.ENGINE, Phase.SETUP));
        _refuse(deal, 100);
    }

    function test_RevertWhen_TheSummaryDoesNotFit() external {
        Deal memory deal = _setup();
        Said memory said = _refusal();
        said.phase = Phase.ENGINE;
        _bad(deal, said, "phase");
        said.phase = Phase.NONE;
        _bad(deal, said, "phase");
        said = _refusal();
        said.result = keccak256("result");
        _bad(deal, said, "resultDigest");
        said = _refusal();
        said.blamed = 3;
        _bad(deal, said, "attributableInput");
        said.blamed = 254;
        _bad(deal, said, "attributableInput");
        said = _refusal();
        said.statement = 0;
        _bad(deal, said, "statementDigest");
        said = _refusal();
        said.sequence = 1;
        _bad(deal, said, "sequence");
        said.sequence = LAST - 1;
        _bad(deal, said, "sequence");
    }

    function test_RevertWhen_TheOutcomeIsAnother() external {
        Deal memory deal = _setup();
        Said memory said = _refusal();
        for (uint256 i = 0; i < 5; ++i) {
            said.outcome = Outcome(i);
            _willRevert(abi.encodeWithSelector(Errors.OrderBook_Outcome.selector, _id(deal), i));
            _refuseWith(deal, said);
        }
    }

    function test_RevertWhen_ThereAreBitsBeyondTheLastMember() external {
        Deal memory deal = _setup();
        Report memory report = _report(deal, _refusal(), signerKey);
        report.numbers |= 1 << 152;
        _refuseReport(deal, report, _mismatch(deal, "numbers"));
        report.numbers = _numbers(_refusal()) | (1 << 255);
        _refuseReport(deal, report, _mismatch(deal, "numbers"));
    }

    function test_RevertWhen_UsageFell() external {
        Deal memory deal = _setup();
        skip(50);
        _say(deal, Said(Phase.SETUP, Outcome.NONE, NO_INPUT, 1, 50, 2, 0, 0));
        Said memory said = _refusal();
        (said.secs, said.units) = (49, 2);
        _bad(deal, said, "secondsUsed");
        (said.secs, said.units) = (50, 1);
        _bad(deal, said, "unitsUsed");
        said.units = 2;
        _refuseWith(deal, said);
        assertState(deal, OrderState.REFUSED);
    }

    function test_WhenAnInputIsBlamed() external {
        Deal memory deal = _setup();
        for (uint8 i = 0; i < 3; ++i) {
            uint256 snapshot = vm.snapshotState();
            Said memory said = _refusal();
            said.blamed = i;
            _refuseWith(deal, said);
            assertState(deal, OrderState.REFUSED);
            vm.revertToState(snapshot);
        }
    }

    function test_RevertWhen_AnotherKeySigned() external {
        Deal memory deal = _setup();
        _refuseReport(deal, _report(deal, _refusal(), operatorKey), _notSigned(deal, operator));
        // Words about another order, or about the same but as a checkpoint has them.
        Deal memory other = _deal();
        other.terms.salt = "other";
        Report memory report = _report(other, _refusal(), signerKey);
        _refuseReport(deal, report, _notSigned(deal, _recovered(_hash(deal, report), report.r, report.vs)));
        report = _report(deal, _refusal(), signerKey);
        report.cvmId = keccak256("another");
        _refuseReport(deal, report, _notSigned(deal, _recovered(_hash(deal, report), report.r, report.vs)));
        report.cvmId = cvmId;
        report.statementDigest = keccak256("another");
        _refuseReport(deal, report, _notSigned(deal, _recovered(_hash(deal, report), report.r, report.vs)));
        report = _report(deal, _refusal(), signerKey);
        report.vs = bytes32(type(uint256).max);
        _refuseReport(deal, report, _notSigned(deal, address(0)));
    }

    function test_RevertGiven_TheCvmWasRevoked() external {
        Deal memory deal = _setup();
        _revoke();
        _willRevert(_cvmRevoked());
        _refuse(deal, 0);
    }

    function test_GivenTheDeadlinePassed() external {
        Deal memory deal = _setup();
        skip(10 days);
        _refuse(deal, type(uint32).max);
        assertState(deal, OrderState.REFUSED);
        assertEq(_order(deal).secondsUsed, 5000);
        assertEq(_due(deal, 0), _usage(deal.compute.price, 240, 0));
        _claimAll(deal, 0);
    }

    function test_RevertWhen_TheLocationIsTooLong() external {
        Deal memory deal = _setup();
        (bytes memory order, Report memory report) = (Pack.order(deal.terms), _report(deal, _refusal(), signerKey));
        vm.expectRevert(_locationTooLong());
        book.refuse(order, report, string(new bytes(257)));
        book.refuse(order, report, string(new bytes(256)));
    }

    function test_GivenTheOrderIsStopping() external {
        Deal memory deal = _setup();
        _stop(deal);
        skip(401);
        _refuse(deal, 100);
        assertState(deal, OrderState.REFUSED);
        _claimAll(deal, 0);
    }

    function test_GivenAnInputIsLeased() external {
        Deal memory deal = _leasedDeal();
        _place(deal);
        _accept(deal);
        _start(deal);
        assertEq(_places(deal.terms.inputs[1].lease), 0);
        _refuse(deal, 0);
        assertEq(_places(deal.terms.inputs[1].lease), 1);
        _claimAll(deal, 0);
    }

    function test_WhenTheCvmSigned() external {
        Deal memory deal = _sponsoredSetup();
        skip(90);
        OrderId id = _id(deal);
        Said memory said = _refusal();
        (said.secs, said.units, said.blamed) = (80, 7, 1);
        (bytes memory order, Report memory report) = (Pack.order(deal.terms), _report(deal, said, signerKey));
        vm.expectEmit(address(book));
        emit IOrderBook.OrderReported(
            id,
            cvm,
            OrderState.REFUSED,
            report.numbers,
            80 | (uint256(7) << 64) | (uint256(3) << 240),
            0,
            STATEMENT,
            WHERE
        );
        vm.prank(makeAddr("anybody"));
        book.refuse(order, report, WHERE);
        Order memory got = _order(deal);
        assertEq(uint8(got.state), uint8(OrderState.REFUSED));
        assertEq(got.since, T0 + 90);
        assertEq(got.claimed + got.sequence + got.lastProof, 0);
        assertEq(_free(), STAKE);
        assertEq(_desk().active, 0);
        uint256 compute = uint256(3_600_007) * 80 / 3600;
        assertEq(_due(deal, 0), compute);
        for (uint256 k = 1; k < 4; ++k) {
            assertEq(_due(deal, k), 0);
        }
        _claimAll(deal, 0);
        assertEq(_credit(sponsor), deal.terms.deposit - compute);
        assertEq(_credit(client), 0);
    }

    function _refusal() private pure returns (Said memory) {
        return _final(Phase.SETUP, Outcome.REFUSED, 0, 0);
    }

    function _hash(Deal memory deal, Report memory report) private view returns (bytes32) {
        return OrderHashLib.hashSummary(
            OrderId.unwrap(_id(deal)),
            report.cvmId,
            report.numbers,
            _root(deal),
            report.resultDigest,
            report.statementDigest
        );
    }

    function _bad(Deal memory deal, Said memory said, bytes32 field) private {
        _willRevert(_mismatch(deal, field));
        _refuseWith(deal, said);
    }

    function _wrong(Deal memory deal, OrderState actual) private {
        _willRevert(_wrongState(deal, actual, OrderState.REFUSED));
        _refuse(deal, 0);
    }

    function _refuseReport(Deal memory deal, Report memory report, bytes memory error_) private {
        bytes memory order = Pack.order(deal.terms);
        vm.expectRevert(error_);
        book.refuse(order, report, WHERE);
    }
}
