// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {CvmCertificate, CvmKeys, Possession} from "../../../../contracts/types/Certificates.sol";
import {OfferTerms} from "../../../../contracts/types/Offers.sol";
import {OrderStart, OrderTerms, ReportSummary, RuntimePolicy, Stop} from "../../../../contracts/types/Orders.sol";
import {HashHarness} from "../../harness/HashHarness.sol";
import {Pack} from "../utils/Pack.sol";

/// @dev forge's own EIP-712 coder, newer than the pinned forge-std knows.
interface IEip712Vm {
    function eip712HashStruct(string calldata typeDefinition, bytes calldata abiEncoded) external pure returns (bytes32);
}

/// @notice Each struct hash against an implementation that shares nothing with ours but the type's name and members.
contract OrderHashTest is Test {
    string private constant _PRICE =
        "Price(uint128 fixedPrice,uint128 perHour,uint32 minSeconds,uint32 maxSeconds,uint128 perUnit,uint16 revenueBps)";
    string private constant _PAYEE = "Payee(address account,uint16 bps)";
    string private constant _OFFER =
        "OfferTerms(uint8 kind,address token,Price price,Payee[] payees,bytes32 manifestDigest,bytes32 contentDigest,address grantKey,uint16 royaltyBps,bytes32 lineage,bytes32 restrictions)";
    string private constant _ORDER =
        "OrderTerms(address client,address payer,address token,ComputeRef compute,InputRef[] inputs,bytes32 configDigest,bytes32 resultKeyDigest,bytes32 accessKeyDigest,bytes32 runtimePolicyDigest,uint40 placeBefore,Windows windows,uint64 maxUnits,Holdback holdback,uint8 delivery,bytes32 deliveryDigest,uint16 maxFeeBps,uint128 deposit,bytes32 salt)";
    string private constant _REFS =
        "ComputeRef(uint64 offer,uint32 version,bytes32 termsHash)Holdback(uint16 bps,uint32 window)InputRef(uint64 offer,uint32 version,bytes32 termsHash,bytes32 lease)Windows(uint32 acceptWithin,uint32 startWithin,uint32 setupSeconds,uint32 keysWithin,uint32 loadWithin,uint32 maxSeconds,uint32 grace)";

    HashHarness private _lib;

    function setUp() external {
        _lib = new HashHarness();
    }

    function testFuzz_Offer(OfferTerms calldata terms) external view {
        vm.assume(terms.payees.length != 0 && terms.payees.length <= 8);
        bytes32 theirs = _theirs(string.concat(_OFFER, _PAYEE, _PRICE), abi.encode(terms));
        assertEq(_lib.hashOffer(Pack.head(terms), 0, terms.token), theirs);
        assertEq(_lib.hashPayees(Pack.payees(terms.payees)), Pack.payeesHash(terms.payees));
    }

    function testFuzz_Order(OrderTerms memory terms, uint256 without) external view {
        vm.assume(terms.inputs.length != 0 && terms.inputs.length <= 16);
        // Reserved: without bytes. Access key and leases come and go.
        (terms.delivery, terms.deliveryDigest) = (0, 0);
        if (without >> 16 & 1 != 0) terms.accessKeyDigest = 0;
        for (uint256 i = 0; i < terms.inputs.length; ++i) {
            if (without >> i & 1 != 0) terms.inputs[i].lease = 0;
        }
        bytes memory order = Pack.order(terms);
        assertEq(_lib.hashOrder(order), _theirs(string.concat(_ORDER, _REFS), abi.encode(terms)));
        assertEq(_lib.inputsRoot(order), keccak256(abi.encode(terms.inputs)));
        assertEq(abi.encode(_lib.decodeOrder(order)), abi.encode(terms));
    }

    function testFuzz_Policy(RuntimePolicy calldata policy) external view {
        vm.assume(policy.trustClasses.length <= type(uint8).max);
        string memory def =
            "RuntimePolicy(bytes32[] trustClasses,uint256 teeMask,bytes32[] measurements,uint8 worstTcb)";
        bytes memory tight = abi.encodePacked(
            policy.teeMask, policy.worstTcb, uint8(policy.trustClasses.length), policy.trustClasses, policy.measurements
        );
        assertEq(_lib.hashPolicy(tight), _theirs(def, abi.encode(policy)));
    }

    function testFuzz_Start(OrderStart calldata start) external view {
        assertEq(
            _lib.hashStart(start),
            _theirs("OrderStart(bytes32 orderId,bytes32 cvmId,bytes32 inputsRoot)", abi.encode(start))
        );
    }

    function testFuzz_Summary(ReportSummary calldata summary) external view {
        string memory def =
            "ReportSummary(bytes32 orderId,bytes32 cvmId,uint8 phase,uint32 sequence,uint8 outcome,uint8 attributableInput,bytes32 inputsRoot,bytes32 resultDigest,bytes32 statementDigest,uint32 secondsUsed,uint64 unitsUsed)";
        assertEq(_lib.hashSummary(summary), _theirs(def, abi.encode(summary)));
    }

    function testFuzz_Stop(Stop calldata stop) external view {
        assertEq(_lib.hashStop(stop), _theirs("Stop(bytes32 orderId)", abi.encode(stop)));
    }

    function testFuzz_Keys(CvmKeys calldata keys) external view {
        assertEq(
            _lib.hashKeys(keys),
            _theirs("CvmKeys(address signer,bytes32 hpke,bytes32 statement,bytes32 tls)", abi.encode(keys))
        );
    }

    function testFuzz_Possession(Possession calldata p) external view {
        assertEq(
            _lib.hashPossession(p),
            _theirs("Possession(bytes32 cvmId,address operator,address registry,bytes32 challenge)", abi.encode(p))
        );
    }

    function testFuzz_Certificate(CvmCertificate calldata c) external view {
        string memory def =
            "CvmCertificate(bytes32 cvmId,address signer,bytes32 hpke,bytes32 statement,bytes32 tls,address operator,bytes32 measurement,uint8 tee,bytes32 rootSet,uint8 tcbStatus,bytes32 platformId,bytes32 gpuDigest,bytes32 evidenceId,bytes32 challenge,uint40 issuedAt,uint40 expiresAt)";
        assertEq(_lib.hashCertificate(c), _theirs(def, abi.encode(c)));
    }

    function _theirs(string memory def, bytes memory encoded) private pure returns (bytes32) {
        return IEip712Vm(VM_ADDRESS).eip712HashStruct(def, encoded);
    }
}
