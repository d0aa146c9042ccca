// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertifierQuorum} from "../../../../contracts/interfaces/ICertifierQuorum.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {CertifierQuorum} from "../../../../contracts/verifiers/CertifierQuorum.sol";
import {Stage} from "./Stage.sol";

contract CertifiersTest is Stage {
    function test_Constructor_RevertWhen_TheThresholdDoesNotFit() external {
        address[] memory set = new address[](33);
        for (uint160 i = 0; i < 33; ++i) {
            set[i] = address(i + 1);
        }
        vm.expectRevert(abi.encodeWithSelector(Errors.CertifierQuorum_Threshold.selector, 0, 33));
        new CertifierQuorum(address(authority), set, 0);
        vm.expectRevert(abi.encodeWithSelector(Errors.CertifierQuorum_Threshold.selector, 34, 33));
        new CertifierQuorum(address(authority), set, 34);
        // Evidence could never hold so many.
        vm.expectRevert(abi.encodeWithSelector(Errors.CertifierQuorum_Threshold.selector, 33, 33));
        new CertifierQuorum(address(authority), set, 33);
        assertEq(new CertifierQuorum(address(authority), set, 32).threshold(), 32);
    }

    function test_Add_RevertWhen_TheCallerHasNoSuchRole() external {
        vm.expectRevert(_unauthorized(poker));
        vm.prank(poker);
        quorum.addCertifier(poker);
    }

    function test_Add_RevertWhen_ItIsZeroOrKnown() external {
        vm.startPrank(admin);
        vm.expectRevert(Errors.CertifierQuorum_NoCertifier.selector);
        quorum.addCertifier(address(0));
        address known = vm.addr(certifierKeys[0]);
        vm.expectRevert(abi.encodeWithSelector(Errors.CertifierQuorum_AlreadyCertifier.selector, known));
        quorum.addCertifier(known);
    }

    function test_Add() external {
        vm.expectEmit(address(quorum));
        emit ICertifierQuorum.CertifierAdded(poker, 4);
        vm.prank(admin);
        quorum.addCertifier(poker);
        assertTrue(quorum.isCertifier(poker));
        assertEq(quorum.certifierCount(), 4);
    }

    function test_Remove_RevertWhen_TheCallerHasNoSuchRole() external {
        address known = vm.addr(certifierKeys[0]);
        vm.expectRevert(_unauthorized(poker));
        vm.prank(poker);
        quorum.removeCertifier(known);
    }

    function test_Remove_RevertWhen_ItIsNoCertifier() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.CertifierQuorum_NotCertifier.selector, poker));
        vm.prank(admin);
        quorum.removeCertifier(poker);
    }

    function test_Remove() external {
        bytes memory evidence = _evidence(_certificate(), 2);
        quorum.verify(evidence);
        address gone = vm.addr(certifierKeys[1]);
        vm.expectEmit(address(quorum));
        emit ICertifierQuorum.CertifierRemoved(gone, 2);
        vm.prank(admin);
        quorum.removeCertifier(gone);
        vm.expectRevert(abi.encodeWithSelector(Errors.CertifierQuorum_NotCertifier.selector, gone));
        quorum.verify(evidence);
        // The two that are left still prove.
        quorum.verify(
            bytes.concat(
                _claim(_certificate()),
                _signedBy(certifierKeys[0], _certificate()),
                _signedBy(certifierKeys[2], _certificate())
            )
        );
    }

    function test_Remove_GivenFewerThanTheThresholdStay() external {
        bytes memory evidence = _evidence(_certificate(), 2);
        vm.startPrank(admin);
        quorum.removeCertifier(vm.addr(certifierKeys[0]));
        quorum.removeCertifier(vm.addr(certifierKeys[1]));
        assertEq(quorum.certifierCount(), 1);
        assertEq(quorum.threshold(), 2);
        bytes memory single = bytes.concat(_claim(_certificate()), _signedBy(certifierKeys[2], _certificate()));
        vm.expectRevert(abi.encodeWithSelector(Errors.CertifierQuorum_TooFew.selector, 1, 2));
        quorum.verify(single);
        quorum.addCertifier(vm.addr(certifierKeys[0]));
        quorum.addCertifier(vm.addr(certifierKeys[1]));
        quorum.verify(evidence);
    }

    function test_SetThreshold_RevertWhen_TheCallerHasNoSuchRole() external {
        vm.expectRevert(_unauthorized(poker));
        vm.prank(poker);
        quorum.setThreshold(1);
    }

    function test_SetThreshold_RevertWhen_ItDoesNotFit() external {
        vm.startPrank(admin);
        vm.expectRevert(abi.encodeWithSelector(Errors.CertifierQuorum_Threshold.selector, 0, 3));
        quorum.setThreshold(0);
        vm.expectRevert(abi.encodeWithSelector(Errors.CertifierQuorum_Threshold.selector, 4, 3));
        quorum.setThreshold(4);
    }

    function test_SetThreshold() external {
        vm.expectEmit(address(quorum));
        emit ICertifierQuorum.ThresholdSet(3);
        vm.prank(admin);
        quorum.setThreshold(3);
        bytes memory evidence = _evidence(_certificate(), 2);
        vm.expectRevert(abi.encodeWithSelector(Errors.CertifierQuorum_TooFew.selector, 2, 3));
        quorum.verify(evidence);
        quorum.verify(_evidence(_certificate(), 3));
    }
}
