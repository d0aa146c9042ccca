// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "./Errors.sol";

/// @title A client's runtime policy as tight bytes (docs/protocol.md section 6.1), the twin of `domain/tight.py`.
/// @notice teeMask 32 | worstTcb 1 | number of trust classes 1 | trust classes, 32 each | measurements, 32 each: what is
/// left. What is hashed is the EIP-712 struct `RuntimePolicy`.
library PolicyCodec {
    uint256 internal constant WORST_TCB = 32;
    uint256 internal constant COUNT = 33;
    uint256 internal constant LISTS = 34;

    bytes32 internal constant RUNTIME_POLICY_TYPEHASH =
        keccak256("RuntimePolicy(bytes32[] trustClasses,uint256 teeMask,bytes32[] measurements,uint8 worstTcb)");

    /// @return classes      Number of trust classes.
    /// @return measurements Number of measurements. Reverts where the length fits no such numbers.
    function check(bytes calldata policy) internal pure returns (uint256 classes, uint256 measurements) {
        unchecked {
            uint256 size = policy.length;
            if (size < LISTS) revert Errors.PolicyCodec_Length(size);
            assembly ("memory-safe") {
                classes := byte(0, calldataload(add(policy.offset, COUNT)))
            }
            uint256 lists = size - LISTS;
            if (lists & 31 != 0 || lists >> 5 < classes) revert Errors.PolicyCodec_Length(size);
            measurements = (lists >> 5) - classes;
        }
    }

    /// @return hash The digest that `OrderTerms.runtimePolicyDigest` names; numbers as `check` returned them.
    function structHash(bytes calldata policy, uint256 classes, uint256 measurements)
        internal
        pure
        returns (bytes32 hash)
    {
        bytes32 typeHash = RUNTIME_POLICY_TYPEHASH;
        // The lists are hashed behind the five words of the struct; nothing of the buffer is kept.
        assembly ("memory-safe") {
            let at := mload(0x40)
            let list := add(at, 0xa0)
            let from := add(policy.offset, LISTS)
            mstore(at, typeHash)
            calldatacopy(list, from, shl(5, classes))
            mstore(add(at, 0x20), keccak256(list, shl(5, classes)))
            mstore(add(at, 0x40), calldataload(policy.offset))
            calldatacopy(list, add(from, shl(5, classes)), shl(5, measurements))
            mstore(add(at, 0x60), keccak256(list, shl(5, measurements)))
            mstore(add(at, 0x80), shr(248, calldataload(add(policy.offset, WORST_TCB))))
            hash := keccak256(at, 0xa0)
        }
    }

    /// @return mask Bit n accepts TeeKind n.
    function teeMask(bytes calldata policy) internal pure returns (uint256 mask) {
        assembly ("memory-safe") {
            mask := calldataload(policy.offset)
        }
    }

    /// @return status The worst accepted TcbStatus.
    function worstTcb(bytes calldata policy) internal pure returns (uint256 status) {
        assembly ("memory-safe") {
            status := byte(0, calldataload(add(policy.offset, WORST_TCB)))
        }
    }

    /// @return value Entry `index` of both lists: trust classes first, then measurements.
    function entry(bytes calldata policy, uint256 index) internal pure returns (bytes32 value) {
        assembly ("memory-safe") {
            value := calldataload(add(add(policy.offset, LISTS), shl(5, index)))
        }
    }
}
