// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IProviderRegistry} from "../../../../contracts/interfaces/IProviderRegistry.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Desks} from "./Desks.sol";

contract StrikeTest is Desks {
    function test_RevertWhen_TheCallerIsNotTheOrderBook() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NotOrderBook.selector, owner, book));
        vm.prank(owner);
        providers.strike(OFFER, address(token), 1);
    }

    function test_TakesThatLockAllFreeAndAllLeavingStake() external {
        _reserve(10);
        _reserve(20);
        _request(100);
        vm.expectEmit(address(providers));
        emit IProviderRegistry.Struck(OFFER, address(token), STAKE - 20);
        vm.prank(book);
        assertEq(providers.strike(OFFER, address(token), 10), STAKE - 20);
        _assertStake(0, 20, 0, 2);
        assertEq(_desk().releaseAt, 0);
        assertEq(token.balanceOf(book), STAKE - 20);
    }

    function test_LeavesThePlaceToTheOrdersOwnRelease() external {
        _reserve(10);
        _reserve(20);
        vm.prank(book);
        providers.strike(OFFER, address(token), 10);
        _release(0, 0);
        _assertStake(0, 20, 0, 1);
    }

    function test_WhenTheLockIsAboveWhatIsLocked() external {
        _reserve(10);
        vm.prank(book);
        assertEq(providers.strike(OFFER, address(token), type(uint256).max), STAKE);
        _assertStake(0, 0, 0, 1);
        assertEq(_desk().capacity, CAPACITY);
    }

    function test_GivenThereIsNothing() external {
        vm.prank(book);
        assertEq(providers.strike(OFFER + 1, address(token), 10), 0);
        assertEq(token.balanceOf(book), 0);
    }
}
