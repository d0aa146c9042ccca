// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CvmCertificate, CvmFacts} from "../types/Certificates.sol";
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
        bytes32 keysTypeHash = OrderHashLib.CVM_KEYS_TYPEHASH;
        assembly ("memory-safe") {
            // `c` is zeroed memory, a word for each member in the order of the struct.
            let at := evidence.offset
            mstore(add(c, 32), shr(96, calldataload(at)))
            calldatacopy(add(c, 64), add(at, 20), 96)
            mstore(add(c, 160), shr(96, calldataload(add(at, 116))))
            calldatacopy(add(c, 192), add(at, 136), 32)
            mstore(add(c, 224), byte(0, calldataload(add(at, 168))))
            calldatacopy(add(c, 256), add(at, 169), 32)
            mstore(add(c, 288), byte(0, calldataload(add(at, 201))))
            calldatacopy(add(c, 320), add(at, 202), 64)
            // The CVM id: signer, hpke, statement and tls follow its own word, which holds their type hash meanwhile.
            mstore(c, keysTypeHash)
            mstore(c, keccak256(c, 160))
        }
    }

    /// @notice Makes `c` the certificate of the certifier whose own part starts at `at`.
    function readOwn(CvmCertificate memory c, bytes calldata evidence, uint256 at) internal pure {
        assembly ("memory-safe") {
            let from := add(evidence.offset, at)
            calldatacopy(add(c, 384), from, 64)
            let times := calldataload(add(from, 64))
            mstore(add(c, 448), shr(216, times))
            mstore(add(c, 480), and(shr(176, times), 0xffffffffff))
        }
    }

    /// @return word 32 bytes of the evidence from `at`.
    function wordAt(bytes calldata evidence, uint256 at) internal pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := calldataload(add(evidence.offset, at))
        }
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
