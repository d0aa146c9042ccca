// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "./Errors.sol";

/// @title The stake that an order locks, in 24 bits (docs/protocol.md section 6.8), the twin of `domain/lock.py`.
/// @notice A number `mantissa << exponent`: mantissa in the low 17 bits, exponent in the high 7. It is rounded up
/// once, at accept, so that what is locked is what is stored and later released, to the last unit.
/// @dev Codes made by `encodeUp` have one form for each number and rise with it.
library LockLib {
    uint256 internal constant MANTISSA_BITS = 17;
    uint256 internal constant MANTISSA_MASK = (1 << MANTISSA_BITS) - 1;
    uint256 internal constant MAX_EXPONENT = 127;
    /// @notice The largest number that a code stands for.
    uint256 internal constant MAX = MANTISSA_MASK << MAX_EXPONENT;

    /// @return code The least code whose number is not below `amount`; that number is below amount * (1 + 2^-16).
    function encodeUp(uint256 amount) internal pure returns (uint256 code) {
        if (amount <= MANTISSA_MASK) return amount;
        if (amount > MAX) revert Errors.LockLib_TooLarge(amount, MAX);
        unchecked {
            // Where the highest bit stands above the mantissa's.
            uint256 exponent = _log2(amount >> (MANTISSA_BITS - 1));
            // Rounding up can make 2^17 of a mantissa of all ones, which is even: one bit more in the exponent.
            uint256 mantissa = (amount + ((1 << exponent) - 1)) >> exponent;
            uint256 carry = mantissa >> MANTISSA_BITS;
            code = ((exponent + carry) << MANTISSA_BITS) | (mantissa >> carry);
        }
    }

    /// @param code 24 bits; higher ones are not looked at.
    /// @return The number that `code` stands for.
    function decode(uint256 code) internal pure returns (uint256) {
        return (code & MANTISSA_MASK) << ((code >> MANTISSA_BITS) & MAX_EXPONENT);
    }

    /// @dev The position of the highest bit of `x` > 0 with at most 128 bits, by halves and without a branch.
    function _log2(uint256 x) private pure returns (uint256 n) {
        assembly ("memory-safe") {
            n := shl(6, lt(0xffffffffffffffff, x))
            n := or(n, shl(5, lt(0xffffffff, shr(n, x))))
            n := or(n, shl(4, lt(0xffff, shr(n, x))))
            n := or(n, shl(3, lt(0xff, shr(n, x))))
            n := or(n, shl(2, lt(0xf, shr(n, x))))
            n := or(n, shl(1, lt(0x3, shr(n, x))))
            n := or(n, lt(0x1, shr(n, x)))
        }
    }
}
