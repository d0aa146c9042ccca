// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICvmRegistry} from "../../../../contracts/interfaces/ICvmRegistry.sol";
import {CvmWord} from "../../../../contracts/libraries/CvmWord.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Stage} from "./Stage.sol";

contract RevokeByProofTest is Stage {
    function test_RevertWhen_TheCallerIsNotTheOrderBook() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.CvmRegistry_NotOrderBook.selector, admin, orderBook));
        vm.prank(admin);
        cvms.revokeByProof(1);
    }

    function test_ItRevokes() external {
        uint32 cvm = _registered();
        vm.expectEmit(address(cvms));
        emit ICvmRegistry.CvmRevoked(cvmId, cvm, orderBook);
        vm.prank(orderBook);
        cvms.revokeByProof(cvm);
        assertTrue(cvms.factsOf(cvmId).revoked);
    }

    function test_GivenItIsRevoked() external {
        uint32 cvm = _registered();
        vm.prank(admin);
        cvms.revoke(cvmId);
        uint256 word = cvms.wordOf(cvm);
        vm.recordLogs();
        vm.prank(orderBook);
        cvms.revokeByProof(cvm);
        assertEq(vm.getRecordedLogs().length, 0);
        assertEq(cvms.wordOf(cvm), word);
    }

    function test_WhenNobodyHasTheNumber() external {
        vm.startPrank(orderBook);
        cvms.revokeByProof(1);
        cvms.revokeByProof(0);
        vm.stopPrank();
        assertEq(cvms.wordOf(1), 0);
        uint32 cvm = _registered();
        assertEq(cvm, 1);
        assertEq(cvms.wordOf(cvm) & CvmWord.REVOKED, 0);
    }
}
