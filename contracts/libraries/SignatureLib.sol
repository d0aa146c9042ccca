// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Signatures of the keys born in CVMs: secp256k1 as EIP-2098 packs them.
library SignatureLib {
    /// @dev Half of the group's order: a larger s is the twin of a smaller one (EIP-2).
    uint256 internal constant HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;

    /// @param vs s, with the parity of y in the highest bit.
    /// @return Who signed `digest`, or zero where nobody did or s is high.
    function recover(bytes32 digest, bytes32 r, bytes32 vs) internal pure returns (address) {
        unchecked {
            uint256 s = uint256(vs) & (type(uint256).max >> 1);
            if (s > HALF_ORDER) return address(0);
            return ecrecover(digest, uint8(27 + (uint256(vs) >> 255)), r, bytes32(s));
        }
    }
}
