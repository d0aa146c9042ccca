// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IProviderRegistry} from "../../../../contracts/interfaces/IProviderRegistry.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Desks} from "./Desks.sol";

contract SetPayeeTest is Desks {
    function test_RevertWhen_TheCallerIsNotTheOwner() external {
        bytes memory refused = abi.encodeWithSelector(Errors.ProviderRegistry_NotOwner.selector, OFFER, operator, owner);
        vm.expectRevert(refused);
        vm.prank(operator);
        providers.setPayee(OFFER, address(token), operator);
    }

    function test_RevertGiven_ThereIsNoDesk() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NoDesk.selector, OFFER, poker));
        vm.prank(owner);
        providers.setPayee(OFFER, poker, poker);
    }

    function test_RevertWhen_ThePayeeIsZeroOrTheRegistryItself() external {
        vm.startPrank(owner);
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NoPayee.selector, address(0)));
        providers.setPayee(OFFER, address(token), address(0));
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NoPayee.selector, providers));
        providers.setPayee(OFFER, address(token), address(providers));
    }

    function test_RedirectsWhatIsLeavingToo() external {
        _request(10);
        vm.expectEmit(address(providers));
        emit IProviderRegistry.PayeeChanged(OFFER, address(token), owner);
        vm.prank(owner);
        providers.setPayee(OFFER, address(token), owner);
        skip(UNBONDING);
        providers.finishUnstake(OFFER, address(token));
        assertEq(token.balanceOf(owner), 10);
        assertEq(token.balanceOf(payee), 0);
    }
}
