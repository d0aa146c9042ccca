// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Views of one word: what Solidity's own call does with them, without a buffer for a handful of bytes.
/// @dev As there, a call that reverts reverts this one with the same reason, and an answer that is too short (as of an
/// account without code) reverts with none. Selector, argument and answer fit the 64 bytes of scratch space.
library CallLib {
    /// @param argument Of any value type.
    /// @return value The first word of what `target` answers.
    function read(address target, bytes4 selector, uint256 argument) internal view returns (uint256 value) {
        assembly ("memory-safe") {
            mstore(0, selector)
            mstore(4, argument)
            let done := staticcall(gas(), target, 0, 0x24, 0, 0x20)
            if iszero(and(gt(returndatasize(), 0x1f), done)) {
                if done { revert(0, 0) }
                value := mload(0x40)
                returndatacopy(value, 0, returndatasize())
                revert(value, returndatasize())
            }
            value := mload(0)
        }
    }

    /// @return first  The first two words of what `target` answers.
    /// @return second See `first`.
    function readTwo(address target, bytes4 selector, uint256 argument)
        internal
        view
        returns (uint256 first, uint256 second)
    {
        assembly ("memory-safe") {
            mstore(0, selector)
            mstore(4, argument)
            let done := staticcall(gas(), target, 0, 0x24, 0, 0x40)
            if iszero(and(gt(returndatasize(), 0x3f), done)) {
                if done { revert(0, 0) }
                first := mload(0x40)
                returndatacopy(first, 0, returndatasize())
                revert(first, returndatasize())
            }
            first := mload(0)
            second := mload(0x20)
        }
    }
}
