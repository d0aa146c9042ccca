// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Lease} from "../../../../contracts/types/Leases.sol";
import {Leases} from "./Leases.sol";

contract TakeTest is Leases {
    function test_RevertWhen_TheCallerIsNotTheOrderBook() external {
        (, bytes32 id) = _leased(1);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_NotOrderBook.selector, lessee, book));
        vm.prank(lessee);
        leases.take(id, lessee, OFFER, VERSION, TERMS_HASH, T0 + 1);
    }

    function test_RevertGiven_ThereIsNoSuchLease() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_NoLease.selector, bytes32("none")));
        _take("none", T0);
    }

    function test_RevertWhen_TheUseDiffers() external {
        (, bytes32 id) = _leasedBy(sponsor, 1);
        _refused(id, sponsor, OFFER, VERSION, TERMS_HASH);
        _refused(id, address(0), OFFER, VERSION, TERMS_HASH);
        _refused(id, lessee, OTHER_OFFER, VERSION, TERMS_HASH);
        _refused(id, lessee, OFFER, VERSION + 1, TERMS_HASH);
        _refused(id, lessee, OFFER, VERSION, bytes32(uint256(TERMS_HASH) ^ 1));
    }

    function test_RevertWhen_TheOrderMayEndAfterTheLease() external {
        (, bytes32 id) = _leased(1);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_EndsBefore.selector, id, T0 + PERIOD, T0 + PERIOD + 1));
        _take(id, T0 + PERIOD + 1);
        vm.expectPartialRevert(Errors.LeaseBook_EndsBefore.selector);
        _take(id, type(uint256).max);
        _take(id, T0 + PERIOD);
    }

    function test_RevertGiven_NoPlaceIsLeft() external {
        (, bytes32 id) = _leased(1);
        _take(id, T0 + 1);
        _take(id, T0 + 1);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_NoPlace.selector, id));
        _take(id, T0 + 1);
        _free(id);
        _take(id, T0 + 1);
    }

    function testFuzz_TakesAPlaceAndKeepsTheLatestEnd(uint256 first, uint256 second) external {
        (, bytes32 id) = _leased(3);
        Lease memory expected = _get(id);
        first = bound(first, 0, 3 * PERIOD);
        second = bound(second, 0, 3 * PERIOD);
        _take(id, T0 + first);
        _take(id, T0 + second);
        expected.left = 0;
        // forge-lint: disable-next-line(unsafe-typecast)
        expected.held = uint32(first > second ? first : second);
        assertEq(abi.encode(_get(id)), abi.encode(expected), "and nothing else");
    }

    function test_GivenTheOfferIsNoLongerForSale() external {
        (, bytes32 id) = _leased(1);
        offers.setTerms(OFFER, VERSION, 0);
        _take(id, T0 + PERIOD);
    }

    function _refused(bytes32 id, address lessee_, uint64 offer, uint32 version, bytes32 hash) private {
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_OtherUse.selector, id, lessee_, offer, version, hash));
        vm.prank(book);
        leases.take(id, lessee_, offer, version, hash, T0 + 1);
    }
}
