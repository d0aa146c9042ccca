// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Errors as OzErrors} from "@openzeppelin/contracts/utils/Errors.sol";

import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OrderHashLib} from "../../../../contracts/libraries/OrderHashLib.sol";
import {CvmCertificate, CvmFacts, CvmKeys} from "../../../../contracts/types/Certificates.sol";
import {P256Verdict} from "../../../../contracts/verifiers/P256Verdict.sol";
import {Stage} from "./Stage.sol";

/// @dev Runs under Osaka, whose precompiles hold P-256 at 0x100 (EIP-7951; the same call as RIP-7212 on opBNB), but
/// for the one test that says otherwise: Cancun has none.
/// forge-config: default.evm_version = "osaka"
contract P256VerifyTest is Stage {
    uint256 private constant _N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551;
    uint256 private constant _KEY = 0x7253;
    string private constant _VECTORS = "tests/conformance/vectors/verdicts.json";

    P256Verdict private _verdict;
    bytes32 private _x;
    bytes32 private _y;
    bytes32 private _id;

    function setUp() public override {
        super.setUp();
        _verdict = P256Verdict(deployCode("P256Verdict.sol:P256Verdict", abi.encode(authority)));
        (uint256 x, uint256 y) = vm.publicKeyP256(_KEY);
        (_x, _y) = (bytes32(x), bytes32(y));
        _id = keccak256(abi.encode(x, y));
        vm.startPrank(admin);
        _verdict.addKey(_x, _y);
        cvms.addVerifier(_verdict);
        vm.stopPrank();
    }

    function testFuzz_RevertWhen_TheSizeIsAnother(uint256 size) external {
        size = bound(size, 0, 999);
        vm.assume(size != 468);
        vm.expectRevert(abi.encodeWithSelector(Errors.P256Verdict_Length.selector, size, 468));
        _verdict.verify(new bytes(size));
    }

    function test_RevertWhen_TheKeyIsNotBelieved() external {
        bytes memory evidence = _signed(_KEY, _certificate());
        bytes memory other = _signed(_KEY + 1, _certificate());
        (uint256 x, uint256 y) = vm.publicKeyP256(_KEY + 1);
        vm.expectRevert(abi.encodeWithSelector(Errors.P256Verdict_NotKey.selector, keccak256(abi.encode(x, y))));
        _verdict.verify(other);
        vm.prank(admin);
        _verdict.removeKey(_id);
        vm.expectRevert(abi.encodeWithSelector(Errors.P256Verdict_NotKey.selector, _id));
        _verdict.verify(evidence);
    }

    function testFuzz_RevertWhen_AByteIsAltered(uint256 at, uint8 by) external {
        bytes memory evidence = _signed(_KEY, _certificate());
        vm.assume(by != 0);
        at = bound(at, 0, evidence.length - 1);
        evidence[at] ^= bytes1(by);
        vm.expectRevert();
        _verdict.verify(evidence);
    }

    function test_RevertWhen_SIsHigh() external {
        bytes memory evidence = _signed(_KEY, _certificate());
        uint256 s;
        assembly ("memory-safe") {
            s := mload(add(evidence, 468))
            mstore(add(evidence, 468), sub(_N, s))
        }
        assertLe(s, _N / 2);
        vm.expectRevert(abi.encodeWithSelector(Errors.P256Verdict_NotSigned.selector, _id));
        _verdict.verify(evidence);
    }

    function test_RevertWhen_ItDoesNotLast() external {
        CvmCertificate memory c = _certificate();
        c.expiresAt = c.issuedAt;
        bytes memory evidence = _signed(_KEY, c);
        vm.expectRevert(abi.encodeWithSelector(Errors.P256Verdict_NotLasting.selector, c.issuedAt, c.issuedAt));
        _verdict.verify(evidence);
    }

    function test_RevertWhen_ItIsAnothersVerdict() external {
        // Of the quorum's domain, and of another chain.
        bytes memory evidence = _tail(_KEY, _certificate(), quorum.digestOf(_certificate()));
        vm.expectRevert(abi.encodeWithSelector(Errors.P256Verdict_NotSigned.selector, _id));
        _verdict.verify(evidence);
        bytes memory here = _signed(_KEY, _certificate());
        _verdict.verify(here);
        vm.chainId(204);
        vm.expectRevert(abi.encodeWithSelector(Errors.P256Verdict_NotSigned.selector, _id));
        _verdict.verify(here);
    }

    /// forge-config: default.evm_version = "cancun"
    function test_RevertGiven_TheChainHasNoPrecompile() external {
        (bool ok, bytes memory answer) = address(0x100).staticcall(new bytes(160));
        assertTrue(ok && answer.length == 0);
        bytes memory evidence = _signed(_KEY, _certificate());
        vm.expectRevert(abi.encodeWithSelector(OzErrors.MissingPrecompile.selector, address(0x100)));
        _verdict.verify(evidence);
        evidence[0] ^= 0x01;
        vm.expectRevert(abi.encodeWithSelector(OzErrors.MissingPrecompile.selector, address(0x100)));
        _verdict.verify(evidence);
    }

    function test_WhenPythonSigned() external {
        string memory json = vm.readFile(_VECTORS);
        assertEq(block.chainid, vm.parseJsonUint(json, ".chainId"));
        _verdict = P256Verdict(vm.parseJsonAddress(json, ".verdict"));
        deployCodeTo("P256Verdict.sol:P256Verdict", abi.encode(authority), address(_verdict));
        bytes32 x = vm.parseJsonBytes32(json, ".x");
        vm.startPrank(admin);
        _verdict.addKey(x, vm.parseJsonBytes32(json, ".y"));
        assertTrue(_verdict.isKey(vm.parseJsonBytes32(json, ".key")));
        bytes[] memory evidence = vm.parseJsonBytesArray(json, ".p256Evidence");
        bytes32[] memory ids = vm.parseJsonBytes32Array(json, ".cvmIds");
        uint256[] memory expiries = vm.parseJsonUintArray(json, ".expiries");
        assertGt(evidence.length, 0);
        for (uint256 i = 0; i < evidence.length; ++i) {
            (bytes32 proven, CvmFacts memory facts) = _verdict.verify(evidence[i]);
            assertEq(proven, ids[i]);
            assertEq(facts.expiresAt, expiries[i]);
        }
    }

    function testFuzz_WhenEverythingFits(CvmCertificate memory c) external view {
        vm.assume(c.expiresAt > c.issuedAt);
        c.cvmId = OrderHashLib.hashKeys(CvmKeys(c.signer, c.hpke, c.statement, c.tls));
        (bytes32 proven, CvmFacts memory facts) = _verdict.verify(_signed(_KEY, c));
        assertEq(proven, c.cvmId);
        assertEq(facts.signer, c.signer);
        assertEq(facts.operator, c.operator);
        assertEq(facts.measurement, c.measurement);
        assertEq(facts.rootSet, c.rootSet);
        assertEq(facts.tee, c.tee);
        assertEq(facts.tcbStatus, c.tcbStatus);
        assertEq(facts.expiresAt, c.expiresAt);
    }

    /// @dev The seam: the registry asks this back end as it asks the quorum, and each may renew what the other proved.
    function test_WhenTheRegistryAsks() external {
        uint32 cvm = _registered();
        CvmCertificate memory c = _certificate();
        c.expiresAt += 1;
        cvms.renew(cvm, _verdict, _signed(_KEY, c));
        assertEq(cvms.factsOf(cvmId).expiresAt, c.expiresAt);
        c.expiresAt += 1;
        cvms.renew(cvm, quorum, _evidence(c, 2));
        assertEq(cvms.factsOf(cvmId).expiresAt, c.expiresAt);
    }

    function _signed(uint256 key, CvmCertificate memory c) private view returns (bytes memory) {
        return _tail(key, c, _verdict.digestOf(c));
    }

    function _tail(uint256 key, CvmCertificate memory c, bytes32 digest) private pure returns (bytes memory) {
        (uint256 x, uint256 y) = vm.publicKeyP256(key);
        (bytes32 r, bytes32 s) = vm.signP256(key, digest);
        if (uint256(s) > _N / 2) s = bytes32(_N - uint256(s));
        return bytes.concat(_claim(c), _own(c), abi.encode(x, y, r, s));
    }
}
