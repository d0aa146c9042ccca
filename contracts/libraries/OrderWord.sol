// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {OrderState, Phase} from "../types/Orders.sol";

/// @dev Everything the chain stores of an order, in one slot; zero is an order that was never placed.
///
/// | bits    | member    | meaning |
/// |---------|-----------|---------|
/// | 0..3    | state     | OrderState |
/// | 4..5    | phase     | Phase |
/// | 6..7    | hold      | holdback: 0 none or pending, 1 released, 2 contested |
/// | 8       | extra     | an `Extra` slot exists: partly funded, topped up, or stopping |
/// | 9       | drawn     | something was claimed before the end |
/// | 10      | struck    | an equivocation was punished |
/// | 11..43  | since     | PLACED: placed at. ACCEPTED: last second to start. RUNNING: started at. Ended: ended at |
/// | 44..73  | span      | seconds from start to the last proof; EXPIRED: the seconds that inputs are due for |
/// | 74..97  | mark      | the CVM's last sequence; after the end, bit k: offer k was claimed, bit 17: the rest was |
/// | 98..127 | secs      | proven seconds; billed seconds after the end |
/// | 128..165| units     | proven units; billed units after the end |
/// | 166..173| params    | version of the parameters taken at acceptance |
/// | 174..205| cvm       | index in CvmRegistry |
/// | 206..229| lock      | what the provider's desk locked, as LockLib encodes it |
/// | 230..239| fee       | `feeBps` of those parameters, so that a claim need not read them |
/// | 240..255| events    | number of this order's next event |
type OrderWord is uint256;

using OrderWordLib for OrderWord global;

/// @title Reading and writing the members of an `OrderWord`.
/// @dev Setters replace a member and trust their caller that the value fits: each call site says why it does.
library OrderWordLib {
    uint256 internal constant PHASE = 4;
    uint256 internal constant HOLD = 6;
    uint256 internal constant EXTRA = 8;
    uint256 internal constant DRAWN = 9;
    uint256 internal constant STRUCK = 10;
    uint256 internal constant SINCE = 11;
    uint256 internal constant SPAN = 44;
    uint256 internal constant MARK = 74;
    uint256 internal constant SECS = 98;
    uint256 internal constant UNITS = 128;
    uint256 internal constant PARAMS = 166;
    uint256 internal constant CVM = 174;
    uint256 internal constant LOCK = 206;
    uint256 internal constant FEE = 230;
    uint256 internal constant EVENTS = 240;

    /// @dev Until the year 2242.
    uint256 internal constant MAX_SINCE = (1 << 33) - 1;
    uint256 internal constant MAX_SPAN = (1 << 30) - 1;
    uint256 internal constant MAX_MARK = (1 << 24) - 1;
    uint256 internal constant MAX_UNITS = (1 << 38) - 1;
    uint256 internal constant MAX_PARAMS = (1 << 8) - 1;
    uint256 internal constant MAX_LOCK = (1 << 24) - 1;
    uint256 internal constant MAX_FEE = (1 << 10) - 1;
    uint256 internal constant MAX_EVENTS = (1 << 16) - 1;

    /// @dev The members that a step replaces, as the compiler would shift them together at each use;
    /// tests/contracts/forge/libraries/OrderWord.t.sol holds them equal.
    uint256 internal constant STARTED_BITS = 0xffffffff83f;
    uint256 internal constant PROVEN_BITS = 0x3ffffffffffffffffffffffffffffff00000000030;
    uint256 internal constant REPORTED_BITS = 0x3ffffffffffffffffc000003fffffff00000000000;
    uint256 internal constant ENDED_BITS = 0x3fffffc0000000ffffffff80f;
    uint256 internal constant MARK_BITS = 0x3fffffc000000000000000000;
    uint256 internal constant NUMBER_BITS = 0xffff000000000000000000000000000000000000000000000000000000000000;

    function state(OrderWord word) internal pure returns (OrderState) {
        return OrderState(OrderWord.unwrap(word) & 0xf);
    }

    function phase(OrderWord word) internal pure returns (Phase) {
        return Phase((OrderWord.unwrap(word) >> PHASE) & 3);
    }

    function hold(OrderWord word) internal pure returns (uint256) {
        return (OrderWord.unwrap(word) >> HOLD) & 3;
    }

    function hasExtra(OrderWord word) internal pure returns (bool) {
        return OrderWord.unwrap(word) & (1 << EXTRA) != 0;
    }

    function hasDrawn(OrderWord word) internal pure returns (bool) {
        return OrderWord.unwrap(word) & (1 << DRAWN) != 0;
    }

    function isStruck(OrderWord word) internal pure returns (bool) {
        return OrderWord.unwrap(word) & (1 << STRUCK) != 0;
    }

    function since(OrderWord word) internal pure returns (uint256) {
        return (OrderWord.unwrap(word) >> SINCE) & MAX_SINCE;
    }

    function span(OrderWord word) internal pure returns (uint256) {
        return (OrderWord.unwrap(word) >> SPAN) & MAX_SPAN;
    }

    function mark(OrderWord word) internal pure returns (uint256) {
        return (OrderWord.unwrap(word) >> MARK) & MAX_MARK;
    }

    function secs(OrderWord word) internal pure returns (uint256) {
        return (OrderWord.unwrap(word) >> SECS) & MAX_SPAN;
    }

    function units(OrderWord word) internal pure returns (uint256) {
        return (OrderWord.unwrap(word) >> UNITS) & MAX_UNITS;
    }

    function paramsVersion(OrderWord word) internal pure returns (uint256) {
        return (OrderWord.unwrap(word) >> PARAMS) & MAX_PARAMS;
    }

    function cvm(OrderWord word) internal pure returns (uint32) {
        return uint32(OrderWord.unwrap(word) >> CVM);
    }

    function lock(OrderWord word) internal pure returns (uint256) {
        return (OrderWord.unwrap(word) >> LOCK) & MAX_LOCK;
    }

    function feeBps(OrderWord word) internal pure returns (uint256) {
        return (OrderWord.unwrap(word) >> FEE) & MAX_FEE;
    }

    function events(OrderWord word) internal pure returns (uint16) {
        return uint16(OrderWord.unwrap(word) >> EVENTS);
    }

    /// @return The number of the next event from bit 240, as events of one word have it: the word has it there.
    function numbered(OrderWord word) internal pure returns (uint256) {
        return OrderWord.unwrap(word) & NUMBER_BITS;
    }

    /// @return As the events of an end have it: seconds, units from bit 64, number of the next event from bit 240.
    function billed(OrderWord word) internal pure returns (uint256) {
        return word.secs() | (word.units() << 64) | word.numbered();
    }

    function withState(OrderWord word, OrderState value) internal pure returns (OrderWord) {
        return _with(word, 0, 0xf, uint256(value));
    }

    function withHold(OrderWord word, uint256 value) internal pure returns (OrderWord) {
        return _with(word, HOLD, 3, value);
    }

    function withExtra(OrderWord word) internal pure returns (OrderWord) {
        return OrderWord.wrap(OrderWord.unwrap(word) | (1 << EXTRA));
    }

    function withDrawn(OrderWord word) internal pure returns (OrderWord) {
        return OrderWord.wrap(OrderWord.unwrap(word) | (1 << DRAWN));
    }

    function withStruck(OrderWord word) internal pure returns (OrderWord) {
        return OrderWord.wrap(OrderWord.unwrap(word) | (1 << STRUCK));
    }

    function withSpan(OrderWord word, uint256 value) internal pure returns (OrderWord) {
        return _with(word, SPAN, MAX_SPAN, value);
    }

    function withSecs(OrderWord word, uint256 value) internal pure returns (OrderWord) {
        return _with(word, SECS, MAX_SPAN, value);
    }

    function withUnits(OrderWord word, uint256 value) internal pure returns (OrderWord) {
        return _with(word, UNITS, MAX_UNITS, value);
    }

    function withLock(OrderWord word, uint256 value) internal pure returns (OrderWord) {
        return _with(word, LOCK, MAX_LOCK, value);
    }

    /// @param startBy  Last second to start.
    /// @param version  Of the parameters, whose fee is `fee`.
    /// @param code     The lock, as LockLib encodes it.
    /// @param isPartly The deposit pays for fewer seconds than maxSeconds.
    /// @return The word of a PLACED order that is accepted: all that it had is its time, and one event.
    function accepted(
        OrderWord word,
        uint256 startBy,
        uint256 version,
        uint256 fee,
        uint32 index,
        uint256 code,
        bool isPartly
    ) internal pure returns (OrderWord) {
        unchecked {
            uint256 value = word.numbered() | uint256(OrderState.ACCEPTED) | (startBy << SINCE) | (version << PARAMS);
            value |= (uint256(index) << CVM) | (code << LOCK) | (fee << FEE);
            if (isPartly) value |= 1 << EXTRA;
            return OrderWord.wrap(value).counted();
        }
    }

    /// @return The word of an ACCEPTED order that starts at `time`; its span is zero, and one event is counted.
    function started(OrderWord word, uint256 time) internal pure returns (OrderWord) {
        unchecked {
            uint256 value = OrderWord.unwrap(word) & ~STARTED_BITS;
            value |= uint256(OrderState.RUNNING) | (uint256(Phase.SETUP) << PHASE) | (time << SINCE);
            return OrderWord.wrap(value).counted();
        }
    }

    /// @param secs_  Billed, within the width of their members, as units are.
    /// @return The word before it ends with a report: these are its seconds and units, and no span is due.
    function reported(OrderWord word, uint256 secs_, uint256 units_) internal pure returns (OrderWord) {
        uint256 others = OrderWord.unwrap(word) & ~REPORTED_BITS;
        return OrderWord.wrap(others | (secs_ << SECS) | (units_ << UNITS));
    }

    /// @param bits Of `mark`: what nobody can claim any more.
    /// @return The word of an order that ends in state `to` at `time`; one event is counted.
    function ended(OrderWord word, OrderState to, uint256 time, uint256 bits) internal pure returns (OrderWord) {
        unchecked {
            uint256 others = OrderWord.unwrap(word) & ~ENDED_BITS;
            return OrderWord.wrap(others | uint256(to) | (time << SINCE) | (bits << MARK)).counted();
        }
    }

    /// @return The word of an ended order with these bits of its mark set too.
    function claimed(OrderWord word, uint256 bits) internal pure returns (OrderWord) {
        return OrderWord.wrap(OrderWord.unwrap(word) | (bits << MARK));
    }

    /// @param numbers As a CVM signed them (`Report.numbers`), already checked.
    /// @param elapsed Seconds since start.
    /// @return next The word after this proof: seconds and units go as far as the clock and the members' widths. One
    /// event is counted.
    function proven(OrderWord word, uint256 numbers, uint256 elapsed) internal pure returns (OrderWord next) {
        assembly ("memory-safe") {
            next := or(and(word, not(PROVEN_BITS)), shl(PHASE, and(numbers, 3)))
            // All of 30 bits here, of 38 below: MAX_SPAN and MAX_UNITS.
            if gt(elapsed, 0x3fffffff) { elapsed := 0x3fffffff }
            next := or(next, shl(SPAN, elapsed))
            // The sequence stands at bit 24.
            next := or(next, and(shl(50, numbers), MARK_BITS))
            let used := and(shr(56, numbers), 0xffffffff)
            if gt(used, elapsed) { used := elapsed }
            next := or(next, shl(SECS, used))
            used := and(shr(88, numbers), 0xffffffffffffffff)
            if gt(used, 0x3fffffffff) { used := 0x3fffffffff }
            next := or(next, shl(UNITS, used))
            // As `counted`.
            next := add(next, shl(EVENTS, lt(shr(EVENTS, next), 0xffff)))
        }
    }

    /// @return The word with the number of the next event; the last number repeats, since counting must never stop
    /// an order.
    function counted(OrderWord word) internal pure returns (OrderWord) {
        unchecked {
            uint256 value = OrderWord.unwrap(word);
            if (value >> EVENTS == MAX_EVENTS) return word;
            return OrderWord.wrap(value + (1 << EVENTS));
        }
    }

    function _with(OrderWord word, uint256 at, uint256 mask, uint256 value) private pure returns (OrderWord) {
        return OrderWord.wrap((OrderWord.unwrap(word) & ~(mask << at)) | ((value & mask) << at));
    }
}
