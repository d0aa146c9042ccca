// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Desk, IProviderRegistry} from "../../../../contracts/interfaces/IProviderRegistry.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Desks} from "./Desks.sol";

contract OpenDeskTest is Desks {
    address private _other = makeAddr("another token");

    function test_RevertWhen_TheCallerIsNotTheOwner() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NotOwner.selector, OFFER, operator, owner));
        vm.prank(operator);
        providers.openDesk(OFFER, _other, operator, payee, 1);
    }

    function test_RevertWhen_TheOfferIsUnknown() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NotOwner.selector, OFFER + 1, owner, address(0)));
        vm.prank(owner);
        providers.openDesk(OFFER + 1, _other, operator, payee, 1);
    }

    function test_RevertWhen_TheOfferIsNotCompute() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NotCompute.selector, ENGINE_OFFER, 1));
        vm.prank(owner);
        providers.openDesk(ENGINE_OFFER, _other, operator, payee, 1);
    }

    function test_RevertWhen_TheTokenIsZero() external {
        vm.expectRevert(Errors.ProviderRegistry_NoToken.selector);
        vm.prank(owner);
        providers.openDesk(OFFER, address(0), operator, payee, 1);
    }

    function test_RevertWhen_TheOperatorIsZero() external {
        vm.expectRevert(Errors.ProviderRegistry_NoOperator.selector);
        vm.prank(owner);
        providers.openDesk(OFFER, _other, address(0), payee, 1);
    }

    function test_RevertWhen_ThePayeeIsZeroOrTheRegistryItself() external {
        vm.startPrank(owner);
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NoPayee.selector, address(0)));
        providers.openDesk(OFFER, _other, operator, address(0), 1);
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NoPayee.selector, providers));
        providers.openDesk(OFFER, _other, operator, address(providers), 1);
    }

    function test_RevertGiven_TheDeskIsOpen() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_AlreadyOpen.selector, OFFER, token));
        vm.prank(owner);
        providers.openDesk(OFFER, address(token), poker, poker, 9);
    }

    function test_OpensItOnceForEachToken() external {
        vm.expectEmit(address(providers));
        emit IProviderRegistry.DeskOpened(OFFER, _other, poker, owner, type(uint16).max);
        vm.prank(owner);
        providers.openDesk(OFFER, _other, poker, owner, type(uint16).max);
        Desk memory desk = providers.deskOf(OFFER, _other);
        assertEq(desk.free, 0);
        assertEq(desk.locked, 0);
        assertEq(desk.capacity, type(uint16).max);
        assertEq(desk.active, 0);
        assertEq(desk.operator, poker);
        assertEq(desk.payee, owner);
        assertEq(_desk().operator, operator, "the other token's desk is as it was");
        _assertStake(STAKE, 0, 0, 0);
    }
}
