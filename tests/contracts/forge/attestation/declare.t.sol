// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IReferenceValues} from "../../../../contracts/interfaces/IReferenceValues.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Stage} from "./Stage.sol";

contract DeclareTest is Stage {
    function test_RevertWhen_AMemberIsEmpty() external {
        _refused(0, ROOT_SET, TDX, "measurement");
        _refused(MEASUREMENT, 0, TDX, "rootSet");
        _refused(MEASUREMENT, ROOT_SET, 0, "tee");
    }

    function test_GivenTheContentWasDeclared() external {
        uint32 profile = references.declare(MEASUREMENT, ROOT_SET, TDX);
        vm.recordLogs();
        assertEq(references.declare(MEASUREMENT, ROOT_SET, TDX), profile);
        assertEq(vm.getRecordedLogs().length, 0);
        assertEq(references.profileCount(), 1);
    }

    function testFuzz_ItGivesTheNextNumber(bytes32 measurement, bytes32 rootSet, uint8 tee, address by) external {
        vm.assume(measurement != 0 && rootSet != 0 && tee != 0 && measurement != MEASUREMENT);
        references.declare(MEASUREMENT, ROOT_SET, TDX);
        assertEq(references.idOf(measurement, rootSet, tee), 0);
        vm.expectEmit(address(references));
        emit IReferenceValues.ProfileDeclared(2, measurement, rootSet, tee);
        vm.prank(by);
        assertEq(references.declare(measurement, rootSet, tee), 2);
        assertEq(references.idOf(measurement, rootSet, tee), 2);
        (uint8 worst, uint8 tee_, bytes32 measurement_, bytes32 rootSet_) = references.profileOf(2);
        assertEq(worst, 0);
        assertEq(tee_, tee);
        assertEq(measurement_, measurement);
        assertEq(rootSet_, rootSet);
        assertEq(references.worstTcbOf(2), 0);
        assertFalse(references.isAccepted(measurement, rootSet, tee, BEST));
        assertEq(references.acceptedIn(rootSet).length, 0);
    }

    function test_NobodyHasTheNumberZero() external view {
        assertEq(references.worstTcbOf(0), 0);
        (uint8 worst, uint8 tee,,) = references.profileOf(0);
        assertEq(worst, 0);
        assertEq(tee, 0);
        assertFalse(references.isAccepted("unknown", ROOT_SET, TDX, BEST));
    }

    function _refused(bytes32 measurement, bytes32 rootSet, uint8 tee, bytes32 field) private {
        vm.expectRevert(abi.encodeWithSelector(Errors.ReferenceValues_Empty.selector, field));
        references.declare(measurement, rootSet, tee);
    }
}
