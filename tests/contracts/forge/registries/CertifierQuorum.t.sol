// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";

import {ICertifierQuorum} from "../../../../contracts/interfaces/ICertifierQuorum.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {CvmCertificate, CvmFacts} from "../../../../contracts/types/Certificates.sol";
import {CertifierQuorum} from "../../../../contracts/verifiers/CertifierQuorum.sol";
import {Market} from "../utils/Market.sol";

contract CertifierQuorumTest is Market {
    CvmCertificate[] private _c;
    bytes[] private _s;

    // ------------------------------------------------------------------------------------------- verify
    function test_Verify_WhenEnoughAgree() external {
        CvmCertificate memory first = _certificate();
        CvmCertificate memory second = _certificate();
        second.evidenceId = "another quote";
        second.challenge = "another challenge";
        second.issuedAt -= 5;
        second.expiresAt -= 100;
        _add(0, first);
        _add(2, second);
        (bytes32 id, CvmFacts memory facts) = quorum.verify(abi.encode(_c, _s));
        assertEq(id, cvmId);
        assertEq(facts.signer, signer);
        assertEq(facts.operator, operator);
        assertEq(facts.expiresAt, second.expiresAt, "the earliest");
        assertEq(facts.tee, first.tee);
        assertEq(facts.tcbStatus, first.tcbStatus);
        assertEq(facts.measurement, MEASUREMENT);
        assertEq(facts.rootSet, ROOT_SET);
        assertFalse(facts.revoked);
    }

    function test_Verify_RevertWhen_TheNumbersDiffer() external {
        _add(0, _certificate());
        _add(1, _certificate());
        _s.pop();
        _refused(abi.encodeWithSelector(Errors.CertifierQuorum_Length.selector, 2, 1));
    }

    function test_Verify_RevertWhen_ThereAreTooFew() external {
        _refused(abi.encodeWithSelector(Errors.CertifierQuorum_TooFew.selector, 0, 2));
        _add(0, _certificate());
        _refused(abi.encodeWithSelector(Errors.CertifierQuorum_TooFew.selector, 1, 2));
    }

    function test_Verify_RevertWhen_ThereAreTooMany() external {
        for (uint256 i = 0; i < 33; ++i) {
            _add(0, _certificate());
        }
        _refused(abi.encodeWithSelector(Errors.CertifierQuorum_TooMany.selector, 33, 32));
    }

    function test_Verify_RevertWhen_TheCvmIdIsNotThatOfTheKeys() external {
        CvmCertificate memory c = _certificate();
        c.tls = "another key";
        _add(0, c);
        _add(1, c);
        vm.expectPartialRevert(Errors.CertifierQuorum_CvmIdMismatch.selector);
        quorum.verify(abi.encode(_c, _s));
    }

    function test_Verify_RevertWhen_ACertificateDisagrees() external {
        for (uint256 member = 0; member < 12; ++member) {
            CvmCertificate memory c = _certificate();
            if (member == 0) c.cvmId = "x";
            if (member == 1) c.signer = poker;
            if (member == 2) c.hpke = "x";
            if (member == 3) c.statement = "x";
            if (member == 4) c.tls = "x";
            if (member == 5) c.operator = poker;
            if (member == 6) c.measurement = "x";
            if (member == 7) c.tee = 2;
            if (member == 8) c.rootSet = "x";
            if (member == 9) c.tcbStatus = 2;
            if (member == 10) c.platformId = "x";
            if (member == 11) c.gpuDigest = "x";
            delete _c;
            delete _s;
            _add(0, _certificate());
            _add(1, c);
            vm.expectPartialRevert(Errors.CertifierQuorum_Disagree.selector);
            quorum.verify(abi.encode(_c, _s));
        }
    }

    function test_Verify_RevertWhen_ACertificateDoesNotLast() external {
        CvmCertificate memory c = _certificate();
        c.expiresAt = c.issuedAt;
        _add(0, _certificate());
        _add(1, c);
        _refused(abi.encodeWithSelector(Errors.CertifierQuorum_NotLasting.selector, 1, c.issuedAt, c.issuedAt));
    }

    function test_Verify_RevertWhen_TheSignerIsNoCertifier() external {
        _add(0, _certificate());
        _c.push(_certificate());
        _s.push(_sign(operatorKey, quorum.digestOf(_certificate())));
        _refused(abi.encodeWithSelector(Errors.CertifierQuorum_NotCertifier.selector, operator));
        _s[1] = "";
        _refused(abi.encodeWithSelector(Errors.CertifierQuorum_NotSigned.selector, 1));
    }

    function test_Verify_RevertWhen_OneCertifierSignedTwice() external {
        _add(1, _certificate());
        CvmCertificate memory again = _certificate();
        again.evidenceId = "another quote";
        _add(1, again);
        address it = vm.addr(certifierKeys[1]);
        _refused(abi.encodeWithSelector(Errors.CertifierQuorum_NotAscending.selector, it, it));
    }

    function test_Verify_RevertWhen_TheOrderFalls() external {
        _add(1, _certificate());
        _add(0, _certificate());
        _refused(
            abi.encodeWithSelector(
                Errors.CertifierQuorum_NotAscending.selector, vm.addr(certifierKeys[1]), vm.addr(certifierKeys[0])
            )
        );
    }

    function test_Verify_RevertWhen_TheDomainIsAnother() external {
        CvmCertificate memory c = _certificate();
        _add(0, c);
        _c.push(c);
        bytes32 elsewhere = _digest("Cloister CertifierQuorum", address(0xBEEF), hashes.hashCertificate(c));
        _s.push(_sign(certifierKeys[1], elsewhere));
        vm.expectPartialRevert(Errors.CertifierQuorum_NotCertifier.selector);
        quorum.verify(abi.encode(_c, _s));
        assertEq(quorum.digestOf(c), _digest("Cloister CertifierQuorum", address(quorum), hashes.hashCertificate(c)));
    }

    // ------------------------------------------------------------------------------------------- the set
    function test_Set_RevertWhen_TheCallerHasNoSuchRole() external {
        bytes memory refused = abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, poker);
        vm.startPrank(poker);
        vm.expectRevert(refused);
        quorum.addCertifier(poker);
        vm.expectRevert(refused);
        quorum.removeCertifier(vm.addr(certifierKeys[0]));
        vm.expectRevert(refused);
        quorum.setThreshold(1);
    }

    function test_AddCertifier() external {
        vm.startPrank(admin);
        vm.expectRevert(Errors.CertifierQuorum_NoCertifier.selector);
        quorum.addCertifier(address(0));
        address known = vm.addr(certifierKeys[0]);
        vm.expectRevert(abi.encodeWithSelector(Errors.CertifierQuorum_AlreadyCertifier.selector, known));
        quorum.addCertifier(known);
        vm.expectEmit(address(quorum));
        emit ICertifierQuorum.CertifierAdded(operator, 4);
        quorum.addCertifier(operator);
        assertTrue(quorum.isCertifier(operator));
        assertEq(quorum.certifierCount(), 4);
    }

    function test_RemoveCertifier() external {
        address gone = vm.addr(certifierKeys[2]);
        vm.startPrank(admin);
        vm.expectRevert(abi.encodeWithSelector(Errors.CertifierQuorum_NotCertifier.selector, poker));
        quorum.removeCertifier(poker);
        vm.expectEmit(address(quorum));
        emit ICertifierQuorum.CertifierRemoved(gone, 2);
        quorum.removeCertifier(gone);
        vm.expectRevert(abi.encodeWithSelector(Errors.CertifierQuorum_Threshold.selector, 2, 1));
        quorum.removeCertifier(vm.addr(certifierKeys[0]));
        vm.stopPrank();
        _add(0, _certificate());
        _add(2, _certificate());
        _refused(abi.encodeWithSelector(Errors.CertifierQuorum_NotCertifier.selector, gone));
    }

    function test_SetThreshold() external {
        vm.startPrank(admin);
        vm.expectRevert(abi.encodeWithSelector(Errors.CertifierQuorum_Threshold.selector, 0, 3));
        quorum.setThreshold(0);
        vm.expectRevert(abi.encodeWithSelector(Errors.CertifierQuorum_Threshold.selector, 4, 3));
        quorum.setThreshold(4);
        vm.expectEmit(address(quorum));
        emit ICertifierQuorum.ThresholdSet(3);
        quorum.setThreshold(3);
        vm.stopPrank();
        _add(0, _certificate());
        _add(1, _certificate());
        _refused(abi.encodeWithSelector(Errors.CertifierQuorum_TooFew.selector, 2, 3));
        _add(2, _certificate());
        quorum.verify(abi.encode(_c, _s));
    }

    function test_Constructor_RevertWhen_TheThresholdDoesNotFit() external {
        address[] memory one = new address[](1);
        one[0] = poker;
        vm.expectRevert(abi.encodeWithSelector(Errors.CertifierQuorum_Threshold.selector, 2, 1));
        new CertifierQuorum(address(authority), one, 2);
    }

    function _add(uint256 certifier, CvmCertificate memory c) private {
        _c.push(c);
        _s.push(_sign(certifierKeys[certifier], quorum.digestOf(c)));
    }

    function _refused(bytes memory error_) private {
        vm.expectRevert(error_);
        quorum.verify(abi.encode(_c, _s));
    }
}
