// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILeaseBook} from "../../../../contracts/interfaces/ILeaseBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Leases} from "./Leases.sol";

contract RenewTest is Leases {
    function test_RevertGiven_ThereIsNoSuchLease() external {
        (, bytes32 id) = _leased(1);
        bytes memory other = _leaseBytes(_terms(), poker, lessee, 1);
        bytes32 otherId = leases.leaseIdOf(other);
        assertNotEq(id, otherId);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_NoLease.selector, otherId));
        leases.renew(other, 1);
    }

    function test_RevertGiven_TheTermsAreClosed() external {
        (bytes memory data,) = _leased(1);
        _giveNotice(_terms());
        bytes32 termsId = leases.termsIdOf(_bytes(_terms()));
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_NotOpen.selector, termsId));
        leases.renew(data, 1);
    }

    function test_RevertGiven_TheLeaseIsOver() external {
        (bytes memory data, bytes32 id) = _leased(1);
        skip(PERIOD);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_Over.selector, id, T0 + PERIOD, block.timestamp));
        leases.renew(data, 1);
    }

    function test_RevertWhen_ThePeriodsAreNoneOrTooManyAhead() external {
        (bytes memory data, bytes32 id) = _leased(2);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_TooManyPeriods.selector, id, 0, 3));
        leases.renew(data, 0);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_TooManyPeriods.selector, id, 4, 3));
        leases.renew(data, 2);
        leases.renew(data, 1);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_TooManyPeriods.selector, id, 4, 3));
        leases.renew(data, 1);
        // The running period does not count as paid ahead.
        skip(1);
        leases.renew(data, 1);
        assertEq(_endOf(id), T0 + 4 * PERIOD);
    }

    function test_AddsToTheEndPaidByTheCaller() external {
        (bytes memory data, bytes32 id) = _leased(1);
        _take(id, T0 + PERIOD);
        uint256 before = token.balanceOf(poker);
        vm.expectEmit(address(leases));
        emit ILeaseBook.Renewed(id, poker, T0 + 3 * PERIOD, 2 * PRICE);
        vm.prank(poker);
        leases.renew(data, 2);
        assertEq(before - token.balanceOf(poker), 2 * PRICE);
        assertEq(_held(), 3 * PRICE);
        assertEq(_get(id).left, 1);
        assertEq(_get(id).held, PERIOD);
    }

    function test_GivenAFeeRaisedMeanwhile() external {
        (bytes memory data, bytes32 id) = _leased(1);
        vm.prank(admin);
        leases.setFee(1000, treasury);
        leases.renew(data, 1);
        assertEq(_get(id).feeBps, FEE_BPS);
    }

    function test_WhenRenewedAtTheLastSecond() external {
        (bytes memory data, bytes32 id) = _leased(1);
        skip(PERIOD - 1);
        leases.renew(data, 3);
        assertEq(_endOf(id), T0 + 4 * PERIOD);
    }
}
