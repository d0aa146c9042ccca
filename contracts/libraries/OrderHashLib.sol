// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CvmCertificate, CvmKeys, Possession} from "../types/Certificates.sol";

/// @title The EIP-712 types that a CVM, a client or a certifier signs, and their struct hashes (docs/protocol.md
/// section 2). Orders, offers and policies have theirs in OrderCodec, OfferCodec and PolicyCodec, beside their bytes.
/// @notice The Python twin is `enclave_runtime.wire`; both are held together by tests/conformance.
/// @dev Types follow the specification: an array is the hash of its members; enums are uint8.
library OrderHashLib {
    // Whole literals, so that the compiler hashes them: a concatenation of constants would be hashed at run time.
    bytes32 internal constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 internal constant ORDER_START_TYPEHASH =
        keccak256("OrderStart(bytes32 orderId,bytes32 cvmId,bytes32 inputsRoot)");
    bytes32 internal constant REPORT_SUMMARY_TYPEHASH = keccak256(
        "ReportSummary(bytes32 orderId,bytes32 cvmId,uint8 phase,uint32 sequence,uint8 outcome,uint8 attributableInput,bytes32 inputsRoot,bytes32 resultDigest,bytes32 statementDigest,uint32 secondsUsed,uint64 unitsUsed)"
    );
    bytes32 internal constant STOP_TYPEHASH = keccak256("Stop(bytes32 orderId)");
    bytes32 internal constant RECEIPT_TYPEHASH = keccak256("Receipt(bytes32 orderId)");
    bytes32 internal constant CVM_KEYS_TYPEHASH =
        keccak256("CvmKeys(address signer,bytes32 hpke,bytes32 statement,bytes32 tls)");
    bytes32 internal constant POSSESSION_TYPEHASH =
        keccak256("Possession(bytes32 cvmId,address operator,address registry,bytes32 challenge)");
    bytes32 internal constant CVM_CERTIFICATE_TYPEHASH = keccak256(
        "CvmCertificate(bytes32 cvmId,address signer,bytes32 hpke,bytes32 statement,bytes32 tls,address operator,bytes32 measurement,uint8 tee,bytes32 rootSet,uint8 tcbStatus,bytes32 platformId,bytes32 gpuDigest,bytes32 evidenceId,bytes32 challenge,uint40 issuedAt,uint40 expiresAt)"
    );

    /// @return The EIP-712 domain separator of `verifyingContract` on this chain.
    function domainSeparator(string memory name, string memory version, address verifyingContract)
        internal
        view
        returns (bytes32)
    {
        return keccak256(
            abi.encode(
                DOMAIN_TYPEHASH, keccak256(bytes(name)), keccak256(bytes(version)), block.chainid, verifyingContract
            )
        );
    }

    /// @dev As `hashSummary`, in four words.
    function hashStart(bytes32 orderId, bytes32 cvmId, bytes32 inputsRoot) internal pure returns (bytes32 hash) {
        bytes32 typeHash = ORDER_START_TYPEHASH;
        assembly ("memory-safe") {
            let at := mload(0x40)
            mstore(at, typeHash)
            mstore(add(at, 0x20), orderId)
            mstore(add(at, 0x40), cvmId)
            mstore(add(at, 0x60), inputsRoot)
            hash := keccak256(at, 0x80)
        }
    }

    /// @param numbers `Report.numbers`; bits beyond unitsUsed are not looked at, the caller wants them zero.
    /// @dev One buffer of twelve words at the free pointer, which nothing needs afterwards.
    function hashSummary(
        bytes32 orderId,
        bytes32 cvmId,
        uint256 numbers,
        bytes32 inputsRoot,
        bytes32 resultDigest,
        bytes32 statementDigest
    ) internal pure returns (bytes32 hash) {
        bytes32 typeHash = REPORT_SUMMARY_TYPEHASH;
        assembly ("memory-safe") {
            let at := mload(0x40)
            mstore(at, typeHash)
            mstore(add(at, 0x20), orderId)
            mstore(add(at, 0x40), cvmId)
            mstore(add(at, 0x60), and(numbers, 0xff))
            mstore(add(at, 0x80), and(shr(24, numbers), 0xffffffff))
            mstore(add(at, 0xa0), and(shr(8, numbers), 0xff))
            mstore(add(at, 0xc0), and(shr(16, numbers), 0xff))
            mstore(add(at, 0xe0), inputsRoot)
            mstore(add(at, 0x100), resultDigest)
            mstore(add(at, 0x120), statementDigest)
            mstore(add(at, 0x140), and(shr(56, numbers), 0xffffffff))
            mstore(add(at, 0x160), and(shr(88, numbers), 0xffffffffffffffff))
            hash := keccak256(at, 0x180)
        }
    }

    /// @notice `hashSummary` of a checkpoint: nobody is to blame, and what the order says already is not said again.
    function hashCheckpoint(bytes32 orderId, uint256 numbers, bytes32 statementDigest)
        internal
        pure
        returns (bytes32 hash)
    {
        bytes32 typeHash = REPORT_SUMMARY_TYPEHASH;
        assembly ("memory-safe") {
            let at := mload(0x40)
            mstore(at, typeHash)
            mstore(add(at, 0x20), orderId)
            mstore(add(at, 0x40), 0)
            mstore(add(at, 0x60), and(numbers, 0xff))
            mstore(add(at, 0x80), and(shr(24, numbers), 0xffffffff))
            mstore(add(at, 0xa0), 0)
            mstore(add(at, 0xc0), 255)
            // inputsRoot and resultDigest: what lies behind the end of calldata is zero.
            calldatacopy(add(at, 0xe0), calldatasize(), 0x40)
            mstore(add(at, 0x120), statementDigest)
            mstore(add(at, 0x140), and(shr(56, numbers), 0xffffffff))
            mstore(add(at, 0x160), and(shr(88, numbers), 0xffffffffffffffff))
            hash := keccak256(at, 0x180)
        }
    }

    function hashStop(bytes32 orderId) internal pure returns (bytes32) {
        return keccak256(abi.encode(STOP_TYPEHASH, orderId));
    }

    function hashReceipt(bytes32 orderId) internal pure returns (bytes32) {
        return keccak256(abi.encode(RECEIPT_TYPEHASH, orderId));
    }

    /// @return The CVM id: a struct hash without a domain (docs/protocol.md section 2).
    function hashKeys(CvmKeys memory keys) internal pure returns (bytes32) {
        return keccak256(abi.encode(CVM_KEYS_TYPEHASH, keys));
    }

    function hashPossession(Possession calldata possession) internal pure returns (bytes32) {
        return keccak256(abi.encode(POSSESSION_TYPEHASH, possession));
    }

    function hashCertificate(CvmCertificate memory certificate) internal pure returns (bytes32) {
        return keccak256(abi.encode(CVM_CERTIFICATE_TYPEHASH, certificate));
    }
}
