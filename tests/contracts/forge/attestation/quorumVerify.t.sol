// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OrderHashLib} from "../../../../contracts/libraries/OrderHashLib.sol";
import {CvmCertificate, CvmFacts, CvmKeys} from "../../../../contracts/types/Certificates.sol";
import {CertifierQuorum} from "../../../../contracts/verifiers/CertifierQuorum.sol";
import {Stage} from "./Stage.sol";

contract QuorumVerifyTest is Stage {
    uint256 private constant _N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    function testFuzz_RevertWhen_TheSizeDoesNotFit(uint256 size) external {
        bytes memory whole = _evidence(_certificate(), 3);
        size = bound(size, 0, whole.length - 1);
        if (size >= 266 && (size - 266) % 138 == 0) size += 1;
        assembly ("memory-safe") {
            mstore(whole, size)
        }
        vm.expectRevert(abi.encodeWithSelector(Errors.CertifierQuorum_Length.selector, size));
        quorum.verify(whole);
    }

    function test_RevertWhen_TooFewOrTooMany() external {
        bytes memory evidence = _evidence(_certificate(), 1);
        vm.expectRevert(abi.encodeWithSelector(Errors.CertifierQuorum_TooFew.selector, 1, 2));
        quorum.verify(evidence);
        vm.expectRevert(abi.encodeWithSelector(Errors.CertifierQuorum_TooMany.selector, 33, 32));
        quorum.verify(new bytes(266 + 33 * 138));
    }

    function test_RevertWhen_ASignatureRecoversNobody() external {
        CvmCertificate memory c = _certificate();
        bytes memory evidence = bytes.concat(_evidence(c, 1), _own(c), bytes32(0), bytes32(0));
        vm.expectRevert(abi.encodeWithSelector(Errors.CertifierQuorum_NotSigned.selector, 1));
        quorum.verify(evidence);
        // 255 bits hardly hold a high s: these are the first of the few that they do.
        evidence = bytes.concat(_evidence(c, 1), _own(c), bytes32("r"), bytes32(_N / 2 + 1));
        vm.expectRevert(abi.encodeWithSelector(Errors.CertifierQuorum_NotSigned.selector, 1));
        quorum.verify(evidence);
    }

    function test_RevertWhen_ASignerIsNoCertifier() external {
        CvmCertificate memory c = _certificate();
        bytes memory evidence = bytes.concat(_evidence(c, 1), _signedBy(signerKey, c));
        vm.expectRevert(abi.encodeWithSelector(Errors.CertifierQuorum_NotCertifier.selector, signer));
        quorum.verify(evidence);
    }

    /// @dev Every byte of the evidence is signed, but for the signatures themselves.
    function testFuzz_RevertWhen_AByteIsAltered(uint256 at, uint8 by) external {
        bytes memory evidence = _evidence(_certificate(), 2);
        at = bound(at, 0, evidence.length - 1);
        vm.assume(by != 0);
        evidence[at] ^= bytes1(by);
        vm.expectRevert();
        quorum.verify(evidence);
    }

    function test_RevertWhen_CertifiersDoNotRise() external {
        CvmCertificate memory c = _certificate();
        (address low, address high) = (vm.addr(certifierKeys[0]), vm.addr(certifierKeys[1]));
        bytes memory swapped = bytes.concat(_claim(c), _signedBy(certifierKeys[1], c), _signedBy(certifierKeys[0], c));
        vm.expectRevert(abi.encodeWithSelector(Errors.CertifierQuorum_NotAscending.selector, high, low));
        quorum.verify(swapped);
        bytes memory twice = bytes.concat(_evidence(c, 1), _signedBy(certifierKeys[0], c));
        vm.expectRevert(abi.encodeWithSelector(Errors.CertifierQuorum_NotAscending.selector, low, low));
        quorum.verify(twice);
    }

    function test_RevertWhen_ACertificateDoesNotLast() external {
        CvmCertificate memory c = _certificate();
        bytes memory evidence = _evidence(c, 1);
        c.expiresAt = c.issuedAt;
        evidence = bytes.concat(evidence, _signedBy(certifierKeys[1], c));
        vm.expectRevert(abi.encodeWithSelector(Errors.CertifierQuorum_NotLasting.selector, 1, c.issuedAt, c.issuedAt));
        quorum.verify(evidence);
    }

    function test_WhenCertifiersSawOtherEvidence() external view {
        CvmCertificate memory c = _certificate();
        bytes memory evidence = _evidence(c, 1);
        uint40 latest = c.expiresAt;
        c.evidenceId = "other";
        c.challenge = "other";
        c.issuedAt += 5;
        c.expiresAt = latest - 9;
        evidence = bytes.concat(evidence, _signedBy(certifierKeys[1], c));
        c.expiresAt = latest + 9;
        evidence = bytes.concat(evidence, _signedBy(certifierKeys[2], c));
        (, CvmFacts memory facts) = quorum.verify(evidence);
        assertEq(facts.expiresAt, latest - 9);
    }

    function test_WhenPythonSigned() external {
        string memory json = vm.readFile("tests/conformance/vectors/verdicts.json");
        address at = vm.parseJsonAddress(json, ".quorum");
        address[] memory set = vm.parseJsonAddressArray(json, ".certifiers");
        deployCodeTo("CertifierQuorum.sol:CertifierQuorum", abi.encode(authority, set, set.length), at);
        bytes[] memory evidence = vm.parseJsonBytesArray(json, ".quorumEvidence");
        bytes32[] memory ids = vm.parseJsonBytes32Array(json, ".cvmIds");
        uint256[] memory expiries = vm.parseJsonUintArray(json, ".expiries");
        assertGt(evidence.length, 0);
        for (uint256 i = 0; i < evidence.length; ++i) {
            (bytes32 proven, CvmFacts memory facts) = CertifierQuorum(at).verify(evidence[i]);
            assertEq(proven, ids[i]);
            assertEq(facts.expiresAt, expiries[i]);
        }
    }

    function testFuzz_WhenEverythingFits(CvmCertificate memory c) external view {
        vm.assume(c.expiresAt > c.issuedAt);
        c.cvmId = OrderHashLib.hashKeys(CvmKeys(c.signer, c.hpke, c.statement, c.tls));
        (bytes32 proven, CvmFacts memory facts) = quorum.verify(_evidence(c, 2));
        assertEq(proven, c.cvmId);
        assertEq(facts.signer, c.signer);
        assertEq(facts.operator, c.operator);
        assertEq(facts.measurement, c.measurement);
        assertEq(facts.rootSet, c.rootSet);
        assertEq(facts.tee, c.tee);
        assertEq(facts.tcbStatus, c.tcbStatus);
        assertEq(facts.expiresAt, c.expiresAt);
        assertFalse(facts.revoked);
    }
}
