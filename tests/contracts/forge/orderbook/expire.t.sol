// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {TcbStatus} from "../../../../contracts/types/Certificates.sol";
import {Price} from "../../../../contracts/types/Offers.sol";
import {Order, OrderId, OrderState, Outcome, Phase} from "../../../../contracts/types/Orders.sol";
import {Deal, Said} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";
import {Stage} from "./Stage.sol";

contract ExpireTest is Stage {
    function test_RevertGiven_TheOrderIsNowhereToExpire() external {
        Deal memory deal = _deal();
        _refused(deal, _wrongState(deal, OrderState.NONE, OrderState.EXPIRED));
        _place(deal);
        skip(1 days);
        _refused(deal, _wrongState(deal, OrderState.PLACED, OrderState.EXPIRED));
        vm.warp(T0);
        _accept(deal);
        skip(301);
        _expire(deal);
        _refused(deal, _wrongState(deal, OrderState.EXPIRED, OrderState.EXPIRED));
    }

    function test_RevertGiven_TheOrderEnded() external {
        Deal memory deal = _engine();
        _complete(deal, Outcome.COMPLETED, 100, 0);
        skip(10 days);
        _refused(deal, _wrongState(deal, OrderState.COMPLETED, OrderState.EXPIRED));
    }

    // ------------------------------------------------------------------------------------------- before start
    function test_RevertWhen_StartWithinIsNotOver() external {
        Deal memory deal = _accepted();
        vm.warp(T0 + 300);
        _refused(deal, _tooEarly(deal, T0 + 300));
        vm.warp(T0 + 301);
        _expire(deal);
        assertState(deal, OrderState.EXPIRED);
    }

    function test_RevertGiven_NobodyIsAtFault() external {
        Deal memory deal = _accepted();
        skip(301);
        uint256 snapshot = vm.snapshotState();
        _revoke();
        _refused(deal, _cvmRevoked());
        vm.revertToState(snapshot);
        _removeProfile();
        _refused(deal, _notReference());
        vm.revertToState(snapshot);
        vm.warp(T0);
        _renewWith(TcbStatus.OUT_OF_DATE);
        vm.warp(T0 + 301);
        _refused(deal, _notReference());
        _void(deal);
        assertState(deal, OrderState.CANCELLED);
    }

    function test_GivenTheOperatorRetiredTheCvm() external {
        Deal memory deal = _accepted();
        _retire();
        skip(301);
        _expire(deal);
        assertState(deal, OrderState.EXPIRED);
    }

    function test_GivenTheCertificateExpired() external {
        Deal memory deal = _accepted();
        skip(60 days);
        _expire(deal);
        assertState(deal, OrderState.EXPIRED);
    }

    function test_WhenStartWithinIsOver() external {
        Deal memory deal = _sponsoredAccepted();
        uint256 lock = _lock(deal);
        skip(1000);
        OrderId id = _id(deal);
        bytes memory order = Pack.order(deal.terms);
        vm.expectEmit(address(book));
        emit IOrderBook.OrderEnded(id, cvm, OrderState.EXPIRED, uint256(2) << 240, 0);
        book.expire(order);
        Order memory got = _order(deal);
        assertEq(got.since, T0 + 1000);
        assertEq(got.lock, lock);
        assertEq(got.claimed, 0);
        assertEq(_locked(), lock, "the lock waits for the prices");
        assertEq(_desk().active, 1);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_SlashFirst.selector, id));
        _claim(deal, 0);
        uint256 penalty = _penalty(deal);
        _claimAll(deal, penalty);
        assertEq(_credit(client), penalty, "the client's, who waited");
        assertEq(_credit(sponsor), deal.terms.deposit, "the sponsor's, who paid");
        assertEq(_locked(), 0);
        assertEq(_desk().active, 0);
        assertEq(_free(), STAKE - penalty);
    }

    // ------------------------------------------------------------------------------------------- running
    function test_RevertWhen_TheStartIsNotLongerThanGraceAgo() external {
        Deal memory deal = _setup();
        vm.warp(T0 + 400);
        _refused(deal, _tooEarly(deal, T0 + 400));
        vm.warp(T0 + 401);
        _expire(deal);
        assertState(deal, OrderState.EXPIRED);
    }

    function test_WhenAProofComesInItsLastSecond() external {
        Deal memory deal = _setup();
        skip(400);
        // It proves nothing but that the CVM lives.
        _say(deal, Said(Phase.SETUP, Outcome.NONE, NO_INPUT, 1, 0, 0, 0, 0));
        vm.warp(T0 + 800);
        _refused(deal, _tooEarly(deal, T0 + 800));
        vm.warp(T0 + 801);
        // Later than grace, and nobody was there to expire it: it lives again.
        Said memory said = _integrity(801, 0);
        said.sequence = 2;
        _say(deal, said);
        _refused(deal, _tooEarly(deal, T0 + 1201));
        vm.warp(T0 + 1202);
        _expire(deal);
        assertState(deal, OrderState.EXPIRED);
    }

    function test_WhenTheLastPaidSecondAndGraceAreOver() external {
        Deal memory deal = _setup();
        uint32 secs = 0;
        while (secs < 5300) {
            skip(300);
            secs += 300;
            if (secs == 300) _checkpoint(deal, secs, 0);
            else _prove(deal, secs, 0);
        }
        assertEq(_order(deal).lastProof, 5400);
        vm.warp(T0 + 5400);
        _refused(deal, _tooEarly(deal, T0 + 5400));
        vm.warp(T0 + 5401);
        // However lively the CVM is.
        _prove(deal, 5401, 0);
        _expire(deal);
        assertState(deal, OrderState.EXPIRED);
        assertEq(_order(deal).secondsUsed, 5000);
        assertEq(_order(deal).lastProof, 5000, "inputs are due for all that was asked for");
        _claimAll(deal, _slash(deal, 5000, 5000, 0));
    }

    function test_GivenTheDepositPaysForFewerSeconds() external {
        Deal memory deal = _deal();
        deal.terms.deposit = uint128(_deposit(deal, 1040));
        _place(deal);
        _acceptPartly(deal);
        _start(deal);
        skip(400);
        _checkpoint(deal, 400, 0);
        skip(400);
        _prove(deal, 800, 0);
        skip(400);
        _prove(deal, 1200, 0);
        vm.warp(T0 + 1440);
        _refused(deal, _tooEarly(deal, T0 + 1440));
        vm.warp(T0 + 1441);
        _expire(deal);
        assertEq(_order(deal).secondsUsed, 1040);
        assertEq(_order(deal).lastProof, 1040);
        _claimAll(deal, _slash(deal, 1040, 1040, 0));
    }

    function test_RevertGiven_TheCvmWasRevokedMeanwhile() external {
        Deal memory deal = _engine();
        _revoke();
        skip(10 days);
        _refused(deal, _cvmRevoked());
        _stop(deal);
        skip(10 days);
        _refused(deal, _cvmRevoked());
        _settleRevoked(deal);
        assertState(deal, OrderState.REVOKED);
    }

    function test_GivenSetup() external {
        Deal memory deal = _sponsoredSetup();
        skip(300);
        _say(deal, Said(Phase.SETUP, Outcome.NONE, NO_INPUT, 1, 290, 0, 0, 0));
        vm.warp(T0 + 701);
        OrderId id = _id(deal);
        bytes memory order = Pack.order(deal.terms);
        vm.expectEmit(address(book));
        emit IOrderBook.OrderEnded(id, cvm, OrderState.EXPIRED, 290 | (uint256(1) << 128) | (uint256(4) << 240), 400);
        book.expire(order);
        uint256 slash = 0;
        for (uint256 i = 0; i < 3; ++i) {
            uint256 due = _amount(deal.inputs[i].price, 400, 0);
            slash += due;
        }
        _claimRest(deal);
        for (uint256 i = 0; i < 3; ++i) {
            assertEq(_due(deal, i + 1), _amount(deal.inputs[i].price, 400, 0));
        }
        uint256 compute = _usage(deal.compute.price, 240, 0);
        assertEq(_due(deal, 0), compute, "no more of a set-up than was agreed");
        assertEq(_credit(sponsor), deal.terms.deposit - compute);
        assertEq(_credit(client), 0);
        assertEq(_free(), STAKE - slash);
        assertLe(slash, _lock(deal));
    }

    function test_GivenEngine() external {
        Deal memory deal = _sponsoredEngine();
        skip(300);
        _prove(deal, 350, 9);
        vm.warp(T0 + 801);
        OrderId id = _id(deal);
        bytes memory order = Pack.order(deal.terms);
        vm.expectEmit(address(book));
        emit IOrderBook.OrderEnded(
            id, cvm, OrderState.EXPIRED, 350 | (uint256(9) << 64) | (uint256(2) << 128) | (uint256(5) << 240), 750
        );
        book.expire(order);
        uint256 slash = _slash(deal, 750, 350, 9);
        assertLe(slash, _lock(deal));
        uint256 spent = _usage(deal.compute.price, 350, 9);
        for (uint256 i = 0; i < 3; ++i) {
            spent += _usage(deal.inputs[i].price, 350, 9);
        }
        _claimAll(deal, slash);
        assertEq(_credit(sponsor), deal.terms.deposit - spent);
        assertEq(_credit(client), 0);
        assertEq(_free(), STAKE - slash);
    }

    /// @dev Whoever waits with it moves nothing: the inputs' span ends a grace after the proof.
    function test_WhenItIsExpiredMuchLater() external {
        Deal memory deal = _engine();
        skip(3650 days);
        _expire(deal);
        assertEq(_order(deal).lastProof, 500);
        assertEq(_order(deal).secondsUsed, 100);
        _claimAll(deal, _slash(deal, 500, 100, 0));
    }

    // ------------------------------------------------------------------------------------------- stopping
    function test_RevertWhen_TheStopIsNotLongerThanGraceAgo() external {
        Deal memory deal = _engine();
        skip(250);
        _stop(deal);
        // 351 seconds later the order would have expired without the stop; the stop gives the CVM its own grace.
        vm.warp(T0 + 350 + 400);
        _refused(deal, _tooEarly(deal, T0 + 750));
        vm.warp(T0 + 751);
        _expire(deal);
        assertState(deal, OrderState.EXPIRED);
        _claimAll(deal, _slash(deal, 500, 100, 0));
    }

    function test_WhenTheLastPaidSecondAndGraceAreOverBefore() external {
        Deal memory deal = _setup();
        skip(5100);
        _checkpoint(deal, 5000, 0);
        _stop(deal);
        vm.warp(T0 + 5400);
        _refused(deal, _tooEarly(deal, T0 + 5400));
        vm.warp(T0 + 5401);
        _expire(deal);
        assertState(deal, OrderState.EXPIRED);
    }

    function test_GivenAProofInTheVerySecondOfTheStop() external {
        Deal memory deal = _engine();
        skip(250);
        _stop(deal);
        _prove(deal, 350, 0);
        vm.warp(T0 + 751);
        _expire(deal);
        assertState(deal, OrderState.EXPIRED);
    }

    function test_GivenAProofCameAfterTheStop() external {
        Deal memory deal = _sponsoredEngine();
        skip(250);
        _stop(deal);
        skip(1);
        _prove(deal, 351, 4);
        skip(399);
        _prove(deal, 749, 5);
        // Later proofs do not prolong a stop.
        _refused(deal, _tooEarly(deal, T0 + 750));
        vm.warp(T0 + 751);
        OrderId id = _id(deal);
        bytes memory order = Pack.order(deal.terms);
        vm.expectEmit(address(book));
        emit IOrderBook.OrderEnded(
            id, cvm, OrderState.STOPPED, 749 | (uint256(5) << 64) | (uint256(2) << 128) | (uint256(7) << 240), 0
        );
        book.expire(order);
        assertState(deal, OrderState.STOPPED);
        assertEq(_free(), STAKE, "at once: no price is asked");
        uint256 spent = 0;
        for (uint256 k = 0; k < 4; ++k) {
            uint256 due = _amount(_termsOf(deal, k).price, 749, 5);
            assertEq(_due(deal, k), due);
            spent += due;
        }
        _claimAll(deal, 0);
        assertEq(_credit(sponsor), deal.terms.deposit - spent);
    }

    function test_GivenAProofOfSetUpCameAfterTheStop() external {
        Deal memory deal = _setup();
        _stop(deal);
        skip(300);
        _say(deal, Said(Phase.SETUP, Outcome.NONE, NO_INPUT, 1, 300, 0, 0, 0));
        vm.warp(T0 + 401);
        _expire(deal);
        assertState(deal, OrderState.STOPPED);
        assertEq(_due(deal, 0), _usage(deal.compute.price, 240, 0));
        // Nothing was opened: a stop in time costs the client no input.
        assertEq(_due(deal, 1) + _due(deal, 2) + _due(deal, 3), 0);
        _claimAll(deal, 0);
    }

    /// @dev The rule once more, with any times: a proof, perhaps a stop, perhaps a proof after it.
    function testFuzz_WaitsForGraceAndNotLonger(uint256 proof, uint256 stop_, uint256 later, bool stops) external {
        Deal memory deal = _setup();
        proof = bound(proof, 0, 5399);
        stop_ = bound(stop_, proof, 5400);
        later = bound(later, stop_, 5400);
        vm.warp(T0 + proof);
        _checkpoint(deal, uint32(proof), 0);
        uint256 deadline = proof + 400;
        OrderState to = OrderState.EXPIRED;
        if (stops) {
            vm.warp(T0 + stop_);
            _stop(deal);
            vm.warp(T0 + later);
            _prove(deal, uint32(later), 0);
            deadline = stop_ + 400;
            if (later > stop_) to = OrderState.STOPPED;
        }
        if (deadline > 5400) deadline = 5400;
        if (block.timestamp <= T0 + deadline) {
            vm.warp(T0 + deadline);
            _refused(deal, _tooEarly(deal, T0 + deadline));
        }
        vm.warp(T0 + deadline + 1);
        _expire(deal);
        assertState(deal, to);
        uint256 secs = stops ? later : proof;
        if (secs > 5000) secs = 5000;
        uint256 span = secs + 400 > 5000 ? 5000 : secs + 400;
        if (deadline + 1 < span) span = deadline + 1;
        _claimAll(deal, to == OrderState.STOPPED ? 0 : _slash(deal, span, secs, 0));
    }

    // ------------------------------------------------------------------------------------------- others
    function test_GivenAnInputIsLeased() external {
        Deal memory deal = _leasedDeal();
        bytes32 lease = deal.terms.inputs[1].lease;
        _place(deal);
        _accept(deal);
        _start(deal);
        _checkpoint(deal, 0, 0);
        assertEq(_places(lease), 0);
        skip(401);
        _expire(deal);
        assertEq(_places(lease), 1);
        assertEq(_due(deal, 2), 0);
        _claimAll(deal, _slash(deal, 400, 0, 0));
    }

    function test_GivenTheBookIsPaused() external {
        Deal memory deal = _setup();
        _pause(true);
        skip(401);
        _expire(deal);
        assertState(deal, OrderState.EXPIRED);
        _claimAll(deal, _amount(deal.inputs[0].price, 400, 0) + 2 * _amount(deal.inputs[1].price, 400, 0));
    }

    // ------------------------------------------------------------------------------------------- helpers
    function _refused(Deal memory deal, bytes memory error_) private {
        _willRevert(error_);
        _expire(deal);
    }

    /// @return sum What the lock pays of an order that expired in ENGINE.
    function _slash(Deal memory deal, uint256 span, uint256 secs, uint256 units) private pure returns (uint256 sum) {
        for (uint256 i = 0; i < deal.inputs.length; ++i) {
            if (deal.terms.inputs[i].lease != 0) continue;
            Price memory price = deal.inputs[i].price;
            sum += _amount(price, span, units) - _usage(price, secs, units);
        }
    }
}
