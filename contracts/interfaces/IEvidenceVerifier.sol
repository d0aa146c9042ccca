// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CvmFacts} from "../types/Certificates.sol";

/// @title The seam for attestation back ends (docs/protocol.md section 4.5).
/// @notice A quorum of certifiers today; a quote verified on chain fits behind the same call.
interface IEvidenceVerifier {
    /// @notice Proves facts about one CVM, or reverts with the step that failed.
    /// @dev View: a verifier keeps nothing, so that its answer depends on the evidence and its own policy alone.
    /// @param evidence What this verifier takes as proof; its layout is the verifier's own.
    /// @return cvmId EIP-712 struct hash of the CVM's keys.
    /// @return facts What the registry may store for it; `revoked` is false.
    function verify(bytes calldata evidence) external view returns (bytes32 cvmId, CvmFacts memory facts);
}
