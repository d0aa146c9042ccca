// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

import {ILeaseBook} from "../../../../contracts/interfaces/ILeaseBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {FeeToken, MintableToken, ReentrantToken} from "../../../../contracts/mocks/HostileTokens.sol";
import {Lease, LeaseTerms} from "../../../../contracts/types/Leases.sol";
import {Leases} from "./Leases.sol";

contract LeaseTest is Leases {
    function test_RevertWhen_TheLengthIsAnother() external {
        bytes memory data = bytes.concat(_leaseBytes(_terms()), hex"00");
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_Length.selector, 210, 209));
        leases.lease(data, 1);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_Length.selector, 161, 209));
        leases.leaseIdOf(_bytes(_terms()));
    }

    /// @dev Every byte of the terms counts: with any of them flipped these are terms that nobody opened.
    function test_RevertGiven_TheTermsDifferInAnything() external {
        _open(_terms());
        for (uint256 i = 0; i < 161; ++i) {
            bytes memory data = _leaseBytes(_terms());
            data[i] ^= 0x01;
            vm.expectPartialRevert(Errors.LeaseBook_NotOpen.selector);
            vm.prank(lessee);
            leases.lease(data, 1);
        }
    }

    function test_RevertGiven_TheSameLease() external {
        (bytes memory data, bytes32 id) = _leased(1);
        vm.startPrank(lessee);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_AlreadyLeased.selector, id));
        leases.lease(data, 1);
        skip(PERIOD);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_AlreadyLeased.selector, id));
        leases.lease(data, 1);
    }

    function test_RevertWhen_TheCallerIsNotThePayer() external {
        _open(_terms());
        bytes memory data = _leaseBytes(_terms(), lessee, sponsor, 1);
        bytes32 id = leases.leaseIdOf(data);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_NotPayer.selector, id, lessee, sponsor));
        vm.prank(lessee);
        leases.lease(data, 1);
    }

    function test_RevertWhen_ThereIsNoLessee() external {
        _open(_terms());
        bytes memory data = _leaseBytes(_terms(), address(0), lessee, 1);
        vm.expectRevert(Errors.LeaseBook_NoLessee.selector);
        vm.prank(lessee);
        leases.lease(data, 1);
    }

    function test_RevertGiven_TheFeeIsAboveTheOwnersBound() external {
        LeaseTerms memory terms = _terms();
        terms.maxFeeBps = FEE_BPS - 1;
        _open(terms);
        bytes memory data = _leaseBytes(terms);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_FeeAboveMax.selector, FEE_BPS, FEE_BPS - 1));
        vm.prank(lessee);
        leases.lease(data, 1);
    }

    function test_RevertWhen_ThePeriodsAreNoneOrTooMany() external {
        _open(_terms());
        bytes memory data = _leaseBytes(_terms());
        bytes32 id = leases.leaseIdOf(data);
        uint256[3] memory wrong = [uint256(0), 4, type(uint256).max];
        vm.startPrank(lessee);
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_TooManyPeriods.selector, id, wrong[i], 3));
            leases.lease(data, wrong[i]);
        }
        leases.lease(data, 3);
    }

    function test_RevertWhen_ItWouldLastTooLong() external {
        LeaseTerms memory terms = _terms();
        (terms.periodSeconds, terms.maxPeriods) = (type(uint32).max / 3, 5);
        _open(terms);
        bytes memory data = _leaseBytes(terms);
        bytes32 id = leases.leaseIdOf(data);
        vm.startPrank(lessee);
        vm.expectRevert(
            abi.encodeWithSelector(Errors.LeaseBook_TooLong.selector, id, type(uint32).max, type(uint32).max - 1)
        );
        leases.lease(data, 3);
        leases.lease(data, 2);
        vm.expectRevert(
            abi.encodeWithSelector(Errors.LeaseBook_TooLong.selector, id, type(uint32).max, type(uint32).max - 1)
        );
        leases.renew(data, 1);
    }

    function test_RevertWhen_TheTokenLiesOrRefuses() external {
        FeeToken bad = new FeeToken();
        bytes memory data = _in(bad);
        vm.expectRevert(abi.encodeWithSelector(Errors.Escrow_ReceivedOther.selector, bad, PRICE - PRICE / 100, PRICE));
        vm.prank(lessee);
        leases.lease(data, 1);
        vm.prank(lessee);
        token.approve(address(leases), PRICE - 1);
        _open(_terms());
        data = _leaseBytes(_terms());
        vm.expectPartialRevert(IERC20Errors.ERC20InsufficientAllowance.selector);
        vm.prank(lessee);
        leases.lease(data, 1);
    }

    function test_TakesTheWholePriceAndKeepsOneSlot() external {
        _open(_terms());
        bytes memory data = _leaseBytes(_terms(), lessee, sponsor, 7);
        bytes32 id = leases.leaseIdOf(data);
        uint256 before = token.balanceOf(sponsor);
        vm.expectEmit(address(leases));
        emit ILeaseBook.Leased(
            id, leases.termsIdOf(_bytes(_terms())), lessee, sponsor, 7, T0 + 2 * PERIOD, 2 * PRICE, FEE_BPS
        );
        vm.record();
        vm.prank(sponsor);
        assertEq(leases.lease(data, 2), id);
        (, bytes32[] memory writes) = vm.accesses(address(leases));
        assertEq(writes.length, 1);
        assertEq(before - token.balanceOf(sponsor), 2 * PRICE);
        Lease memory got = _get(id);
        assertEq(got.start, T0);
        assertEq(got.paid, 2 * PERIOD);
        assertEq(got.collected, 0);
        assertEq(got.held, 0);
        assertEq(got.left, 2);
        assertEq(got.feeBps, FEE_BPS);
    }

    function test_WhenThePriceIsNothing() external {
        LeaseTerms memory terms = _terms();
        terms.pricePerPeriod = 0;
        _open(terms);
        bytes memory data = _leaseBytes(terms, lessee, address(this), 1);
        bytes32 id = leases.lease(data, 3);
        _take(id, T0 + 3 * PERIOD);
        skip(3 * PERIOD);
        assertEq(leases.collect(data, _payees()), 0);
        assertEq(_held(), 0);
    }

    function test_WhenThePriceIsTheHighestThereIs() external {
        LeaseTerms memory terms = _terms();
        (terms.pricePerPeriod, terms.maxPeriods) = (type(uint128).max, type(uint16).max);
        _open(terms);
        bytes memory data = _leaseBytes(terms);
        vm.prank(lessee);
        leases.lease(data, type(uint16).max);
        uint256 paid = uint256(type(uint128).max) * type(uint16).max;
        assertEq(_held(), paid);
        skip(uint256(PERIOD) * type(uint16).max - 1);
        leases.collect(data, _payees());
        skip(1);
        leases.collect(data, _payees());
        assertEq(_credited(), paid);
    }

    /// forge-config: default.isolate = true
    function test_CostsNoMoreThan90000() external {
        _open(_terms());
        bytes memory first = _leaseBytes(_terms(), lessee, sponsor, 1);
        bytes memory data = _leaseBytes(_terms());
        vm.prank(sponsor);
        leases.lease(first, 1);
        vm.prank(lessee);
        leases.lease(data, 2);
        assertLe(vm.lastCallGas().gasTotalUsed, 90_000);
    }

    function test_GivenTheTokenReEnters() external {
        ReentrantToken bad = new ReentrantToken();
        bytes memory data = _in(bad);
        bad.arm(address(leases), abi.encodeCall(ILeaseBook.renew, (data, 1)));
        vm.prank(lessee);
        bytes32 id = leases.lease(data, 1);
        assertEq(bad.tried(), 1);
        assertEq(bad.succeeded(), 0);
        assertEq(_get(id).paid, PERIOD);
        assertEq(bad.balanceOf(address(leases)), PRICE);
    }

    function _in(MintableToken bad) private returns (bytes memory) {
        bad.mint(lessee, 1e30);
        vm.prank(lessee);
        bad.approve(address(leases), type(uint256).max);
        LeaseTerms memory terms = _terms();
        terms.token = address(bad);
        _open(terms);
        return _leaseBytes(terms);
    }
}
