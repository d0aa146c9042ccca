// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {ICertifierQuorum} from "../interfaces/ICertifierQuorum.sol";
import {IEvidenceVerifier} from "../interfaces/IEvidenceVerifier.sol";
import {Errors} from "../libraries/Errors.sol";
import {OrderHashLib} from "../libraries/OrderHashLib.sol";
import {CvmCertificate, CvmFacts, CvmKeys} from "../types/Certificates.sol";

/// @title See {ICertifierQuorum}.
contract CertifierQuorum is ICertifierQuorum, AccessManaged, EIP712 {
    uint256 public constant MAX_CERTIFICATES = 32;

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
        (CvmCertificate[] memory certificates, bytes[] memory signatures) =
            abi.decode(evidence, (CvmCertificate[], bytes[]));
        // Check (1): enough of them, and no more than a call should cost.
        uint256 count = certificates.length;
        if (count != signatures.length) revert Errors.CertifierQuorum_Length(count, signatures.length);
        if (count < threshold) revert Errors.CertifierQuorum_TooFew(count, threshold);
        if (count > MAX_CERTIFICATES) revert Errors.CertifierQuorum_TooMany(count, MAX_CERTIFICATES);
        // Check (2): the id is that of the keys.
        CvmCertificate memory first = certificates[0];
        cvmId = OrderHashLib.hashKeys(CvmKeys(first.signer, first.hpke, first.statement, first.tls));
        if (first.cvmId != cvmId) revert Errors.CertifierQuorum_CvmIdMismatch(first.cvmId, cvmId);
        // Check (3): each is signed by another certifier and says the same; the earliest expiry holds.
        bytes32 claim = _claim(first);
        uint40 expiresAt = type(uint40).max;
        address previous = address(0);
        for (uint256 i = 0; i < count; ++i) {
            CvmCertificate memory certificate = certificates[i];
            bytes32 other = _claim(certificate);
            if (other != claim) revert Errors.CertifierQuorum_Disagree(i, other, claim);
            if (certificate.expiresAt <= certificate.issuedAt) {
                revert Errors.CertifierQuorum_NotLasting(i, certificate.issuedAt, certificate.expiresAt);
            }
            if (certificate.expiresAt < expiresAt) expiresAt = certificate.expiresAt;
            previous = _certifierOf(i, certificate, signatures[i], previous);
        }
        facts = CvmFacts({
            signer: first.signer,
            expiresAt: expiresAt,
            tee: first.tee,
            tcbStatus: first.tcbStatus,
            revoked: false,
            operator: first.operator,
            measurement: first.measurement,
            rootSet: first.rootSet
        });
    }

    /// @inheritdoc ICertifierQuorum
    function addCertifier(address certifier) external restricted {
        _addCertifier(certifier);
    }

    /// @inheritdoc ICertifierQuorum
    function removeCertifier(address certifier) external restricted {
        if (!isCertifier[certifier]) revert Errors.CertifierQuorum_NotCertifier(certifier);
        uint256 left = certifierCount - 1;
        if (left < threshold) revert Errors.CertifierQuorum_Threshold(threshold, left);
        isCertifier[certifier] = false;
        certifierCount = left;
        emit CertifierRemoved(certifier, left);
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
        if (threshold_ == 0 || threshold_ > certifierCount) {
            revert Errors.CertifierQuorum_Threshold(threshold_, certifierCount);
        }
        threshold = threshold_;
        emit ThresholdSet(threshold_);
    }

    /// @dev Rising addresses make the signers distinct without a second list.
    function _certifierOf(uint256 i, CvmCertificate memory certificate, bytes memory signature, address previous)
        private
        view
        returns (address signer)
    {
        bytes32 digest = _hashTypedDataV4(OrderHashLib.hashCertificate(certificate));
        (signer,,) = ECDSA.tryRecover(digest, signature);
        if (signer == address(0)) revert Errors.CertifierQuorum_NotSigned(i);
        if (!isCertifier[signer]) revert Errors.CertifierQuorum_NotCertifier(signer);
        if (signer <= previous) revert Errors.CertifierQuorum_NotAscending(previous, signer);
    }

    /// @dev Every member on which certificates must agree.
    function _claim(CvmCertificate memory c) private pure returns (bytes32) {
        return keccak256(
            bytes.concat(
                abi.encode(c.cvmId, c.signer, c.hpke, c.statement, c.tls, c.operator),
                abi.encode(c.measurement, c.tee, c.rootSet, c.tcbStatus, c.platformId, c.gpuDigest)
            )
        );
    }
}
