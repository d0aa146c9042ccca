// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";

import {IEvidenceVerifier} from "../interfaces/IEvidenceVerifier.sol";
import {IP256Verdict} from "../interfaces/IP256Verdict.sol";
import {CertificateLib} from "../libraries/CertificateLib.sol";
import {Errors} from "../libraries/Errors.sol";
import {OrderHashLib} from "../libraries/OrderHashLib.sol";
import {CvmCertificate, CvmFacts} from "../types/Certificates.sol";

/// @title See {IP256Verdict}.
/// @dev OpenZeppelin's P256 refuses a high s, r or s out of range and a point off the curve; `verifyNative` tells an
/// invalid signature from an absent precompile by a second, known signature, and reverts with MissingPrecompile.
contract P256Verdict is IP256Verdict, AccessManaged, EIP712 {
    uint256 private constant _KEY_AT = CertificateLib.CLAIM_SIZE + CertificateLib.OWN_SIZE;
    uint256 private constant _SIZE = _KEY_AT + 128;

    /// @inheritdoc IP256Verdict
    mapping(bytes32 key => bool) public isKey;

    constructor(address authority) AccessManaged(authority) EIP712("Cloister P256Verdict", "1") {}

    /// @inheritdoc IEvidenceVerifier
    function verify(bytes calldata evidence) external view returns (bytes32 cvmId, CvmFacts memory facts) {
        if (evidence.length != _SIZE) revert Errors.P256Verdict_Length(evidence.length, _SIZE);
        // Check (1): governance believes the key.
        bytes32 key = keccak256(evidence[_KEY_AT:_KEY_AT + 64]);
        if (!isKey[key]) revert Errors.P256Verdict_NotKey(key);
        // Check (2): it signed this certificate, here.
        CvmCertificate memory certificate = CertificateLib.readClaim(evidence);
        CertificateLib.readOwn(certificate, evidence, CertificateLib.CLAIM_SIZE);
        if (!_isSigned(_hashTypedDataV4(CertificateLib.hash(certificate)), evidence)) {
            revert Errors.P256Verdict_NotSigned(key);
        }
        // Check (3): it lasts.
        if (certificate.expiresAt <= certificate.issuedAt) {
            revert Errors.P256Verdict_NotLasting(certificate.issuedAt, certificate.expiresAt);
        }
        return (certificate.cvmId, CertificateLib.facts(certificate, certificate.expiresAt));
    }

    /// @inheritdoc IP256Verdict
    function addKey(bytes32 x, bytes32 y) external restricted {
        if (!P256.isValidPublicKey(x, y)) revert Errors.P256Verdict_OffCurve(x, y);
        bytes32 key = keccak256(abi.encode(x, y));
        if (isKey[key]) revert Errors.P256Verdict_AlreadyKey(key);
        isKey[key] = true;
        emit KeyAdded(key, x, y);
    }

    /// @inheritdoc IP256Verdict
    function removeKey(bytes32 key) external restricted {
        if (!isKey[key]) revert Errors.P256Verdict_NotKey(key);
        isKey[key] = false;
        emit KeyRemoved(key);
    }

    /// @inheritdoc IP256Verdict
    function digestOf(CvmCertificate calldata certificate) external view returns (bytes32) {
        return _hashTypedDataV4(OrderHashLib.hashCertificate(certificate));
    }

    function _isSigned(bytes32 digest, bytes calldata evidence) private view returns (bool) {
        return P256.verifyNative(
            digest,
            CertificateLib.wordAt(evidence, _KEY_AT + 64),
            CertificateLib.wordAt(evidence, _KEY_AT + 96),
            CertificateLib.wordAt(evidence, _KEY_AT),
            CertificateLib.wordAt(evidence, _KEY_AT + 32)
        );
    }
}
