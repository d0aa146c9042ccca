// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Payee, Price} from "../types/Offers.sol";
import {OrderPreimage, OrderState, OrderTerms, Params, Phase} from "../types/Orders.sol";

/// @title Who gets what (docs/protocol.md section 6.7, docs/adr/0003), the twin of `domain/settlement.py`.
/// @notice Pure: no storage, clock or token. Every division rounds down, as the names say; what rounding leaves goes
/// to the payer (seconds), to the net amount (fees) or to the last payee (splits).
/// @dev Nothing overflows: a price part is at most 2^128 * 2^64, there are at most 17 of them, and bps are 16 bits.
library SettlementLib {
    uint256 internal constant BPS = 10_000;
    uint256 internal constant HOUR = 3600;
    uint256 internal constant REFUND_INDEX = 0;
    uint256 internal constant FEE_INDEX = 2;
    uint256 internal constant PENALTY_INDEX = 3;
    uint256 internal constant FIRST_PAYEE_INDEX = 8;
    uint256 internal constant PAYEES = 8;

    /// @notice What the terminal transition froze: everything that the split depends on beside the preimage.
    /// @param secondsUsed Billed seconds, as `bill` returns them.
    /// @param unitsUsed   Billed units, as `bill` returns them.
    struct Frozen {
        OrderState state;
        Phase phase;
        uint32 secondsUsed;
        uint64 unitsUsed;
    }

    /// @notice The whole of a settlement: sum(gross) + penalty + refund = deposit + slashed.
    /// @param gross Dues by offer: 0 is compute, k is input k - 1. Fees are inside.
    struct Settlement {
        uint256[] gross;
        uint256 fees;
        uint256 slashed;
        uint256 penalty;
        uint256 refund;
    }

    /// @notice One claimable amount.
    /// @param index 0 refund, 2 fees, 3 penalty, 8 + 8k + j payee j of offer k (0 compute, 1.. inputs).
    struct Payout {
        uint8 index;
        address receiver;
        uint256 amount;
    }

    // ---------------------------------------------------------------------------------------------- prices
    /// @return Fixed part, time and units of `price`; time is at least `minSeconds`, and rounded down.
    function amountDown(Price calldata price, uint256 secs, uint256 units) internal pure returns (uint256) {
        uint256 billed = secs < price.minSeconds ? price.minSeconds : secs;
        return price.fixedPrice + timeDown(price, billed) + uint256(price.perUnit) * units;
    }

    /// @return Time alone: no fixed part and no minimum.
    function timeDown(Price calldata price, uint256 secs) internal pure returns (uint256) {
        return (uint256(price.perHour) * secs) / HOUR;
    }

    /// @return sum The most that the order can cost: every price at maxSeconds and maxUnits.
    function depositRequired(OrderPreimage calldata pre) internal pure returns (uint256 sum) {
        uint256 secs = pre.terms.windows.maxSeconds;
        uint256 units = pre.terms.maxUnits;
        sum = amountDown(pre.compute.price, secs, units);
        for (uint256 i = 0; i < pre.inputs.length; ++i) {
            sum += amountDown(pre.inputs[i].price, secs, units);
        }
    }

    /// @return What a missed start costs the provider: a share of its own price at the maximum.
    function startPenaltyDown(OrderPreimage calldata pre, uint256 startPenaltyBps) internal pure returns (uint256) {
        uint256 most = amountDown(pre.compute.price, pre.terms.windows.maxSeconds, pre.terms.maxUnits);
        return shareDown(most, startPenaltyBps);
    }

    /// @return sum The stake to lock: every due of an input that the provider can leave unpaid, and the start penalty.
    function lockRequired(OrderPreimage calldata pre, uint256 startPenaltyBps) internal pure returns (uint256 sum) {
        sum = startPenaltyDown(pre, startPenaltyBps);
        for (uint256 i = 0; i < pre.inputs.length; ++i) {
            sum += amountDown(pre.inputs[i].price, pre.terms.windows.maxSeconds, 0);
        }
    }

    /// @return `amount` * bps / 10 000, rounded down.
    function shareDown(uint256 amount, uint256 bps) internal pure returns (uint256) {
        return (amount * bps) / BPS;
    }

    // --------------------------------------------------------------------------------------------- billing
    /// @notice The seconds and units that `to` bills, frozen at the transition.
    /// @param to        The terminal state entered.
    /// @param phase     The phase it is entered from.
    /// @param reported  Seconds by the CVM's word: of the final summary, or of the last checkpoint for REVOKED.
    /// @param units     Units by the same word.
    /// @param elapsed   Seconds by the chain since start.
    function bill(
        OrderTerms calldata terms,
        OrderState to,
        Phase phase,
        uint256 reported,
        uint256 units,
        uint256 elapsed
    ) internal pure returns (uint256 secs, uint256 billedUnits) {
        uint256 most = min(elapsed, terms.windows.maxSeconds);
        if (to == OrderState.COMPLETED || to == OrderState.FAILED) {
            return (min(reported, most), min(units, terms.maxUnits));
        }
        if (to == OrderState.REFUSED) return (min(min(reported, most), terms.windows.setupSeconds), 0);
        if (to == OrderState.REVOKED && phase == Phase.ENGINE) return (min(reported, most), 0);
        if (to == OrderState.STOPPED) return (most, 0);
        if (to == OrderState.EXPIRED && phase != Phase.NONE) return (most, 0);
        return (0, 0);
    }

    // ------------------------------------------------------------------------------------------ settlement
    /// @return Gross due of the compute offer.
    function computeGrossDown(OrderPreimage calldata pre, Frozen memory frozen) internal pure returns (uint256) {
        OrderState state = frozen.state;
        if (state == OrderState.COMPLETED || state == OrderState.FAILED) {
            return amountDown(pre.compute.price, frozen.secondsUsed, frozen.unitsUsed);
        }
        // Nothing was proven yet, so neither the fixed part nor the minimum is due.
        if (state == OrderState.REFUSED || (state == OrderState.STOPPED && frozen.phase == Phase.SETUP)) {
            return timeDown(pre.compute.price, min(frozen.secondsUsed, pre.terms.windows.setupSeconds));
        }
        if (state == OrderState.STOPPED || (state == OrderState.REVOKED && frozen.phase == Phase.ENGINE)) {
            return amountDown(pre.compute.price, frozen.secondsUsed, 0);
        }
        return 0;
    }

    /// @return Whether inputs are due in this state and phase.
    function inputsDue(OrderState state, Phase phase) internal pure returns (bool) {
        if (state == OrderState.EXPIRED) return phase != Phase.NONE;
        if (state == OrderState.REVOKED) return phase == Phase.ENGINE;
        return state == OrderState.COMPLETED || state == OrderState.FAILED || state == OrderState.STOPPED;
    }

    /// @return Gross due of input `i`. Units are zero except where a report proved them.
    function inputGrossDown(OrderPreimage calldata pre, Frozen memory frozen, uint256 i)
        internal
        pure
        returns (uint256)
    {
        if (!inputsDue(frozen.state, frozen.phase)) return 0;
        return amountDown(pre.inputs[i].price, frozen.secondsUsed, frozen.unitsUsed);
    }

    /// @return amount What leaves the provider's lock: the penalty of a missed start, or the inputs' dues of a run
    /// that ended in silence, so that the client does not pay for it.
    function slashedDown(OrderPreimage calldata pre, Frozen memory frozen, uint256 startPenaltyBps)
        internal
        pure
        returns (uint256 amount)
    {
        if (frozen.state != OrderState.EXPIRED) return 0;
        if (frozen.phase == Phase.NONE) return startPenaltyDown(pre, startPenaltyBps);
        for (uint256 i = 0; i < pre.inputs.length; ++i) {
            amount += inputGrossDown(pre, frozen, i);
        }
    }

    /// @notice The whole split of a frozen order.
    function settle(OrderPreimage calldata pre, Params memory params, Frozen memory frozen)
        internal
        pure
        returns (Settlement memory s)
    {
        uint256 count = pre.inputs.length + 1;
        s.gross = new uint256[](count);
        s.slashed = slashedDown(pre, frozen, params.startPenaltyBps);
        if (frozen.phase == Phase.NONE) s.penalty = s.slashed;
        uint256 left = pre.terms.deposit + s.slashed - s.penalty;
        for (uint256 k = 0; k < count; ++k) {
            uint256 due = k == 0 ? computeGrossDown(pre, frozen) : inputGrossDown(pre, frozen, k - 1);
            s.gross[k] = due;
            s.fees += shareDown(due, params.feeBps);
            left -= due;
        }
        s.refund = left;
    }

    // --------------------------------------------------------------------------------------------- payouts
    /// @return list Every index that exists for this order, in rising order, zero amounts included.
    function payouts(OrderPreimage calldata pre, Params memory params, Frozen memory frozen)
        internal
        pure
        returns (Payout[] memory list)
    {
        Settlement memory s = settle(pre, params, frozen);
        uint256 count = 3;
        for (uint256 k = 0; k < s.gross.length; ++k) {
            count += _payeesOf(pre, k).length;
        }
        list = new Payout[](count);
        list[0] = Payout(uint8(REFUND_INDEX), pre.terms.payer, s.refund);
        list[1] = Payout(uint8(FEE_INDEX), params.treasury, s.fees);
        list[2] = Payout(uint8(PENALTY_INDEX), pre.terms.client, s.penalty);
        uint256 at = 3;
        for (uint256 k = 0; k < s.gross.length; ++k) {
            uint256 net = s.gross[k] - shareDown(s.gross[k], params.feeBps);
            at = _split(list, at, FIRST_PAYEE_INDEX + PAYEES * k, _payeesOf(pre, k), net);
        }
    }

    /// @return The smaller of two numbers.
    function min(uint256 a, uint256 b) internal pure returns (uint256) {
        return a < b ? a : b;
    }

    function _payeesOf(OrderPreimage calldata pre, uint256 k) private pure returns (Payee[] calldata) {
        return k == 0 ? pre.compute.payees : pre.inputs[k - 1].payees;
    }

    /// @dev Each payee but the last gets its share rounded down; the last gets what is left, so that the sum is `net`.
    function _split(Payout[] memory list, uint256 at, uint256 first, Payee[] calldata payees, uint256 net)
        private
        pure
        returns (uint256)
    {
        uint256 left = net;
        uint256 count = payees.length;
        for (uint256 j = 0; j < count; ++j) {
            uint256 share = j + 1 == count ? left : shareDown(net, payees[j].bps);
            list[at + j] = Payout(uint8(first + j), payees[j].account, share);
            left -= share;
        }
        return at + count;
    }
}
