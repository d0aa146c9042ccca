// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IStandings} from "../../../../contracts/interfaces/IStandings.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Stage} from "./Stage.sol";

contract SetStandingTest is Stage {
    uint32 private _cvm;

    function setUp() public override {
        super.setUp();
        _cvm = _registered();
    }

    function test_RevertWhen_TheCallerIsAnother() external {
        address[3] memory others = [admin, orderBook, poker];
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectRevert(
                abi.encodeWithSelector(Errors.CvmRegistry_NotReferences.selector, others[i], address(references))
            );
            vm.prank(others[i]);
            cvms.setStanding(1, type(uint256).max);
        }
    }

    function test_GivenItIsNotAccepted() external view {
        (uint256 word, uint256 standing) = cvms.standingOf(_cvm);
        assertEq(word, cvms.wordOf(_cvm));
        assertEq(standing, 0);
        (word, standing) = cvms.standingOf(99);
        assertEq(word, 0);
        assertEq(standing, 0);
    }

    function testFuzz_GivenItIsAccepted(bytes32 measurement, bytes32 rootSet, uint8 tee, uint8 floor) external {
        vm.assume(measurement != 0 && rootSet != 0 && tee != 0 && measurement != MEASUREMENT);
        floor = uint8(bound(floor, 1, 6));
        uint256 hash = uint256(keccak256(abi.encode(measurement, rootSet, tee)));
        uint256 expected = hash >> 16 << 16 | uint256(tee) << 8 | floor;
        vm.expectEmit(address(cvms));
        emit IStandings.StandingSet(2, expected);
        vm.prank(admin);
        references.acceptProfile(measurement, rootSet, tee, floor, RELEASE);
    }

    function test_GivenTheFloorMoved() external {
        vm.startPrank(admin);
        references.acceptProfile(MEASUREMENT, ROOT_SET, TDX, 4, RELEASE);
        assertEq(_floor(), 4);
        references.raiseFloor(_one(1), 2);
        assertEq(_floor(), 2);
        references.lowerFloor(1, 6);
        assertEq(_floor(), 6);
        (, uint256 standing) = cvms.standingOf(_cvm);
        assertEq(standing >> 16, uint256(keccak256(abi.encode(MEASUREMENT, ROOT_SET, TDX))) >> 16);
        assertEq(uint8(standing >> 8), TDX);
    }

    function test_GivenItWasRemoved() external {
        vm.startPrank(admin);
        references.acceptProfile(MEASUREMENT, ROOT_SET, TDX, 4, RELEASE);
        references.removeProfiles(_one(1));
        (, uint256 standing) = cvms.standingOf(_cvm);
        assertEq(standing, 0);
        references.acceptProfile(MEASUREMENT, ROOT_SET, TDX, 4, RELEASE);
        assertEq(_floor(), 4);
        references.removeTrustClass(ROOT_SET);
        (, standing) = cvms.standingOf(_cvm);
        assertEq(standing, 0);
    }

    function _floor() private view returns (uint8) {
        (, uint256 standing) = cvms.standingOf(_cvm);
        return uint8(standing);
    }
}
