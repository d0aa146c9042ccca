// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OrderHashLib} from "../../../../contracts/libraries/OrderHashLib.sol";
import {Order, OrderId, OrderState, Outcome, Phase, Report} from "../../../../contracts/types/Orders.sol";
import {Deal, Said} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";
import {Stage} from "./Stage.sol";

contract CompleteTest is Stage {
    function test_RevertGiven_TheOrderDoesNotRun() external {
        Deal memory deal = _deal();
        _wrong(deal, OrderState.NONE);
        _place(deal);
        _wrong(deal, OrderState.PLACED);
        _accept(deal);
        _wrong(deal, OrderState.ACCEPTED);
        _start(deal);
        _checkpoint(deal, 0, 0);
        _complete(deal, Outcome.FAILED, 0, 0);
        _wrong(deal, OrderState.FAILED);
    }

    function test_RevertWhen_TheOutcomeIsAnother() external {
        Deal memory deal = _engine();
        Outcome[2] memory others = [Outcome.NONE, Outcome.REFUSED];
        for (uint256 i = 0; i < 2; ++i) {
            _willRevert(abi.encodeWithSelector(Errors.OrderBook_Outcome.selector, _id(deal), others[i]));
            _complete(deal, others[i], 100, 0);
        }
        Report memory report = _good(deal);
        report.numbers |= 0xff00;
        _refused(deal, report, abi.encodeWithSelector(Errors.OrderBook_Outcome.selector, _id(deal), 255));
    }

    function test_RevertGiven_EngineWasNotProven() external {
        Deal memory deal = _setup();
        bytes memory expected =
            abi.encodeWithSelector(Errors.OrderBook_WrongPhase.selector, _id(deal), Phase.SETUP, Phase.ENGINE);
        Outcome[3] memory outcomes = [Outcome.COMPLETED, Outcome.FAILED, Outcome.LAPSED];
        for (uint256 i = 0; i < 3; ++i) {
            _willRevert(expected);
            _complete(deal, outcomes[i], 0, 0);
        }
    }

    function test_RevertWhen_TheSummaryDoesNotFit() external {
        Deal memory deal = _engine();
        Said memory said = _final(Phase.SETUP, Outcome.COMPLETED, 100, 0);
        _bad(deal, said, "phase");
        said.outcome = Outcome.LAPSED;
        _bad(deal, said, "phase");
        said = _final(Phase.ENGINE, Outcome.COMPLETED, 100, 0);
        said.blamed = 1;
        _bad(deal, said, "attributableInput");
        said.outcome = Outcome.HOST;
        _bad(deal, said, "attributableInput");
        said = _final(Phase.ENGINE, Outcome.COMPLETED, 100, 0);
        said.sequence = 2;
        _bad(deal, said, "sequence");
        said.sequence = LAST - 1;
        _bad(deal, said, "sequence");
        said = _final(Phase.ENGINE, Outcome.COMPLETED, 100, 0);
        said.statement = 0;
        _bad(deal, said, "statementDigest");
        said = _final(Phase.ENGINE, Outcome.COMPLETED, 99, 0);
        _bad(deal, said, "secondsUsed");
        said.outcome = Outcome.HOST;
        _bad(deal, said, "secondsUsed");
        Report memory report = _good(deal);
        report.numbers |= 1 << 152;
        _refused(deal, report, _mismatch(deal, "numbers"));
        report.numbers = _good(deal).numbers | (1 << 255);
        _refused(deal, report, _mismatch(deal, "numbers"));
    }

    function test_RevertWhen_UnitsFell() external {
        Deal memory deal = _setup();
        _checkpoint(deal, 0, 10);
        _willRevert(_mismatch(deal, "unitsUsed"));
        _complete(deal, Outcome.COMPLETED, 0, 9);
        _complete(deal, Outcome.COMPLETED, 0, 10);
    }

    // ------------------------------------------------------------------------------------------- signatures
    function test_RevertWhen_AnotherKeySigned() external {
        Deal memory deal = _engine();
        Said memory said = _final(Phase.ENGINE, Outcome.COMPLETED, 100, 0);
        _refused(deal, _report(deal, said, operatorKey), _notSigned(deal, operator));
        _refused(deal, _report(deal, said, clientKey), _notSigned(deal, client));
    }

    function test_RevertWhen_SomethingElseWasSigned() external {
        Deal memory deal = _engine();
        Deal memory other = _deal();
        other.terms.salt = "other";
        // Another order of the same CVM, with the same inputs.
        _forged(deal, _report(other, _final(Phase.ENGINE, Outcome.COMPLETED, 100, 0), signerKey));
        Report memory report = _good(deal);
        report.cvmId = keccak256("another");
        _forged(deal, report);
        report = _good(deal);
        report.resultDigest = keccak256("another");
        _forged(deal, report);
        report = _good(deal);
        report.statementDigest = keccak256("another");
        _forged(deal, report);
        report = _good(deal);
        // One second more than was signed.
        report.numbers += 1 << 56;
        _forged(deal, report);
        // Other inputs.
        bytes32 id = OrderId.unwrap(_id(deal));
        report = _good(deal);
        bytes32 structHash =
            OrderHashLib.hashSummary(id, cvmId, report.numbers, 0, report.resultDigest, report.statementDigest);
        (report.r, report.vs) = _signCompact(signerKey, _bookDigest(structHash));
        _forged(deal, report);
        // Another chain, another contract.
        report = _good(deal);
        structHash = _hash(deal, report);
        (report.r, report.vs) = _signCompact(signerKey, _digestAt(block.chainid + 1, address(book), structHash));
        _forged(deal, report);
        (report.r, report.vs) = _signCompact(signerKey, _digestAt(block.chainid, address(cvms), structHash));
        _forged(deal, report);
        _refused(deal, _vs(deal, bytes32(type(uint256).max)), _notSigned(deal, address(0)));
        _refused(deal, _vs(deal, bytes32(CURVE_ORDER / 2 + 1)), _notSigned(deal, address(0)));
        _refused(deal, _vs(deal, 0), _notSigned(deal, address(0)));
    }

    // ------------------------------------------------------------------------------------------- the CVM
    function test_RevertGiven_TheCvmWasRevoked() external {
        Deal memory deal = _engine();
        _revoke();
        _willRevert(_cvmRevoked());
        _complete(deal, Outcome.COMPLETED, 100, 0);
    }

    function test_GivenTheMarketWantsNoMoreOfIt() external {
        Deal memory deal = _engine();
        _retire();
        _removeProfile();
        _pause(true);
        skip(60 days);
        _complete(deal, Outcome.COMPLETED, 100, 0);
        _settles(deal, OrderState.COMPLETED, 100, 0);
    }

    function test_GivenTheDeskChanged() external {
        Deal memory deal = _engine();
        vm.startPrank(provider);
        providers.setOperator(computeOffer, address(token), poker);
        providers.setCapacity(computeOffer, address(token), 0);
        providers.requestUnstake(computeOffer, address(token), providers.deskOf(computeOffer, address(token)).free);
        offers.retire(computeOffer, 1);
        vm.stopPrank();
        uint256 lock = _lock(deal);
        _complete(deal, Outcome.COMPLETED, 100, 0);
        assertState(deal, OrderState.COMPLETED);
        assertEq(_free(), lock);
        assertEq(_locked(), 0);
        assertEq(_desk().active, 0);
    }

    // ------------------------------------------------------------------------------------------- what is billed
    function test_GivenEveryDeadlineIsOver() external {
        Deal memory deal = _engine();
        skip(10 days);
        _complete(deal, Outcome.COMPLETED, type(uint32).max, type(uint64).max);
        _settles(deal, OrderState.COMPLETED, 5000, 1000);
    }

    function test_WhenMoreSecondsAreReportedThanPassed() external {
        Deal memory deal = _engine();
        skip(900);
        _complete(deal, Outcome.FAILED, 4000, 7);
        _settles(deal, OrderState.FAILED, 1000, 7);
    }

    function test_WhenFewerSecondsAreReportedThanPassed() external {
        Deal memory deal = _engine();
        skip(900);
        _complete(deal, Outcome.COMPLETED, 500, 0);
        _settles(deal, OrderState.COMPLETED, 500, 0);
    }

    function test_WhenLessThanTheMinimumIsReported() external {
        Deal memory deal = _setup();
        skip(5);
        _checkpoint(deal, 5, 0);
        _complete(deal, Outcome.COMPLETED, 5, 0);
        // 60 seconds of compute and 120 of each dataset are the least.
        assertEq(_due(deal, 0), 11 + uint256(3_600_007) * 60 / 3600);
        assertEq(_due(deal, 2), 17 + uint256(777_777) * 120 / 3600);
        _settles(deal, OrderState.COMPLETED, 5, 0);
    }

    function test_WhenNothingWasUsed() external {
        Deal memory deal = _setup();
        _checkpoint(deal, 0, 0);
        _complete(deal, Outcome.COMPLETED, 0, 0);
        _settles(deal, OrderState.COMPLETED, 0, 0);
    }

    function test_WhenTheOutcomeIsLapsed() external {
        Deal memory deal = _engine();
        skip(900);
        _complete(deal, Outcome.LAPSED, 950, 7);
        assertEq(_order(deal).secondsUsed, 950);
        assertEq(_due(deal, 0), _usage(deal.compute.price, 950, 7));
        assertEq(_due(deal, 1), uint256(1_000_003) * 950 / 5000 + 14);
        _claimAll(deal, 0);
        assertEq(_free(), STAKE);
    }

    function test_WhenTheOutcomeIsHostInEngine() external {
        Deal memory deal = _sponsoredEngine();
        skip(300);
        _prove(deal, 350, 9);
        skip(500);
        // What is said now counts for nothing.
        _complete(deal, Outcome.HOST, 900, 99);
        assertState(deal, OrderState.HOST);
        assertEq(_order(deal).secondsUsed, 350);
        assertEq(_order(deal).unitsUsed, 9);
        uint256 compute = _usage(deal.compute.price, 350, 9);
        assertEq(_due(deal, 0), compute);
        assertEq(_due(deal, 1) + _due(deal, 2) + _due(deal, 3), 0);
        assertEq(_free(), STAKE);
        _claimAll(deal, 0);
        assertEq(_credit(sponsor), deal.terms.deposit - compute);
    }

    function test_WhenTheOutcomeIsHostInSetup() external {
        Deal memory deal = _sponsoredSetup();
        skip(500);
        // Which phase its host was in when it went, a CVM may not know.
        _completeWith(deal, _final(Phase.NONE, Outcome.HOST, 500, 0));
        assertState(deal, OrderState.HOST);
        assertEq(_order(deal).secondsUsed, 0);
        _claimAll(deal, 0);
        assertEq(_credit(sponsor), deal.terms.deposit);
    }

    function test_GivenTheOrderIsStopping() external {
        Deal memory deal = _engine();
        _stop(deal);
        skip(900);
        _complete(deal, Outcome.COMPLETED, 1000, 7);
        _settles(deal, OrderState.COMPLETED, 1000, 7);
    }

    function test_GivenTheDepositPaysForFewerSeconds() external {
        Deal memory deal = _deal();
        deal.terms.deposit = uint128(_deposit(deal, 1040));
        _place(deal);
        _acceptPartly(deal);
        _start(deal);
        skip(240);
        _checkpoint(deal, 240, 0);
        skip(1200);
        _complete(deal, Outcome.COMPLETED, 1440, 1000);
        _settles(deal, OrderState.COMPLETED, 1040, 1000);
        assertEq(_credit(client), 0, "nothing was left");
    }

    function test_GivenAnInputIsLeased() external {
        Deal memory deal = _leasedDeal();
        _place(deal);
        _accept(deal);
        _start(deal);
        _checkpoint(deal, 0, 0);
        skip(500);
        _complete(deal, Outcome.COMPLETED, 500, 1);
        assertEq(_places(deal.terms.inputs[1].lease), 1);
        assertEq(_due(deal, 2), 0);
        assertEq(_due(deal, 3), _amount(deal.inputs[2].price, 500, 1));
        _claimAll(deal, 0);
    }

    function test_RevertWhen_TheLocationIsTooLong() external {
        Deal memory deal = _engine();
        (bytes memory order, Report memory report) = (Pack.order(deal.terms), _good(deal));
        vm.expectRevert(_locationTooLong());
        book.complete(order, report, string(new bytes(257)));
        book.complete(order, report, string(new bytes(256)));
    }

    // ------------------------------------------------------------------------------------------- all is well
    function test_WhenTheCvmSigned() external {
        Deal memory deal = _sponsoredEngine();
        uint256 lock = _lock(deal);
        skip(900);
        OrderId id = _id(deal);
        Said memory said = _final(Phase.ENGINE, Outcome.COMPLETED, 4000, 2000);
        (bytes memory order, Report memory report) = (Pack.order(deal.terms), _report(deal, said, signerKey));
        vm.expectEmit(address(book));
        emit IOrderBook.OrderReported(
            id,
            cvm,
            OrderState.COMPLETED,
            report.numbers,
            1000 | (uint256(1000) << 64) | (uint256(4) << 240),
            said.result,
            STATEMENT,
            WHERE
        );
        vm.prank(makeAddr("anybody"));
        book.complete(order, report, WHERE);
        Order memory expected;
        expected.state = OrderState.COMPLETED;
        expected.phase = Phase.ENGINE;
        expected.since = uint40(T0 + 1000);
        expected.secondsUsed = 1000;
        expected.unitsUsed = 1000;
        expected.paramsVersion = 1;
        expected.cvm = cvm;
        expected.lock = lock;
        expected.events = 5;
        assertEq(abi.encode(book.getOrder(id)), abi.encode(expected));
        uint256 spent = 0;
        for (uint256 k = 0; k < 4; ++k) {
            spent += _amount(_termsOf(deal, k).price, 1000, 1000);
        }
        _settles(deal, OrderState.COMPLETED, 1000, 1000);
        assertEq(_credit(sponsor), deal.terms.deposit - spent);
        assertEq(_credit(client), 0);
    }

    // ------------------------------------------------------------------------------------------- helpers
    function _settles(Deal memory deal, OrderState state, uint256 secs, uint256 units) private {
        assertState(deal, state);
        assertEq(_order(deal).secondsUsed, secs);
        assertEq(_order(deal).unitsUsed, units);
        assertEq(_free(), STAKE);
        for (uint256 k = 0; k < 4; ++k) {
            assertEq(_due(deal, k), _amount(_termsOf(deal, k).price, secs, units));
        }
        _claimAll(deal, 0);
    }

    function _good(Deal memory deal) private view returns (Report memory) {
        return _report(deal, _final(Phase.ENGINE, Outcome.COMPLETED, 100, 0), signerKey);
    }

    function _vs(Deal memory deal, bytes32 vs) private view returns (Report memory report) {
        report = _good(deal);
        report.vs = vs;
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

    function _forged(Deal memory deal, Report memory report) private {
        address who = _recovered(_hash(deal, report), report.r, report.vs);
        assertNotEq(who, signer);
        _refused(deal, report, _notSigned(deal, who));
    }

    function _bad(Deal memory deal, Said memory said, bytes32 field) private {
        _willRevert(_mismatch(deal, field));
        _completeWith(deal, said);
    }

    function _refused(Deal memory deal, Report memory report, bytes memory error_) private {
        _willRevert(error_);
        _completeWithReport(deal, report);
    }

    function _wrong(Deal memory deal, OrderState actual) private {
        Outcome[4] memory outcomes = [Outcome.COMPLETED, Outcome.FAILED, Outcome.HOST, Outcome.LAPSED];
        OrderState[4] memory wanted = [OrderState.COMPLETED, OrderState.FAILED, OrderState.HOST, OrderState.LAPSED];
        for (uint256 i = 0; i < 4; ++i) {
            _willRevert(_wrongState(deal, actual, wanted[i]));
            _complete(deal, outcomes[i], 0, 0);
        }
    }
}
