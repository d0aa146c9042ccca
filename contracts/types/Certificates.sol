// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev Numbers are part of signatures: append only.
enum TeeKind {
    NONE,
    TDX,
    SGX,
    SEV_SNP,
    NITRO,
    CCA
}

/// @dev Best first, so that a floor is one comparison.
enum TcbStatus {
    NONE,
    UP_TO_DATE,
    SW_HARDENING_NEEDED,
    CONFIGURATION_NEEDED,
    CONFIGURATION_AND_SW_HARDENING_NEEDED,
    OUT_OF_DATE,
    OUT_OF_DATE_CONFIGURATION_NEEDED,
    REVOKED
}

/// @notice Public keys born in a CVM. Their EIP-712 struct hash is the CVM id (no domain).
/// @param hpke      SHA-256 of the raw hybrid public key.
/// @param statement SHA-256 of the DER SubjectPublicKeyInfo of the P-256 statement key.
/// @param tls       SHA-256 of the DER SubjectPublicKeyInfo of the P-256 TLS key.
struct CvmKeys {
    address signer;
    bytes32 hpke;
    bytes32 statement;
    bytes32 tls;
}

/// @notice The signer's proof of possession (EIP-712, CvmRegistry domain).
struct Possession {
    bytes32 cvmId;
    address operator;
    address registry;
    bytes32 challenge;
}

/// @notice One certifier's verdict (EIP-712, CertifierQuorum domain; section 4.5).
/// @param rootSet    keccak256 of the root set id that verified the evidence.
/// @param platformId Tagged hash of the platform's identity.
/// @param gpuDigest  Name of the GPUs and switches that were verified under their root set, or zero.
/// @param evidenceId Canonical id of the evidence's signed region.
struct CvmCertificate {
    bytes32 cvmId;
    address signer;
    bytes32 hpke;
    bytes32 statement;
    bytes32 tls;
    address operator;
    bytes32 measurement;
    uint8 tee;
    bytes32 rootSet;
    uint8 tcbStatus;
    bytes32 platformId;
    bytes32 gpuDigest;
    bytes32 evidenceId;
    bytes32 challenge;
    uint40 issuedAt;
    uint40 expiresAt;
}

/// @notice What a verifier proves. CvmRegistry keeps it in two slots (CvmWord) and a profile of ReferenceValues.
struct CvmFacts {
    address signer;
    uint40 expiresAt;
    uint8 tee;
    uint8 tcbStatus;
    bool revoked;
    address operator;
    bytes32 measurement;
    bytes32 rootSet;
}
