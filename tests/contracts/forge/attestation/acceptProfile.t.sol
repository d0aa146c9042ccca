// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IReferenceValues} from "../../../../contracts/interfaces/IReferenceValues.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Stage} from "./Stage.sol";

contract AcceptProfileTest is Stage {
    function test_RevertWhen_TheCallerHasNoSuchRole() external {
        vm.expectRevert(_unauthorized(poker));
        vm.prank(poker);
        references.acceptProfile(MEASUREMENT, ROOT_SET, TDX, WORSE, RELEASE);
    }

    function test_RevertWhen_TheReleaseIsEmpty() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.ReferenceValues_Empty.selector, bytes32("release")));
        vm.prank(admin);
        references.acceptProfile(MEASUREMENT, ROOT_SET, TDX, WORSE, 0);
    }

    function test_RevertWhen_TheFloorIsNoneOrRevoked() external {
        uint8 most = references.MAX_TCB();
        vm.startPrank(admin);
        vm.expectRevert(abi.encodeWithSelector(Errors.ReferenceValues_WorstTcb.selector, 0, most));
        references.acceptProfile(MEASUREMENT, ROOT_SET, TDX, 0, RELEASE);
        vm.expectRevert(abi.encodeWithSelector(Errors.ReferenceValues_WorstTcb.selector, most + 1, most));
        references.acceptProfile(MEASUREMENT, ROOT_SET, TDX, most + 1, RELEASE);
        references.acceptProfile(MEASUREMENT, ROOT_SET, TDX, most, RELEASE);
    }

    function test_RevertGiven_TheRootSetIsClosed() external {
        vm.startPrank(admin);
        references.removeTrustClass(ROOT_SET);
        vm.expectRevert(abi.encodeWithSelector(Errors.ReferenceValues_Closed.selector, ROOT_SET));
        references.acceptProfile(MEASUREMENT, ROOT_SET, TDX, WORSE, RELEASE);
    }

    function test_RevertGiven_TheProfileIsAccepted() external {
        vm.startPrank(admin);
        references.acceptProfile(MEASUREMENT, ROOT_SET, TDX, WORSE, RELEASE);
        vm.expectRevert(abi.encodeWithSelector(Errors.ReferenceValues_Accepted.selector, 1));
        references.acceptProfile(MEASUREMENT, ROOT_SET, TDX, BEST, RELEASE);
    }

    function test_RevertGiven_TheRootSetIsFull() external {
        uint256 most = references.MAX_ACCEPTED();
        vm.startPrank(admin);
        for (uint256 i = 1; i <= most; ++i) {
            references.acceptProfile(bytes32(i), ROOT_SET, TDX, WORSE, RELEASE);
        }
        vm.expectRevert(abi.encodeWithSelector(Errors.ReferenceValues_Full.selector, ROOT_SET, most));
        references.acceptProfile(MEASUREMENT, ROOT_SET, TDX, WORSE, RELEASE);
        // Another class has its own places, and one that falls free is used.
        references.acceptProfile(MEASUREMENT, "another", TDX, WORSE, RELEASE);
        references.removeProfiles(_one(1));
        references.acceptProfile(MEASUREMENT, ROOT_SET, TDX, WORSE, RELEASE);
    }

    function test_GivenAnybodyDeclaredIt() external {
        uint32 profile = references.declare(MEASUREMENT, ROOT_SET, TDX);
        vm.prank(admin);
        assertEq(references.acceptProfile(MEASUREMENT, ROOT_SET, TDX, WORSE, RELEASE), profile);
    }

    function test_ItAccepts() external {
        vm.expectEmit(address(references));
        emit IReferenceValues.ProfileAccepted(1, ROOT_SET, RELEASE, WORSE);
        vm.prank(admin);
        references.acceptProfile(MEASUREMENT, ROOT_SET, TDX, WORSE, RELEASE);
        assertEq(references.worstTcbOf(1), WORSE);
        assertEq(references.releaseOf(1), RELEASE);
        assertEq(references.acceptedIn(ROOT_SET)[0], 1);
        assertTrue(references.isAccepted(MEASUREMENT, ROOT_SET, TDX, BEST));
        assertTrue(references.isAccepted(MEASUREMENT, ROOT_SET, TDX, WORSE));
        assertFalse(references.isAccepted(MEASUREMENT, ROOT_SET, TDX, WORSE + 1));
        assertFalse(references.isAccepted(MEASUREMENT, ROOT_SET, TDX, 0));
        assertFalse(references.isAccepted(MEASUREMENT, ROOT_SET, TDX + 1, BEST));
    }
}
