// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICvmRegistry} from "../../../../contracts/interfaces/ICvmRegistry.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {CvmFacts} from "../../../../contracts/types/Certificates.sol";
import {Stage} from "./Stage.sol";

contract RetireTest is Stage {
    function setUp() public override {
        super.setUp();
        _registered();
    }

    function test_RevertWhen_TheCallerIsNotTheOperator() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.CvmRegistry_NotOperator.selector, cvmId, poker, operator));
        vm.prank(poker);
        cvms.retire(cvmId);
        vm.expectRevert(
            abi.encodeWithSelector(Errors.CvmRegistry_NotOperator.selector, bytes32("nobody"), operator, address(0))
        );
        vm.prank(operator);
        cvms.retire("nobody");
    }

    function test_ItEndsTheCertificate() external {
        vm.expectEmit(address(cvms));
        emit ICvmRegistry.CvmRetired(cvmId, 1, operator);
        vm.startPrank(operator);
        cvms.retire(cvmId);
        assertFalse(cvms.isUsable(cvmId));
        assertTrue(cvms.isRetired(cvmId));
        CvmFacts memory facts = cvms.factsOf(cvmId);
        assertEq(facts.expiresAt, T0);
        assertFalse(facts.revoked);
        assertEq(facts.signer, signer);
        assertEq(facts.tcbStatus, BEST);
        vm.expectRevert(abi.encodeWithSelector(Errors.CvmRegistry_Retired.selector, cvmId));
        cvms.retire(cvmId);
    }

    function test_GivenItExpired() external {
        uint40 expiresAt = cvms.factsOf(cvmId).expiresAt;
        vm.warp(uint256(expiresAt) + 9);
        vm.prank(operator);
        cvms.retire(cvmId);
        assertEq(cvms.factsOf(cvmId).expiresAt, expiresAt);
        assertTrue(cvms.isRetired(cvmId));
    }
}
