// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {ICertifierQuorum} from "../interfaces/ICertifierQuorum.sol";
import {IEvidenceVerifier} from "../interfaces/IEvidenceVerifier.sol";
import {CertificateLib} from "../libraries/CertificateLib.sol";
import {Errors} from "../libraries/Errors.sol";
import {OrderHashLib} from "../libraries/OrderHashLib.sol";
import {CvmCertificate, CvmFacts} from "../types/Certificates.sol";

/// @title See {ICertifierQuorum}.
contract CertifierQuorum is ICertifierQuorum, AccessManaged, EIP712 {
    /// @notice No more certificates than a call should cost.
    uint256 public constant MAX_CERTIFICATES = 32;
    /// @dev A certifier's own members, r and vs.
    uint256 private constant _EACH = CertificateLib.OWN_SIZE + 64;

    /// @inheritdoc ICertifierQuorum
    mapping(address account => bool) public isCertifier;
    /// @inheritdoc ICertifierQuorum
    uint256 public certifierCount;
    /// @inheritdoc ICertifierQuorum
    uint256 public threshold;

    constructor(address authority, address[] memory certifiers, uint256 threshold_)
        AccessManaged(authority)
        EIP712("Cloister CertifierQuorum", "1")
    {
        for (uint256 i = 0; i < certifiers.length; ++i) {
            _addCertifier(certifiers[i]);
        }
        _setThreshold(threshold_);
    }

    /// @inheritdoc IEvidenceVerifier
    function verify(bytes calldata evidence) external view returns (bytes32 cvmId, CvmFacts memory facts) {
        // Check (1): whole certificates, enough of them, and no more than a call should cost.
        uint256 count = _countOf(evidence.length);
        // Check (2): each is signed by another certifier; rising addresses make them distinct without a second list.
        CvmCertificate memory certificate = CertificateLib.readClaim(evidence);
        bytes32 domain = _domainSeparatorV4();
        uint40 expiresAt = type(uint40).max;
        address previous = address(0);
        uint256 at = CertificateLib.CLAIM_SIZE;
        for (uint256 i = 0; i < count; ++i) {
            CertificateLib.readOwn(certificate, evidence, at);
            address certifier = _certifierOf(i, domain, certificate, evidence, at + CertificateLib.OWN_SIZE);
            if (certifier <= previous) revert Errors.CertifierQuorum_NotAscending(previous, certifier);
            // Check (3): it lasts; the earliest expiry holds.
            if (certificate.expiresAt <= certificate.issuedAt) {
                revert Errors.CertifierQuorum_NotLasting(i, certificate.issuedAt, certificate.expiresAt);
            }
            if (certificate.expiresAt < expiresAt) expiresAt = certificate.expiresAt;
            previous = certifier;
            at += _EACH;
        }
        return (certificate.cvmId, CertificateLib.facts(certificate, expiresAt));
    }

    /// @inheritdoc ICertifierQuorum
    function addCertifier(address certifier) external restricted {
        _addCertifier(certifier);
    }

    /// @inheritdoc ICertifierQuorum
    function removeCertifier(address certifier) external restricted {
        if (!isCertifier[certifier]) revert Errors.CertifierQuorum_NotCertifier(certifier);
        isCertifier[certifier] = false;
        emit CertifierRemoved(certifier, --certifierCount);
    }

    /// @inheritdoc ICertifierQuorum
    function setThreshold(uint256 threshold_) external restricted {
        _setThreshold(threshold_);
    }

    /// @inheritdoc ICertifierQuorum
    function digestOf(CvmCertificate calldata certificate) external view returns (bytes32) {
        return _hashTypedDataV4(OrderHashLib.hashCertificate(certificate));
    }

    function _addCertifier(address certifier) private {
        if (certifier == address(0)) revert Errors.CertifierQuorum_NoCertifier();
        if (isCertifier[certifier]) revert Errors.CertifierQuorum_AlreadyCertifier(certifier);
        isCertifier[certifier] = true;
        emit CertifierAdded(certifier, ++certifierCount);
    }

    function _setThreshold(uint256 threshold_) private {
        if (threshold_ == 0 || threshold_ > certifierCount || threshold_ > MAX_CERTIFICATES) {
            revert Errors.CertifierQuorum_Threshold(threshold_, certifierCount);
        }
        threshold = threshold_;
        emit ThresholdSet(threshold_);
    }

    function _countOf(uint256 size) private view returns (uint256 count) {
        if (size < CertificateLib.CLAIM_SIZE) revert Errors.CertifierQuorum_Length(size);
        if ((size - CertificateLib.CLAIM_SIZE) % _EACH != 0) revert Errors.CertifierQuorum_Length(size);
        count = (size - CertificateLib.CLAIM_SIZE) / _EACH;
        if (count < threshold) revert Errors.CertifierQuorum_TooFew(count, threshold);
        if (count > MAX_CERTIFICATES) revert Errors.CertifierQuorum_TooMany(count, MAX_CERTIFICATES);
    }

    /// @param at Where r and vs stand.
    function _certifierOf(
        uint256 i,
        bytes32 domain,
        CvmCertificate memory certificate,
        bytes calldata evidence,
        uint256 at
    ) private view returns (address signer) {
        bytes32 digest = MessageHashUtils.toTypedDataHash(domain, CertificateLib.hash(certificate));
        bytes32 r = CertificateLib.wordAt(evidence, at);
        // slither-disable-next-line unused-return: zero says all that the others say
        (signer,,) = ECDSA.tryRecover(digest, r, CertificateLib.wordAt(evidence, at + 32));
        if (signer == address(0)) revert Errors.CertifierQuorum_NotSigned(i);
        if (!isCertifier[signer]) revert Errors.CertifierQuorum_NotCertifier(signer);
    }
}
