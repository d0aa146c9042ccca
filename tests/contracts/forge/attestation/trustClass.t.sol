// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IReferenceValues} from "../../../../contracts/interfaces/IReferenceValues.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Stage} from "./Stage.sol";

contract TrustClassTest is Stage {
    function test_Remove_RevertWhen_TheCallerHasNoSuchRole() external {
        vm.expectRevert(_unauthorized(poker));
        vm.prank(poker);
        references.removeTrustClass(ROOT_SET);
    }

    function test_Remove_RevertGiven_ItIsClosed() external {
        vm.startPrank(admin);
        references.removeTrustClass(ROOT_SET);
        vm.expectRevert(abi.encodeWithSelector(Errors.ReferenceValues_Closed.selector, ROOT_SET));
        references.removeTrustClass(ROOT_SET);
    }

    function test_Remove_GivenTheMostProfiles() external {
        uint32 most = uint32(references.MAX_ACCEPTED());
        vm.startPrank(admin);
        for (uint256 i = 1; i <= most; ++i) {
            references.acceptProfile(bytes32(i), ROOT_SET, TDX, WORSE, RELEASE);
        }
        references.removeTrustClass(ROOT_SET);
        for (uint32 i = 1; i <= most; ++i) {
            assertEq(references.worstTcbOf(i), 0);
        }
    }

    function test_Remove() external {
        vm.startPrank(admin);
        references.acceptProfile(MEASUREMENT, ROOT_SET, TDX, WORSE, RELEASE);
        references.acceptProfile("2", ROOT_SET, TDX, WORSE, RELEASE);
        references.acceptProfile(MEASUREMENT, "another", TDX, WORSE, RELEASE);
        vm.expectEmit(address(references));
        emit IReferenceValues.ProfileRemoved(1, ROOT_SET);
        vm.expectEmit(address(references));
        emit IReferenceValues.ProfileRemoved(2, ROOT_SET);
        vm.expectEmit(address(references));
        emit IReferenceValues.TrustClassRemoved(ROOT_SET);
        references.removeTrustClass(ROOT_SET);
        assertTrue(references.isClosed(ROOT_SET));
        assertEq(references.acceptedIn(ROOT_SET).length, 0);
        assertEq(references.worstTcbOf(1), 0);
        assertEq(references.worstTcbOf(2), 0);
        assertEq(references.worstTcbOf(3), WORSE);
    }

    function test_Reopen_RevertWhen_TheCallerHasNoSuchRole() external {
        vm.expectRevert(_unauthorized(poker));
        vm.prank(poker);
        references.reopenTrustClass(ROOT_SET);
    }

    function test_Reopen_RevertGiven_ItIsOpen() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.ReferenceValues_Open.selector, ROOT_SET));
        vm.prank(admin);
        references.reopenTrustClass(ROOT_SET);
    }

    function test_Reopen() external {
        vm.startPrank(admin);
        references.acceptProfile(MEASUREMENT, ROOT_SET, TDX, WORSE, RELEASE);
        references.removeTrustClass(ROOT_SET);
        vm.expectEmit(address(references));
        emit IReferenceValues.TrustClassReopened(ROOT_SET);
        references.reopenTrustClass(ROOT_SET);
        assertEq(references.worstTcbOf(1), 0);
        references.acceptProfile(MEASUREMENT, ROOT_SET, TDX, BEST, RELEASE);
        assertEq(references.worstTcbOf(1), BEST);
    }
}
