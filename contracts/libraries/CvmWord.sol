// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The one word that says all that money asks of a CVM.
/// @dev From the least significant bit: signer 160, expiresAt 40, tcbStatus 8, flags 8 (1 revoked, 2 retired),
/// profile 32 (ReferenceValues), 8 free and zero. A number that was never given has the word 0; a CVM that was revoked
/// before anybody proved it has nothing but the flag.
library CvmWord {
    uint256 internal constant REVOKED = 1 << 208;
    uint256 internal constant RETIRED = 1 << 209;
    uint256 private constant _EXPIRES_AT = uint256(type(uint40).max) << 160;
    uint256 private constant _TCB_STATUS = uint256(type(uint8).max) << 200;

    function pack(address signer_, uint40 expiresAt_, uint8 tcbStatus_, uint32 profile_)
        internal
        pure
        returns (uint256)
    {
        return uint256(uint160(signer_)) | uint256(expiresAt_) << 160 | uint256(tcbStatus_) << 200 | uint256(profile_)
            << 216;
    }

    /// @return The same CVM, certified anew.
    function renewed(uint256 word, uint40 expiresAt_, uint8 tcbStatus_) internal pure returns (uint256) {
        return word & ~(_EXPIRES_AT | _TCB_STATUS) | uint256(expiresAt_) << 160 | uint256(tcbStatus_) << 200;
    }

    function signer(uint256 word) internal pure returns (address) {
        return address(uint160(word));
    }

    /// @return Unix time, in seconds, from which the CVM can neither be accepted nor started.
    function expiresAt(uint256 word) internal pure returns (uint40) {
        return uint40(word >> 160);
    }

    function tcbStatus(uint256 word) internal pure returns (uint8) {
        return uint8(word >> 200);
    }

    function isRevoked(uint256 word) internal pure returns (bool) {
        return word & REVOKED != 0;
    }

    function isRetired(uint256 word) internal pure returns (bool) {
        return word & RETIRED != 0;
    }

    /// @return Number of {measurement, rootSet, tee} in ReferenceValues.
    function profile(uint256 word) internal pure returns (uint32) {
        return uint32(word >> 216);
    }
}
