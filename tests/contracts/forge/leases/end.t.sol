// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILeaseBook} from "../../../../contracts/interfaces/ILeaseBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {LeaseTerms} from "../../../../contracts/types/Leases.sol";
import {Leases} from "./Leases.sol";

contract EndTest is Leases {
    function test_RevertGiven_ThereIsNoSuchLease() external {
        bytes memory data = _leaseBytes(_terms());
        bytes32 id = leases.leaseIdOf(data);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_NoLease.selector, id));
        _end(data);
    }

    function test_RevertWhen_TheCallerIsNotTheLessee() external {
        (bytes memory data, bytes32 id) = _leasedBy(sponsor, 1);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_NotLessee.selector, id, sponsor, lessee));
        vm.prank(sponsor);
        leases.end(data);
    }

    function test_RevertGiven_APlaceIsTaken() external {
        (bytes memory data, bytes32 id) = _leased(1);
        _take(id, T0 + 200);
        skip(500);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_PlacesTaken.selector, id, 1));
        _end(data);
        _free(id);
        _end(data);
        assertEq(_endOf(id), T0 + 500);
    }

    function test_RevertGiven_TheLeaseIsOver() external {
        (bytes memory data, bytes32 id) = _leased(1);
        skip(PERIOD);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_EndsAnyway.selector, id, T0 + PERIOD, T0 + PERIOD));
        _end(data);
    }

    function test_EndsItNowAndCreditsThePayer() external {
        (bytes memory data, bytes32 id) = _leasedBy(sponsor, 2);
        skip(333);
        uint256 refund = 2 * uint256(PRICE) - uint256(PRICE) * 333 / PERIOD;
        vm.expectEmit(address(leases));
        emit ILeaseBook.Ended(id, sponsor, T0 + 333, refund);
        _end(data);
        assertEq(_credit(sponsor), refund);
        assertEq(_credit(lessee), 0);
        vm.expectPartialRevert(Errors.LeaseBook_EndsBefore.selector);
        _take(id, block.timestamp + 1);
        leases.collect(data, _payees());
        assertEq(_credited(), 2 * PRICE);
    }

    function test_WhenTheLeastTimeIsNotOver() external {
        (bytes memory data, bytes32 id) = _leased(1);
        skip(40);
        _end(data);
        assertEq(_endOf(id), T0 + 100);
        assertEq(_credit(lessee), PRICE - uint256(PRICE) * 100 / PERIOD);
        _take(id, T0 + 100);
        _free(id);
        vm.expectPartialRevert(Errors.LeaseBook_EndsAnyway.selector);
        _end(data);
    }

    function test_RevertWhen_TheLeastTimeIsLongerThanTheLease() external {
        LeaseTerms memory terms = _terms();
        terms.minSeconds = type(uint32).max;
        _open(terms);
        bytes memory data = _leaseBytes(terms);
        vm.prank(lessee);
        leases.lease(data, 1);
        vm.expectPartialRevert(Errors.LeaseBook_EndsAnyway.selector);
        _end(data);
    }

    function test_GivenNoLeastTime_InTheSecondOfItsBeginning() external {
        LeaseTerms memory terms = _terms();
        terms.minSeconds = 0;
        _open(terms);
        bytes memory data = _leaseBytes(terms);
        vm.prank(lessee);
        bytes32 id = leases.lease(data, 3);
        _end(data);
        assertEq(_endOf(id), T0);
        assertEq(_credit(lessee), 3 * PRICE);
        assertEq(leases.collect(data, _payees()), 0);
        assertEq(_credited(), 3 * PRICE);
    }

    function test_GivenACollectionInTheSameSecond() external {
        (bytes memory data, bytes32 id) = _leased(1);
        skip(777);
        leases.collect(data, _payees());
        _end(data);
        assertLt(_credited(), PRICE, "shares were rounded down, the remainder is still here");
        leases.collect(data, _payees());
        assertEq(_credited(), PRICE);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_NothingEarned.selector, id));
        leases.collect(data, _payees());
    }
}
