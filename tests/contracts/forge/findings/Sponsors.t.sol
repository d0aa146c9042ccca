// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Holdback, OrderId, OrderState, Outcome, Report} from "../../../../contracts/types/Orders.sol";
import {Money} from "../money/Money.sol";
import {Deal} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";

/// @notice One pays, another orders. Every way out with payer != client: refunds are the payer's, the penalty for a missed
/// start is the client's, and neither has the other's powers.
contract SponsorsTest is Money {
    // ------------------------------------------------------------------------------------------- every way out
    function test_CancelledByTheClient() external {
        Deal memory deal = _sponsoredPlaced();
        _cancelAs(client, deal);
        _has(deal.terms.deposit, 0);
    }

    function test_CancelledByTheSponsorWhenNobodyAccepted() external {
        Deal memory deal = _sponsoredPlaced();
        skip(601);
        _cancelAs(sponsor, deal);
        _has(deal.terms.deposit, 0);
    }

    function test_Void() external {
        Deal memory deal = _sponsoredAccepted();
        _revoke();
        _void(deal);
        _has(deal.terms.deposit, 0);
    }

    function test_StartMissed() external {
        Deal memory deal = _sponsoredAccepted();
        skip(301);
        _expire(deal);
        _claimAll(deal, _penalty(deal));
        _has(deal.terms.deposit, _penalty(deal));
    }

    function test_Refused() external {
        Deal memory deal = _sponsoredSetup();
        skip(100);
        _refuse(deal, 100);
        _claimAll(deal, 0);
        _has(deal.terms.deposit - _usage(deal.compute.price, 100, 0), 0);
    }

    function test_ExpiredInSetup() external {
        Deal memory deal = _sponsoredSetup();
        skip(401);
        _expire(deal);
        _claimRest(deal);
        _has(deal.terms.deposit, 0);
    }

    function test_ExpiredInEngine() external {
        Deal memory deal = _sponsoredEngine();
        skip(401);
        _expire(deal);
        _claimRest(deal);
        _has(deal.terms.deposit - _proven(deal, 100), 0);
    }

    function test_EveryReport() external {
        Outcome[4] memory outcomes = [Outcome.COMPLETED, Outcome.FAILED, Outcome.HOST, Outcome.LAPSED];
        for (uint256 i = 0; i < 4; ++i) {
            Deal memory deal = _sponsoredDeal();
            deal.terms.salt = bytes32(i + 1);
            uint256 before = _credit(sponsor);
            _ended(deal, outcomes[i]);
            uint256 gross = 0;
            for (uint256 k = 0; k < 4; ++k) {
                gross += _due(deal, k);
            }
            _claimAll(deal, 0);
            assertEq(_credit(sponsor) - before, deal.terms.deposit - gross);
            assertEq(_credit(client), 0);
        }
    }

    function test_StoppedAndRevoked() external {
        Deal memory deal = _sponsoredEngine();
        uint256 here = vm.snapshotState();
        uint256 all = 0;
        for (uint256 k = 0; k < 4; ++k) {
            all += _amount(_termsOf(deal, k).price, 100, 0);
        }
        _revoke();
        _settleRevoked(deal);
        _claimAll(deal, 0);
        _has(deal.terms.deposit - all, 0);
        vm.revertToState(here);
        _stop(deal);
        skip(1);
        _prove(deal, 100, 0);
        skip(400);
        _expire(deal);
        assertState(deal, OrderState.STOPPED);
        _claimAll(deal, 0);
        _has(deal.terms.deposit - all, 0);
    }

    function test_FundsOnTheWay() external {
        Deal memory deal = _sponsoredDeal();
        deal.terms.deposit = uint128(_deposit(deal, 1500));
        _runs(deal);
        _topUpAs(client, deal, 10_000_000);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_NotPayer.selector, _id(deal), client, sponsor));
        _reclaimAs(client, deal, 1);
        _reclaimAs(sponsor, deal, 5_000_000);
        _has(5_000_000, 0);
        _complete(deal, Outcome.HOST, 100, 0);
        _claimRest(deal);
        _has(uint256(deal.terms.deposit) + 10_000_000 - _usage(deal.compute.price, 100, 0), 0);
    }

    /// @dev The payer bore the loss, so that the stake makes the payer whole.
    function test_Equivocated() external {
        Deal memory deal = _sponsoredDeal();
        _ended(deal, Outcome.COMPLETED);
        _claimRest(deal);
        (Report memory one, Report memory two) = _twoWords(deal, 1000, 50);
        _equivocateAs(poker, deal, one, two);
        _has(deal.terms.deposit, 0);
    }

    // ------------------------------------------------------------------------------------------- thefts
    /// @dev iExec: anybody could match a request and debit its requester. Here the payer's name alone spends nothing.
    function test_FrontRunOfTheSponsor() external {
        Deal memory deal = _sponsoredDeal();
        bytes memory order = Pack.order(deal.terms);
        bytes memory consent = _sign(clientKey, OrderId.unwrap(_id(deal)));
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_OtherPayer.selector, sponsor, client));
        _place(deal);
        vm.expectRevert(_notSignedBy(deal, sponsor));
        vm.prank(client);
        book.placeFor(order, WHERE, "", consent);
        // The sponsor's signature over these terms buys these terms, once, whoever carries it.
        bytes memory paid = _sign(sponsorKey, OrderId.unwrap(_id(deal)));
        uint256 before = token.balanceOf(sponsor);
        vm.prank(poker);
        book.placeFor(order, WHERE, consent, paid);
        assertEq(before - token.balanceOf(sponsor), deal.terms.deposit);
        _cancelAs(client, deal);
        vm.expectRevert(_wrongState(deal, OrderState.CANCELLED, OrderState.PLACED));
        vm.prank(poker);
        book.placeFor(order, WHERE, consent, paid);
    }

    /// @dev iExec's boost locked the sponsor's account and seized the requester's: here one order's end reaches one deposit.
    function test_LockOneAccountSeizeAnother() external {
        Deal memory own = _deal();
        own.terms.salt = "the client's own";
        _place(own);
        Deal memory deal = _sponsoredDeal();
        _ended(deal, Outcome.COMPLETED);
        uint256 held = token.balanceOf(address(book));
        _claimRest(deal);
        for (uint256 k = 0; k < 4; ++k) {
            _claim(deal, k);
        }
        assertEq(_credits(), deal.terms.deposit);
        assertEq(held - _credits(), own.terms.deposit);
        _cancelAs(client, own);
        _has(_credit(sponsor), own.terms.deposit);
    }

    /// @dev The sponsor buys no say: it cannot stop, cancel before its time, answer for the result, or take more than spare.
    function test_TheSponsorActsAsTheClient() external {
        Deal memory deal = _sponsoredDeal();
        deal.terms.holdback = Holdback(HELD_BPS, WINDOW);
        _reprice(deal);
        _placeSponsored(deal);
        _willRevert(_tooEarly(deal, T0 + 600));
        _cancelAs(sponsor, deal);
        _accept(deal);
        _start(deal);
        _checkpoint(deal, 0, 0);
        bytes memory order = Pack.order(deal.terms);
        bytes memory letter = _stopSignature(deal, sponsorKey);
        vm.expectRevert(_notSignedBy(deal, client));
        vm.prank(sponsor);
        book.stop(order, letter);
        _complete(deal, Outcome.COMPLETED, 0, 0);
        _willRevert(_notTheClient(deal, sponsor));
        _contestAs(sponsor, deal);
        _willRevert(_notSignedBy(deal, client));
        _receiptAs(sponsor, deal, _receiptSignature(deal, sponsorKey));
    }

    /// @dev A client whose sponsor pays contests for free, so that it can threaten both. What either can lose is what the
    /// holdback says, which the sponsor signed and the host saw: the least share that is worth asking for.
    function test_AContestBurnsTheSponsorsReserve() external {
        Deal memory deal = _sponsoredDeal();
        deal.terms.holdback = Holdback(HELD_BPS, WINDOW);
        _reprice(deal);
        _ended(deal, Outcome.COMPLETED);
        uint256 here = vm.snapshotState();
        _receiptAs(client, deal, "");
        _claimAll(deal, 0);
        uint256 otherwise = _credit(sponsor);
        vm.revertToState(here);
        _contestAs(client, deal);
        _claimAll(deal, 0);
        uint256 held = _amount(deal.compute.price, 1000, 50) * HELD_BPS / 10_000;
        assertEq(otherwise - _credit(sponsor), held);
        assertEq(_credit(client), 0, "it gains nothing by it");
    }

    /// @dev What proven use cost the payer after `secs` seconds without units.
    function _proven(Deal memory deal, uint256 secs) private pure returns (uint256 sum) {
        for (uint256 k = 0; k < 4; ++k) {
            sum += _usage(_termsOf(deal, k).price, secs, 0);
        }
    }

    function _has(uint256 sponsors, uint256 clients) private view {
        assertEq(_credit(sponsor), sponsors, "the sponsor's");
        assertEq(_credit(client), clients, "the client's");
    }
}
