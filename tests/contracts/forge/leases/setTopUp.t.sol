// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILeaseBook} from "../../../../contracts/interfaces/ILeaseBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {TopUp} from "../../../../contracts/types/Leases.sol";
import {Leases} from "./Leases.sol";

contract SetTopUpTest is Leases {
    function test_RevertGiven_ThereIsNoSuchLease() external {
        bytes memory data = _leaseBytes(_terms());
        bytes32 id = leases.leaseIdOf(data);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_NoLease.selector, id));
        vm.prank(lessee);
        leases.setTopUp(data, TopUp(1, 2, 3));
    }

    function test_RevertWhen_TheCallerIsNotThePayer() external {
        (bytes memory data, bytes32 id) = _leasedBy(sponsor, 1);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_NotPayer.selector, id, lessee, sponsor));
        vm.prank(lessee);
        leases.setTopUp(data, TopUp(1, 2, 3));
    }

    function test_SaysHowFarAnybodyMayRenew() external {
        (bytes memory data, bytes32 id) = _leasedBy(sponsor, 1);
        vm.expectEmit(address(leases));
        emit ILeaseBook.TopUpSet(id, 1, 2, 3);
        vm.prank(sponsor);
        leases.setTopUp(data, TopUp(1, 2, 3));
        TopUp memory got = leases.topUpOf(id);
        assertEq(got.periods, 1);
        assertEq(got.until, 2);
        assertEq(got.within, 3);
    }
}
