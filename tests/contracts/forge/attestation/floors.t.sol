// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IReferenceValues} from "../../../../contracts/interfaces/IReferenceValues.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Stage} from "./Stage.sol";

contract FloorsTest is Stage {
    function setUp() public override {
        super.setUp();
        vm.prank(admin);
        references.acceptProfile(MEASUREMENT, ROOT_SET, TDX, 4, RELEASE);
    }

    function test_Raise_RevertWhen_TheCallerHasNoSuchRole() external {
        vm.expectRevert(_unauthorized(poker));
        vm.prank(poker);
        references.raiseFloor(_one(1), 3);
    }

    function test_Raise_RevertWhen_TheFloorIsNone() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.ReferenceValues_WorstTcb.selector, 0, 6));
        vm.prank(admin);
        references.raiseFloor(_one(1), 0);
    }

    function test_Raise_WhenAProfileIsPassedOver() external {
        uint32[] memory list = new uint32[](3);
        (list[0], list[1], list[2]) = (0, 1, 2);
        references.declare("declared", ROOT_SET, TDX);
        vm.recordLogs();
        vm.prank(admin);
        references.raiseFloor(list, 4);
        assertEq(vm.getRecordedLogs().length, 0);
        vm.prank(admin);
        references.raiseFloor(list, 6);
        assertEq(references.worstTcbOf(1), 4);
        assertEq(references.worstTcbOf(2), 0);
    }

    function test_Raise() external {
        vm.expectEmit(address(references));
        emit IReferenceValues.FloorSet(1, 1);
        vm.prank(admin);
        references.raiseFloor(_one(1), 1);
        assertEq(references.worstTcbOf(1), 1);
    }

    function test_Lower_RevertWhen_TheCallerHasNoSuchRole() external {
        vm.expectRevert(_unauthorized(poker));
        vm.prank(poker);
        references.lowerFloor(1, 5);
    }

    function test_Lower_RevertWhen_TheFloorIsRevoked() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.ReferenceValues_WorstTcb.selector, 7, 6));
        vm.prank(admin);
        references.lowerFloor(1, 7);
    }

    function test_Lower_RevertGiven_ItIsNotAccepted() external {
        vm.startPrank(admin);
        references.removeProfiles(_one(1));
        vm.expectRevert(abi.encodeWithSelector(Errors.ReferenceValues_NotAccepted.selector, 1));
        references.lowerFloor(1, 5);
    }

    function test_Lower_RevertWhen_ItIsNoLower() external {
        vm.startPrank(admin);
        vm.expectRevert(abi.encodeWithSelector(Errors.ReferenceValues_NotLower.selector, 1, 4, 4));
        references.lowerFloor(1, 4);
        vm.expectRevert(abi.encodeWithSelector(Errors.ReferenceValues_NotLower.selector, 1, 3, 4));
        references.lowerFloor(1, 3);
    }

    function test_Lower() external {
        vm.expectEmit(address(references));
        emit IReferenceValues.FloorSet(1, 6);
        vm.prank(admin);
        references.lowerFloor(1, 6);
        assertEq(references.worstTcbOf(1), 6);
        assertEq(references.acceptedIn(ROOT_SET).length, 1);
    }
}
