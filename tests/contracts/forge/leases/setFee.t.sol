// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";

import {ILeaseBook} from "../../../../contracts/interfaces/ILeaseBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Leases} from "./Leases.sol";

contract SetFeeTest is Leases {
    function test_RevertWhen_TheCallerHasNoRoleForIt() external {
        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, owner));
        vm.prank(owner);
        leases.setFee(1, owner);
    }

    function test_RevertWhen_TheFeeIsAboveTheMost() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_FeeAboveMax.selector, 1001, 1000));
        vm.prank(admin);
        leases.setFee(1001, treasury);
    }

    function test_RevertWhen_ThereIsNoTreasury() external {
        vm.expectRevert(Errors.LeaseBook_NoTreasury.selector);
        vm.prank(admin);
        leases.setFee(1, address(0));
    }

    function test_HoldsForLeasesToCome() external {
        (, bytes32 before) = _leased(1);
        vm.expectEmit(address(leases));
        emit ILeaseBook.FeeSet(1000, sponsor);
        vm.prank(admin);
        leases.setFee(1000, sponsor);
        bytes memory data = _leaseBytes(_terms(), lessee, address(this), 2);
        bytes32 id = leases.lease(data, 1);
        assertEq(_get(before).feeBps, FEE_BPS);
        assertEq(_get(id).feeBps, 1000);
        assertEq(leases.feeBps(), 1000);
        assertEq(leases.treasury(), sponsor);
    }
}
