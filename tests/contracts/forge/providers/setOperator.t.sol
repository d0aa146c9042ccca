// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IProviderRegistry} from "../../../../contracts/interfaces/IProviderRegistry.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Desks} from "./Desks.sol";

contract SetOperatorTest is Desks {
    function test_RevertWhen_TheCallerIsNotTheOwner() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NotOwner.selector, OFFER, operator, owner));
        vm.prank(operator);
        providers.setOperator(OFFER, address(token), poker);
    }

    function test_RevertGiven_ThereIsNoDesk() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NoDesk.selector, OFFER, poker));
        vm.prank(owner);
        providers.setOperator(OFFER, poker, poker);
    }

    function test_RevertWhen_TheOperatorIsZero() external {
        vm.expectRevert(Errors.ProviderRegistry_NoOperator.selector);
        vm.prank(owner);
        providers.setOperator(OFFER, address(token), address(0));
    }

    function test_StopsThePreviousKeyAtOnce() external {
        vm.expectEmit(address(providers));
        emit IProviderRegistry.OperatorChanged(OFFER, address(token), poker);
        vm.prank(owner);
        providers.setOperator(OFFER, address(token), poker);
        vm.startPrank(book);
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NotOperator.selector, operator, poker));
        providers.reserve(OFFER, address(token), operator, 1);
        providers.reserve(OFFER, address(token), poker, 1);
        _assertStake(STAKE - 1, 1, 0, 1);
    }
}
