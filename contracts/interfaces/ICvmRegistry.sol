// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CvmFacts, CvmKeys, Possession} from "../types/Certificates.sol";
import {IEvidenceVerifier} from "./IEvidenceVerifier.sol";

/// @title Facts: which CVM keys were proven in which measurement, until when (docs/protocol.md section 4.5).
/// @notice It decides money only. Owners, clients and auditors verify the raw evidence themselves; whether a fact is
/// good enough is said elsewhere, by ReferenceValues and by each order's runtime policy.
interface ICvmRegistry {
    /// @param expiresAt Unix time from which the CVM can neither be accepted nor started.
    event CvmRegistered(
        bytes32 indexed cvmId,
        address indexed operator,
        address indexed verifier,
        address signer,
        uint40 expiresAt,
        uint8 tee,
        uint8 tcbStatus,
        bytes32 measurement,
        bytes32 rootSet
    );
    event CvmRevoked(bytes32 indexed cvmId, address indexed revoker);
    event CvmRetired(bytes32 indexed cvmId, address indexed operator);
    event VerifierSet(address indexed verifier, bool accepted);

    /// @notice Stores what an accepted verifier proves about a CVM, or renews it until later.
    /// @dev Anybody may carry it: the operator is inside the evidence and inside the signer's own proof of possession.
    /// A renewal may change the TCB status and must expire later; everything else of a CVM is born with its keys.
    /// @param possession          Names this registry, the CVM and the operator.
    /// @param possessionSignature By `keys.signer`, EIP-712, 65 bytes, low s.
    function register(
        CvmKeys calldata keys,
        Possession calldata possession,
        bytes calldata possessionSignature,
        IEvidenceVerifier verifier,
        bytes calldata evidence
    ) external;

    /// @notice Marks a CVM as not to be believed, for ever, known or not yet known. Restricted.
    function revoke(bytes32 cvmId) external;

    /// @notice The operator takes its CVM out of service: no new acceptance and no start.
    /// @dev Not a revocation: a running order goes on, and a missed start is paid for.
    function retire(bytes32 cvmId) external;

    /// @notice Says which verifiers are believed. Restricted.
    function setVerifier(IEvidenceVerifier verifier, bool accepted) external;

    /// @return All zero where nothing was proven; `revoked` may stand alone.
    function factsOf(bytes32 cvmId) external view returns (CvmFacts memory);

    /// @notice What a signature check needs, from one slot.
    function signerOf(bytes32 cvmId) external view returns (address signer, uint40 expiresAt, bool revoked);

    /// @return Whether the CVM is proven, unexpired and not revoked.
    function isUsable(bytes32 cvmId) external view returns (bool);

    function isRetired(bytes32 cvmId) external view returns (bool);

    function isVerifier(IEvidenceVerifier verifier) external view returns (bool);

    /// @return The CVM id of these keys.
    function cvmIdOf(CvmKeys calldata keys) external pure returns (bytes32);
}
