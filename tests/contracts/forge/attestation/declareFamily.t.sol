// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IReferenceValues} from "../../../../contracts/interfaces/IReferenceValues.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Stage} from "./Stage.sol";

contract DeclareFamilyTest is Stage {
    function test_RevertWhen_ThereIsNoMeasurement() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.ReferenceValues_Empty.selector, bytes32("measurements")));
        references.declareFamily(new bytes32[](0));
    }

    function test_RevertWhen_TheyDoNotRise() external {
        _refused(bytes32(0), bytes32(uint256(1)), 0, 0);
        _refused(bytes32(uint256(2)), bytes32(uint256(1)), bytes32(uint256(2)), bytes32(uint256(1)));
        _refused(bytes32(uint256(2)), bytes32(uint256(2)), bytes32(uint256(2)), bytes32(uint256(2)));
    }

    function test_GivenItWasDeclared() external {
        bytes32[] memory list = _two("1", "2");
        bytes32 family = references.declareFamily(list);
        vm.recordLogs();
        assertEq(references.declareFamily(list), family);
        assertEq(vm.getRecordedLogs().length, 0);
    }

    function test_GivenAFamilyWasDeclared() external {
        bytes32 family = references.declareFamily(_two("1", "2"));
        bytes32 other = references.declareFamily(_two("1", "3"));
        assertNotEq(other, family);
        assertTrue(references.inFamily(family, "2"));
        assertFalse(references.inFamily(family, "3"));
        assertFalse(references.inFamily(other, "2"));
        // A family says nothing about policy.
        assertFalse(references.isAccepted("1", ROOT_SET, TDX, BEST));
    }

    function testFuzz_ItNamesTheSet(bytes32 first, bytes32 second, address by) external {
        vm.assume(first != 0 && second != 0 && first != second);
        bytes32[] memory list = first < second ? _two(first, second) : _two(second, first);
        bytes32 expected = keccak256(abi.encodePacked(list[0], list[1]));
        vm.expectEmit(address(references));
        emit IReferenceValues.FamilyDeclared(expected, 2, abi.encodePacked(list[0], list[1]));
        vm.prank(by);
        assertEq(references.declareFamily(list), expected);
        assertTrue(references.inFamily(expected, first) && references.inFamily(expected, second));
        assertFalse(references.inFamily(expected, bytes32(uint256(first) ^ uint256(second))));
    }

    function _two(bytes32 first, bytes32 second) private pure returns (bytes32[] memory list) {
        list = new bytes32[](2);
        (list[0], list[1]) = (first, second);
    }

    function _refused(bytes32 first, bytes32 second, bytes32 previous, bytes32 at) private {
        bytes32[] memory list = _two(first, second);
        vm.expectRevert(abi.encodeWithSelector(Errors.ReferenceValues_NotAscending.selector, previous, at));
        references.declareFamily(list);
    }
}
