// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Desks} from "./Desks.sol";

contract ReserveTest is Desks {
    function test_RevertWhen_TheCallerIsNotTheOrderBook() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NotOrderBook.selector, operator, book));
        vm.prank(operator);
        providers.reserve(OFFER, address(token), operator, 1);
    }

    function test_RevertGiven_ThereIsNoDesk() external {
        bytes memory refused = abi.encodeWithSelector(Errors.ProviderRegistry_NoDesk.selector, OFFER + 1, token);
        vm.startPrank(book);
        vm.expectRevert(refused);
        providers.reserve(OFFER + 1, address(token), operator, 0);
        vm.expectRevert(refused);
        providers.reserve(OFFER + 1, address(token), address(0), 0);
    }

    function test_RevertWhen_TheOperatorIsAnother() external {
        vm.startPrank(book);
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NotOperator.selector, owner, operator));
        providers.reserve(OFFER, address(token), owner, 1);
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NotOperator.selector, address(0), operator));
        providers.reserve(OFFER, address(token), address(0), 1);
    }

    function test_RevertGiven_AsManyOrdersRunAsThereArePlaces() external {
        for (uint256 i = 0; i < CAPACITY; ++i) {
            _reserve(1);
        }
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_Full.selector, OFFER, token, CAPACITY));
        _reserve(1);
        _release(1, 0);
        _reserve(1);
    }

    function test_RevertGiven_TheCapacityIsZero() external {
        vm.prank(owner);
        providers.setCapacity(OFFER, address(token), 0);
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_Full.selector, OFFER, token, 0));
        _reserve(0);
    }

    function test_RevertWhen_TheFreeStakeIsTooLow() external {
        vm.expectRevert(
            abi.encodeWithSelector(Errors.ProviderRegistry_FreeStakeTooLow.selector, OFFER, token, STAKE, STAKE + 1)
        );
        _reserve(STAKE + 1);
        vm.expectPartialRevert(Errors.ProviderRegistry_FreeStakeTooLow.selector);
        _reserve(type(uint256).max);
    }

    function test_WhenTheLockIsZero() external {
        _reserve(0);
        _assertStake(STAKE, 0, 0, 1);
    }

    function testFuzz_LocksAndTakesAPlaceAndNothingElse(uint256 first, uint256 second) external {
        first = bound(first, 0, STAKE);
        second = bound(second, 0, STAKE - first);
        _reserve(first);
        _reserve(second);
        _assertStake(STAKE - first - second, first + second, 0, 2);
        assertEq(_desk().capacity, CAPACITY);
        assertEq(_desk().operator, operator);
        assertEq(_desk().payee, payee);
    }

    /// forge-config: default.isolate = true
    function test_CostsLittle() external {
        _reserve(10);
        // 21 000 and calldata are the transaction's: inside another they are 2 600 for the account.
        assertLe(vm.lastCallGas().gasTotalUsed, 31_000);
        _release(10, 0);
        assertLe(vm.lastCallGas().gasTotalUsed, 28_500);
    }
}
