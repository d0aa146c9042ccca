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
            uint256 exponent = _log2(amount) - (MANTISSA_BITS - 1);
            // Rounding up can make 2^17 of a mantissa of all ones, which is even: one bit more in the exponent.
            uint256 mantissa = (amount + ((1 << exponent) - 1)) >> exponent;
            if (mantissa > MANTISSA_MASK) {
                mantissa >>= 1;
                ++exponent;
            }
            code = (exponent << MANTISSA_BITS) | mantissa;
        }
    }

    /// @param code 24 bits; higher ones are not looked at.
    /// @return The number that `code` stands for.
    function decode(uint256 code) internal pure returns (uint256) {
        return (code & MANTISSA_MASK) << ((code >> MANTISSA_BITS) & MAX_EXPONENT);
    }

    /// @dev The position of the highest bit of `x` > 0.
    function _log2(uint256 x) private pure returns (uint256 n) {
        unchecked {
            if (x >> 128 != 0) (x, n) = (x >> 128, 128);
            if (x >> 64 != 0) (x, n) = (x >> 64, n + 64);
            if (x >> 32 != 0) (x, n) = (x >> 32, n + 32);
            if (x >> 16 != 0) (x, n) = (x >> 16, n + 16);
            if (x >> 8 != 0) (x, n) = (x >> 8, n + 8);
            if (x >> 4 != 0) (x, n) = (x >> 4, n + 4);
            if (x >> 2 != 0) (x, n) = (x >> 2, n + 2);
            if (x >> 1 != 0) ++n;
        }
    }
}
