// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IProviderRegistry} from "../../../../contracts/interfaces/IProviderRegistry.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Desks} from "./Desks.sol";

contract RequestUnstakeTest is Desks {
    function test_RevertWhen_TheCallerIsNotTheOwner() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NotOwner.selector, OFFER, payee, owner));
        vm.prank(payee);
        providers.requestUnstake(OFFER, address(token), 1);
    }

    function test_RevertGiven_ThereIsNoDesk() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NoDesk.selector, OFFER, poker));
        vm.prank(owner);
        providers.requestUnstake(OFFER, poker, 1);
    }

    function test_RevertWhen_TheAmountIsZero() external {
        vm.expectRevert(Errors.ProviderRegistry_ZeroAmount.selector);
        _request(0);
    }

    function test_RevertWhen_TheAmountIsAboveTheFreeStake() external {
        vm.expectRevert(
            abi.encodeWithSelector(Errors.ProviderRegistry_FreeStakeTooLow.selector, OFFER, token, STAKE, STAKE + 1)
        );
        _request(STAKE + 1);
    }

    function test_RevertWhen_WhatLeavesWouldNotFit() external {
        _request(STAKE);
        _stake(poker, type(uint112).max);
        uint256 sum = uint256(type(uint112).max) + STAKE;
        vm.expectRevert(
            abi.encodeWithSelector(Errors.ProviderRegistry_TooMuch.selector, OFFER, token, sum, type(uint112).max)
        );
        _request(type(uint112).max);
        _request(type(uint112).max - STAKE);
        _assertStake(STAKE, 0, type(uint112).max, 0);
    }

    function test_GivenALock_ItIsNotReached() external {
        _reserve(600);
        vm.expectRevert(
            abi.encodeWithSelector(Errors.ProviderRegistry_FreeStakeTooLow.selector, OFFER, token, 400, 401)
        );
        _request(401);
        _request(400);
        _assertStake(0, 600, 400, 1);
    }

    function test_TakesItOutOfEveryOrdersReachAtOnce() external {
        vm.expectEmit(address(providers));
        emit IProviderRegistry.UnstakeRequested(OFFER, address(token), STAKE - 5, T0 + UNBONDING);
        _request(STAKE - 5);
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_FreeStakeTooLow.selector, OFFER, token, 5, 6));
        _reserve(6);
        assertEq(_desk().releaseAt, T0 + UNBONDING);
    }

    function test_GivenAnEarlierRequest() external {
        _request(10);
        skip(UNBONDING - 1);
        _request(5);
        assertEq(_desk().releaseAt, block.timestamp + UNBONDING);
        _assertStake(STAKE - 15, 0, 15, 0);
    }
}
