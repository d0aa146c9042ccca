// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICvmRegistry} from "../../../../contracts/interfaces/ICvmRegistry.sol";
import {CvmWord} from "../../../../contracts/libraries/CvmWord.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Stage} from "./Stage.sol";

contract RevokeTest is Stage {
    function test_RevertWhen_TheCallerHasNoSuchRole() external {
        vm.expectRevert(_unauthorized(operator));
        vm.prank(operator);
        cvms.revoke(cvmId);
    }

    function test_ItHolds() external {
        uint32 cvm = _registered();
        uint256 word = cvms.wordOf(cvm);
        vm.expectEmit(address(cvms));
        emit ICvmRegistry.CvmRevoked(cvmId, cvm, admin);
        vm.startPrank(admin);
        cvms.revoke(cvmId);
        assertFalse(cvms.isUsable(cvmId));
        assertTrue(cvms.factsOf(cvmId).revoked);
        assertEq(cvms.wordOf(cvm), word | CvmWord.REVOKED);
        vm.expectRevert(abi.encodeWithSelector(Errors.CvmRegistry_Revoked.selector, cvmId));
        cvms.revoke(cvmId);
    }

    function test_GivenNobodyProvedIt() external {
        vm.expectEmit(address(cvms));
        emit ICvmRegistry.CvmRevoked(cvmId, 1, admin);
        vm.prank(admin);
        cvms.revoke(cvmId);
        assertEq(cvms.indexOf(cvmId), 1);
        assertEq(cvms.wordOf(1), CvmWord.REVOKED);
        assertTrue(cvms.factsOf(cvmId).revoked);
        assertEq(cvms.factsOf(cvmId).signer, address(0));
        ICvmRegistry.Registration memory item = _registration(_facts());
        vm.expectRevert(abi.encodeWithSelector(Errors.CvmRegistry_Revoked.selector, cvmId));
        _register(item);
    }
}
