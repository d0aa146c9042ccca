// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IProviderRegistry} from "../../../../contracts/interfaces/IProviderRegistry.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OrderId, OrderPreimage} from "../../../../contracts/types/Orders.sol";
import {Market} from "../utils/Market.sol";

contract ProviderRegistryTest is Market {
    OrderId private constant _ID = OrderId.wrap(bytes32(uint256(7)));

    // ------------------------------------------------------------------------------------------- register
    function test_Register_RevertWhen_TheOperatorIsZero() external {
        vm.expectRevert(Errors.ProviderRegistry_NoOperator.selector);
        vm.prank(poker);
        providers.register(address(0));
    }

    function test_Register_RevertWhen_TheOperatorServesAnother() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_OperatorTaken.selector, operator, provider));
        vm.prank(poker);
        providers.register(operator);
    }

    function test_Register_RevertGiven_TheCallerIsRegistered() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_AlreadyRegistered.selector, provider));
        vm.prank(provider);
        providers.register(ownerA);
    }

    function test_Register() external {
        vm.expectEmit(address(providers));
        emit IProviderRegistry.ProviderRegistered(poker, ownerA);
        vm.prank(poker);
        providers.register(ownerA);
        assertEq(providers.operatorOf(poker), ownerA);
        assertEq(providers.providerOfOperator(ownerA), poker);
    }

    // ------------------------------------------------------------------------------------------- setOperator
    function test_SetOperator_RevertGiven_TheCallerIsNotRegistered() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NotRegistered.selector, operator));
        vm.prank(operator);
        providers.setOperator(poker);
    }

    function test_SetOperator_RevertWhen_TheOperatorIsTaken() external {
        vm.prank(poker);
        providers.register(ownerA);
        vm.startPrank(provider);
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_OperatorTaken.selector, ownerA, poker));
        providers.setOperator(ownerA);
        vm.expectRevert(Errors.ProviderRegistry_NoOperator.selector);
        providers.setOperator(address(0));
    }

    function test_SetOperator() external {
        vm.expectEmit(address(providers));
        emit IProviderRegistry.OperatorChanged(provider, ownerA, operator);
        vm.prank(provider);
        providers.setOperator(ownerA);
        assertEq(providers.operatorOf(provider), ownerA);
        assertEq(providers.providerOfOperator(ownerA), provider);
        assertEq(providers.providerOfOperator(operator), address(0));
        vm.prank(provider);
        providers.setOperator(operator);
        assertEq(providers.operatorOf(provider), operator);
    }

    // ------------------------------------------------------------------------------------------- stake
    function test_Stake_RevertGiven_TheCallerIsNotRegistered() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NotRegistered.selector, poker));
        vm.prank(poker);
        providers.stake(address(token), 1);
    }

    function test_Stake_RevertWhen_TheAmountIsZero() external {
        vm.expectRevert(Errors.ProviderRegistry_ZeroAmount.selector);
        vm.prank(provider);
        providers.stake(address(token), 0);
    }

    function test_Stake() external {
        token.mint(provider, 5);
        vm.startPrank(provider);
        token.approve(address(providers), 5);
        vm.expectEmit(address(providers));
        emit IProviderRegistry.Staked(provider, address(token), 5);
        providers.stake(address(token), 5);
        assertEq(_free(), STAKE + 5);
        assertEq(token.balanceOf(address(providers)), STAKE + 5);
    }

    function test_StakeWithPermit() external {
        (address owner, uint256 key) = makeAddrAndKey("a provider that signs");
        token.mint(owner, 9);
        bytes32 typehash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 structHash = keccak256(abi.encode(typehash, owner, address(providers), 9, 0, T0));
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), structHash));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        vm.startPrank(owner);
        providers.register(poker);
        providers.stakeWithPermit(address(token), 9, T0, v, r, s);
        (uint128 free,,,) = providers.stakeOf(owner, address(token));
        assertEq(free, 9);
    }

    // ------------------------------------------------------------------------------------------- unstake
    function test_RequestUnstake_RevertWhen_TheAmountIsWrong() external {
        vm.startPrank(provider);
        vm.expectRevert(Errors.ProviderRegistry_ZeroAmount.selector);
        providers.requestUnstake(address(token), 0);
        vm.expectRevert(
            abi.encodeWithSelector(
                Errors.ProviderRegistry_FreeStakeTooLow.selector, provider, address(token), STAKE, STAKE + 1
            )
        );
        providers.requestUnstake(address(token), STAKE + 1);
    }

    function test_RequestUnstake_GivenALock() external {
        OrderPreimage memory pre = _accepted();
        uint256 free = STAKE - _lock(pre);
        vm.expectRevert(
            abi.encodeWithSelector(
                Errors.ProviderRegistry_FreeStakeTooLow.selector, provider, address(token), free, free + 1
            )
        );
        vm.startPrank(provider);
        providers.requestUnstake(address(token), free + 1);
        providers.requestUnstake(address(token), free);
        assertEq(_free(), 0);
        assertEq(_locked(), _lock(pre));
    }

    function test_RequestUnstake_GivenAnEarlierRequest() external {
        vm.startPrank(provider);
        providers.requestUnstake(address(token), 10);
        skip(UNBONDING - 1);
        vm.expectEmit(address(providers));
        emit IProviderRegistry.UnstakeRequested(provider, address(token), 5, block.timestamp + UNBONDING);
        providers.requestUnstake(address(token), 5);
        (uint128 free,, uint128 unbonding, uint40 releaseAt) = providers.stakeOf(provider, address(token));
        assertEq(free, STAKE - 15);
        assertEq(unbonding, 15);
        assertEq(releaseAt, block.timestamp + UNBONDING);
    }

    function test_FinishUnstake_RevertGiven_NothingWasRequested() external {
        vm.expectRevert(
            abi.encodeWithSelector(Errors.ProviderRegistry_NothingRequested.selector, provider, address(token))
        );
        vm.prank(provider);
        providers.finishUnstake(address(token));
    }

    function test_FinishUnstake_RevertGiven_TheTimeIsNotOver() external {
        vm.startPrank(provider);
        providers.requestUnstake(address(token), 10);
        skip(UNBONDING - 1);
        vm.expectRevert(
            abi.encodeWithSelector(Errors.ProviderRegistry_StillUnbonding.selector, T0 + UNBONDING, block.timestamp)
        );
        providers.finishUnstake(address(token));
    }

    function test_FinishUnstake() external {
        vm.prank(provider);
        providers.requestUnstake(address(token), 10);
        skip(UNBONDING);
        // The hot key moves no stake.
        vm.expectPartialRevert(Errors.ProviderRegistry_NothingRequested.selector);
        vm.prank(operator);
        providers.finishUnstake(address(token));
        vm.expectEmit(address(providers));
        emit IProviderRegistry.Unstaked(provider, address(token), 10);
        vm.prank(provider);
        providers.finishUnstake(address(token));
        assertEq(token.balanceOf(provider), 10);
        (,, uint128 unbonding, uint40 releaseAt) = providers.stakeOf(provider, address(token));
        assertEq(unbonding, 0);
        assertEq(releaseAt, 0);
    }

    // ------------------------------------------------------------------------------------------- lock, unlock
    function test_Lock_RevertWhen_TheCallerIsNotTheOrderBook() external {
        bytes memory refused =
            abi.encodeWithSelector(Errors.ProviderRegistry_NotOrderBook.selector, provider, address(book));
        vm.startPrank(provider);
        vm.expectRevert(refused);
        providers.lock(_ID, provider, operator, address(token), 1);
        vm.expectRevert(refused);
        providers.unlock(_ID, provider, address(token), 0, 0);
    }

    function test_Lock_RevertWhen_TheOperatorIsNotTheProviders() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NotOperator.selector, poker, operator));
        vm.prank(address(book));
        providers.lock(_ID, provider, poker, address(token), 1);
    }

    function test_Lock_RevertWhen_TheFreeStakeIsTooLow() external {
        vm.expectPartialRevert(Errors.ProviderRegistry_FreeStakeTooLow.selector);
        vm.prank(address(book));
        providers.lock(_ID, provider, operator, address(token), STAKE + 1);
        vm.expectPartialRevert(Errors.ProviderRegistry_FreeStakeTooLow.selector);
        vm.prank(address(book));
        providers.lock(_ID, provider, operator, address(token), type(uint256).max);
    }

    function test_Unlock_RevertWhen_MoreIsSlashedThanUnlocked() external {
        vm.startPrank(address(book));
        providers.lock(_ID, provider, operator, address(token), 10);
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_SlashAboveLock.selector, 11, 10));
        providers.unlock(_ID, provider, address(token), 10, 11);
    }

    function test_Unlock() external {
        vm.startPrank(address(book));
        vm.expectEmit(address(providers));
        emit IProviderRegistry.StakeLocked(_ID, provider, address(token), 10);
        providers.lock(_ID, provider, operator, address(token), 10);
        assertEq(_locked(), 10);
        vm.expectEmit(address(providers));
        emit IProviderRegistry.StakeUnlocked(_ID, provider, address(token), 10, 4);
        providers.unlock(_ID, provider, address(token), 10, 4);
        assertEq(_locked(), 0);
        assertEq(_free(), STAKE - 4);
        assertEq(token.balanceOf(address(book)), 4);
    }
}
