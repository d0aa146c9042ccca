// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {OrderStateLib} from "../../../../contracts/libraries/OrderStateLib.sol";
import {OrderState} from "../../../../contracts/types/Orders.sol";

/// @notice Proofs about the table of docs/protocol.md section 6.2, for every pair of states (scripts/prove; forge does
/// not run `check_` functions).
contract OrderStateProof is Test {
    /// @dev What the table allows is one of the arrows of section 6.2, written out here one by one.
    function check_NoTransitionOutsideTheTable(uint8 a, uint8 b) external pure {
        vm.assume(a <= uint8(type(OrderState).max) && b <= uint8(type(OrderState).max));
        (OrderState from, OrderState to) = (OrderState(a), OrderState(b));
        assert(OrderStateLib.isAllowed(from, to) == _drawn(from, to));
    }

    function check_NothingLeavesATerminalState(uint8 a, uint8 b) external pure {
        vm.assume(a <= uint8(type(OrderState).max) && b <= uint8(type(OrderState).max));
        bool terminal = OrderStateLib.isTerminal(OrderState(a));
        assert(terminal == (a >= uint8(OrderState.CANCELLED)));
        if (terminal) assert(!OrderStateLib.isAllowed(OrderState(a), OrderState(b)));
    }

    /// @dev The order of states is an order of time: but for a proof, no step leads to an earlier state or stays.
    function check_StatesOnlyGoForward(uint8 a, uint8 b) external pure {
        vm.assume(a <= uint8(type(OrderState).max) && b <= uint8(type(OrderState).max));
        if (!OrderStateLib.isAllowed(OrderState(a), OrderState(b))) return;
        assert(b > a || (b == a && (a == uint8(OrderState.RUNNING) || a == uint8(OrderState.STOPPING))));
    }

    /// @dev An order that is stopped can end in every way that a running one can, and in one more.
    function check_AStopTakesNoEndAway(uint8 b) external pure {
        vm.assume(b >= uint8(OrderState.CANCELLED) && b <= uint8(type(OrderState).max));
        OrderState to = OrderState(b);
        bool running = OrderStateLib.isAllowed(OrderState.RUNNING, to);
        assert(OrderStateLib.isAllowed(OrderState.STOPPING, to) == (running || to == OrderState.STOPPED));
        assert(!running || to != OrderState.STOPPED);
    }

    function _drawn(OrderState from, OrderState to) private pure returns (bool) {
        if (from == OrderState.NONE) return to == OrderState.PLACED;
        if (from == OrderState.PLACED) return to == OrderState.ACCEPTED || to == OrderState.CANCELLED;
        if (from == OrderState.ACCEPTED) {
            return to == OrderState.RUNNING || to == OrderState.EXPIRED || to == OrderState.CANCELLED;
        }
        if (from != OrderState.RUNNING && from != OrderState.STOPPING) return false;
        if (to == OrderState.RUNNING) return from == OrderState.RUNNING;
        if (to == OrderState.STOPPED) return from == OrderState.STOPPING;
        return to == OrderState.STOPPING || to == OrderState.REFUSED || to == OrderState.COMPLETED
            || to == OrderState.FAILED || to == OrderState.HOST || to == OrderState.LAPSED || to == OrderState.EXPIRED
            || to == OrderState.REVOKED;
    }
}
