// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OrderId, OrderState, Outcome, Phase, Report} from "../../../../contracts/types/Orders.sol";
import {Deal, Said} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";
import {Money} from "./Money.sol";

contract CheckReportTest is Money {
    function test_RevertWhen_TheBytesAreNoOrders() external {
        Deal memory deal = _completed();
        bytes memory order = bytes.concat(Pack.order(deal.terms), hex"00");
        Report memory report = _reported(deal);
        vm.expectRevert(_wrongLength(order.length));
        book.checkReport(order, report);
    }

    function test_RevertGiven_TheOrderIsNotCompleted() external {
        Deal memory deal = _deal();
        _wrong(deal, OrderState.NONE);
        _place(deal);
        _wrong(deal, OrderState.PLACED);
        _accept(deal);
        _wrong(deal, OrderState.ACCEPTED);
        _start(deal);
        _wrong(deal, OrderState.RUNNING);
        _checkpoint(deal, 0, 0);
        _stop(deal);
        _wrong(deal, OrderState.STOPPING);
        Outcome[3] memory outcomes = [Outcome.FAILED, Outcome.HOST, Outcome.LAPSED];
        OrderState[3] memory states = [OrderState.FAILED, OrderState.HOST, OrderState.LAPSED];
        for (uint256 i = 0; i < 3; ++i) {
            deal.terms.salt = bytes32(i + 1);
            _ended(deal, outcomes[i]);
            _wrong(deal, states[i]);
        }
    }

    function test_RevertGiven_AnEquivocationWasPunished() external {
        Deal memory deal = _completed();
        (Report memory one, Report memory two) = _twoWords(deal, 1000, 50);
        _equivocateAs(poker, deal, one, two);
        _refused(deal, one, abi.encodeWithSelector(Errors.OrderBook_NoEquivocation.selector, _id(deal)));
    }

    function test_RevertWhen_ItIsNotATerminalReportOfAResult() external {
        Deal memory deal = _completed();
        Said memory said = _integrity(100, 0);
        _refused(deal, _report(deal, said, signerKey), _mismatch(deal, "sequence"));
        _refused(
            deal, _report(deal, _final(Phase.ENGINE, Outcome.FAILED, 1000, 50), signerKey), _mismatch(deal, "outcome")
        );
        _refused(
            deal, _report(deal, _final(Phase.SETUP, Outcome.REFUSED, 1000, 50), signerKey), _mismatch(deal, "outcome")
        );
        Report memory report = _reported(deal);
        report.numbers |= 1 << 152;
        _refused(deal, report, _mismatch(deal, "numbers"));
    }

    function test_RevertWhen_AnyMemberIsAnotherThanSigned() external {
        Deal memory deal = _completed();
        bytes memory order = Pack.order(deal.terms);
        Report memory good = _reported(deal);
        book.checkReport(order, good);
        for (uint256 i = 0; i < 8; ++i) {
            Report memory bad = _reported(deal);
            if (i == 0) bad.cvmId = "another CVM";
            if (i == 1) bad.resultDigest = "another result";
            if (i == 2) bad.statementDigest = "another statement";
            if (i == 3) bad.numbers += 1 << 56; // a second more
            if (i == 4) bad.numbers += 1 << 88; // a unit more
            if (i == 5) bad.numbers ^= 1 << 16; // somebody to blame
            if (i == 6) bad.r = bytes32(uint256(bad.r) ^ 1);
            if (i == 7) bad.vs = bytes32(uint256(bad.vs) ^ (1 << 255));
            vm.expectPartialRevert(Errors.OrderBook_NotSigned.selector);
            book.checkReport(order, bad);
        }
    }

    function test_RevertWhen_TheCvmDidNotSignIt() external {
        Deal memory deal = _completed();
        Report memory forged = _report(deal, _final(Phase.ENGINE, Outcome.COMPLETED, 1000, 50), operatorKey);
        _refused(deal, forged, _notSigned(deal, operator));
        // Another order's report of the same CVM.
        Deal memory other = _deal();
        other.terms.salt = "other";
        Report memory elsewhere = _reported(other);
        bytes memory order = Pack.order(deal.terms);
        vm.expectPartialRevert(Errors.OrderBook_NotSigned.selector);
        book.checkReport(order, elsewhere);
    }

    function test_GivenTheCvmWasRevokedSince() external {
        Deal memory deal = _completed();
        Report memory report = _reported(deal);
        _revoke();
        assertEq(OrderId.unwrap(book.checkReport(Pack.order(deal.terms), report)), OrderId.unwrap(_id(deal)));
    }

    function test_WhenItIsTheReport() external {
        Deal memory deal = _completed();
        OrderId id = book.checkReport(Pack.order(deal.terms), _reported(deal));
        assertEq(OrderId.unwrap(id), OrderId.unwrap(_id(deal)));
        // Claims change nothing of it.
        _claimAll(deal, 0);
        book.checkReport(Pack.order(deal.terms), _reported(deal));
    }

    function _reported(Deal memory deal) private view returns (Report memory) {
        return _report(deal, _final(Phase.ENGINE, Outcome.COMPLETED, 1000, 50), signerKey);
    }

    function _wrong(Deal memory deal, OrderState state) private {
        _refused(deal, _reported(deal), _wrongState(deal, state, OrderState.COMPLETED));
    }

    function _refused(Deal memory deal, Report memory report, bytes memory error_) private {
        bytes memory order = Pack.order(deal.terms);
        vm.expectRevert(error_);
        book.checkReport(order, report);
    }
}
