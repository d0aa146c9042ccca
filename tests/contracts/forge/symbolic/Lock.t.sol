// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {LockLib} from "../../../../contracts/libraries/LockLib.sol";

/// @notice Proofs about locks in 24 bits (docs/protocol.md section 6.8), for every amount that a code can stand
/// for (scripts/prove; forge does not run `check_` functions).
contract LockProof is Test {
    function check_ALockIsNeverLessAndHardlyMore(uint144 amount) external pure {
        vm.assume(amount <= LockLib.MAX);
        uint256 code = LockLib.encodeUp(amount);
        assert(code < 1 << 24);
        uint256 locked = LockLib.decode(code);
        assert(locked >= amount);
        unchecked {
            assert(amount == 0 ? locked == 0 : (locked - amount) << 16 < amount);
        }
    }
}
