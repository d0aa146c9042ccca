// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IReferenceValues} from "../../../../contracts/interfaces/IReferenceValues.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Stage} from "./Stage.sol";

contract RemoveProfilesTest is Stage {
    uint256 private constant _COUNT = 8;

    function test_RevertWhen_TheCallerHasNoSuchRole() external {
        vm.expectRevert(_unauthorized(poker));
        vm.prank(poker);
        references.removeProfiles(_one(1));
    }

    function test_WhenAProfileIsPassedOver() external {
        references.declare("declared", ROOT_SET, TDX);
        vm.startPrank(admin);
        references.acceptProfile(MEASUREMENT, ROOT_SET, TDX, WORSE, RELEASE);
        uint32[] memory list = new uint32[](5);
        (list[0], list[1], list[2], list[3], list[4]) = (0, 1, 2, 2, 99);
        vm.expectEmit(address(references));
        emit IReferenceValues.ProfileRemoved(2, ROOT_SET);
        references.removeProfiles(list);
        assertEq(references.acceptedIn(ROOT_SET).length, 0);
        references.acceptProfile(MEASUREMENT, ROOT_SET, TDX, BEST, RELEASE);
        assertEq(references.worstTcbOf(2), BEST);
    }

    function test_ItLeavesFactsAlone() external {
        vm.prank(admin);
        references.acceptProfile(MEASUREMENT, ROOT_SET, TDX, WORSE, RELEASE);
        _registered();
        bytes32 before = keccak256(abi.encode(cvms.factsOf(cvmId)));
        vm.prank(admin);
        references.removeProfiles(_one(1));
        assertEq(references.worstTcbOf(1), 0);
        assertEq(references.releaseOf(1), RELEASE);
        assertEq(keccak256(abi.encode(cvms.factsOf(cvmId))), before);
    }

    /// @dev Whatever is removed in whatever order, the class' list holds exactly what is accepted.
    function testFuzz_ItKeepsTheOthers(uint8 gone, uint256 seed) external {
        vm.startPrank(admin);
        for (uint256 i = 1; i <= _COUNT; ++i) {
            references.acceptProfile(bytes32(i), ROOT_SET, TDX, WORSE, RELEASE);
        }
        uint256 left = _COUNT;
        for (uint256 i = 0; i < _COUNT; ++i) {
            uint256 k = (i + seed % _COUNT) % _COUNT;
            if (gone >> k & 1 == 0) continue;
            references.removeProfiles(_one(uint32(k + 1)));
            --left;
        }
        uint32[] memory list = references.acceptedIn(ROOT_SET);
        assertEq(list.length, left);
        uint256 seen = 0;
        for (uint256 i = 0; i < list.length; ++i) {
            assertEq(references.worstTcbOf(list[i]), WORSE);
            seen |= 1 << list[i] - 1;
        }
        assertEq(seen, uint256(~gone));
        references.removeTrustClass(ROOT_SET);
        for (uint32 i = 1; i <= _COUNT; ++i) {
            assertEq(references.worstTcbOf(i), 0);
        }
    }
}
