// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";

import {IReferenceValues} from "../../../../contracts/interfaces/IReferenceValues.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {TcbStatus, TeeKind} from "../../../../contracts/types/Certificates.sol";
import {Market} from "../utils/Market.sol";

contract ReferenceValuesTest is Market {
    bytes32 private constant _OTHER = keccak256("another");
    uint8 private constant _TDX = uint8(TeeKind.TDX);

    function test_RevertWhen_TheCallerHasNoSuchRole() external {
        bytes memory refused = abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, poker);
        vm.startPrank(poker);
        vm.expectRevert(refused);
        references.acceptMeasurement(_OTHER, _TDX, "r");
        vm.expectRevert(refused);
        references.removeMeasurement(MEASUREMENT);
        vm.expectRevert(refused);
        references.acceptTrustClass(_OTHER, 1);
        vm.expectRevert(refused);
        references.removeTrustClass(ROOT_SET);
    }

    function test_AcceptMeasurement() external {
        vm.startPrank(admin);
        vm.expectRevert(abi.encodeWithSelector(Errors.ReferenceValues_Empty.selector, bytes32("measurement")));
        references.acceptMeasurement(0, _TDX, "r");
        vm.expectRevert(abi.encodeWithSelector(Errors.ReferenceValues_Empty.selector, bytes32("release")));
        references.acceptMeasurement(_OTHER, _TDX, 0);
        vm.expectRevert(abi.encodeWithSelector(Errors.ReferenceValues_UnknownTee.selector, 0));
        references.acceptMeasurement(_OTHER, 0, "r");
        vm.expectRevert(abi.encodeWithSelector(Errors.ReferenceValues_UnknownTee.selector, 6));
        references.acceptMeasurement(_OTHER, 6, "r");
        assertFalse(references.isAccepted(_OTHER, ROOT_SET, _TDX, 1));
        vm.expectEmit(address(references));
        emit IReferenceValues.MeasurementAccepted(_OTHER, _TDX, "r");
        references.acceptMeasurement(_OTHER, _TDX, "r");
        assertTrue(references.isAccepted(_OTHER, ROOT_SET, _TDX, 1));
        (uint8 tee, bytes32 release) = references.measurementOf(_OTHER);
        assertEq(tee, _TDX);
        assertEq(release, "r");
    }

    function test_AcceptTrustClass() external {
        vm.startPrank(admin);
        vm.expectRevert(abi.encodeWithSelector(Errors.ReferenceValues_Empty.selector, bytes32("rootSet")));
        references.acceptTrustClass(0, 1);
        vm.expectRevert(abi.encodeWithSelector(Errors.ReferenceValues_WorstTcb.selector, 0, 6));
        references.acceptTrustClass(_OTHER, 0);
        vm.expectRevert(abi.encodeWithSelector(Errors.ReferenceValues_WorstTcb.selector, 7, 6));
        references.acceptTrustClass(_OTHER, uint8(TcbStatus.REVOKED));
        vm.expectEmit(address(references));
        emit IReferenceValues.TrustClassAccepted(_OTHER, 6);
        references.acceptTrustClass(_OTHER, 6);
        assertEq(references.worstTcbOf(_OTHER), 6);
        assertTrue(references.isAccepted(MEASUREMENT, _OTHER, _TDX, 6));
        assertFalse(references.isAccepted(MEASUREMENT, _OTHER, _TDX, uint8(TcbStatus.REVOKED)));
    }

    function test_Remove() external {
        vm.startPrank(admin);
        vm.expectRevert(abi.encodeWithSelector(Errors.ReferenceValues_Empty.selector, bytes32("measurement")));
        references.removeMeasurement(_OTHER);
        vm.expectRevert(abi.encodeWithSelector(Errors.ReferenceValues_Empty.selector, bytes32("rootSet")));
        references.removeTrustClass(_OTHER);
        vm.expectEmit(address(references));
        emit IReferenceValues.MeasurementRemoved(MEASUREMENT);
        references.removeMeasurement(MEASUREMENT);
        assertFalse(references.isAccepted(MEASUREMENT, ROOT_SET, _TDX, 1));
        references.acceptMeasurement(MEASUREMENT, _TDX, "again");
        vm.expectEmit(address(references));
        emit IReferenceValues.TrustClassRemoved(ROOT_SET);
        references.removeTrustClass(ROOT_SET);
        assertFalse(references.isAccepted(MEASUREMENT, ROOT_SET, _TDX, 1));
    }

    function test_IsAccepted() external view {
        assertTrue(references.isAccepted(MEASUREMENT, ROOT_SET, _TDX, 1));
        assertTrue(references.isAccepted(MEASUREMENT, ROOT_SET, _TDX, 2));
        assertFalse(references.isAccepted(MEASUREMENT, ROOT_SET, _TDX, 3), "worse than the worst");
        assertFalse(references.isAccepted(MEASUREMENT, ROOT_SET, _TDX, 0), "no status");
        assertFalse(references.isAccepted(MEASUREMENT, ROOT_SET, uint8(TeeKind.SEV_SNP), 1), "another TEE");
        assertFalse(references.isAccepted(MEASUREMENT, ROOT_SET, 0, 1), "no TEE");
        assertFalse(references.isAccepted(_OTHER, ROOT_SET, 0, 1), "unknown measurement, no TEE");
        assertFalse(references.isAccepted(MEASUREMENT, _OTHER, _TDX, 1), "another class");
        assertFalse(references.isAccepted(MEASUREMENT, _OTHER, _TDX, 0), "unknown class, no status");
    }
}
