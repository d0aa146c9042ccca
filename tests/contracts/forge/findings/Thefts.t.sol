// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Order, OrderState, Outcome, Phase, Report} from "../../../../contracts/types/Orders.sol";
import {Money} from "../money/Money.sol";
import {Deal, Said} from "../utils/Market.sol";

/// @notice The thefts that docs/protocol.md section 6 was mended for; each test is named after one, and shows what the thief
/// is left with.
contract TheftsTest is Money {
    // ------------------------------------------------------------------------------------------- silence
    /// @dev Host and client in one hand open the data, work with it and never say a word again. The owners are paid out of
    /// the lock, the same whenever somebody ends it, and nothing on chain carries a result.
    function test_SilentHostAndClient() external {
        Deal memory deal = _engine();
        uint256 after_ = vm.snapshotState();
        skip(401);
        uint256[4] memory soon = _endInSilence(deal);
        vm.revertToState(after_);
        skip(3650 days);
        uint256[4] memory late = _endInSilence(deal);
        for (uint256 k = 1; k < 4; ++k) {
            assertEq(
                soon[k], _amount(_termsOf(deal, k).price, 500, 0), "fixed part, and until a proof was missing for grace"
            );
            assertEq(late[k], soon[k], "waiting changes nothing");
        }
        assertEq(late[0], soon[0]);
        assertEq(soon[0], _usage(deal.compute.price, 100, 0), "compute has no fixed part");
    }

    /// @dev A host that proves its set-up for ever earns setupSeconds and no more, and pays the inputs when it falls silent.
    function test_SetupWithoutEnd() external {
        Deal memory deal = _setup();
        for (uint32 i = 1; i < 20; ++i) {
            skip(390);
            _say(deal, _setupSaid(i, 390 * i));
        }
        assertEq(_due(deal, 0), _usage(deal.compute.price, 240, 0));
        // Its last paid second is over; no proof prolongs it beyond a grace.
        assertGt(vm.getBlockTimestamp(), T0 + 5400);
        uint256[4] memory dues = _endInSilence(deal);
        assertEq(dues[1], 1_000_003);
        assertEq(_credit(client), deal.terms.deposit - dues[0], "the client pays the set-up alone");
    }

    // ------------------------------------------------------------------------------------------- stake
    /// @dev An owner that orders its own data wants the host's lock as its due: it withholds the grant, stops at once, waits.
    /// Starting needs no key, and a refusal is always open to an honest host: nothing is slashed.
    function test_StakeFarming() external {
        Deal memory deal = _deal();
        deal.terms.client = ownerA;
        deal.terms.payer = ownerA;
        _fund(ownerA);
        _place(deal);
        _accept(deal);
        _start(deal);
        skip(130);
        _say(deal, _setupSaid(1, 130));
        _stop(deal);
        skip(400);
        _refuse(deal, 530);
        _claimAll(deal, 0);
        assertEq(_free(), STAKE, "not a unit of stake");
        assertEq(_credit(ownerA), deal.terms.deposit - _usage(deal.compute.price, 240, 0));
        // To start is the host's own doing: the client has no means to make it late.
        deal.terms.salt = "again";
        _place(deal);
        _accept(deal);
        skip(300);
        _start(deal);
        assertState(deal, OrderState.RUNNING);
    }

    /// @dev The owner never grants its key, so that the client pays for nothing. It gets nothing of it, and the host no more
    /// than the set-up that the client agreed to, whatever the CVM reports.
    function test_WithheldGrant() external {
        Deal memory deal = _setup();
        skip(4000);
        Said memory said = _final(Phase.SETUP, Outcome.REFUSED, 4000, 1000);
        said.blamed = 1;
        // Keys were awaited for keysWithin; nobody's proof was missing meanwhile.
        _refuseWith(deal, said);
        _claimAll(deal, 0);
        assertEq(_credit(provider), _net(_usage(deal.compute.price, 240, 0)), "time of a set-up, no units");
        assertEq(_credit(ownerA) + _credit(ownerB) + _credit(engineOwner) + _credit(coAuthor), 0);
        assertEq(_free(), STAKE);
    }

    /// @dev A grant that runs out in the middle: the owner keeps what was earned, and no more of its fixed price.
    function test_GrantWithdrawnInTheMiddle() external {
        Deal memory deal = _engine();
        skip(300);
        _complete(deal, Outcome.LAPSED, 400, 0);
        assertEq(_due(deal, 1), uint256(1_000_003) * 400 / 5000);
        assertEq(_due(deal, 0), _usage(deal.compute.price, 400, 0));
        _claimAll(deal, 0);
        assertEq(_free(), STAKE);
    }

    // ------------------------------------------------------------------------------------------- prices
    /// @dev Host and owner in one hand deal a price that no client would pay, then fall silent: what such prices could
    /// cost is in the lock before the order starts, or the order is not taken.
    function test_SelfDealtPriceAboveTheLock() external {
        Deal memory deal = _deal();
        deal.inputs[1].price.fixedPrice = STAKE + 1;
        deal.inputs[1].payees = _solo(provider);
        _relist(deal);
        _place(deal);
        _willRevert(
            abi.encodeWithSelector(
                Errors.ProviderRegistry_FreeStakeTooLow.selector, computeOffer, address(token), STAKE, _lock(deal)
            )
        );
        _accept(deal);
        _stake(provider, STAKE);
        _accept(deal);
        _start(deal);
        skip(401);
        uint256[4] memory dues = _endInSilence(deal);
        assertEq(_credit(client), deal.terms.deposit, "the client pays nothing of it");
        assertEq(dues[2], _amount(deal.inputs[1].price, 400, 0));
        assertGt(dues[2], STAKE);
    }

    /// @dev Whatever is dealt: fixed prices, hours, minima longer than the order. The slash is within the lock, and a set-up
    /// that went silent costs the client no input.
    function testFuzz_SelfDealtPriceAboveTheLock(uint128 fixedPrice, uint128 perHour, uint32 minSeconds, uint32 silence)
        external
    {
        Deal memory deal = _deal();
        deal.inputs[1].price = _price(fixedPrice % 2 ** 90, perHour % 2 ** 70, minSeconds, 0);
        deal.inputs[2].price = _price(1, 1, minSeconds % 1000, type(uint128).max % 3);
        _relist(deal);
        token.mint(client, deal.terms.deposit);
        _stake(provider, 2 ** 110);
        uint256 free = _free();
        _place(deal);
        _accept(deal);
        _start(deal);
        uint256 lock = _locked();
        skip(silence % 400);
        if (silence & 1 == 0) _say(deal, _setupSaid(1, silence % 400));
        skip(401 + silence % 100_000);
        _expire(deal);
        _claimRest(deal);
        assertLe(free - _free(), lock);
        uint256 secs = _order(deal).secondsUsed;
        uint256 compute = _usage(deal.compute.price, secs < 240 ? secs : 240, 0);
        assertEq(_credit(client), deal.terms.deposit - compute);
    }

    /// @dev The client stops a set-up that leads nowhere. Host and owner in one hand answer with one proof and fall silent, so
    /// that no lock pays the fixed prices but the client does. Nothing was opened: nobody is paid for it.
    function test_OneProofAfterTheStopChargesForNothing() external {
        Deal memory deal = _setup();
        skip(200);
        _stop(deal);
        skip(1);
        _say(deal, _setupSaid(1, 201));
        skip(400);
        _expire(deal);
        assertState(deal, OrderState.STOPPED);
        _claimAll(deal, 0);
        uint256 compute = _usage(deal.compute.price, 201, 0);
        assertEq(_credit(client), deal.terms.deposit - compute);
        assertEq(_credit(provider), _net(compute));
    }

    // ------------------------------------------------------------------------------------------- claims
    /// @dev Dues are claimed while the order runs, and then it ends in the way that owes least. No end takes back what was
    /// claimed, and none leaves the book short.
    function test_DuesClaimedThenUndone() external {
        uint256 first = vm.snapshotState();
        for (uint256 served = 0; served < 2; ++served) {
            vm.revertToState(first);
            Deal memory deal = served == 1 ? _servedDeal() : _heldDeal();
            deal.terms.salt = bytes32(served + 1);
            _runs(deal);
            skip(350);
            _prove(deal, 450, 33);
            for (uint256 k = 0; k < 4; ++k) {
                if (_open(deal, k) != 0) _claim(deal, k);
            }
            uint256 claimed = _credits();
            assertGt(claimed, 0);
            uint256 here = vm.snapshotState();
            for (uint256 way = 0; way < 8; ++way) {
                vm.revertToState(here);
                uint256 stake = _free() + _locked();
                _endBy(deal, way);
                for (uint256 k = 0; k < 4; ++k) {
                    // Reverts where less is due than was drawn.
                    assertGe(_open(deal, k), 0);
                }
                _claimWhatIsThere(deal);
                uint256 slashed = stake - _free() - _locked();
                assertEq(_credits(), deal.terms.deposit + slashed, "conserved");
                assertEq(token.balanceOf(address(book)), _credits());
            }
        }
    }

    /// @dev Complete and expire meet in one block after the last deadline: the first settles, the second finds it settled,
    /// and the money is that of the first.
    function test_ExpireRacingComplete() external {
        Deal memory deal = _engine();
        skip(401);
        Report memory report = _report(deal, _final(Phase.ENGINE, Outcome.COMPLETED, 480, 5), signerKey);
        uint256 here = vm.snapshotState();
        _completeWithReport(deal, report);
        _willRevert(_wrongState(deal, OrderState.COMPLETED, OrderState.EXPIRED));
        _expire(deal);
        assertEq(_locked(), 0);
        _claimAll(deal, 0);
        assertEq(_credit(provider), _net(_amount(deal.compute.price, 480, 5)));
        vm.revertToState(here);
        _expire(deal);
        _willRevert(_wrongState(deal, OrderState.EXPIRED, OrderState.COMPLETED));
        _completeWithReport(deal, report);
        _claimRest(deal);
        _willRevert(_wrongState(deal, OrderState.EXPIRED, OrderState.EXPIRED));
        _expire(deal);
        _claim(deal, 0);
        assertEq(_credit(provider), _net(_usage(deal.compute.price, 100, 0)));
    }

    /// @dev A TCB recovery in the middle is nobody's fault: paid to the last proof, no slash, and nobody can make one of it by
    /// being quick, the host no better end.
    function test_RevokedMidRun() external {
        Deal memory deal = _engine();
        skip(300);
        _prove(deal, 400, 3);
        skip(300);
        _revoke();
        Said memory said = _integrity(700, 9);
        (said.sequence, said.statement) = (3, 0);
        _willRevert(_cvmRevoked());
        _say(deal, said);
        _willRevert(_cvmRevoked());
        _complete(deal, Outcome.COMPLETED, 700, 9);
        skip(3650 days);
        _willRevert(_cvmRevoked());
        _expire(deal);
        _settleRevoked(deal);
        _claimAll(deal, 0);
        assertEq(_credit(provider), _net(_amount(deal.compute.price, 400, 3)));
        assertEq(_credit(engineOwner), _net(_amount(deal.inputs[0].price, 400, 3)));
        assertEq(_free(), STAKE);
    }

    // ------------------------------------------------------------------------------------------- inflation
    /// @dev The host's CVM counts what it wants: more units than agreed, more seconds than passed, fewer than before.
    function test_UnitInflation() external {
        Deal memory deal = _engine();
        skip(100);
        _prove(deal, type(uint32).max, type(uint64).max);
        Order memory order = _order(deal);
        assertEq(order.secondsUsed, 200, "the chain's clock");
        assertEq(_due(deal, 0), _usage(deal.compute.price, 200, 1000), "maxUnits");
        skip(100);
        _willRevert(_mismatch(deal, "unitsUsed"));
        _complete(deal, Outcome.COMPLETED, 300, 999);
        _willRevert(_mismatch(deal, "secondsUsed"));
        _complete(deal, Outcome.COMPLETED, 199, type(uint64).max);
        _complete(deal, Outcome.COMPLETED, type(uint32).max, type(uint64).max);
        order = _order(deal);
        assertEq(order.secondsUsed, 300);
        assertEq(order.unitsUsed, 1000);
        _claimAll(deal, 0);
        assertEq(_credit(provider), _net(_amount(deal.compute.price, 300, 1000)));
    }

    /// @dev Units of a set-up are no use: nothing was opened that could be metered.
    function test_UnitsOfASetup() external {
        Deal memory deal = _setup();
        skip(100);
        Said memory said = _setupSaid(1, 100);
        said.units = 1000;
        _say(deal, said);
        assertEq(_due(deal, 0), _usage(deal.compute.price, 100, 0));
        skip(401);
        uint256[4] memory dues = _endInSilence(deal);
        assertEq(dues[1], 1_000_003, "nor are they the lock's");
    }

    /// @dev Whoever adds to an order makes it longer at his own cost: the payer loses less than one second of it.
    function testFuzz_AStrangersTopUpBillsThePayer(uint64 amount, uint8 times) external {
        Deal memory deal = _partlyDeal(1100);
        deal.terms.deposit += 400;
        _runs(deal);
        _fund(poker);
        uint256 here = vm.snapshotState();
        uint256 without = _refundAfterAll(deal);
        vm.revertToState(here);
        uint256 added = 0;
        for (uint256 i = 0; i <= times % 4; ++i) {
            uint256 part = amount % 3_000_000 / (i + 1);
            if (_order(deal).extra.limit == 5000) break;
            _topUpAs(poker, deal, part);
            added += part;
        }
        uint256 with = _refundAfterAll(deal);
        uint256 second = _deposit(deal, 1101) - _deposit(deal, 1100);
        assertGe(with + second, without, "less than a second");
    }

    // ------------------------------------------------------------------------------------------- leases
    /// @dev The lessee takes its money back while an order runs for nothing under the lease; or the owner ends it under the
    /// order's feet. The place is the order's until it ends, and an order that could outlast the lease is not placed.
    function test_LeaseEndedUnderARunningOrder() external {
        Deal memory deal = _leasedDeal();
        bytes32 lease = deal.terms.inputs[1].lease;
        _runs(deal);
        assertEq(_places(lease), 0);
        Deal memory second = _deal();
        second.terms.salt = "a second at one place";
        second.terms.inputs[1].lease = lease;
        _reprice(second);
        _willRevert(abi.encodeWithSelector(Errors.LeaseBook_NoPlace.selector, lease));
        _place(second);
        // A free lease stays the lessee's; a taken one has a hold to the order's latest end.
        assertEq(_due(deal, 2), 0);
        skip(900);
        _complete(deal, Outcome.COMPLETED, 1000, 50);
        assertEq(_places(lease), 1);
        _claimAll(deal, 0);
        assertEq(_credit(ownerA), 0, "the lease is what it earns");
        // Two periods of 10 000 seconds less what such an order may last: a second later it does not fit.
        vm.warp(T0 + 20_000 - 600 - 300 - 5000 - 400 + 1);
        _willRevert(abi.encodeWithSelector(Errors.LeaseBook_EndsBefore.selector, lease, T0 + 20_000, T0 + 20_001));
        _place(second);
    }

    // ------------------------------------------------------------------------------------------- inside
    /// @dev Expires the order, claims all of it, and checks that the lock paid what the client did not.
    function _endInSilence(Deal memory deal) private returns (uint256[4] memory dues) {
        uint256 stake = _free() + _locked();
        uint256 lock = _locked();
        _expire(deal);
        assertState(deal, OrderState.EXPIRED);
        uint256 before = vm.snapshotState();
        _claimRest(deal);
        uint256 slashed = stake - _free();
        assertLe(slashed, lock);
        vm.revertToState(before);
        for (uint256 k = 0; k < 4; ++k) {
            dues[k] = _due(deal, k);
        }
        _claimAll(deal, slashed);
    }

    function _endBy(Deal memory deal, uint256 way) private {
        if (way == 0) _complete(deal, Outcome.HOST, 450, 33);
        if (way == 1) _complete(deal, Outcome.LAPSED, 450, 33);
        if (way == 2) _complete(deal, Outcome.FAILED, 450, 33);
        if (way == 3) skip(401);
        if (way == 3) _expire(deal);
        if (way == 4) _revoke();
        if (way == 4) _settleRevoked(deal);
        if (way > 4) _stop(deal);
        if (way == 5) skip(401);
        if (way == 5) _expire(deal);
        if (way == 6) _stopped(deal);
        if (way == 7) _contested(deal);
    }

    function _stopped(Deal memory deal) private {
        skip(1);
        _prove(deal, 450, 33);
        skip(401);
        _expire(deal);
    }

    function _contested(Deal memory deal) private {
        _complete(deal, Outcome.COMPLETED, 450, 33);
        if (deal.terms.holdback.bps != 0) _contestAs(client, deal);
    }

    /// @dev Runs as long as it is paid for, without units, and completes.
    function _refundAfterAll(Deal memory deal) private returns (uint256 refund) {
        uint256 end = T0 + _order(deal).extra.limit;
        while (vm.getBlockTimestamp() + 390 < end) {
            skip(390);
            _prove(deal, uint32(vm.getBlockTimestamp() - T0), 0);
        }
        vm.warp(end);
        _complete(deal, Outcome.COMPLETED, uint32(end - T0), 0);
        uint256 before = _credit(client);
        _claimRest(deal);
        refund = _credit(client) - before;
    }
}
