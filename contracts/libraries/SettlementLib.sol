// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Price} from "../types/Offers.sol";
import {OrderState, Phase} from "../types/Orders.sol";

/// @title Who is due what (docs/protocol.md sections 6.3 to 6.9, docs/adr/0015), the twin of `domain/settlement.py`.
/// @notice Pure: no storage, clock or token. Divisions round as the names say: dues, fees and shares down, locks up.
/// What rounding leaves goes to the payer (seconds), to the net amount (fees) or to the last payee (shares).
/// @dev No sum or product here overflows, which is why the arithmetic is unchecked: amounts and rates are 128 bits wide,
/// units 64, seconds 40 and shares 16, and an order has at most 17 offers; so a due is below 2^193.
library SettlementLib {
    uint256 internal constant BPS = 10_000;
    uint256 internal constant HOUR = 3600;
    /// @notice Bytes of one payee in a packed list: account 20, bps 2.
    uint256 internal constant PAYEE_BYTES = 22;
    /// @dev An entry of RoyaltyLib's tables: account and share as in a payee, then its depth.
    uint256 internal constant ROYALTY_BYTES = 23;

    /// @notice What the dues of an order depend on beside its prices.
    /// @param secs         Proven seconds as `secondsDown` bounds them: of the report, or of the last checkpoint.
    /// @param units        Units by the same word, at most maxUnits.
    /// @param span         Seconds that inputs are due in EXPIRED, by `spanOf`; otherwise not looked at.
    /// @param served       The order has an access key: its inputs earn as it runs.
    /// @param setupSeconds Most seconds of SETUP that compute is paid for.
    /// @param limit        Seconds that the deposit funds; `secs` and `span` are already within it.
    /// @param maxSeconds   The terms' maxSeconds, over which LAPSED and served inputs spread a fixed price.
    struct Frozen {
        OrderState state;
        Phase phase;
        uint256 secs;
        uint256 units;
        uint256 span;
        bool served;
        uint256 setupSeconds;
        uint256 limit;
        uint256 maxSeconds;
    }

    // ---------------------------------------------------------------------------------------------- prices
    /// @return Fixed part, time (never less than `minSeconds`) and units of `price`.
    function amountDown(Price memory price, uint256 secs, uint256 units) internal pure returns (uint256) {
        return amountAt(pointer(price), secs, units);
    }

    /// @return amount `amountDown` of the price at `price` in memory. Acceptance asks this of every offer.
    function amountAt(uint256 price, uint256 secs, uint256 units) internal pure returns (uint256 amount) {
        // The members of `Price` are a word each, in their order: fixedPrice, perHour, minSeconds, maxSeconds, perUnit.
        assembly ("memory-safe") {
            let least := mload(add(price, 0x40))
            if lt(secs, least) { secs := least }
            amount := add(mload(price), div(mul(mload(add(price, 0x20)), secs), HOUR))
            amount := add(amount, mul(mload(add(price, 0x80)), units))
        }
    }

    /// @return at Where a price stands in memory.
    function pointer(Price memory price) internal pure returns (uint256 at) {
        assembly ("memory-safe") {
            at := price
        }
    }

    /// @return Time and units alone: no fixed part and no minimum.
    function usageDown(Price memory price, uint256 secs, uint256 units) internal pure returns (uint256) {
        unchecked {
            return uint256(price.perHour) * secs / HOUR + uint256(price.perUnit) * units;
        }
    }

    /// @param maxSeconds Over which the fixed part is spread; with 0 none of it is earned.
    /// @return Usage, and the part of the fixed price that `secs` of `maxSeconds` have earned.
    function prorataDown(Price memory price, uint256 secs, uint256 units, uint256 maxSeconds)
        internal
        pure
        returns (uint256)
    {
        unchecked {
            uint256 earned = maxSeconds == 0 ? 0 : uint256(price.fixedPrice) * secs / maxSeconds;
            return earned + usageDown(price, secs, units);
        }
    }

    /// @return `amount` * bps / 10 000: fees, penalties, shares.
    function shareDown(uint256 amount, uint256 bps) internal pure returns (uint256) {
        unchecked {
            return amount * bps / BPS;
        }
    }

    // ----------------------------------------------------------------------------------------------- clock
    /// @param reported By the CVM's word, since start.
    /// @param elapsed  By the chain, since start.
    /// @return The seconds of a report that count.
    function secondsDown(uint256 reported, uint256 elapsed, uint256 limit) internal pure returns (uint256) {
        if (elapsed < reported) reported = elapsed;
        return limit < reported ? limit : reported;
    }

    /// @notice T of an order that EXPIRED: inputs are due until a proof was missing for `grace`.
    /// @param secs Proven seconds; in SETUP nothing counts as proven for inputs.
    function spanOf(Phase phase, uint256 secs, uint256 elapsed, uint256 grace, uint256 limit)
        internal
        pure
        returns (uint256)
    {
        unchecked {
            return min(min(elapsed, phase == Phase.ENGINE ? secs + grace : grace), limit);
        }
    }

    // ------------------------------------------------------------------------------------------------ dues
    /// @notice Gross due of compute: what a terminal state owes, or what a living one has already earned for good.
    /// @dev In RUNNING and STOPPING it is the least over all ends still open, but for holdback: see `claimableDown`.
    function computeDueDown(Price memory price, Frozen memory f) internal pure returns (uint256) {
        if (f.phase == Phase.NONE) return 0;
        // Nothing was opened yet: time alone, and no more of it than the client agreed to for a set-up.
        if (f.phase == Phase.SETUP) return usageDown(price, min(f.secs, f.setupSeconds), 0);
        if (_isWhole(f.state)) return amountDown(price, f.secs, f.units);
        return usageDown(price, f.secs, f.units);
    }

    /// @notice Gross due of one input, in the same sense. An input under a lease is due nothing.
    function inputDueDown(Price memory price, Frozen memory f, bool leased) internal pure returns (uint256) {
        if (leased || f.phase == Phase.NONE) return 0;
        bool engine = f.phase == Phase.ENGINE;
        if (f.state == OrderState.EXPIRED) return amountDown(price, f.span, engine ? f.units : 0);
        if (!engine) return 0;
        if (_isWhole(f.state)) return amountDown(price, f.secs, f.units);
        // A batch order that shows no result has used nothing of its inputs; a served one has been of use all along.
        if (f.served || f.state == OrderState.LAPSED) return prorataDown(price, f.secs, f.units, f.maxSeconds);
        return 0;
    }

    /// @notice What the provider's lock pays of `inputDueDown`; the client pays the rest.
    /// @return Zero but in EXPIRED after start: there the client pays for proven use alone, and in SETUP for nothing.
    function inputLockShareDown(Price memory price, Frozen memory f, bool leased) internal pure returns (uint256) {
        if (leased || f.state != OrderState.EXPIRED || f.phase == Phase.NONE) return 0;
        uint256 proven = f.phase == Phase.ENGINE ? usageDown(price, f.secs, f.units) : 0;
        return inputDueDown(price, f, false) - proven;
    }

    // ------------------------------------------------------------------------------------------------ lock
    /// @return What a missed start costs the provider: a share of its own price at the maximum.
    function startPenaltyDown(Price memory compute, uint256 maxSeconds, uint256 maxUnits, uint256 penaltyBps)
        internal
        pure
        returns (uint256)
    {
        return shareDown(amountDown(compute, maxSeconds, maxUnits), penaltyBps);
    }

    /// @return The stake to lock for one input that is not under a lease: its fixed part, its minimum rent and its time
    /// for `grace`. Never below `inputLockShareDown`, since floor(a + b) <= floor(a) + ceil(b).
    function inputLockUp(Price memory price, uint256 grace) internal pure returns (uint256) {
        return inputLockAt(pointer(price), grace);
    }

    /// @return lock `inputLockUp` of the price at `price` in memory.
    function inputLockAt(uint256 price, uint256 grace) internal pure returns (uint256 lock) {
        // As in `amountAt`; 3599 more than a multiple of 3600 is what it takes to round up.
        assembly ("memory-safe") {
            let perHour := mload(add(price, 0x20))
            lock := div(add(mul(perHour, mload(add(price, 0x40))), 3599), HOUR)
            lock := add(mload(price), add(lock, div(add(mul(perHour, grace), 3599), HOUR)))
        }
    }

    /// @param inputs Prices of the inputs that are not under a lease.
    /// @return sum The stake to lock for a whole order.
    function lockRequiredUp(
        Price memory compute,
        Price[] memory inputs,
        uint256 maxSeconds,
        uint256 maxUnits,
        uint256 grace,
        uint256 penaltyBps
    ) internal pure returns (uint256 sum) {
        sum = startPenaltyDown(compute, maxSeconds, maxUnits, penaltyBps);
        uint256 count = inputs.length;
        for (uint256 i = 0; i < count; ++i) {
            unchecked {
                sum += inputLockUp(inputs[i], grace);
            }
        }
    }

    // --------------------------------------------------------------------------------------------- deposit
    /// @param prices Compute first, then the inputs that are not under a lease.
    /// @return sum What an order that runs for `limit` seconds can cost, with the reserve for a contest.
    function depositRequired(Price[] memory prices, uint256 limit, uint256 maxUnits, uint256 holdbackBps)
        internal
        pure
        returns (uint256 sum)
    {
        sum = computeDeposit(prices[0], limit, maxUnits, holdbackBps);
        uint256 count = prices.length;
        for (uint256 i = 1; i < count; ++i) {
            unchecked {
                sum += amountDown(prices[i], limit, maxUnits);
            }
        }
    }

    /// @return The part of `depositRequired` that compute needs: its most, and the reserve for a contest.
    function computeDeposit(Price memory compute, uint256 limit, uint256 maxUnits, uint256 holdbackBps)
        internal
        pure
        returns (uint256)
    {
        unchecked {
            uint256 most = amountDown(compute, limit, maxUnits);
            return most + holdbackDown(most, holdbackBps);
        }
    }

    /// @return The least limit of an order that is funded in part: its set-up and two graces, or the whole if shorter.
    function leastLimit(uint256 setupSeconds, uint256 grace, uint256 maxSeconds) internal pure returns (uint256) {
        unchecked {
            return min(setupSeconds + 2 * grace, maxSeconds);
        }
    }

    /// @notice How many seconds `deposit` funds.
    /// @param prices Compute first, then the inputs that are not under a lease.
    /// @param least  The least limit that counts, by `leastLimit`.
    /// @return ok    Whether `deposit` funds `least` at all.
    /// @return limit The largest in [least, maxSeconds] whose `depositRequired` is not above `deposit`; 0 unless ok.
    /// @dev At most 36 rounds of one loop over the prices; with rates far above a unit a second, three.
    function fundedLimit(
        Price[] memory prices,
        uint256 deposit,
        uint256 least,
        uint256 maxSeconds,
        uint256 maxUnits,
        uint256 holdbackBps
    ) internal pure returns (bool ok, uint256 limit) {
        if (depositRequired(prices, maxSeconds, maxUnits, holdbackBps) <= deposit) {
            return (true, maxSeconds);
        }
        uint256 needed = depositRequired(prices, least, maxUnits, holdbackBps);
        if (needed > deposit) return (false, 0);
        uint256 rate = _rate(prices, holdbackBps);
        uint256 tooLong = maxSeconds;
        limit = least;
        unchecked {
            for (uint256 round = 0; tooLong - limit > 1; ++round) {
                // Straight up from the last good limit, at the rate of all prices together; then by halves.
                uint256 step = round < 4 ? (deposit - needed) * HOUR / rate : (tooLong - limit) / 2;
                uint256 tried = limit + min(max(step, 1), tooLong - limit - 1);
                uint256 cost = depositRequired(prices, tried, maxUnits, holdbackBps);
                if (cost <= deposit) (limit, needed) = (tried, cost);
                else tooLong = tried;
            }
        }
        ok = true;
    }

    // ------------------------------------------------------------------------------------- holdback, splits
    /// @return What of compute's gross due waits for receipt or release (section 6.9).
    function holdbackDown(uint256 gross, uint256 holdbackBps) internal pure returns (uint256) {
        return shareDown(gross, holdbackBps);
    }

    /// @param due      Compute's, by `computeDueDown`.
    /// @param released The holdback of a COMPLETED order was released; not looked at in other states.
    /// @return What of `due` compute may claim. Until the order can no longer complete, or its holdback was released,
    /// the held part is no more its own than after a contest: so nothing is ever taken back.
    function claimableDown(uint256 due, OrderState state, uint256 holdbackBps, bool released)
        internal
        pure
        returns (uint256)
    {
        bool open = state == OrderState.RUNNING || state == OrderState.STOPPING;
        if (!open && (state != OrderState.COMPLETED || released)) return due;
        unchecked {
            return due - holdbackDown(due, holdbackBps);
        }
    }

    /// @notice Splits what an offer's net income rose by since it was split last.
    /// @param netBefore Net income split so far; 0 at first.
    /// @param netAfter  Net income now, never below `netBefore`.
    /// @param isFinal   Nothing follows: the last payee takes what rounding left of the whole.
    /// @param royalties RoyaltyLib's table of what ancestors get of the net income; shares together at most 10 000.
    /// @param payees    Packed list; shares together exactly 10 000, of what the royalties leave.
    /// @return amounts  For each royalty, then for each payee. Together they never exceed netAfter - netBefore over all
    /// calls so far, and with `isFinal` they make up exactly netAfter.
    /// @dev What payees share is rounded down once more, instead of being the difference to the royalties' floors: that
    /// difference can fall while the income rises (two royalties of 3000: from 3 to 4 it goes from 3 to 2).
    function splitDown(
        uint256 netBefore,
        uint256 netAfter,
        bool isFinal,
        bytes calldata royalties,
        bytes calldata payees
    ) internal pure returns (uint256[] memory amounts) {
        unchecked {
            amounts = new uint256[](royalties.length / ROYALTY_BYTES + payees.length / PAYEE_BYTES);
            (uint256 kept, uint256 dust) = _share(netBefore, netAfter, amounts, royalties, ROYALTY_BYTES);
            (kept, dust) = (BPS - kept, netAfter - dust);
            (netBefore, netAfter) = (shareDown(netBefore, kept), shareDown(netAfter, kept));
            (, uint256 paid) = _share(netBefore, netAfter, amounts, payees, PAYEE_BYTES);
            if (isFinal) amounts[amounts.length - 1] += dust - paid;
        }
    }

    /// @param size PAYEE_BYTES, or ROYALTY_BYTES for a table.
    /// @return account The receiver at `index` of a packed list.
    /// @return bps     Its share.
    function receiverAt(bytes calldata list, uint256 index, uint256 size)
        internal
        pure
        returns (address account, uint256 bps)
    {
        // One word has both; what follows them in it is shifted out.
        assembly ("memory-safe") {
            let word := calldataload(add(list.offset, mul(index, size)))
            account := shr(96, word)
            bps := and(shr(80, word), 0xffff)
        }
    }

    // --------------------------------------------------------------------------------------------- numbers
    /// @return The smaller of two numbers.
    function min(uint256 a, uint256 b) internal pure returns (uint256) {
        return a < b ? a : b;
    }

    /// @return The larger of two numbers.
    function max(uint256 a, uint256 b) internal pure returns (uint256) {
        return a > b ? a : b;
    }

    /// @dev Writes what each receiver of `list` gets more of `netAfter` than of `netBefore` into `amounts`: a table's
    /// from its beginning, payees at its end.
    /// @return bps  All shares of the list together.
    /// @return paid All of its floors of `netAfter` together.
    function _share(uint256 netBefore, uint256 netAfter, uint256[] memory amounts, bytes calldata list, uint256 size)
        private
        pure
        returns (uint256 bps, uint256 paid)
    {
        unchecked {
            uint256 count = list.length / size;
            uint256 first = size == ROYALTY_BYTES ? 0 : amounts.length - count;
            for (uint256 k = 0; k < count; ++k) {
                (, uint256 each) = receiverAt(list, k, size);
                uint256 share = shareDown(netAfter, each);
                bps += each;
                paid += share;
                amounts[first + k] = share - shareDown(netBefore, each);
            }
        }
    }

    /// @dev Ends in ENGINE that owe whole prices: fixed part, minimum, time and units.
    function _isWhole(OrderState state) private pure returns (bool) {
        return state == OrderState.COMPLETED || state == OrderState.FAILED || state == OrderState.REVOKED
            || state == OrderState.STOPPED;
    }

    /// @dev What an hour of all prices costs at most, the reserve for a contest included; never 0.
    function _rate(Price[] memory prices, uint256 holdbackBps) private pure returns (uint256 rate) {
        unchecked {
            uint256 count = prices.length;
            for (uint256 i = 0; i < count; ++i) {
                rate += prices[i].perHour;
            }
            rate += shareDown(prices[0].perHour, holdbackBps) + 1;
        }
    }
}
