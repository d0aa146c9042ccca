// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILeaseBook} from "../../../../contracts/interfaces/ILeaseBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {TopUp} from "../../../../contracts/types/Leases.sol";
import {Leases} from "./Leases.sol";

contract GiveNoticeTest is Leases {
    function test_RevertWhen_TheLengthIsAnother() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_Length.selector, 1, 161));
        leases.giveNotice(hex"00");
    }

    function test_RevertWhen_TheCallerIsNotTheOwner() external {
        _open(_terms());
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_NotOwner.selector, OFFER, poker, owner));
        vm.prank(poker);
        leases.giveNotice(_bytes(_terms()));
    }

    function test_RevertGiven_TheTermsAreNotOpen() external {
        bytes32 id = leases.termsIdOf(_bytes(_terms()));
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_NotOpen.selector, id));
        _giveNotice(_terms());
    }

    function test_StopsNewLeasesAndRenewalsAtOnce() external {
        (bytes memory data, bytes32 id) = _leased(2);
        bytes32 termsId = leases.termsIdOf(_bytes(_terms()));
        vm.expectEmit(address(leases));
        emit ILeaseBook.NoticeGiven(termsId, OFFER, owner);
        _giveNotice(_terms());
        bytes memory refused = abi.encodeWithSelector(Errors.LeaseBook_NotOpen.selector, termsId);
        bytes memory another = _leaseBytes(_terms(), lessee, lessee, 2);
        vm.startPrank(lessee);
        vm.expectRevert(refused);
        leases.lease(another, 1);
        vm.expectRevert(refused);
        leases.renew(data, 1);
        leases.setTopUp(data, TopUp(1, type(uint40).max, type(uint32).max));
        vm.expectRevert(refused);
        leases.renewFor(data);
        vm.stopPrank();
        // What runs, runs on to the end that was paid.
        skip(2 * PERIOD - 1);
        _take(id, block.timestamp + 1);
        assertEq(_endOf(id), T0 + 2 * PERIOD);
    }
}
