// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILeaseBook} from "../../../../contracts/interfaces/ILeaseBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {LeaseTerms} from "../../../../contracts/types/Leases.sol";
import {Leases} from "./Leases.sol";

contract CollectTest is Leases {
    function test_RevertGiven_ThereIsNoSuchLease() external {
        bytes memory data = _leaseBytes(_terms());
        bytes32 id = leases.leaseIdOf(data);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_NoLease.selector, id));
        leases.collect(data, _payees());
    }

    function test_RevertWhen_ThePayeesAreOthers() external {
        (bytes memory data,) = _leased(1);
        skip(1);
        bytes memory payees = abi.encodePacked(poker, uint16(10_000));
        vm.expectRevert(
            abi.encodeWithSelector(Errors.LeaseBook_OtherPayees.selector, _payeesHash(payees), _terms().payeesHash)
        );
        leases.collect(data, payees);
    }

    function test_RevertGiven_NothingWasEarnedSince() external {
        (bytes memory data, bytes32 id) = _leased(1);
        bytes memory refused = abi.encodeWithSelector(Errors.LeaseBook_NothingEarned.selector, id);
        vm.expectRevert(refused);
        leases.collect(data, _payees());
        skip(1);
        leases.collect(data, _payees());
        vm.expectRevert(refused);
        leases.collect(data, _payees());
        skip(PERIOD);
        leases.collect(data, _payees());
        skip(PERIOD);
        vm.expectRevert(refused);
        leases.collect(data, _payees());
    }

    function test_CreditsEachItsShareOfWhatWasEarned() external {
        (bytes memory data, bytes32 id) = _leased(1);
        skip(500);
        uint256 earned = uint256(PRICE) / 2;
        uint256 fee = earned * FEE_BPS / 10_000;
        bytes32 termsId = leases.termsIdOf(_bytes(_terms()));
        vm.expectEmit(address(leases));
        emit ILeaseBook.Collected(id, termsId, T0 + 500, earned, fee);
        vm.prank(poker);
        assertEq(leases.collect(data, _payees()), earned);
        assertEq(_credit(treasury), fee);
        assertEq(_credit(owner), (earned - fee) * 3333 / 10_000);
        assertEq(_credit(coAuthor), (earned - fee) * 3333 / 10_000);
        assertEq(_credit(lastPayee), (earned - fee) * 3334 / 10_000);
        assertEq(_get(id).collected, 500);
        leases.withdraw(address(token), owner);
        assertEq(token.balanceOf(owner), (earned - fee) * 3333 / 10_000);
    }

    function test_GivenAnotherTreasurySince() external {
        (bytes memory data,) = _leased(1);
        vm.prank(admin);
        leases.setFee(0, sponsor);
        skip(500);
        leases.collect(data, _payees());
        assertEq(_credit(treasury), 0);
        assertEq(_credit(sponsor), uint256(PRICE) / 2 * FEE_BPS / 10_000);
    }

    function test_WhenItIsOver_TheLastPayeeGetsTheRemainderOnce() external {
        (bytes memory data, bytes32 id) = _leased(1);
        skip(PERIOD);
        leases.collect(data, _payees());
        uint256 fee = uint256(PRICE) * FEE_BPS / 10_000;
        uint256 share = (PRICE - fee) * 3333 / 10_000;
        assertEq(_credit(lastPayee), PRICE - fee - 2 * share);
        assertEq(_get(id).collected, type(uint32).max);
    }

    /// @dev Any terms, any times of asking, renewals and an early end: what was paid in is what is credited.
    function testFuzz_CreditsWhatWasPaid(uint128 price, uint32 period, uint256 seed) external {
        LeaseTerms memory terms = _terms();
        terms.pricePerPeriod = uint128(bound(price, 0, seed % 2 == 0 ? 20 : type(uint128).max));
        terms.periodSeconds = uint32(bound(period, 1, type(uint32).max / 8));
        _open(terms);
        bytes memory data = _leaseBytes(terms);
        vm.prank(lessee);
        bytes32 id = leases.lease(data, 1 + seed % 3);
        uint256 last = 0;
        for (uint256 i = 0; i < 5; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            skip(seed % (uint256(terms.periodSeconds) + 1));
            if (seed & 0x10000 == 0 && block.timestamp < _endOf(id)) _renewIfAllowed(data);
            if (seed & 0x20000 == 0) _collectIfAny(data);
            uint256 now_ = _credit(lastPayee);
            assertGe(now_, last, "credits only grow");
            last = now_;
        }
        if (seed & 0x40000 == 0) {
            vm.prank(lessee);
            try leases.end(data) {} catch {}
        }
        vm.warp(_endOf(id) > block.timestamp ? _endOf(id) : block.timestamp);
        _collectIfAny(data);
        assertEq(_credited(), _held(), "paid in is credited");
        assertEq(_get(id).collected, type(uint32).max);
    }

    function _renewIfAllowed(bytes memory data) private {
        try leases.renew(data, 1) {} catch {}
    }

    function _collectIfAny(bytes memory data) private {
        try leases.collect(data, _payees()) {} catch {}
    }
}
