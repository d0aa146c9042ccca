// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CvmCertificate} from "../types/Certificates.sol";
import {IEvidenceVerifier} from "./IEvidenceVerifier.sol";

/// @title One verdict by a P-256 key: for a certifier whose key lives in an HSM, a TPM or a cloud KMS, or that is
/// itself a CVM (docs/protocol.md section 4.5).
/// @notice Evidence is 468 bytes: CertificateLib's claim 266, evidenceId 32, challenge 32, issuedAt 5, expiresAt 5,
/// the key x 32, y 32, the signature r 32, s 32 (low s). The signature is ECDSA over the EIP-712 digest itself, with
/// no further hash. It is checked by the precompile at 0x100 (RIP-7212, EIP-7951) and by nothing else: where there is
/// none, every verdict is refused.
interface IP256Verdict is IEvidenceVerifier {
    /// @param key keccak256(x, y).
    event KeyAdded(bytes32 indexed key, bytes32 x, bytes32 y);
    event KeyRemoved(bytes32 indexed key);

    /// @notice Believes one more key. Restricted; its role is meant to have a delay.
    function addKey(bytes32 x, bytes32 y) external;

    /// @notice Stops believing a key at once. Restricted.
    function removeKey(bytes32 key) external;

    function isKey(bytes32 key) external view returns (bool);

    /// @return The EIP-712 digest that the key signs.
    function digestOf(CvmCertificate calldata certificate) external view returns (bytes32);
}
