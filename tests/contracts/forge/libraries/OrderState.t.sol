// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {OrderStateLib} from "../../../../contracts/libraries/OrderStateLib.sol";
import {OrderState} from "../../../../contracts/types/Orders.sol";
import {SettlementHarness} from "../../harness/SettlementHarness.sol";

/// @notice The table, all 196 squares of it, against the list of docs/protocol.md section 6.2.
contract OrderStateTest is Test {
    uint8 private constant _STATES = 14;
    mapping(OrderState from => mapping(OrderState to => bool)) private _way;

    function setUp() external {
        _way[OrderState.NONE][OrderState.PLACED] = true;
        _way[OrderState.PLACED][OrderState.ACCEPTED] = true;
        _way[OrderState.PLACED][OrderState.CANCELLED] = true;
        _way[OrderState.ACCEPTED][OrderState.RUNNING] = true;
        _way[OrderState.ACCEPTED][OrderState.EXPIRED] = true;
        _way[OrderState.ACCEPTED][OrderState.CANCELLED] = true;
        _way[OrderState.RUNNING][OrderState.RUNNING] = true;
        _way[OrderState.RUNNING][OrderState.STOPPING] = true;
        _way[OrderState.STOPPING][OrderState.STOPPING] = true;
        _way[OrderState.STOPPING][OrderState.STOPPED] = true;
        OrderState[7] memory ends = [
            OrderState.REFUSED,
            OrderState.COMPLETED,
            OrderState.FAILED,
            OrderState.HOST,
            OrderState.LAPSED,
            OrderState.EXPIRED,
            OrderState.REVOKED
        ];
        for (uint256 i = 0; i < ends.length; ++i) {
            _way[OrderState.RUNNING][ends[i]] = true;
            _way[OrderState.STOPPING][ends[i]] = true;
        }
    }

    function test_TheLiteralsAreTheTable() external pure {
        assertEq(OrderStateLib.TABLE_LITERAL, OrderStateLib.TABLE);
        assertEq(OrderStateLib.TERMINAL_LITERAL, OrderStateLib.TERMINAL);
        for (uint8 state = 0; state < _STATES; ++state) {
            bool reported = state == uint8(OrderState.COMPLETED) || state == uint8(OrderState.FAILED);
            assertEq(OrderStateLib.isEngineReported(OrderState(state)), reported);
        }
    }

    function test_TheTableIsTheList() external {
        SettlementHarness lib = new SettlementHarness();
        assertEq(uint8(type(OrderState).max) + 1, _STATES);
        for (uint8 from = 0; from < _STATES; ++from) {
            for (uint8 to = 0; to < _STATES; ++to) {
                bool expected = _way[OrderState(from)][OrderState(to)];
                assertEq(lib.isAllowed(OrderState(from), OrderState(to)), expected);
            }
        }
    }

    function test_NothingLeavesATerminalState() external {
        SettlementHarness lib = new SettlementHarness();
        for (uint8 from = 0; from < _STATES; ++from) {
            bool terminal = lib.isTerminal(OrderState(from));
            assertEq(terminal, from >= uint8(OrderState.CANCELLED));
            for (uint8 to = 0; to < _STATES; ++to) {
                if (terminal) assertFalse(lib.isAllowed(OrderState(from), OrderState(to)));
            }
        }
    }
}
