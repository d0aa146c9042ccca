// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CvmCertificate} from "../types/Certificates.sol";
import {IEvidenceVerifier} from "./IEvidenceVerifier.sol";

/// @title M of N certifiers vouch for a CVM (docs/protocol.md section 4.5).
/// @notice Evidence is what they agree on, once, and then 138 bytes of each certifier, in rising order of the
/// certifiers' addresses: evidenceId 32, challenge 32, issuedAt 5, expiresAt 5, r 32, vs 32 (EIP-2098: low s, parity
/// in the top bit). The first 266 bytes are CertificateLib's claim. They cannot disagree in it, since each signs it
/// together with its own members; the earliest expiry holds.
interface ICertifierQuorum is IEvidenceVerifier {
    event CertifierAdded(address indexed certifier, uint256 certifiers);
    event CertifierRemoved(address indexed certifier, uint256 certifiers);
    event ThresholdSet(uint256 threshold);

    /// @notice Adds a certifier. Restricted; its role is meant to have a delay.
    function addCertifier(address certifier) external;

    /// @notice Removes a certifier at once, though fewer than `threshold` stay: nothing is proven then until another
    /// is added. Restricted.
    /// @dev Facts that it helped to prove stand until they expire or are revoked.
    function removeCertifier(address certifier) external;

    /// @notice Sets how many certificates prove a fact. Restricted; its role is meant to have a delay.
    // slither-disable-next-line shadowing-local: there is no code here
    function setThreshold(uint256 threshold) external;

    function isCertifier(address account) external view returns (bool);

    function certifierCount() external view returns (uint256);

    function threshold() external view returns (uint256);

    /// @return The EIP-712 digest that a certifier signs.
    function digestOf(CvmCertificate calldata certificate) external view returns (bytes32);
}
