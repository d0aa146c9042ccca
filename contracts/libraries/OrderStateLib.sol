// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {OrderState} from "../types/Orders.sol";

/// @title The table of allowed transitions (docs/protocol.md section 6.2), the twin of `domain/order_state.py`.
/// @dev Row `from` is 16 bits wide and starts at bit 16 * from; bit `to` in it allows from -> to.
library OrderStateLib {
    uint256 private constant _ONE = 1;

    uint256 internal constant TERMINAL = (_ONE << uint256(OrderState.CANCELLED)) | (_ONE << uint256(OrderState.EXPIRED))
        | (_ONE << uint256(OrderState.REFUSED)) | (_ONE << uint256(OrderState.COMPLETED))
        | (_ONE << uint256(OrderState.FAILED)) | (_ONE << uint256(OrderState.HOST))
        | (_ONE << uint256(OrderState.LAPSED)) | (_ONE << uint256(OrderState.REVOKED))
        | (_ONE << uint256(OrderState.STOPPED));

    /// @notice Where an order whose CVM has started may end, by a report or without one; being stopped or not.
    uint256 internal constant ENDS = (_ONE << uint256(OrderState.EXPIRED)) | (_ONE << uint256(OrderState.REFUSED))
        | (_ONE << uint256(OrderState.COMPLETED)) | (_ONE << uint256(OrderState.FAILED))
        | (_ONE << uint256(OrderState.HOST)) | (_ONE << uint256(OrderState.LAPSED))
        | (_ONE << uint256(OrderState.REVOKED));

    uint256 internal constant FROM_NONE = _ONE << uint256(OrderState.PLACED);
    uint256 internal constant FROM_PLACED =
        (_ONE << uint256(OrderState.ACCEPTED)) | (_ONE << uint256(OrderState.CANCELLED));
    uint256 internal constant FROM_ACCEPTED = (_ONE << uint256(OrderState.RUNNING))
        | (_ONE << uint256(OrderState.EXPIRED)) | (_ONE << uint256(OrderState.CANCELLED));
    uint256 internal constant FROM_RUNNING =
        ENDS | (_ONE << uint256(OrderState.RUNNING)) | (_ONE << uint256(OrderState.STOPPING));
    /// @dev There is no way back to RUNNING: only what is STOPPING can become STOPPED.
    uint256 internal constant FROM_STOPPING =
        ENDS | (_ONE << uint256(OrderState.STOPPING)) | (_ONE << uint256(OrderState.STOPPED));

    uint256 internal constant TABLE = FROM_NONE | (FROM_PLACED << (16 * uint256(OrderState.PLACED)))
        | (FROM_ACCEPTED << (16 * uint256(OrderState.ACCEPTED))) | (FROM_RUNNING << (16 * uint256(OrderState.RUNNING)))
        | (FROM_STOPPING << (16 * uint256(OrderState.STOPPING)));

    /// @dev `TABLE` and `TERMINAL` as the compiler would add them up at each use; OrderState.t.sol holds them equal.
    uint256 internal constant TABLE_LITERAL = 0x3fd01fd8006800240002;
    uint256 internal constant TERMINAL_LITERAL = 0x3fe0;
    uint256 internal constant ENGINE_REPORTED = 0x300;

    /// @return allowed Whether the table allows `from` -> `to`.
    function isAllowed(OrderState from, OrderState to) internal pure returns (bool allowed) {
        uint256 table = TABLE_LITERAL;
        // Both are values of the enum, which Solidity checks where they are made, not where they are used.
        assembly ("memory-safe") {
            allowed := and(shr(add(shl(4, from), to), table), 1)
        }
    }

    /// @return reported Whether `state` is an engine's own end, by its CVM's report: COMPLETED or FAILED.
    function isEngineReported(OrderState state) internal pure returns (bool reported) {
        uint256 states = ENGINE_REPORTED;
        assembly ("memory-safe") {
            reported := and(shr(state, states), 1)
        }
    }

    /// @return terminal Whether nothing leaves `state` any more, so that its money can be claimed.
    function isTerminal(OrderState state) internal pure returns (bool terminal) {
        uint256 states = TERMINAL_LITERAL;
        assembly ("memory-safe") {
            terminal := and(shr(state, states), 1)
        }
    }
}
