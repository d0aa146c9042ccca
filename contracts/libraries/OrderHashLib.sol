// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CvmCertificate, CvmKeys, Possession} from "../types/Certificates.sol";
import {OfferTerms, Payee, Price} from "../types/Offers.sol";
import {InputRef, OrderStart, OrderTerms, ReportSummary, RuntimePolicy, Stop} from "../types/Orders.sol";

/// @title Every EIP-712 type of the protocol and its struct hash (docs/protocol.md section 2).
/// @notice The Python twin is `enclave_runtime.wire`; both are held together by tests/conformance.
/// @dev Types follow the specification: referenced structs after the primary one, sorted by name; an array is the
/// hash of its members' hashes; enums are uint8. Structs of static members are hashed as `abi.encode` lays them out.
library OrderHashLib {
    // Whole literals, so that the compiler hashes them: a concatenation of constants would be hashed at run time.
    bytes32 internal constant PRICE_TYPEHASH =
        keccak256("Price(uint128 fixedPrice,uint128 perHour,uint32 minSeconds,uint128 perUnit,uint16 revenueBps)");
    bytes32 internal constant PAYEE_TYPEHASH = keccak256("Payee(address account,uint16 bps)");
    bytes32 internal constant COMPUTE_REF_TYPEHASH =
        keccak256("ComputeRef(uint64 offer,uint32 version,bytes32 termsHash)");
    bytes32 internal constant INPUT_REF_TYPEHASH =
        keccak256("InputRef(uint64 offer,uint32 version,bytes32 termsHash,bytes32 lease)");
    bytes32 internal constant HOLDBACK_TYPEHASH = keccak256("Holdback(uint16 bps,uint32 window)");
    bytes32 internal constant WINDOWS_TYPEHASH = keccak256(
        "Windows(uint32 acceptWithin,uint32 startWithin,uint32 setupSeconds,uint32 keysWithin,uint32 loadWithin,uint32 maxSeconds,uint32 grace)"
    );
    bytes32 internal constant OFFER_TERMS_TYPEHASH = keccak256(
        "OfferTerms(uint8 kind,address token,Price price,Payee[] payees,bytes32 manifestDigest,bytes32 contentDigest,address grantKey,uint16 royaltyBps,bytes32 lineage,bytes32 restrictions)"
        "Payee(address account,uint16 bps)"
        "Price(uint128 fixedPrice,uint128 perHour,uint32 minSeconds,uint128 perUnit,uint16 revenueBps)"
    );
    bytes32 internal constant ORDER_TERMS_TYPEHASH = keccak256(
        "OrderTerms(address client,address payer,address token,ComputeRef compute,InputRef[] inputs,bytes32 configDigest,bytes32 resultKeyDigest,bytes32 accessKeyDigest,bytes32 runtimePolicyDigest,uint40 placeBefore,Windows windows,uint64 maxUnits,Holdback holdback,uint8 delivery,bytes32 deliveryDigest,uint16 maxFeeBps,uint128 deposit,bytes32 salt)"
        "ComputeRef(uint64 offer,uint32 version,bytes32 termsHash)" "Holdback(uint16 bps,uint32 window)"
        "InputRef(uint64 offer,uint32 version,bytes32 termsHash,bytes32 lease)"
        "Windows(uint32 acceptWithin,uint32 startWithin,uint32 setupSeconds,uint32 keysWithin,uint32 loadWithin,uint32 maxSeconds,uint32 grace)"
    );
    bytes32 internal constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 internal constant RUNTIME_POLICY_TYPEHASH =
        keccak256("RuntimePolicy(bytes32[] trustClasses,uint256 teeMask,bytes32[] measurements,uint8 worstTcb)");
    bytes32 internal constant ORDER_START_TYPEHASH =
        keccak256("OrderStart(bytes32 orderId,bytes32 cvmId,bytes32 inputsRoot)");
    bytes32 internal constant REPORT_SUMMARY_TYPEHASH = keccak256(
        "ReportSummary(bytes32 orderId,bytes32 cvmId,uint8 phase,uint32 sequence,uint8 outcome,uint8 attributableInput,bytes32 inputsRoot,bytes32 resultDigest,bytes32 statementDigest,uint32 secondsUsed,uint64 unitsUsed)"
    );
    bytes32 internal constant STOP_TYPEHASH = keccak256("Stop(bytes32 orderId)");
    bytes32 internal constant CVM_KEYS_TYPEHASH =
        keccak256("CvmKeys(address signer,bytes32 hpke,bytes32 statement,bytes32 tls)");
    bytes32 internal constant POSSESSION_TYPEHASH =
        keccak256("Possession(bytes32 cvmId,address operator,address registry,bytes32 challenge)");
    bytes32 internal constant CVM_CERTIFICATE_TYPEHASH = keccak256(
        "CvmCertificate(bytes32 cvmId,address signer,bytes32 hpke,bytes32 statement,bytes32 tls,address operator,bytes32 measurement,uint8 tee,bytes32 rootSet,uint8 tcbStatus,bytes32 platformId,bytes32 gpuDigest,bytes32 evidenceId,bytes32 challenge,uint40 issuedAt,uint40 expiresAt)"
    );

    /// @return The EIP-712 domain separator of the calling contract.
    function domainSeparator(string memory name, string memory version) internal view returns (bytes32) {
        return keccak256(
            abi.encode(DOMAIN_TYPEHASH, keccak256(bytes(name)), keccak256(bytes(version)), block.chainid, address(this))
        );
    }

    /// @return The terms hash of an offer version: a struct hash without a domain, so that it names the same terms on
    /// every chain.
    function hashOffer(OfferTerms calldata terms) internal pure returns (bytes32) {
        return keccak256(
            bytes.concat(
                abi.encode(
                    OFFER_TERMS_TYPEHASH,
                    terms.kind,
                    terms.token,
                    hashPrice(terms.price),
                    hashPayees(terms.payees),
                    terms.manifestDigest
                ),
                abi.encode(terms.contentDigest, terms.grantKey, terms.royaltyBps, terms.lineage, terms.restrictions)
            )
        );
    }

    /// @return The struct hash of an order's terms; under the OrderBook's domain it is the order id.
    function hashOrder(OrderTerms calldata terms) internal pure returns (bytes32) {
        return keccak256(
            bytes.concat(
                abi.encode(
                    ORDER_TERMS_TYPEHASH,
                    terms.client,
                    terms.payer,
                    terms.token,
                    keccak256(abi.encode(COMPUTE_REF_TYPEHASH, terms.compute)),
                    hashInputs(terms.inputs)
                ),
                abi.encode(
                    terms.configDigest,
                    terms.resultKeyDigest,
                    terms.accessKeyDigest,
                    terms.runtimePolicyDigest,
                    terms.placeBefore,
                    keccak256(abi.encode(WINDOWS_TYPEHASH, terms.windows))
                ),
                abi.encode(
                    terms.maxUnits,
                    keccak256(abi.encode(HOLDBACK_TYPEHASH, terms.holdback)),
                    terms.delivery,
                    terms.deliveryDigest,
                    terms.maxFeeBps,
                    terms.deposit,
                    terms.salt
                )
            )
        );
    }

    /// @return The digest of a runtime policy, as `OrderTerms.runtimePolicyDigest` names it.
    function hashPolicy(RuntimePolicy calldata policy) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                RUNTIME_POLICY_TYPEHASH,
                keccak256(abi.encodePacked(policy.trustClasses)),
                policy.teeMask,
                keccak256(abi.encodePacked(policy.measurements)),
                policy.worstTcb
            )
        );
    }

    function hashStart(OrderStart memory start) internal pure returns (bytes32) {
        return keccak256(abi.encode(ORDER_START_TYPEHASH, start));
    }

    function hashSummary(ReportSummary calldata summary) internal pure returns (bytes32) {
        return keccak256(abi.encode(REPORT_SUMMARY_TYPEHASH, summary));
    }

    function hashStop(Stop memory stop) internal pure returns (bytes32) {
        return keccak256(abi.encode(STOP_TYPEHASH, stop));
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

    /// @return keccak256(abi.encode(inputs)): what a CVM signs as the inputs it was given.
    function inputsRoot(InputRef[] calldata inputs) internal pure returns (bytes32) {
        return keccak256(abi.encode(inputs));
    }

    function hashPrice(Price calldata price) internal pure returns (bytes32) {
        return keccak256(abi.encode(PRICE_TYPEHASH, price));
    }

    function hashPayees(Payee[] calldata payees) internal pure returns (bytes32) {
        bytes32[] memory hashes = new bytes32[](payees.length);
        for (uint256 i = 0; i < payees.length; ++i) {
            hashes[i] = keccak256(abi.encode(PAYEE_TYPEHASH, payees[i]));
        }
        return keccak256(abi.encodePacked(hashes));
    }

    function hashInputs(InputRef[] calldata inputs) internal pure returns (bytes32) {
        bytes32[] memory hashes = new bytes32[](inputs.length);
        for (uint256 i = 0; i < inputs.length; ++i) {
            hashes[i] = keccak256(abi.encode(INPUT_REF_TYPEHASH, inputs[i]));
        }
        return keccak256(abi.encodePacked(hashes));
    }
}
