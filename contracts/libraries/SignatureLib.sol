// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Signatures of the keys born in CVMs: secp256k1 as EIP-2098 packs them.
library SignatureLib {
    /// @dev Half of the group's order: a larger s is the twin of a smaller one (EIP-2).
    uint256 internal constant HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;

    /// @param domain     EIP-712 domain separator.
    /// @param structHash What was signed in it.
    /// @param vs s, with the parity of y in the highest bit.
    /// @return signer Who signed it, or zero where nobody did or s is high.
    function recover(bytes32 domain, bytes32 structHash, bytes32 r, bytes32 vs) internal view returns (address signer) {
        uint256 s = (uint256(vs) << 1) >> 1;
        if (s > HALF_ORDER) return address(0);
        // The precompile at 1, as `ecrecover` calls it; it answers nothing where no key fits. Memory-safe: four words
        // behind the free pointer, first for the digest, and one of scratch space for the answer.
        assembly ("memory-safe") {
            let at := mload(0x40)
            mstore(at, hex"1901")
            mstore(add(at, 0x02), domain)
            mstore(add(at, 0x22), structHash)
            mstore(at, keccak256(at, 0x42))
            mstore(add(at, 0x20), add(27, shr(255, vs)))
            mstore(add(at, 0x40), r)
            mstore(add(at, 0x60), s)
            mstore(0, 0)
            pop(staticcall(gas(), 1, at, 0x80, 0, 0x20))
            signer := mload(0)
        }
    }
}
