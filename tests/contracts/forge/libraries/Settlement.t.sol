// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {SettlementLib} from "../../../../contracts/libraries/SettlementLib.sol";
import {Price} from "../../../../contracts/types/Offers.sol";
import {OrderState, Phase} from "../../../../contracts/types/Orders.sol";
import {SettlementHarness} from "../../harness/SettlementHarness.sol";

/// @notice The table of docs/protocol.md section 6.7 line by line, and what holds for every order, whatever its prices,
/// funding, clock and end.
contract SettlementTest is Test {
    SettlementHarness private _lib;
    uint256 private _seed;

    function setUp() external {
        _lib = new SettlementHarness();
    }

    // ------------------------------------------------------------------------------------------ line by line
    /// @dev fixed 100, a unit of token a second, at least 60 s, 2 for each unit.
    function _price() private pure returns (Price memory) {
        return Price({fixedPrice: 100, perHour: 3600, minSeconds: 60, maxSeconds: 0, perUnit: 2, revenueBps: 0});
    }

    /// @dev 30 s proven of 100, 5 units; silence since, so that an expired input is due 90 s; set-up pays 20 s.
    function _facts(OrderState state, Phase phase, bool served) private pure returns (SettlementLib.Frozen memory) {
        return SettlementLib.Frozen({
            state: state,
            phase: phase,
            secs: 30,
            units: 5,
            span: 90,
            served: served,
            setupSeconds: 20,
            limit: 100,
            maxSeconds: 100
        });
    }

    function _dues(OrderState state, Phase phase, bool served) private view returns (uint256, uint256, uint256) {
        SettlementLib.Frozen memory f = _facts(state, phase, served);
        return (
            _lib.computeDueDown(_price(), f),
            _lib.inputDueDown(_price(), f, false),
            _lib.inputLockShareDown(_price(), f, false)
        );
    }

    function _assertDues(OrderState state, Phase phase, uint256 compute, uint256 batch, uint256 served, uint256 slashed)
        private
        view
    {
        for (uint256 n = 0; n < 2; ++n) {
            (uint256 gotCompute, uint256 gotInput, uint256 gotSlashed) = _dues(state, phase, n == 1);
            assertEq(gotCompute, compute, "compute");
            assertEq(gotInput, n == 1 ? served : batch, "input");
            assertEq(gotSlashed, slashed, "from the lock");
        }
        SettlementLib.Frozen memory f = _facts(state, phase, true);
        assertEq(_lib.inputDueDown(_price(), f, true), 0, "a lease pays");
        assertEq(_lib.inputLockShareDown(_price(), f, true), 0, "a lease locks nothing");
    }

    function test_BeforeStartNothingIsDue() external view {
        _assertDues(OrderState.PLACED, Phase.NONE, 0, 0, 0, 0);
        _assertDues(OrderState.ACCEPTED, Phase.NONE, 0, 0, 0, 0);
        _assertDues(OrderState.CANCELLED, Phase.NONE, 0, 0, 0, 0);
        _assertDues(OrderState.EXPIRED, Phase.NONE, 0, 0, 0, 0);
    }

    function test_InSetupComputeIsDueItsTimeUpToSetupSeconds() external view {
        _assertDues(OrderState.RUNNING, Phase.SETUP, 20, 0, 0, 0);
        _assertDues(OrderState.STOPPING, Phase.SETUP, 20, 0, 0, 0);
        _assertDues(OrderState.REFUSED, Phase.SETUP, 20, 0, 0, 0);
        _assertDues(OrderState.HOST, Phase.SETUP, 20, 0, 0, 0);
        _assertDues(OrderState.REVOKED, Phase.SETUP, 20, 0, 0, 0);
        _assertDues(OrderState.STOPPED, Phase.SETUP, 20, 0, 0, 0);
        // Expired: whole prices of inputs by the clock, without units, all of it from the lock.
        _assertDues(OrderState.EXPIRED, Phase.SETUP, 20, 190, 190, 190);
    }

    function test_InEngineClaimsAreTheLeastOfAllEnds() external view {
        _assertDues(OrderState.RUNNING, Phase.ENGINE, 40, 0, 70, 0);
        _assertDues(OrderState.STOPPING, Phase.ENGINE, 40, 0, 70, 0);
        _assertDues(OrderState.HOST, Phase.ENGINE, 40, 0, 70, 0);
        _assertDues(OrderState.LAPSED, Phase.ENGINE, 40, 70, 70, 0);
        // Proven use is the client's to pay (30 + 10), the rest of 200 the provider's.
        _assertDues(OrderState.EXPIRED, Phase.ENGINE, 40, 200, 200, 160);
    }

    function test_WholePricesAreDueWhereTheEngineWasPaidFor() external view {
        _assertDues(OrderState.COMPLETED, Phase.ENGINE, 170, 170, 170, 0);
        _assertDues(OrderState.FAILED, Phase.ENGINE, 170, 170, 170, 0);
        _assertDues(OrderState.REVOKED, Phase.ENGINE, 170, 170, 170, 0);
        _assertDues(OrderState.STOPPED, Phase.ENGINE, 170, 170, 170, 0);
    }

    function test_AmountRoundsDownAndBillsTheMinimum() external view {
        Price memory price = _price();
        (price.fixedPrice, price.perHour, price.minSeconds) = (5, 3601, 10);
        assertEq(_lib.amountDown(price, 0, 0), 5 + 10);
        assertEq(_lib.amountDown(price, 10, 0), 5 + 10);
        assertEq(_lib.amountDown(price, 11, 0), 5 + 11);
        assertEq(_lib.amountDown(price, 3599, 0), 5 + 3599, "3599.99 rounds down");
        assertEq(_lib.amountDown(price, 3600, 4), 5 + 3601 + 8);
        assertEq(_lib.usageDown(price, 3, 0), 3, "no minimum");
        assertEq(_lib.usageDown(price, 0, 0), 0);
        assertEq(_lib.prorataDown(price, 50, 0, 100), 2 + 50, "half of 5, rounded down");
        assertEq(_lib.prorataDown(price, 50, 1, 0), 50 + 2, "an order of no length earns no fixed price");
    }

    function test_SecondsAndSpanAreBoundedByClockAndFunding() external view {
        assertEq(_lib.secondsDown(9, 8, 7), 7);
        assertEq(_lib.secondsDown(9, 7, 8), 7);
        assertEq(_lib.secondsDown(7, 9, 8), 7);
        assertEq(_lib.spanOf(Phase.ENGINE, 30, 1000, 60, 500), 90, "last proof and grace");
        assertEq(_lib.spanOf(Phase.ENGINE, 30, 50, 60, 500), 50, "no longer than it ran");
        assertEq(_lib.spanOf(Phase.ENGINE, 30, 1000, 60, 70), 70, "no longer than it was funded");
        assertEq(_lib.spanOf(Phase.SETUP, 30, 1000, 60, 500), 60, "in SETUP nothing was proven");
    }

    function test_TheLockIsFixedPartMinimumAndGraceRoundedUp() external view {
        Price memory price = _price();
        assertEq(_lib.inputLockUp(price, 90), 100 + 60 + 90);
        price.perHour = 3601;
        assertEq(_lib.inputLockUp(price, 90), 100 + 61 + 91);
        assertEq(_lib.startPenaltyDown(_price(), 100, 5, 1000), 21, "a tenth of 210");
        assertEq(_lib.startPenaltyDown(_price(), 0, 0, 1000), 16, "a tenth of 160, the least that compute costs");
    }

    function test_TheHoldbackWaitsWhileTheOrderCanComplete() external view {
        assertEq(_lib.claimableDown(101, OrderState.RUNNING, 1000, false), 91);
        assertEq(_lib.claimableDown(101, OrderState.STOPPING, 1000, true), 91, "nothing is released before the end");
        assertEq(_lib.claimableDown(101, OrderState.COMPLETED, 1000, false), 91);
        assertEq(_lib.claimableDown(101, OrderState.COMPLETED, 1000, true), 101);
        assertEq(_lib.claimableDown(101, OrderState.FAILED, 1000, false), 101, "it is for completed orders alone");
        assertEq(_lib.claimableDown(101, OrderState.RUNNING, 0, false), 101);
        assertEq(_lib.claimableDown(101, OrderState.RUNNING, 10_000, false), 0);
    }

    function test_TwoRoyaltiesMayRoundUpWhereThePayeesShareMustNotFall() external view {
        bytes memory table = abi.encodePacked(address(1), uint16(3000), uint8(1), address(2), uint16(3000), uint8(1));
        bytes memory payees = abi.encodePacked(address(3), uint16(10_000));
        uint256[] memory first = _lib.splitDown(0, 3, false, table, payees);
        uint256[] memory second = _lib.splitDown(3, 4, false, table, payees);
        assertEq(first[0] + first[1] + first[2], 1, "floor of 40 % of 3, not 3 less nothing");
        assertEq(second[0], 1);
        assertEq(second[1], 1);
        assertEq(second[2], 0, "nothing is taken back");
        uint256[] memory last = _lib.splitDown(4, 4, true, table, payees);
        assertEq(last[2], 1, "what rounding left");
        (address account, uint256 bps) = _lib.receiverAt(payees, 0);
        assertEq(account, address(3));
        assertEq(bps, 10_000);
    }

    function test_ADepositFundsWholeSeconds() external view {
        Price[] memory prices = new Price[](2);
        (prices[0], prices[1]) = (_price(), _price());
        // Two offers: 2 * (100 + secs), half of compute held back: 50 + secs / 2.
        assertEq(_lib.depositRequired(prices, 400, 0, 5000), 1000 + 250);
        (bool ok, uint256 limit) = _lib.fundedLimit(prices, 1250, 300, 1000, 0, 5000);
        assertTrue(ok);
        assertEq(limit, 400);
        (ok, limit) = _lib.fundedLimit(prices, 1249, 300, 1000, 0, 5000);
        assertEq(limit, 399);
        (ok, limit) = _lib.fundedLimit(prices, 1 << 100, 300, 1000, 0, 5000);
        assertEq(limit, 1000, "never more than the terms");
        (ok, limit) = _lib.fundedLimit(prices, 999, 300, 1000, 0, 5000);
        assertFalse(ok, "less than the least");
        assertEq(limit, 0);
        assertEq(_lib.leastLimit(600, 60, 1000), 720);
        assertEq(_lib.leastLimit(600, 60, 700), 700);
    }

    // ----------------------------------------------------------------------------------------- for every order
    /// @dev INV-1 and INV-4 for a single order: everything credited is what was held, and the lock covers the slash.
    function testFuzz_PaysOutExactlyWhatIsHeld(uint256 seed, uint32 reported, uint64 units, uint32 elapsed) external {
        _seed = seed;
        SettlementHarness.Case memory c = _case(reported, units, elapsed);
        SettlementHarness.Sums memory s = _lib.settle(c);
        assertLe(s.refund, c.held + s.slashed, "never more due than held");
        uint256 sum = s.fees + s.penalty + s.burned + s.pending + s.refund;
        for (uint256 k = 0; k < s.net.length; ++k) {
            sum += s.net[k];
            assertLe(s.net[k], s.gross[k]);
        }
        assertEq(sum, c.held + s.slashed, "credited == held");
        assertLe(s.slashed, s.lock, "the lock covers the slash");
        if (c.state != OrderState.EXPIRED) assertEq(s.slashed, 0, "only silence is slashed");
        if (c.state != OrderState.COMPLETED) assertEq(s.burned, 0, "only a result is contested");
    }

    /// @dev INV: what a checkpoint let be claimed is due in every end that may follow.
    function testFuzz_NothingProvenIsTakenBack(uint256 seed, uint32 reported, uint64 units, uint32 elapsed) external {
        _seed = seed;
        SettlementHarness.Case memory c = _case(reported, units, elapsed);
        (c.state, c.phase) = (OrderState.RUNNING, _next(2) == 0 ? Phase.SETUP : Phase.ENGINE);
        SettlementHarness.Sums memory running = _lib.settle(c);
        if (_next(2) == 0) c.phase = Phase.ENGINE;
        c.reported = bound(_next(type(uint64).max), c.reported, type(uint64).max);
        c.units = bound(_next(type(uint64).max), c.units, type(uint64).max);
        c.elapsed = bound(_next(type(uint64).max), c.elapsed, type(uint64).max);
        c.state = _end(c.phase);
        SettlementHarness.Sums memory ended = _lib.settle(c);
        for (uint256 k = 0; k < running.net.length; ++k) {
            assertLe(running.net[k], ended.net[k], "claimed <= due");
        }
    }

    function testFuzz_SplitsAddUpOverManyClaims(uint256 seed, uint192 net, uint8 claims) external {
        _seed = seed;
        bytes memory table = _list(24, _next(10_001), true);
        bytes memory payees = _list(8, 10_000, false);
        uint256[] memory got = new uint256[](table.length / 23 + payees.length / 22);
        uint256 from = 0;
        uint256 paid = 0;
        for (uint256 n = uint256(claims) % 6 + 1; n != 0; --n) {
            uint256 to = n == 1 ? net : bound(_next(type(uint192).max), from, net);
            uint256[] memory more = _lib.splitDown(from, to, n == 1, table, payees);
            for (uint256 k = 0; k < got.length; ++k) {
                got[k] += more[k];
                paid += more[k];
            }
            assertLe(paid, to, "never more than earned");
            from = to;
        }
        assertEq(paid, net, "exact in the end");
        uint256[] memory once = _lib.splitDown(0, net, true, table, payees);
        for (uint256 k = 0; k < got.length; ++k) {
            assertEq(got[k], once[k], "as if claimed at once");
        }
    }

    function testFuzz_NothingOverflows(uint32 secs, uint64 units, uint16 bps) external view {
        uint128 max = type(uint128).max;
        Price[] memory prices = new Price[](17);
        for (uint256 i = 0; i < 17; ++i) {
            prices[i] = Price(max, max, type(uint32).max, 0, max, 0);
        }
        uint256 one = _lib.amountDown(prices[0], secs, units);
        assertGe(one, max);
        assertLt(one, 1 << 193);
        assertGe(_lib.depositRequired(prices, secs, units, bps), 17 * one);
        assertGe(_lib.inputLockUp(prices[0], secs), max);
        (bool ok, uint256 limit) = _lib.fundedLimit(prices, type(uint256).max, 0, secs, units, bps);
        assertTrue(ok);
        assertEq(limit, secs);
    }

    // ------------------------------------------------------------------------------------------------- drawing
    function _case(uint256 reported, uint256 units, uint256 elapsed) private returns (SettlementHarness.Case memory c) {
        c.phase = [Phase.NONE, Phase.SETUP, Phase.ENGINE][_next(3)];
        c.state = _end(c.phase);
        (c.reported, c.units, c.elapsed) = (reported, units, elapsed);
        c.maxSeconds = _edge(type(uint32).max);
        c.limit = _next(2) == 0 ? c.maxSeconds : _next(c.maxSeconds + 1);
        (c.setupSeconds, c.grace) = (_edge(type(uint32).max), _edge(type(uint32).max));
        c.maxUnits = _edge(type(uint32).max);
        (c.feeBps, c.penaltyBps, c.holdbackBps) = (_next(1001), _next(5001), _edge(10_000));
        c.leased = _next(1 << 17) << 1;
        c.served = _next(2) == 0;
        c.released = _next(2) == 0;
        c.contested = !c.released && _next(2) == 0;
        c.prices = new Price[](2 + _next(16));
        for (uint256 k = 0; k < c.prices.length; ++k) {
            c.prices[k] = Price({
                fixedPrice: uint128(_edge(type(uint96).max)),
                perHour: uint128(_edge(type(uint64).max)),
                minSeconds: uint32(_edge(type(uint32).max)),
                maxSeconds: 0,
                perUnit: uint128(_edge(type(uint64).max)),
                revenueBps: 0
            });
        }
        c.held = _lib.settle(c).required + _next(3);
    }

    /// @dev Every end that the contract can freeze in `phase`.
    function _end(Phase phase) private returns (OrderState) {
        if (phase == Phase.NONE) return _next(2) == 0 ? OrderState.CANCELLED : OrderState.EXPIRED;
        OrderState[4] memory both = [OrderState.EXPIRED, OrderState.HOST, OrderState.REVOKED, OrderState.STOPPED];
        uint256 pick = _next(7);
        if (pick < 4) return both[pick];
        if (phase == Phase.SETUP) return OrderState.REFUSED;
        return [OrderState.COMPLETED, OrderState.FAILED, OrderState.LAPSED][pick - 4];
    }

    /// @dev A packed list of at most `most` receivers with `total` shares among them.
    function _list(uint256 most, uint256 total, bool table) private returns (bytes memory list) {
        for (uint256 count = 1 + _next(most); count != 0; --count) {
            uint256 bps = count == 1 ? total : _next(total + 1);
            total -= bps;
            list = abi.encodePacked(list, address(uint160(count)), uint16(bps));
            if (table) list = abi.encodePacked(list, uint8(1));
        }
    }

    /// @dev Zero, one, the top, or anything between.
    function _edge(uint256 top) private returns (uint256) {
        uint256 pick = _next(6);
        if (pick < 2) return pick;
        if (pick == 2) return top;
        return _next(top);
    }

    function _next(uint256 below) private returns (uint256) {
        _seed = uint256(keccak256(abi.encode(_seed)));
        return _seed % below;
    }
}
