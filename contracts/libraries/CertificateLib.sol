// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CvmCertificate, CvmFacts, CvmKeys} from "../types/Certificates.sol";
import {OrderHashLib} from "./OrderHashLib.sol";

/// @title CvmCertificates as tight bytes: what all certifiers say once, then what each says itself.
/// @dev Claim, 266 bytes: signer 20, hpke 32, statement 32, tls 32, operator 20, measurement 32, tee 1, rootSet 32,
/// tcbStatus 1, platformId 32, gpuDigest 32. The CVM id is not in it: it is the hash of the keys. Own part, 74 bytes:
/// evidenceId 32, challenge 32, issuedAt 5, expiresAt 5. Callers check the length before they read.
library CertificateLib {
    uint256 internal constant CLAIM_SIZE = 266;
    uint256 internal constant OWN_SIZE = 74;

    /// @return c The certificate without the members of `OWN_SIZE`, which are zero.
    function readClaim(bytes calldata evidence) internal pure returns (CvmCertificate memory c) {
        c.signer = address(bytes20(evidence[0:20]));
        c.hpke = bytes32(evidence[20:52]);
        c.statement = bytes32(evidence[52:84]);
        c.tls = bytes32(evidence[84:116]);
        c.operator = address(bytes20(evidence[116:136]));
        c.measurement = bytes32(evidence[136:168]);
        c.tee = uint8(evidence[168]);
        c.rootSet = bytes32(evidence[169:201]);
        c.tcbStatus = uint8(evidence[201]);
        c.platformId = bytes32(evidence[202:234]);
        c.gpuDigest = bytes32(evidence[234:266]);
        c.cvmId = OrderHashLib.hashKeys(CvmKeys(c.signer, c.hpke, c.statement, c.tls));
    }

    /// @notice Makes `c` the certificate of the certifier whose own part starts at `at`.
    function readOwn(CvmCertificate memory c, bytes calldata evidence, uint256 at) internal pure {
        c.evidenceId = bytes32(evidence[at:at + 32]);
        c.challenge = bytes32(evidence[at + 32:at + 64]);
        c.issuedAt = uint40(bytes5(evidence[at + 64:at + 69]));
        c.expiresAt = uint40(bytes5(evidence[at + 69:at + 74]));
    }

    /// @return digest What OrderHashLib.hashCertificate returns, without copying the 16 words.
    function hash(CvmCertificate memory c) internal pure returns (bytes32 digest) {
        bytes32 typeHash = OrderHashLib.CVM_CERTIFICATE_TYPEHASH;
        assembly ("memory-safe") {
            // A struct in memory is its members' words, as in abi.encode. The word before it is borrowed and put back.
            let before := sub(c, 32)
            let kept := mload(before)
            mstore(before, typeHash)
            digest := keccak256(before, 544)
            mstore(before, kept)
        }
    }

    /// @param expiresAt The earliest expiry of all certificates read.
    function facts(CvmCertificate memory c, uint40 expiresAt) internal pure returns (CvmFacts memory) {
        return CvmFacts({
            signer: c.signer,
            expiresAt: expiresAt,
            tee: c.tee,
            tcbStatus: c.tcbStatus,
            revoked: false,
            operator: c.operator,
            measurement: c.measurement,
            rootSet: c.rootSet
        });
    }
}
