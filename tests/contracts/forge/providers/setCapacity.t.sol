// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IProviderRegistry} from "../../../../contracts/interfaces/IProviderRegistry.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Desks} from "./Desks.sol";

contract SetCapacityTest is Desks {
    function test_RevertWhen_TheCallerIsNotTheOwner() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NotOwner.selector, OFFER, operator, owner));
        vm.prank(operator);
        providers.setCapacity(OFFER, address(token), 9);
    }

    function test_RevertGiven_ThereIsNoDesk() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NoDesk.selector, OFFER, poker));
        vm.prank(owner);
        providers.setCapacity(OFFER, poker, 9);
    }

    function test_WhenItIsBelowWhatRuns() external {
        _reserve(1);
        _reserve(1);
        vm.prank(owner);
        providers.setCapacity(OFFER, address(token), 1);
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_Full.selector, OFFER, token, 1));
        _reserve(1);
        _release(1, 0);
        _release(1, 0);
        _reserve(1);
        _assertStake(STAKE - 1, 1, 0, 1);
    }

    function testFuzz_TouchesNothingButTheCapacity(uint16 capacity) external {
        _reserve(11);
        vm.expectEmit(address(providers));
        emit IProviderRegistry.CapacityChanged(OFFER, address(token), capacity);
        vm.prank(owner);
        providers.setCapacity(OFFER, address(token), capacity);
        assertEq(_desk().capacity, capacity);
        _assertStake(STAKE - 11, 11, 0, 1);
    }
}
