// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICvmRegistry} from "../../../../contracts/interfaces/ICvmRegistry.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {CvmCertificate, CvmFacts, TeeKind} from "../../../../contracts/types/Certificates.sol";
import {Stage} from "./Stage.sol";

contract RenewTest is Stage {
    uint32 private _cvm;

    function setUp() public override {
        super.setUp();
        _cvm = _registered();
    }

    function test_RevertWhen_NobodyHasTheNumber() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.CvmRegistry_UnknownCvm.selector, 2));
        _renew(2, _later());
        vm.expectRevert(abi.encodeWithSelector(Errors.CvmRegistry_UnknownCvm.selector, 0));
        _renew(0, _later());
    }

    function test_RevertGiven_ItWasRevoked() external {
        vm.prank(admin);
        cvms.revoke(cvmId);
        _refused(_later(), abi.encodeWithSelector(Errors.CvmRegistry_Revoked.selector, cvmId));
        bytes32 unknown = "never proven";
        vm.prank(admin);
        cvms.revoke(unknown);
        vm.expectRevert(abi.encodeWithSelector(Errors.CvmRegistry_Revoked.selector, unknown));
        cvms.renew(2, fixedVerifier, abi.encode(unknown, _later()));
    }

    function test_RevertGiven_ItWasRetired() external {
        vm.prank(operator);
        cvms.retire(cvmId);
        _refused(_later(), abi.encodeWithSelector(Errors.CvmRegistry_Retired.selector, cvmId));
    }

    function test_RevertWhen_TheVerifierIsNotBelieved() external {
        vm.prank(admin);
        cvms.removeVerifier(fixedVerifier);
        _refused(_later(), abi.encodeWithSelector(Errors.CvmRegistry_UnknownVerifier.selector, address(fixedVerifier)));
    }

    function test_RevertWhen_TheEvidenceProvesAnother() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.CvmRegistry_OtherCvm.selector, bytes32("another"), cvmId));
        cvms.renew(_cvm, fixedVerifier, abi.encode(bytes32("another"), _later()));
        CvmFacts memory facts = _later();
        facts.signer = poker;
        _refused(facts, abi.encodeWithSelector(Errors.CvmRegistry_OtherSigner.selector, poker, signer));
        facts = _later();
        facts.operator = poker;
        _refused(facts, abi.encodeWithSelector(Errors.CvmRegistry_OtherOperator.selector, poker, operator));
    }

    function test_RevertWhen_ItProvesAnotherProfile() external {
        uint32 other = references.declare("other", ROOT_SET, TDX);
        CvmFacts memory facts = _later();
        facts.measurement = "other";
        _refused(facts, abi.encodeWithSelector(Errors.CvmRegistry_OtherProfile.selector, cvmId, other, 1));
        facts = _later();
        facts.tee = uint8(TeeKind.SEV_SNP);
        _refused(facts, abi.encodeWithSelector(Errors.CvmRegistry_OtherProfile.selector, cvmId, 0, 1));
    }

    function test_RevertWhen_ItProvesNoTcbStatus() external {
        CvmFacts memory facts = _later();
        facts.tcbStatus = 0;
        _refused(facts, abi.encodeWithSelector(Errors.CvmRegistry_EmptyFact.selector, cvmId, bytes32("tcbStatus")));
    }

    function test_RevertWhen_TheTimesDoNotFit() external {
        uint40 known = _facts().expiresAt;
        _refused(_facts(), abi.encodeWithSelector(Errors.CvmRegistry_NotLater.selector, cvmId, known, known));
        CvmFacts memory facts = _facts();
        facts.expiresAt = uint40(T0 + 32 days);
        _refused(facts, abi.encodeWithSelector(Errors.CvmRegistry_TooLong.selector, cvmId, T0 + 32 days, T0 + 31 days));
        facts.expiresAt = known + 1;
        vm.warp(known + 1);
        _refused(facts, abi.encodeWithSelector(Errors.CvmRegistry_Expired.selector, cvmId, known + 1, known + 1));
    }

    function test_GivenCertifiersSignedIt() external {
        CvmCertificate memory certificate = _certificate();
        certificate.expiresAt += 1;
        certificate.tcbStatus = WORSE;
        vm.expectEmit(address(cvms));
        emit ICvmRegistry.CvmRenewed(cvmId, _cvm, address(quorum), certificate.expiresAt, WORSE);
        cvms.renew(_cvm, quorum, _evidence(certificate, 2));
    }

    function testFuzz_WhenEverythingFits(uint256 later, uint8 tcb, address by) external {
        vm.assume(tcb != 0);
        CvmFacts memory facts = _facts();
        facts.expiresAt = uint40(bound(later, T0 + 1 days + 1, T0 + 31 days));
        facts.tcbStatus = tcb;
        vm.prank(by);
        _renew(_cvm, facts);
        assertEq(keccak256(abi.encode(cvms.factsOf(cvmId))), keccak256(abi.encode(facts)));
        assertEq(cvms.operatorOf(_cvm), operator);
        assertEq(cvms.cvmIdAt(_cvm), cvmId);
        assertEq(cvms.registeredAt(_cvm), T0);
        assertEq(cvms.wordOf(_cvm) >> 248, 0);
    }

    function _later() private view returns (CvmFacts memory facts) {
        facts = _facts();
        facts.expiresAt += 1;
    }

    function _refused(CvmFacts memory facts, bytes memory error_) private {
        vm.expectRevert(error_);
        _renew(_cvm, facts);
    }
}
