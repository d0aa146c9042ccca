// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CvmCertificate} from "../types/Certificates.sol";
import {IEvidenceVerifier} from "./IEvidenceVerifier.sol";

/// @title M of N certifiers vouch for a CVM (docs/protocol.md section 4.5).
/// @notice Evidence is abi.encode(CvmCertificate[] certificates, bytes[] signatures), one signature per certificate,
/// in rising order of the certifiers' addresses. The certificates agree in every member but evidenceId, challenge,
/// issuedAt and expiresAt; the earliest expiry holds.
interface ICertifierQuorum is IEvidenceVerifier {
    event CertifierAdded(address indexed certifier, uint256 certifiers);
    event CertifierRemoved(address indexed certifier, uint256 certifiers);
    event ThresholdSet(uint256 threshold);

    /// @notice Adds a certifier. Restricted.
    function addCertifier(address certifier) external;

    /// @notice Removes a certifier; at least `threshold` must stay. Restricted.
    /// @dev Facts that it helped to prove stand until they expire or are revoked.
    function removeCertifier(address certifier) external;

    /// @notice Sets how many certificates prove a fact. Restricted.
    function setThreshold(uint256 threshold) external;

    function isCertifier(address account) external view returns (bool);

    function certifierCount() external view returns (uint256);

    function threshold() external view returns (uint256);

    /// @return The EIP-712 digest that a certifier signs.
    function digestOf(CvmCertificate calldata certificate) external view returns (bytes32);
}
