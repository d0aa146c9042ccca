// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IProviderRegistry} from "../../../../contracts/interfaces/IProviderRegistry.sol";
import {BlacklistToken, ReentrantToken} from "../../../../contracts/mocks/HostileTokens.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Desks} from "./Desks.sol";

contract ReleaseTest is Desks {
    function test_RevertWhen_TheCallerIsNotTheOrderBook() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NotOrderBook.selector, owner, book));
        vm.prank(owner);
        providers.release(OFFER, address(token), 1, 0);
    }

    function test_FreesTheRestAndSendsTheSlashedPart() external {
        _reserve(10);
        _reserve(20);
        vm.expectEmit(address(providers));
        emit IProviderRegistry.Slashed(OFFER, address(token), 4);
        _release(10, 4);
        _assertStake(STAKE - 24, 20, 0, 1);
        assertEq(token.balanceOf(book), 4);
    }

    function test_WhenNothingIsSlashed() external {
        _reserve(10);
        vm.recordLogs();
        _release(10, 0);
        assertEq(vm.getRecordedLogs().length, 0);
        _assertStake(STAKE, 0, 0, 0);
    }

    function test_WhenTheLockIsAboveWhatIsLocked() external {
        _reserve(10);
        _release(11, 0);
        _assertStake(STAKE, 0, 0, 0);
        _reserve(10);
        _release(type(uint256).max, type(uint256).max);
        _assertStake(STAKE - 10, 0, 0, 0);
        assertEq(token.balanceOf(book), 10);
    }

    function test_WhenMoreIsSlashedThanLocked() external {
        _reserve(10);
        _reserve(10);
        _release(10, 11);
        _assertStake(STAKE - 20, 10, 0, 1);
        assertEq(token.balanceOf(book), 10);
    }

    function test_GivenNoOrderRunsOrNoDesk() external {
        _release(0, 0);
        _release(5, 5);
        _assertStake(STAKE, 0, 0, 0);
        vm.prank(book);
        providers.release(OFFER + 1, address(token), 5, 5);
        assertEq(token.balanceOf(book), 0);
    }

    function test_GivenTheTokenRefuses() external {
        BlacklistToken bad = new BlacklistToken();
        _deskIn(bad, 10);
        bad.refuse(book, true);
        vm.startPrank(book);
        providers.reserve(OFFER, address(bad), operator, 10);
        vm.expectRevert(abi.encodeWithSelector(BlacklistToken.Refused.selector, book));
        providers.release(OFFER, address(bad), 10, 1);
        providers.release(OFFER, address(bad), 10, 0);
        assertEq(providers.deskOf(OFFER, address(bad)).free, 10);
    }

    function test_GivenTheTokenReEnters() external {
        ReentrantToken bad = new ReentrantToken();
        _deskIn(bad, 10);
        vm.prank(owner);
        providers.requestUnstake(OFFER, address(bad), 5);
        skip(UNBONDING);
        bad.arm(address(providers), abi.encodeCall(IProviderRegistry.finishUnstake, (OFFER, address(bad))));
        vm.startPrank(book);
        providers.reserve(OFFER, address(bad), operator, 5);
        providers.release(OFFER, address(bad), 5, 5);
        assertEq(bad.tried(), 1);
        assertEq(bad.succeeded(), 0);
        assertEq(bad.balanceOf(book), 5);
        assertEq(bad.balanceOf(payee), 0);
    }
}
