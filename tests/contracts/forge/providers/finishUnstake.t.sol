// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IProviderRegistry} from "../../../../contracts/interfaces/IProviderRegistry.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {BlacklistToken} from "../../../../contracts/mocks/HostileTokens.sol";
import {Desks} from "./Desks.sol";

contract FinishUnstakeTest is Desks {
    function test_RevertGiven_NothingWasRequested() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NothingRequested.selector, OFFER, token));
        providers.finishUnstake(OFFER, address(token));
    }

    function test_RevertGiven_TheTimeIsNotOver() external {
        _request(10);
        skip(UNBONDING - 1);
        vm.expectRevert(
            abi.encodeWithSelector(Errors.ProviderRegistry_StillUnbonding.selector, T0 + UNBONDING, block.timestamp)
        );
        providers.finishUnstake(OFFER, address(token));
    }

    function test_PaysThePayeeWhoeverCallsOnce() external {
        _request(10);
        skip(UNBONDING);
        vm.expectEmit(address(providers));
        emit IProviderRegistry.Unstaked(OFFER, address(token), payee, 10);
        vm.prank(operator);
        providers.finishUnstake(OFFER, address(token));
        assertEq(token.balanceOf(payee), 10);
        assertEq(token.balanceOf(operator), 0);
        assertEq(_desk().releaseAt, 0);
        _assertStake(STAKE - 10, 0, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NothingRequested.selector, OFFER, token));
        providers.finishUnstake(OFFER, address(token));
    }

    function test_GivenTheTokenRefusesThePayee() external {
        BlacklistToken bad = new BlacklistToken();
        _deskIn(bad, 10);
        vm.startPrank(owner);
        providers.requestUnstake(OFFER, address(bad), 10);
        skip(UNBONDING);
        bad.refuse(payee, true);
        vm.expectRevert(abi.encodeWithSelector(BlacklistToken.Refused.selector, payee));
        providers.finishUnstake(OFFER, address(bad));
        providers.setPayee(OFFER, address(bad), owner);
        providers.finishUnstake(OFFER, address(bad));
        assertEq(bad.balanceOf(owner), 10);
    }
}
