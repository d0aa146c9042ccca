// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILeaseBook} from "../../../../contracts/interfaces/ILeaseBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Leases} from "./Leases.sol";

contract RecallTest is Leases {
    function test_RevertWhen_TheCallerIsNotTheOwner() external {
        (bytes memory data,) = _leased(1);
        _giveNotice(_terms());
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_NotOwner.selector, OFFER, poker, owner));
        vm.prank(poker);
        leases.recall(data);
    }

    function test_RevertGiven_ThereIsNoSuchLease() external {
        bytes memory data = _leaseBytes(_terms());
        bytes32 id = leases.leaseIdOf(data);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_NoLease.selector, id));
        _recall(data);
    }

    function test_RevertGiven_NoNoticeWasGiven() external {
        (bytes memory data,) = _leased(1);
        bytes32 termsId = leases.termsIdOf(_bytes(_terms()));
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_StillOpen.selector, termsId));
        _recall(data);
    }

    function test_BringsTheEndForward() external {
        (bytes memory data, bytes32 id) = _leasedBy(sponsor, 2);
        skip(50);
        _giveNotice(_terms());
        uint256 refund = 2 * uint256(PRICE) - uint256(PRICE) * 350 / PERIOD;
        vm.expectEmit(address(leases));
        emit ILeaseBook.Recalled(id, sponsor, T0 + 350, refund);
        _recall(data);
        assertEq(_credit(sponsor), refund);
        // What is left of it can be used as before.
        _take(id, T0 + 350);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_EndsBefore.selector, id, T0 + 350, T0 + 351));
        _take(id, T0 + 351);
    }

    function test_GivenAnOrderHoldsAPlace() external {
        (bytes memory data, bytes32 id) = _leased(2);
        _take(id, T0 + 1500);
        _take(id, T0 + 900);
        _giveNotice(_terms());
        _recall(data);
        assertEq(_endOf(id), T0 + 1500);
        assertEq(_credit(lessee), 2 * uint256(PRICE) - uint256(PRICE) * 1500 / PERIOD);
    }

    function test_GivenAnOrderHeldAPlaceAndFreedIt() external {
        (bytes memory data, bytes32 id) = _leased(2);
        _take(id, T0 + 1500);
        _free(id);
        _giveNotice(_terms());
        _recall(data);
        assertEq(_endOf(id), T0 + 300);
    }

    function test_RevertWhen_ItEndsBeforeAnyway() external {
        (bytes memory data, bytes32 id) = _leased(1);
        _giveNotice(_terms());
        skip(700);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_EndsAnyway.selector, id, T0 + PERIOD, T0 + PERIOD));
        _recall(data);
        skip(1000);
        vm.expectPartialRevert(Errors.LeaseBook_EndsAnyway.selector);
        _recall(data);
    }

    function test_GivenTermsOpenedAgain() external {
        (bytes memory data, bytes32 id) = _leased(2);
        skip(33);
        _giveNotice(_terms());
        _recall(data);
        _open(_terms());
        leases.renew(data, 1);
        assertEq(_endOf(id), T0 + 333 + PERIOD);
        uint256 paid = 2 * uint256(PRICE) + PRICE;
        skip(600);
        leases.collect(data, _payees());
        skip(2 * PERIOD);
        leases.collect(data, _payees());
        assertEq(_credited(), paid);
        assertEq(_held(), paid);
    }
}
