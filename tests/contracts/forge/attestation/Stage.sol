// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {Test} from "forge-std/Test.sol";

import {Authority} from "../../../../contracts/Authority.sol";
import {CvmRegistry} from "../../../../contracts/CvmRegistry.sol";
import {ReferenceValues} from "../../../../contracts/ReferenceValues.sol";
import {ICvmRegistry} from "../../../../contracts/interfaces/ICvmRegistry.sol";
import {IEvidenceVerifier} from "../../../../contracts/interfaces/IEvidenceVerifier.sol";
import {OrderHashLib} from "../../../../contracts/libraries/OrderHashLib.sol";
import {FixedVerifier} from "../../../../contracts/mocks/FixedVerifier.sol";
import {
    CvmCertificate,
    CvmFacts,
    CvmKeys,
    Possession,
    TcbStatus,
    TeeKind
} from "../../../../contracts/types/Certificates.sol";
import {CertifierQuorum} from "../../../../contracts/verifiers/CertifierQuorum.sol";

/// @dev A cheat code that this forge-std has no name for.
interface Cool {
    function cool(address target) external;
}

/// @notice The attestation half of a market: three certifiers, two of whom prove a fact, and a CVM that is not yet
/// known. The admin holds every role without a delay, but in governance.t.sol.
abstract contract Stage is Test {
    uint256 internal constant T0 = 1_800_000_000;
    bytes32 internal constant MEASUREMENT = keccak256("measurement");
    bytes32 internal constant ROOT_SET = keccak256("dev:test");
    bytes32 internal constant RELEASE = keccak256("release 1");
    uint8 internal constant TDX = uint8(TeeKind.TDX);
    uint8 internal constant BEST = uint8(TcbStatus.UP_TO_DATE);
    uint8 internal constant WORSE = uint8(TcbStatus.SW_HARDENING_NEEDED);

    address internal admin = makeAddr("admin");
    address internal orderBook = makeAddr("order book");
    address internal poker = makeAddr("poker");
    address internal operator = makeAddr("operator");
    address internal signer;
    uint256 internal signerKey;
    bytes32 internal cvmId;
    uint256[3] internal certifierKeys;

    Authority internal authority;
    ReferenceValues internal references;
    CertifierQuorum internal quorum;
    FixedVerifier internal fixedVerifier;
    CvmRegistry internal cvms;

    function setUp() public virtual {
        vm.warp(T0);
        (signer, signerKey) = makeAddrAndKey("cvm signer");
        cvmId = OrderHashLib.hashKeys(_keys(signer));
        _certifiers();
        // By name: the code of every contract inside every test would make the compiler slow.
        authority = Authority(deployCode("Authority.sol:Authority", abi.encode(admin)));
        // The registry comes three deployments later, and each of the two knows the other.
        address registry = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 3);
        bytes memory pair = abi.encode(authority, registry);
        references = ReferenceValues(deployCode("ReferenceValues.sol:ReferenceValues", pair));
        address[] memory set = new address[](3);
        for (uint256 i = 0; i < 3; ++i) {
            set[i] = vm.addr(certifierKeys[i]);
        }
        quorum = CertifierQuorum(deployCode("CertifierQuorum.sol:CertifierQuorum", abi.encode(authority, set, 2)));
        fixedVerifier = FixedVerifier(deployCode("FixedVerifier.sol:FixedVerifier"));
        IEvidenceVerifier[] memory verifiers = new IEvidenceVerifier[](2);
        verifiers[0] = quorum;
        verifiers[1] = fixedVerifier;
        bytes memory args = abi.encode(authority, orderBook, references, verifiers);
        cvms = CvmRegistry(deployCode("CvmRegistry.sol:CvmRegistry", args));
    }

    function _certifiers() private {
        (, certifierKeys[0]) = makeAddrAndKey("certifier 1");
        (, certifierKeys[1]) = makeAddrAndKey("certifier 2");
        (, certifierKeys[2]) = makeAddrAndKey("certifier 3");
        for (uint256 i = 0; i < 2; ++i) {
            for (uint256 j = 0; j < 2 - i; ++j) {
                if (vm.addr(certifierKeys[j]) > vm.addr(certifierKeys[j + 1])) {
                    (certifierKeys[j], certifierKeys[j + 1]) = (certifierKeys[j + 1], certifierKeys[j]);
                }
            }
        }
    }

    // ------------------------------------------------------------------------------------------- CVMs
    function _keys(address signer_) internal pure returns (CvmKeys memory) {
        return CvmKeys(signer_, keccak256("hpke"), keccak256("statement"), keccak256("tls"));
    }

    function _facts() internal view returns (CvmFacts memory) {
        return CvmFacts({
            signer: signer,
            expiresAt: uint40(block.timestamp + 1 days),
            tee: TDX,
            tcbStatus: BEST,
            revoked: false,
            operator: operator,
            measurement: MEASUREMENT,
            rootSet: ROOT_SET
        });
    }

    function _possession(bytes32 cvmId_, address operator_) internal view returns (Possession memory) {
        return Possession(cvmId_, operator_, address(cvms), keccak256("chain challenge"));
    }

    function _signPossession(uint256 key, Possession memory possession) internal view returns (bytes memory) {
        bytes32 content = keccak256(abi.encode(OrderHashLib.POSSESSION_TYPEHASH, possession));
        return _sign(key, _digest("Cloister CvmRegistry", address(cvms), content));
    }

    /// @dev The fixed verifier says what it is told.
    function _registration(CvmFacts memory facts) internal view returns (ICvmRegistry.Registration memory item) {
        item.keys = _keys(signer);
        item.possession = _possession(cvmId, facts.operator);
        item.possessionSignature = _signPossession(signerKey, item.possession);
        item.verifier = fixedVerifier;
        item.evidence = abi.encode(cvmId, facts);
    }

    function _register(ICvmRegistry.Registration memory item) internal returns (uint32) {
        return cvms.register(item.keys, item.possession, item.possessionSignature, item.verifier, item.evidence);
    }

    function _registered() internal returns (uint32) {
        return _register(_registration(_facts()));
    }

    function _renew(uint32 cvm, CvmFacts memory facts) internal {
        cvms.renew(cvm, fixedVerifier, abi.encode(cvmId, facts));
    }

    // ------------------------------------------------------------------------------------------- certificates
    function _certificate() internal view returns (CvmCertificate memory c) {
        CvmKeys memory keys = _keys(signer);
        c.cvmId = cvmId;
        c.signer = signer;
        c.hpke = keys.hpke;
        c.statement = keys.statement;
        c.tls = keys.tls;
        c.operator = operator;
        c.measurement = MEASUREMENT;
        c.tee = TDX;
        c.rootSet = ROOT_SET;
        c.tcbStatus = BEST;
        c.platformId = keccak256("platform");
        c.evidenceId = keccak256("evidence");
        c.challenge = keccak256("challenge");
        c.issuedAt = uint40(block.timestamp);
        c.expiresAt = uint40(block.timestamp + 1 days);
    }

    function _claim(CvmCertificate memory c) internal pure returns (bytes memory) {
        return bytes.concat(
            abi.encodePacked(c.signer, c.hpke, c.statement, c.tls, c.operator, c.measurement),
            abi.encodePacked(c.tee, c.rootSet, c.tcbStatus, c.platformId, c.gpuDigest)
        );
    }

    function _own(CvmCertificate memory c) internal pure returns (bytes memory) {
        return abi.encodePacked(c.evidenceId, c.challenge, c.issuedAt, c.expiresAt);
    }

    function _signedBy(uint256 key, CvmCertificate memory c) internal view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, quorum.digestOf(c));
        return abi.encodePacked(_own(c), r, uint256(s) | uint256(v - 27) << 255);
    }

    /// @dev The first `count` certifiers sign the same certificate.
    function _evidence(CvmCertificate memory c, uint256 count) internal view returns (bytes memory evidence) {
        evidence = _claim(c);
        for (uint256 i = 0; i < count; ++i) {
            evidence = bytes.concat(evidence, _signedBy(certifierKeys[i], c));
        }
    }

    // ------------------------------------------------------------------------------------------- signatures
    function _digest(string memory name, address target, bytes32 content) internal view returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", _domain(name, block.chainid, target), content));
    }

    function _domain(string memory name, uint256 chainId, address target) internal pure returns (bytes32) {
        return
            keccak256(abi.encode(OrderHashLib.DOMAIN_TYPEHASH, keccak256(bytes(name)), keccak256("1"), chainId, target));
    }

    function _sign(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    /// @dev Slots that a test touched are as cold as in a new transaction.
    function _cool(address target) internal {
        Cool(address(vm)).cool(target);
    }

    function _unauthorized(address caller) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, caller);
    }

    function _one(uint32 value) internal pure returns (uint32[] memory list) {
        list = new uint32[](1);
        list[0] = value;
    }
}
