// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {OrderWord, OrderWordLib} from "../../../../contracts/libraries/OrderWord.sol";
import {OrderState, Phase} from "../../../../contracts/types/Orders.sol";

/// @notice The word of an order: its table, and each step beside the members that the step replaces.
contract OrderWordTest is Test {
    function test_TheMembersLieSideBySide() external pure {
        assertEq(OrderWordLib.SINCE, OrderWordLib.STRUCK + 1);
        assertEq(OrderWordLib.SPAN, OrderWordLib.SINCE + _width(OrderWordLib.MAX_SINCE));
        assertEq(OrderWordLib.MARK, OrderWordLib.SPAN + _width(OrderWordLib.MAX_SPAN));
        assertEq(OrderWordLib.SECS, OrderWordLib.MARK + _width(OrderWordLib.MAX_MARK));
        assertEq(OrderWordLib.UNITS, OrderWordLib.SECS + _width(OrderWordLib.MAX_SPAN));
        assertEq(OrderWordLib.PARAMS, OrderWordLib.UNITS + _width(OrderWordLib.MAX_UNITS));
        assertEq(OrderWordLib.CVM, OrderWordLib.PARAMS + _width(OrderWordLib.MAX_PARAMS));
        assertEq(OrderWordLib.LOCK, OrderWordLib.CVM + 32);
        assertEq(OrderWordLib.FEE, OrderWordLib.LOCK + _width(OrderWordLib.MAX_LOCK));
        assertEq(OrderWordLib.EVENTS, OrderWordLib.FEE + _width(OrderWordLib.MAX_FEE));
        assertEq(256, OrderWordLib.EVENTS + _width(OrderWordLib.MAX_EVENTS));
    }

    function test_TheLiteralsAreTheMembersTogether() external pure {
        uint256 since = OrderWordLib.MAX_SINCE << OrderWordLib.SINCE;
        uint256 span = OrderWordLib.MAX_SPAN << OrderWordLib.SPAN;
        uint256 mark = OrderWordLib.MAX_MARK << OrderWordLib.MARK;
        uint256 secs = OrderWordLib.MAX_SPAN << OrderWordLib.SECS;
        uint256 units = OrderWordLib.MAX_UNITS << OrderWordLib.UNITS;
        uint256 phase = 3 << OrderWordLib.PHASE;
        assertEq(OrderWordLib.STARTED_BITS, 0xf | phase | since);
        assertEq(OrderWordLib.PROVEN_BITS, phase | span | mark | secs | units);
        assertEq(OrderWordLib.REPORTED_BITS, span | secs | units);
        assertEq(OrderWordLib.ENDED_BITS, 0xf | since | mark);
        assertEq(OrderWordLib.MARK_BITS, mark);
        assertEq(OrderWordLib.NUMBER_BITS, OrderWordLib.MAX_EVENTS << OrderWordLib.EVENTS);
    }

    /// @dev Whatever a CVM signed and the clock says: five members and the number of the event, and nothing beside them.
    function testFuzz_AProofReplacesWhatItProves(uint256 packed, uint256 numbers, uint256 elapsed) external pure {
        elapsed >>= elapsed & 0xff;
        (OrderWord word, OrderWord next) = (OrderWord.wrap(packed), OrderWord.wrap(packed).proven(numbers, elapsed));
        uint256 span = _min(elapsed, OrderWordLib.MAX_SPAN);
        assertEq((OrderWord.unwrap(next) >> OrderWordLib.PHASE) & 3, numbers & 3);
        assertEq(next.span(), span);
        assertEq(next.mark(), (numbers >> 24) & OrderWordLib.MAX_MARK);
        assertEq(next.secs(), _min((numbers >> 56) & type(uint32).max, span));
        assertEq(next.units(), _min((numbers >> 88) & type(uint64).max, OrderWordLib.MAX_UNITS));
        _isCounted(word, next, OrderWordLib.PROVEN_BITS);
    }

    function testFuzz_AReportReplacesWhatItBills(uint256 packed, uint256 secs, uint256 units) external pure {
        secs %= OrderWordLib.MAX_SPAN + 1;
        units %= OrderWordLib.MAX_UNITS + 1;
        OrderWord next = OrderWord.wrap(packed).reported(secs, units);
        assertEq(next.secs(), secs);
        assertEq(next.units(), units);
        assertEq(next.span(), 0);
        uint256 others = ~OrderWordLib.REPORTED_BITS;
        assertEq(OrderWord.unwrap(next) & others, packed & others);
        // As the members one by one.
        OrderWord single = OrderWord.wrap(packed).withSecs(secs).withUnits(units).withSpan(0);
        assertEq(OrderWord.unwrap(next), OrderWord.unwrap(single));
    }

    function testFuzz_AnEndReplacesStateTimeAndMark(uint256 packed, uint8 state, uint256 time) external pure {
        time %= OrderWordLib.MAX_SINCE + 1;
        state %= 14;
        OrderWord word = OrderWord.wrap(packed);
        OrderWord next = word.ended(OrderState(state), time, 1 << 17);
        assertEq(uint8(next.state()), state);
        assertEq(next.since(), time);
        assertEq(next.mark(), 1 << 17);
        _isCounted(word, next, OrderWordLib.ENDED_BITS);
        assertEq(next.claimed(5).mark(), 5 | (1 << 17));
    }

    function testFuzz_AStartReplacesStatePhaseAndTime(uint256 packed, uint256 time) external pure {
        time %= OrderWordLib.MAX_SINCE + 1;
        OrderWord word = OrderWord.wrap(packed);
        OrderWord next = word.started(time);
        assertEq(uint8(next.state()), uint8(OrderState.RUNNING));
        assertEq(uint8(next.phase()), uint8(Phase.SETUP));
        assertEq(next.since(), time);
        _isCounted(word, next, OrderWordLib.STARTED_BITS);
    }

    function testFuzz_AcceptanceFillsWhatPlacingLeft(
        uint256 time,
        uint8 version,
        uint256 fee,
        uint32 index,
        uint24 code,
        bool isPartly
    ) external pure {
        time %= OrderWordLib.MAX_SINCE + 1;
        fee %= 1001;
        OrderWord word = OrderWord.wrap(uint256(OrderState.PLACED) | (1000 << 11) | (uint256(1) << 240));
        word = word.accepted(time, version, fee, index, code, isPartly);
        assertEq(uint8(word.state()), uint8(OrderState.ACCEPTED));
        assertEq(word.since(), time);
        assertEq(word.paramsVersion(), version);
        assertEq(word.feeBps(), fee);
        assertEq(word.cvm(), index);
        assertEq(word.lock(), code);
        assertEq(word.hasExtra(), isPartly);
        assertEq(word.events(), 2);
        assertEq(word.span() | word.mark() | word.secs() | word.units() | word.hold(), 0);
    }

    /// @dev `changed` aside nothing differs but the number of the event, which stays at its end.
    function _isCounted(OrderWord word, OrderWord next, uint256 changed) private pure {
        uint256 others = ~(changed | OrderWordLib.NUMBER_BITS);
        assertEq(OrderWord.unwrap(next) & others, OrderWord.unwrap(word) & others);
        assertEq(next.events(), _min(uint256(word.events()) + 1, OrderWordLib.MAX_EVENTS));
        assertEq(next.numbered(), uint256(next.events()) << 240);
    }

    function _width(uint256 most) private pure returns (uint256 bits) {
        for (; most != 0; most >>= 1) {
            ++bits;
        }
    }

    function _min(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }
}
