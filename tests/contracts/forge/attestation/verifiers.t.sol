// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICvmRegistry} from "../../../../contracts/interfaces/ICvmRegistry.sol";
import {IEvidenceVerifier} from "../../../../contracts/interfaces/IEvidenceVerifier.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Stage} from "./Stage.sol";

contract VerifiersTest is Stage {
    function test_AddVerifier_RevertWhen_TheCallerHasNoSuchRole() external {
        IEvidenceVerifier fresh = _another();
        vm.expectRevert(_unauthorized(poker));
        vm.prank(poker);
        cvms.addVerifier(fresh);
    }

    function test_AddVerifier_RevertWhen_ItIsNoContract() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.CvmRegistry_NoVerifier.selector, poker));
        vm.prank(admin);
        cvms.addVerifier(IEvidenceVerifier(poker));
    }

    function test_AddVerifier_RevertGiven_ItIsBelieved() external {
        assertTrue(cvms.isVerifier(quorum));
        vm.expectRevert(abi.encodeWithSelector(Errors.CvmRegistry_KnownVerifier.selector, address(quorum)));
        vm.prank(admin);
        cvms.addVerifier(quorum);
    }

    function test_AddVerifier_ItBelievesIt() external {
        IEvidenceVerifier fresh = _another();
        vm.expectEmit(address(cvms));
        emit ICvmRegistry.VerifierAdded(address(fresh));
        vm.prank(admin);
        cvms.addVerifier(fresh);
        assertTrue(cvms.isVerifier(fresh));
    }

    function test_RemoveVerifier_RevertWhen_TheCallerHasNoSuchRole() external {
        vm.expectRevert(_unauthorized(poker));
        vm.prank(poker);
        cvms.removeVerifier(quorum);
    }

    function test_RemoveVerifier_RevertGiven_ItIsNotBelieved() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.CvmRegistry_UnknownVerifier.selector, poker));
        vm.prank(admin);
        cvms.removeVerifier(IEvidenceVerifier(poker));
    }

    function test_RemoveVerifier_ItStopsBelieving() external {
        _registered();
        vm.expectEmit(address(cvms));
        emit ICvmRegistry.VerifierRemoved(address(fixedVerifier));
        vm.prank(admin);
        cvms.removeVerifier(fixedVerifier);
        assertFalse(cvms.isVerifier(fixedVerifier));
        assertTrue(cvms.isUsable(cvmId));
    }

    function _another() private returns (IEvidenceVerifier) {
        return IEvidenceVerifier(deployCode("FixedVerifier.sol:FixedVerifier"));
    }
}
