// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {SettlementLib} from "../../../../contracts/libraries/SettlementLib.sol";
import {Price} from "../../../../contracts/types/Offers.sol";
import {OrderState, Phase} from "../../../../contracts/types/Orders.sol";

/// @notice Proofs about dues (docs/protocol.md sections 6.2, 6.3 and 6.7) for every price, clock and report of the
/// widths that calldata and the order's word have (scripts/prove; forge does not run `check_` functions).
/// What holds for one offer holds for an order: sums of dues, locks and deposits are plain sums over its offers.
contract SettlementProof is Test {
    /// @dev 40 bits of seconds are more than terms (32) and an order's word (30) hold.
    struct Facts {
        uint128 fixedPrice;
        uint128 perHour;
        uint32 minSeconds;
        uint128 perUnit;
        uint40 secs;
        uint64 units;
        uint40 elapsed;
        uint32 grace;
        uint32 setupSeconds;
        uint32 limit;
        uint32 maxSeconds;
        uint64 maxUnits;
        uint16 holdbackBps;
        bool served;
    }

    // ------------------------------------------------------------------------------------ the deposit suffices
    function check_ComputeIsFunded(Facts calldata t, uint8 state, uint8 phase) external pure {
        (Price memory price, SettlementLib.Frozen memory f) = _freeze(t, state, phase);
        uint256 due = SettlementLib.computeDueDown(price, f);
        assert(due <= SettlementLib.amountDown(price, t.limit, t.maxUnits));
    }

    function check_WhatAClientPaysForAnInputIsFunded(Facts calldata t, uint8 state, uint8 phase) external pure {
        (Price memory price, SettlementLib.Frozen memory f) = _freeze(t, state, phase);
        uint256 due = SettlementLib.inputDueDown(price, f, false);
        uint256 fromLock = SettlementLib.inputLockShareDown(price, f, false);
        assert(fromLock <= due);
        assert(due - fromLock <= SettlementLib.amountDown(price, t.limit, t.maxUnits));
    }

    function check_TheContestReserveSuffices(Facts calldata t) external pure {
        (Price memory price, SettlementLib.Frozen memory f) =
            _freeze(t, uint8(OrderState.COMPLETED), uint8(Phase.ENGINE));
        uint256 due = SettlementLib.computeDueDown(price, f);
        // After a contest the client pays the due, of which the held part burns, and as much again.
        uint256 burned = SettlementLib.holdbackDown(due, t.holdbackBps);
        assert(due + burned <= SettlementLib.computeDeposit(price, t.limit, t.maxUnits, t.holdbackBps));
    }

    function check_ALongerRunNeedsNoSmallerDeposit(Facts calldata t, uint32 more) external pure {
        vm.assume(t.limit <= more);
        Price memory price = _price(t);
        uint256 less = SettlementLib.computeDeposit(price, t.limit, t.maxUnits, t.holdbackBps);
        assert(less <= SettlementLib.computeDeposit(price, more, t.maxUnits, t.holdbackBps));
    }

    // --------------------------------------------------------------------------------------- the lock suffices
    function check_TheSlashIsLocked(Facts calldata t, uint8 phase) external pure {
        (Price memory price, SettlementLib.Frozen memory f) = _freeze(t, uint8(OrderState.EXPIRED), phase);
        assert(SettlementLib.inputLockShareDown(price, f, false) <= SettlementLib.inputLockUp(price, t.grace));
    }

    function check_OnlySilenceIsSlashed(Facts calldata t, uint8 state, uint8 phase) external pure {
        vm.assume(state != uint8(OrderState.EXPIRED) || phase == uint8(Phase.NONE));
        (Price memory price, SettlementLib.Frozen memory f) = _freeze(t, state, phase);
        assert(SettlementLib.inputLockShareDown(price, f, false) == 0);
    }

    function check_ALeaseCostsAnOrderNothing(Facts calldata t, uint8 state, uint8 phase) external pure {
        (Price memory price, SettlementLib.Frozen memory f) = _freeze(t, state, phase);
        assert(SettlementLib.inputDueDown(price, f, true) == 0);
        assert(SettlementLib.inputLockShareDown(price, f, true) == 0);
    }

    // ---------------------------------------------------------------------------- what was earned stays earned
    /// @dev Two sets of facts: a checkpoint while the order runs, and any end that is still open after it.
    function check_ComputesDueInSetupNeverFalls(Facts calldata t, uint40 secs, uint64 units, uint8 end, bool ran)
        external
        pure
    {
        Phase phase = ran ? Phase.ENGINE : Phase.SETUP;
        _computeStays(t, Phase.SETUP, secs, units, OrderState(_end(end, phase)), phase);
    }

    function check_ComputesDueInEngineNeverFalls(Facts calldata t, uint40 secs, uint64 units, uint8 end) external pure {
        _computeStays(t, Phase.ENGINE, secs, units, OrderState(_end(end, Phase.ENGINE)), Phase.ENGINE);
    }

    /// @dev With the two above: what compute may claim while the order runs, it may claim after any end.
    function check_ComputesClaimIsNeverTakenBack(uint192 due, uint192 more, uint8 end, uint16 bps, bool released)
        external
        pure
    {
        vm.assume(due <= more);
        vm.assume(bps <= 10_000);
        vm.assume(end > uint8(OrderState.CANCELLED));
        vm.assume(end <= uint8(type(OrderState).max));
        uint256 claimed = SettlementLib.claimableDown(due, OrderState.RUNNING, bps, false);
        assert(claimed == SettlementLib.claimableDown(due, OrderState.STOPPING, bps, false));
        assert(claimed <= SettlementLib.claimableDown(more, OrderState(end), bps, released));
    }

    function check_AnInputsClaimIsNeverTakenBack(Facts calldata t, uint40 secs, uint64 units, uint8 end) external pure {
        (Price memory price, SettlementLib.Frozen memory f) = _freeze(t, uint8(OrderState.RUNNING), uint8(Phase.ENGINE));
        uint256 claimed = SettlementLib.inputDueDown(price, f, false);
        _prove(t, f, secs, units, OrderState(_end(end, Phase.ENGINE)));
        assert(claimed <= SettlementLib.inputDueDown(price, f, false));
    }

    /// @dev Before the ENGINE checkpoint an input has nothing to claim, so that nothing can be taken back.
    function check_AnInputHasNoClaimBeforeTheEngine(Facts calldata t, bool stopping) external pure {
        OrderState state = stopping ? OrderState.STOPPING : OrderState.RUNNING;
        (Price memory price, SettlementLib.Frozen memory f) = _freeze(t, uint8(state), uint8(Phase.SETUP));
        assert(SettlementLib.inputDueDown(price, f, false) == 0);
    }

    function _computeStays(Facts calldata t, Phase before, uint40 secs, uint64 units, OrderState end, Phase phase)
        private
        pure
    {
        (Price memory price, SettlementLib.Frozen memory f) = _freeze(t, uint8(OrderState.RUNNING), uint8(before));
        uint256 due = SettlementLib.computeDueDown(price, f);
        f.phase = phase;
        _prove(t, f, secs, units, end);
        assert(due <= SettlementLib.computeDueDown(price, f));
    }

    /// @dev Time and use only grow; the funded limit never falls below what was proven.
    function _prove(Facts calldata t, SettlementLib.Frozen memory f, uint40 secs, uint64 units, OrderState end)
        private
        pure
    {
        vm.assume(secs >= f.secs);
        vm.assume(secs <= t.elapsed);
        vm.assume(secs <= t.limit);
        vm.assume(units >= f.units);
        vm.assume(units <= t.maxUnits);
        (f.secs, f.units, f.state) = (secs, units, end);
        if (end == OrderState.EXPIRED) f.span = SettlementLib.spanOf(f.phase, secs, t.elapsed, t.grace, t.limit);
    }

    /// @dev An end of section 6.2 that a running or stopping order in `phase` still has before it.
    function _end(uint8 end, Phase phase) private pure returns (uint8) {
        vm.assume(end > uint8(OrderState.CANCELLED));
        vm.assume(end <= uint8(type(OrderState).max));
        bool engineOnly =
            end == uint8(OrderState.COMPLETED) || end == uint8(OrderState.FAILED) || end == uint8(OrderState.LAPSED);
        vm.assume(phase == Phase.ENGINE || !engineOnly);
        vm.assume(phase == Phase.SETUP || end != uint8(OrderState.REFUSED));
        return end;
    }

    function _freeze(Facts calldata t, uint8 state, uint8 phase)
        private
        pure
        returns (Price memory price, SettlementLib.Frozen memory f)
    {
        // One assumption a line: `&&` would make a path of each half.
        vm.assume(state <= uint8(type(OrderState).max));
        vm.assume(phase <= uint8(type(Phase).max));
        vm.assume(t.limit <= t.maxSeconds);
        vm.assume(t.holdbackBps <= 10_000);
        vm.assume(t.secs <= t.elapsed);
        vm.assume(t.secs <= t.limit);
        vm.assume(t.units <= t.maxUnits);
        price = _price(t);
        f.state = OrderState(state);
        f.phase = Phase(phase);
        (f.secs, f.units, f.served) = (t.secs, t.units, t.served);
        if (f.state == OrderState.EXPIRED) {
            f.span = SettlementLib.spanOf(f.phase, t.secs, t.elapsed, t.grace, t.limit);
        }
        (f.setupSeconds, f.limit, f.maxSeconds) = (t.setupSeconds, t.limit, t.maxSeconds);
    }

    function _price(Facts calldata t) private pure returns (Price memory) {
        return Price(t.fixedPrice, t.perHour, t.minSeconds, 0, t.perUnit, 0);
    }
}
