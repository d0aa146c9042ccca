// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {FalseToken} from "../../../../contracts/mocks/HostileTokens.sol";
import {TestToken} from "../../../../contracts/mocks/TestToken.sol";
import {LedgerHarness} from "../../harness/LedgerHarness.sol";

/// @notice Each test is a theft that somebody tried on credits, and fails to commit.
contract LedgerTheftsTest is Test {
    LedgerHarness private _ledger;
    TestToken private _token;
    address private _account = makeAddr("account");
    address private _thief = makeAddr("thief");

    function setUp() external {
        _ledger = new LedgerHarness();
        _token = new TestToken("Test Dollar", "TUSD", 6);
        _token.mint(address(this), 1000);
        _token.approve(address(_ledger), 1000);
        _ledger.give(address(_token), _account, 100);
    }

    /// @dev A hot key fetches for the account, and to nowhere else.
    function test_HotKeyRedirectsAPayout() external {
        vm.startPrank(_thief);
        vm.expectRevert(abi.encodeWithSelector(Errors.Ledger_CreditTooLow.selector, _token, _thief, 0, 100));
        _ledger.withdrawTo(address(_token), 100, _thief);
        _ledger.withdraw(address(_token), _account);
        assertEq(_token.balanceOf(_account), 100);
        assertEq(_token.balanceOf(_thief), 0);
    }

    /// @dev Credits of a worthless token fetched in a good one.
    function test_CreditOfOneTokenFetchedInAnother() external {
        FalseToken worthless = new FalseToken();
        worthless.setHonest(true);
        worthless.mint(address(this), 100);
        worthless.approve(address(_ledger), 100);
        _ledger.give(address(worthless), _thief, 100);
        vm.prank(_thief);
        vm.expectRevert(abi.encodeWithSelector(Errors.Ledger_NothingCredited.selector, _token, _thief));
        _ledger.withdraw(address(_token), _thief);
    }

    /// @dev Twice is once.
    function test_WithdrawnTwice() external {
        _ledger.withdraw(address(_token), _account);
        vm.expectRevert(abi.encodeWithSelector(Errors.Ledger_NothingCredited.selector, _token, _account));
        _ledger.withdraw(address(_token), _account);
    }

    /// @dev Fetching for another, again and again, must not make his next credit dearer: the slot stays open.
    function test_SlotClosedByAnother() external {
        vm.prank(_thief);
        _ledger.withdraw(address(_token), _account);
        bytes32 outer = keccak256(abi.encode(_account, 0));
        assertEq(uint256(vm.load(address(_ledger), keccak256(abi.encode(_token, outer)))), 1);
    }
}
