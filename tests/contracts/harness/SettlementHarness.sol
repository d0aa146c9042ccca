// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {LockLib} from "../../../contracts/libraries/LockLib.sol";
import {OrderStateLib} from "../../../contracts/libraries/OrderStateLib.sol";
import {SettlementLib} from "../../../contracts/libraries/SettlementLib.sol";
import {Price} from "../../../contracts/types/Offers.sol";
import {OrderState, Phase} from "../../../contracts/types/Orders.sol";

/// @notice SettlementLib, OrderStateLib and LockLib as one contract, for the Python twins' conformance tests, fuzzing
/// and proofs. `settle` puts their parts together as a claim of every offer and of the rest does.
contract SettlementHarness {
    /// @notice All that the settlement of one order depends on.
    /// @param prices   Compute first, then every input.
    /// @param leased   Bit k: offer k is under a lease.
    /// @param reported Seconds by the CVM's word, not yet bounded.
    /// @param limit    Seconds that the deposit funds.
    /// @param held     Deposit and additions less what was taken out.
    /// @param released The holdback was released; `contested`: it was burned.
    struct Case {
        OrderState state;
        Phase phase;
        uint256 reported;
        uint256 units;
        uint256 elapsed;
        uint256 limit;
        uint256 maxSeconds;
        uint256 setupSeconds;
        uint256 grace;
        uint256 maxUnits;
        uint256 feeBps;
        uint256 penaltyBps;
        uint256 holdbackBps;
        uint256 held;
        uint256 leased;
        bool served;
        bool released;
        bool contested;
        Price[] prices;
    }

    /// @param net      By offer: what its receivers share, fees and the held part out.
    /// @param required Deposit that the limit needs.
    /// @param lock     Stake to lock, before it is rounded up to 24 bits.
    /// @param refund   Wraps around if more is due than is held: the tests compare it.
    struct Sums {
        uint256[] gross;
        uint256[] net;
        uint256 fees;
        uint256 slashed;
        uint256 penalty;
        uint256 burned;
        uint256 pending;
        uint256 refund;
        uint256 required;
        uint256 lock;
    }

    // ------------------------------------------------------------------------------------------------ parts
    function amountDown(Price calldata price, uint256 secs, uint256 units) external pure returns (uint256) {
        return SettlementLib.amountDown(price, secs, units);
    }

    function usageDown(Price calldata price, uint256 secs, uint256 units) external pure returns (uint256) {
        return SettlementLib.usageDown(price, secs, units);
    }

    function prorataDown(Price calldata price, uint256 secs, uint256 units, uint256 maxSeconds)
        external
        pure
        returns (uint256)
    {
        return SettlementLib.prorataDown(price, secs, units, maxSeconds);
    }

    function shareDown(uint256 amount, uint256 bps) external pure returns (uint256) {
        return SettlementLib.shareDown(amount, bps);
    }

    function secondsDown(uint256 reported, uint256 elapsed, uint256 limit) external pure returns (uint256) {
        return SettlementLib.secondsDown(reported, elapsed, limit);
    }

    function spanOf(Phase phase, uint256 secs, uint256 elapsed, uint256 grace, uint256 limit)
        external
        pure
        returns (uint256)
    {
        return SettlementLib.spanOf(phase, secs, elapsed, grace, limit);
    }

    function computeDueDown(Price calldata price, SettlementLib.Frozen calldata f) external pure returns (uint256) {
        return SettlementLib.computeDueDown(price, f);
    }

    function inputDueDown(Price calldata price, SettlementLib.Frozen calldata f, bool leased)
        external
        pure
        returns (uint256)
    {
        return SettlementLib.inputDueDown(price, f, leased);
    }

    function inputLockShareDown(Price calldata price, SettlementLib.Frozen calldata f, bool leased)
        external
        pure
        returns (uint256)
    {
        return SettlementLib.inputLockShareDown(price, f, leased);
    }

    function claimableDown(uint256 due, OrderState state, uint256 holdbackBps, bool released)
        external
        pure
        returns (uint256)
    {
        return SettlementLib.claimableDown(due, state, holdbackBps, released);
    }

    function startPenaltyDown(Price calldata compute, uint256 maxSeconds, uint256 maxUnits, uint256 penaltyBps)
        external
        pure
        returns (uint256)
    {
        return SettlementLib.startPenaltyDown(compute, maxSeconds, maxUnits, penaltyBps);
    }

    function inputLockUp(Price calldata price, uint256 grace) external pure returns (uint256) {
        return SettlementLib.inputLockUp(price, grace);
    }

    function depositRequired(Price[] calldata prices, uint256 limit, uint256 maxUnits, uint256 holdbackBps)
        external
        pure
        returns (uint256)
    {
        return SettlementLib.depositRequired(prices, limit, maxUnits, holdbackBps);
    }

    function leastLimit(uint256 setupSeconds, uint256 grace, uint256 maxSeconds) external pure returns (uint256) {
        return SettlementLib.leastLimit(setupSeconds, grace, maxSeconds);
    }

    function fundedLimit(
        Price[] calldata prices,
        uint256 deposit,
        uint256 least,
        uint256 maxSeconds,
        uint256 maxUnits,
        uint256 holdbackBps
    ) external pure returns (bool ok, uint256 limit) {
        return SettlementLib.fundedLimit(prices, deposit, least, maxSeconds, maxUnits, holdbackBps);
    }

    function splitDown(
        uint256 netBefore,
        uint256 netAfter,
        bool isFinal,
        bytes calldata royalties,
        bytes calldata payees
    ) external pure returns (uint256[] memory) {
        return SettlementLib.splitDown(netBefore, netAfter, isFinal, royalties, payees);
    }

    function receiverAt(bytes calldata list, uint256 index) external pure returns (address account, uint256 bps) {
        return SettlementLib.receiverAt(list, index, SettlementLib.PAYEE_BYTES);
    }

    function encodeUp(uint256 amount) external pure returns (uint256) {
        return LockLib.encodeUp(amount);
    }

    function decode(uint256 code) external pure returns (uint256) {
        return LockLib.decode(code);
    }

    function isAllowed(OrderState from, OrderState to) external pure returns (bool) {
        return OrderStateLib.isAllowed(from, to);
    }

    function isTerminal(OrderState state) external pure returns (bool) {
        return OrderStateLib.isTerminal(state);
    }

    // --------------------------------------------------------------------------------------------- together
    /// @notice The whole settlement of one order.
    function settle(Case memory c) public pure returns (Sums memory s) {
        SettlementLib.Frozen memory f = freeze(c);
        (s.gross, s.net) = (new uint256[](c.prices.length), new uint256[](c.prices.length));
        Price[] memory paid = _paid(c);
        s.required = SettlementLib.depositRequired(paid, c.limit, c.maxUnits, c.holdbackBps);
        s.lock = SettlementLib.lockRequiredUp(c.prices[0], _tail(paid), c.maxSeconds, c.maxUnits, c.grace, c.penaltyBps);
        if (f.state == OrderState.EXPIRED && f.phase == Phase.NONE) {
            s.penalty = SettlementLib.startPenaltyDown(c.prices[0], c.maxSeconds, c.maxUnits, c.penaltyBps);
        }
        s.slashed = s.penalty;
        uint256 due = 0;
        for (uint256 k = 0; k < c.prices.length; ++k) {
            _offer(c, f, s, k);
            due += s.gross[k];
        }
        unchecked {
            s.refund = c.held + s.slashed - s.penalty - due;
            if (c.contested && c.state == OrderState.COMPLETED) {
                s.refund -= s.pending;
                (s.burned, s.pending) = (2 * s.pending, 0);
            }
        }
    }

    /// @notice Many settlements in one call.
    function settleMany(Case[] calldata cases) external pure returns (Sums[] memory results) {
        results = new Sums[](cases.length);
        for (uint256 i = 0; i < cases.length; ++i) {
            results[i] = settle(cases[i]);
        }
    }

    /// @notice Arguments of `splitDown`.
    struct Split {
        uint256 netBefore;
        uint256 netAfter;
        bool isFinal;
        bytes royalties;
        bytes payees;
    }

    /// @notice Many splits in one call.
    function splitMany(Split[] calldata cases) external pure returns (uint256[][] memory results) {
        results = new uint256[][](cases.length);
        for (uint256 i = 0; i < cases.length; ++i) {
            Split calldata c = cases[i];
            results[i] = SettlementLib.splitDown(c.netBefore, c.netAfter, c.isFinal, c.royalties, c.payees);
        }
    }

    /// @notice Walks the table: a step that it does not have is not taken.
    /// @param steps One target state a byte.
    /// @return trace The state after each step.
    function walk(bytes calldata steps) external pure returns (bytes memory trace) {
        trace = new bytes(steps.length);
        OrderState state = OrderState.NONE;
        for (uint256 i = 0; i < steps.length; ++i) {
            OrderState to = OrderState(uint8(steps[i]));
            if (OrderStateLib.isAllowed(state, to)) state = to;
            if (OrderStateLib.isTerminal(state)) state = OrderState.NONE;
            trace[i] = bytes1(uint8(state));
        }
    }

    /// @notice Many codes in one call.
    function encodeMany(uint256[] calldata amounts) external pure returns (uint256[] memory codes) {
        codes = new uint256[](amounts.length);
        for (uint256 i = 0; i < amounts.length; ++i) {
            codes[i] = LockLib.encodeUp(amounts[i]);
        }
    }

    function freeze(Case memory c) public pure returns (SettlementLib.Frozen memory f) {
        f.state = c.state;
        f.phase = c.phase;
        f.secs = SettlementLib.secondsDown(c.reported, c.elapsed, c.limit);
        f.units = SettlementLib.min(c.units, c.maxUnits);
        if (c.state == OrderState.EXPIRED && c.phase != Phase.NONE) {
            f.span = SettlementLib.spanOf(c.phase, f.secs, c.elapsed, c.grace, c.limit);
        }
        f.served = c.served;
        f.setupSeconds = c.setupSeconds;
        f.limit = c.limit;
        f.maxSeconds = c.maxSeconds;
    }

    function _offer(Case memory c, SettlementLib.Frozen memory f, Sums memory s, uint256 k) private pure {
        bool leased = (c.leased >> k) & 1 == 1;
        uint256 gross =
            k == 0 ? SettlementLib.computeDueDown(c.prices[0], f) : SettlementLib.inputDueDown(c.prices[k], f, leased);
        uint256 claimable = k == 0 ? SettlementLib.claimableDown(gross, f.state, c.holdbackBps, c.released) : gross;
        uint256 fee = SettlementLib.shareDown(claimable, c.feeBps);
        s.gross[k] = gross;
        s.net[k] = claimable - fee;
        s.fees += fee;
        if (k == 0) s.pending = gross - claimable;
        else s.slashed += SettlementLib.inputLockShareDown(c.prices[k], f, leased);
    }

    /// @dev Compute, and the inputs that are not under a lease.
    function _paid(Case memory c) private pure returns (Price[] memory paid) {
        uint256 count = 0;
        paid = new Price[](c.prices.length);
        for (uint256 k = 0; k < c.prices.length; ++k) {
            if ((c.leased >> k) & 1 == 0) paid[count++] = c.prices[k];
        }
        assembly ("memory-safe") {
            mstore(paid, count)
        }
    }

    function _tail(Price[] memory prices) private pure returns (Price[] memory tail) {
        tail = new Price[](prices.length - 1);
        for (uint256 k = 1; k < prices.length; ++k) {
            tail[k - 1] = prices[k];
        }
    }
}
