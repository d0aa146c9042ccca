// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IProviderRegistry} from "../../../../contracts/interfaces/IProviderRegistry.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {BonusToken, FeeToken, MintableToken} from "../../../../contracts/mocks/HostileTokens.sol";
import {Desks} from "./Desks.sol";

contract StakeTest is Desks {
    function test_RevertWhen_TheAmountIsZero() external {
        vm.expectRevert(Errors.ProviderRegistry_ZeroAmount.selector);
        providers.stake(OFFER, address(token), 0);
    }

    function test_RevertGiven_ThereIsNoDesk() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NoDesk.selector, OFFER + 1, token));
        providers.stake(OFFER + 1, address(token), 1);
    }

    function test_RevertWhen_FreeAndLockedWouldNotFit() external {
        _reserve(STAKE - 1);
        uint256 room = type(uint112).max - STAKE;
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_TooMuch.selector, OFFER, token, room + 1, room));
        providers.stake(OFFER, address(token), room + 1);
        vm.expectPartialRevert(Errors.ProviderRegistry_TooMuch.selector);
        providers.stake(OFFER, address(token), type(uint256).max);
        _stake(poker, room);
        _release(STAKE - 1, 0);
        _assertStake(type(uint112).max, 0, 0, 0);
        _reserve(type(uint112).max);
        _assertStake(0, type(uint112).max, 0, 1);
        assertEq(_desk().capacity, CAPACITY);
    }

    function test_AddsToTheFreeStakeWhoeverPays() external {
        token.mint(poker, 5);
        vm.startPrank(poker);
        token.approve(address(providers), 5);
        vm.expectEmit(address(providers));
        emit IProviderRegistry.Staked(OFFER, address(token), poker, 5);
        providers.stake(OFFER, address(token), 5);
        _assertStake(STAKE + 5, 0, 0, 0);
    }

    function test_RevertGiven_ATokenThatLies() external {
        _refused(new FeeToken(), 990);
        _refused(new BonusToken(), 1001);
    }

    function _refused(MintableToken bad, uint256 received) private {
        vm.prank(owner);
        providers.openDesk(OFFER, address(bad), operator, payee, 1);
        bad.mint(address(this), 1000);
        bad.approve(address(providers), 1000);
        vm.expectRevert(abi.encodeWithSelector(Errors.Escrow_ReceivedOther.selector, bad, received, 1000));
        providers.stake(OFFER, address(bad), 1000);
    }
}
