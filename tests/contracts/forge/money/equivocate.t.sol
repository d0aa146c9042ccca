// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OrderId, OrderState, Outcome, Phase, Report} from "../../../../contracts/types/Orders.sol";
import {Deal, Said} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";
import {Money} from "./Money.sol";

contract EquivocateTest is Money {
    function test_RevertWhen_TheBytesAreOthers() external {
        Deal memory deal = _engine();
        (Report memory one, Report memory two) = _twoWords(deal, 100, 0);
        bytes memory order = bytes.concat(Pack.order(deal.terms), hex"00");
        bytes memory heads = _heads(deal);
        vm.expectRevert(_wrongLength(order.length));
        book.equivocate(order, heads, one, two);
        deal.inputs[0].price.fixedPrice *= 2;
        _willRevert(_otherTerms(inputOffers[0], deal.inputs[0], _engineTerms()));
        _equivocateAs(poker, deal, one, two);
    }

    function test_RevertGiven_NoCvmOrAvengedBefore() external {
        Deal memory deal = _deal();
        (Report memory one, Report memory two) = _twoWords(deal, 100, 0);
        _no(deal, one, two);
        _place(deal);
        _no(deal, one, two);
        _accept(deal);
        _equivocateAs(poker, deal, one, two);
        _no(deal, one, two);
        _void(deal);
        _no(deal, one, two);
        assertEq(_credit(poker), STAKE / 10);
    }

    function test_RevertWhen_TheTwoWordsAreOneOrCanBothBe() external {
        Deal memory deal = _engine();
        (Report memory one,) = _twoWords(deal, 100, 0);
        _no(deal, one, one);
        // The checkpoint of ENGINE and the result after it.
        Report memory checkpoint_ = _report(deal, _integrity(100, 0), signerKey);
        _no(deal, checkpoint_, one);
        _no(deal, one, checkpoint_);
        // Two checkpoints, one after the other.
        Said memory said = _integrity(200, 0);
        (said.sequence, said.statement) = (2, 0);
        _no(deal, checkpoint_, _report(deal, said, signerKey));
        // A refusal after checkpoints of SETUP; a refusal and itself.
        Report memory refusal = _report(deal, _final(Phase.SETUP, Outcome.REFUSED, 100, 0), signerKey);
        _no(deal, refusal, _report(deal, _setupSaid(1, 100), signerKey));
        _no(deal, refusal, refusal);
        // The order of the two matters: a proof of ENGINE first is not a refusal.
        _no(deal, checkpoint_, refusal);
    }

    function test_RevertWhen_TheCvmDidNotSignBoth() external {
        Deal memory deal = _engine();
        (Report memory one, Report memory two) = _twoWords(deal, 100, 0);
        Said memory said = _final(Phase.ENGINE, Outcome.COMPLETED, 100, 0);
        said.result = "forged";
        Report memory forged = _report(deal, said, operatorKey);
        _willRevert(_notSigned(deal, operator));
        _equivocateAs(poker, deal, one, forged);
        _willRevert(_notSigned(deal, operator));
        _equivocateAs(poker, deal, forged, one);
        Deal memory other = _deal();
        other.terms.salt = "another order";
        (Report memory elsewhere,) = _twoWords(other, 100, 0);
        elsewhere.resultDigest = two.resultDigest;
        vm.expectPartialRevert(Errors.OrderBook_NotSigned.selector);
        this.equivocate(deal, one, elsewhere);
        // The same word under another CVM's name was not signed.
        (two,) = _twoWords(deal, 100, 0);
        two.cvmId = "another CVM";
        vm.expectPartialRevert(Errors.OrderBook_NotSigned.selector);
        this.equivocate(deal, one, two);
        // Nor is it another word for bits that nobody signs.
        (one, two) = _twoWords(deal, 100, 0);
        two.numbers |= 1 << 152;
        _willRevert(_mismatch(deal, "numbers"));
        _equivocateAs(poker, deal, one, two);
        two.numbers = one.numbers | (1 << 255);
        two.resultDigest = one.resultDigest;
        (two.r, two.vs) = (one.r, one.vs);
        _no(deal, one, two);
        assertFalse(_order(deal).struck);
    }

    /// @dev External, for `expectPartialRevert` around a call whose making calls contracts.
    function equivocate(Deal memory deal, Report memory one, Report memory two) external {
        _equivocateAs(poker, deal, one, two);
    }

    function test_WhenTwoLastWordsDiffer() external {
        Deal memory deal = _engine();
        (Report memory one, Report memory two) = _twoWords(deal, 100, 0);
        uint256 before = vm.snapshotState();
        _equivocateAs(poker, deal, one, two);
        assertTrue(_order(deal).struck);
        vm.revertToState(before);
        _equivocateAs(poker, deal, two, one);
        assertTrue(_order(deal).struck);
        vm.revertToState(before);
        // A failure and a result; a result and a few seconds more.
        _equivocateAs(poker, deal, one, _report(deal, _final(Phase.ENGINE, Outcome.FAILED, 100, 0), signerKey));
        vm.revertToState(before);
        (two,) = _twoWords(deal, 101, 0);
        _equivocateAs(poker, deal, one, two);
        assertTrue(_order(deal).struck);
    }

    function test_WhenTwoCheckpointsOfOneSequenceDiffer() external {
        Deal memory deal = _engine();
        Report memory one = _report(deal, _integrity(100, 0), signerKey);
        Report memory two = _report(deal, _integrity(101, 0), signerKey);
        _equivocateAs(poker, deal, one, two);
        assertTrue(_order(deal).struck);
        (uint256 facts,) = cvms.standingOf(cvm);
        assertEq((facts >> 208) & 1, 1, "revoked");
    }

    function test_WhenARefusalStandsBesideAProofOfEngine() external {
        Deal memory deal = _engine();
        Report memory refusal = _report(deal, _final(Phase.SETUP, Outcome.REFUSED, 100, 0), signerKey);
        uint256 before = vm.snapshotState();
        _equivocateAs(poker, deal, refusal, _report(deal, _integrity(100, 0), signerKey));
        assertTrue(_order(deal).struck);
        vm.revertToState(before);
        (Report memory result,) = _twoWords(deal, 100, 0);
        _equivocateAs(poker, deal, refusal, result);
        assertTrue(_order(deal).struck);
    }

    function test_GivenTheOrderIsAccepted() external {
        Deal memory deal = _sponsoredAccepted();
        (Report memory one, Report memory two) = _twoWords(deal, 100, 0);
        vm.prank(provider);
        providers.requestUnstake(computeOffer, address(token), 400_000_000);
        assertGt(_locked(), 0);
        _equivocateAs(poker, deal, one, two);
        assertEq(_locked() + _free() + _desk().unbonding, 0);
        assertEq(_credit(poker), STAKE / 10);
        assertEq(_credit(sponsor), 0, "it cost nothing");
        assertEq(_credit(BURN), STAKE - STAKE / 10);
        assertEq(_order(deal).lock, 0);
        skip(301);
        _willRevert(_cvmRevoked());
        _expire(deal);
        _void(deal);
        assertEq(_credit(sponsor), deal.terms.deposit);
        assertEq(_desk().active, 0);
        assertEq(token.balanceOf(address(book)), _credits());
    }

    function test_GivenTheOrderRuns() external {
        Deal memory deal = _sponsoredEngine();
        skip(300);
        _prove(deal, 400, 7);
        _claim(deal, 0);
        uint256 before = _credits();
        (Report memory one, Report memory two) = _twoWords(deal, 400, 7);
        _equivocateAs(poker, deal, one, two);
        // Its one end left is REVOKED, and that is what it costs.
        uint256 cost = 0;
        for (uint256 k = 0; k < 4; ++k) {
            cost += _amount(_termsOf(deal, k).price, 400, 7);
        }
        assertEq(_credit(sponsor), cost);
        assertEq(_credits() - before, STAKE, "credited == taken");
        _willRevert(_cvmRevoked());
        _expire(deal);
        _willRevert(_cvmRevoked());
        _complete(deal, Outcome.COMPLETED, 400, 7);
        _settleRevoked(deal);
        assertEq(_desk().active, 0);
        _claimWhatIsThere(deal);
        assertEq(_credit(sponsor), deal.terms.deposit, "made whole");
        assertEq(_credits(), deal.terms.deposit + STAKE);
        assertEq(token.balanceOf(address(book)), _credits());
    }

    function test_GivenTheOrderHasEnded() external {
        Deal memory deal = _completed();
        Deal memory other = _deal();
        other.terms.salt = "runs beside it";
        _place(other);
        _accept(other);
        uint256 lock = _locked();
        (Report memory one, Report memory two) = _twoWords(deal, 1000, 50);
        uint256 taken = _free();
        uint256 cost = 0;
        for (uint256 k = 0; k < 4; ++k) {
            cost += _amount(_termsOf(deal, k).price, 1000, 50);
        }
        _equivocateAs(poker, deal, one, two);
        assertEq(_locked(), lock, "another order's lock is another order's");
        assertEq(_free(), 0);
        assertEq(_credit(client), cost);
        assertEq(_credit(poker), taken / 10);
        assertEq(_credit(BURN), taken - taken / 10 - cost);
        // The order itself stays as it ended.
        assertState(deal, OrderState.COMPLETED);
        _claimAll2(deal, other);
    }

    function test_GivenItExpiredAndClaimRestWasNotCalled() external {
        Deal memory deal = _expired();
        uint256 lock = _locked();
        (Report memory one, Report memory two) = _twoWords(deal, 400, 0);
        _equivocateAs(poker, deal, one, two);
        assertEq(_locked(), lock);
        assertEq(_order(deal).lock, lock);
        uint256 slashed = 0;
        for (uint256 k = 1; k < 4; ++k) {
            slashed += _amount(_termsOf(deal, k).price, 500, 0) - _usage(_termsOf(deal, k).price, 100, 0);
        }
        uint256 own = _usage(deal.compute.price, 100, 0) + 2 * _usage(deal.inputs[1].price, 100, 0);
        assertEq(_credit(client), own, "what the lock pays is no loss");
        _claimAll(deal, slashed);
        assertEq(_free(), lock - slashed);
    }

    function test_GivenTheCvmWasRevokedBefore() external {
        Deal memory deal = _engine();
        (Report memory one, Report memory two) = _twoWords(deal, 100, 0);
        _revoke();
        _settleRevoked(deal);
        _equivocateAs(poker, deal, one, two);
        assertEq(_free() + _locked(), 0);
    }

    function test_GivenThereIsNoStake() external {
        Deal memory deal = _completed();
        vm.prank(provider);
        providers.requestUnstake(computeOffer, address(token), STAKE);
        skip(UNBONDING);
        providers.finishUnstake(computeOffer, address(token));
        (Report memory one, Report memory two) = _twoWords(deal, 1000, 50);
        _equivocateAs(poker, deal, one, two);
        assertEq(_credits(), 0);
        assertTrue(_order(deal).struck);
        (uint256 facts,) = cvms.standingOf(cvm);
        assertEq((facts >> 208) & 1, 1, "revoked");
    }

    function test_GivenThereIsLessStakeThanTheOrderCost() external {
        Deal memory deal = _completed();
        vm.prank(provider);
        providers.requestUnstake(computeOffer, address(token), STAKE - 1009);
        skip(UNBONDING);
        providers.finishUnstake(computeOffer, address(token));
        (Report memory one, Report memory two) = _twoWords(deal, 1000, 50);
        _equivocateAs(poker, deal, one, two);
        assertEq(_credit(poker), 100);
        assertEq(_credit(client), 909, "all that is left");
        assertEq(_credit(BURN), 0);
    }

    function test_WhenItPunishes() external {
        Deal memory deal = _completed();
        OrderId id = _id(deal);
        uint16 n = _order(deal).events;
        uint256 cost = 0;
        for (uint256 k = 0; k < 4; ++k) {
            cost += _amount(_termsOf(deal, k).price, 1000, 50);
        }
        (Report memory one, Report memory two) = _twoWords(deal, 1000, 50);
        (bytes memory order, bytes memory heads) = (Pack.order(deal.terms), _heads(deal));
        vm.expectEmit(address(book));
        emit IOrderBook.Equivocated(id, cvm, poker, n, STAKE, cost, STAKE / 10);
        vm.prank(poker);
        book.equivocate(order, heads, one, two);
        assertEq(_order(deal).events, n + 1);
        assertTrue(_order(deal).struck);
        assertEq(_credit(BURN), STAKE - STAKE / 10 - cost);
        vm.expectRevert(abi.encodeWithSelector(Errors.OrderBook_NoEquivocation.selector, id));
        book.checkReport(order, one);
    }

    /// @dev What both orders hold is in the book, beside what the strike brought.
    function _claimAll2(Deal memory ended, Deal memory running) private {
        _claimWhatIsThere(ended);
        assertEq(token.balanceOf(address(book)), _credits() + running.terms.deposit);
    }

    function _no(Deal memory deal, Report memory one, Report memory two) private {
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_NoEquivocation.selector, _id(deal)));
        _equivocateAs(poker, deal, one, two);
    }
}
