// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {BlacklistToken, FalseToken} from "../../../../contracts/mocks/HostileTokens.sol";
import {Desks} from "../providers/Desks.sol";

/// @notice Each test is a theft that somebody tried on stake, and fails to commit.
contract DeskTheftsTest is Desks {
    /// @dev Whoever holds the hot key, or the payee's, can call everything and moves nothing.
    function test_HotKeyMovesStake() external {
        address[2] memory keys = [operator, payee];
        for (uint256 i = 0; i < 2; ++i) {
            vm.startPrank(keys[i]);
            bytes memory notOwner =
                abi.encodeWithSelector(Errors.ProviderRegistry_NotOwner.selector, OFFER, keys[i], owner);
            vm.expectRevert(notOwner);
            providers.requestUnstake(OFFER, address(token), 1);
            vm.expectRevert(notOwner);
            providers.setPayee(OFFER, address(token), keys[i]);
            vm.expectRevert(notOwner);
            providers.setOperator(OFFER, address(token), keys[i]);
            vm.expectRevert(notOwner);
            providers.setCapacity(OFFER, address(token), 99);
            vm.expectRevert(notOwner);
            providers.openDesk(OFFER, makeAddr("another token"), keys[i], keys[i], 1);
            bytes memory notBook = abi.encodeWithSelector(Errors.ProviderRegistry_NotOrderBook.selector, keys[i], book);
            vm.expectRevert(notBook);
            providers.reserve(OFFER, address(token), operator, 1);
            vm.expectRevert(notBook);
            providers.release(OFFER, address(token), 1, 1);
            vm.expectRevert(notBook);
            providers.strike(OFFER, address(token), 1);
            vm.stopPrank();
        }
        _assertStake(STAKE, 0, 0, 0);
    }

    /// @dev Sign two results, ask for the stake back, and wait for neither.
    function test_EquivocationOutrunByUnstaking() external {
        _reserve(100);
        _request(STAKE - 100);
        skip(UNBONDING - 1);
        vm.prank(book);
        assertEq(providers.strike(OFFER, address(token), 100), STAKE);
        skip(1);
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NothingRequested.selector, OFFER, token));
        providers.finishUnstake(OFFER, address(token));
    }

    /// @dev A strike, a slash or a release of one order leaves every other order's lock where it is.
    function test_OneOrdersSlashPaidByAnothersLock() external {
        _reserve(300);
        _reserve(200);
        vm.prank(book);
        providers.strike(OFFER, address(token), 300);
        _assertStake(0, 200, 0, 2);
        _release(0, 0);
        _release(200, 150);
        _assertStake(50, 0, 0, 0);
    }

    /// @dev Stake of a stranger is a gift: he cannot have it back, nor can he fill the desk with it.
    function test_StrangerStakesAndTakesItBack() external {
        _stake(poker, 10);
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NotOwner.selector, OFFER, poker, owner));
        vm.prank(poker);
        providers.requestUnstake(OFFER, address(token), 10);
        _assertStake(STAKE + 10, 0, 0, 0);
    }

    /// @dev One machine, many clients: accepting more than there are places.
    function test_OverAccepted() external {
        for (uint256 i = 0; i < CAPACITY; ++i) {
            _reserve(0);
        }
        vm.expectPartialRevert(Errors.ProviderRegistry_Full.selector);
        _reserve(0);
    }

    /// @dev Stake in worthless tokens, orders in good ones.
    function test_WorthlessTokenBacksOrdersInAGoodOne() external {
        FalseToken worthless = new FalseToken();
        worthless.setHonest(true);
        _deskIn(worthless, 1e30);
        vm.expectPartialRevert(Errors.ProviderRegistry_FreeStakeTooLow.selector);
        _reserve(STAKE + 1);
        vm.startPrank(book);
        providers.reserve(OFFER, address(worthless), operator, 1e30);
        vm.expectPartialRevert(Errors.ProviderRegistry_NoDesk.selector);
        providers.reserve(OFFER + 1, address(token), operator, 0);
    }

    /// @dev Register another's machine as one's own: a desk belongs to the offer's owner, and keys are named by him.
    function test_DeskOfAnothersOffer() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NotOwner.selector, OFFER, poker, owner));
        vm.prank(poker);
        providers.openDesk(OFFER, makeAddr("another token"), poker, poker, 1);
    }

    /// @dev A payee that the token refuses keeps stake in, but no end of any order open.
    function test_RefusedPayeeHoldsUpAnEnd() external {
        BlacklistToken bad = new BlacklistToken();
        _deskIn(bad, 100);
        bad.refuse(payee, true);
        vm.startPrank(book);
        providers.reserve(OFFER, address(bad), operator, 60);
        providers.release(OFFER, address(bad), 60, 60);
        assertEq(bad.balanceOf(book), 60);
    }
}
