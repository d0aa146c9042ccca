// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {ILedger} from "../../../../contracts/interfaces/ILedger.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {ReentrantToken} from "../../../../contracts/mocks/HostileTokens.sol";
import {TestToken} from "../../../../contracts/mocks/TestToken.sol";
import {LedgerHarness} from "../../harness/LedgerHarness.sol";

contract WithdrawToTest is Test {
    LedgerHarness private _ledger;
    TestToken private _token;
    address private _account = makeAddr("account");
    address private _vault = makeAddr("vault");

    function setUp() external {
        _ledger = new LedgerHarness();
        _token = new TestToken("Test Dollar", "TUSD", 6);
        _token.mint(address(this), 1e30);
        _token.approve(address(_ledger), type(uint256).max);
        _ledger.give(address(_token), _account, 10);
    }

    function test_RevertWhen_TheAmountIsZero() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.Ledger_NothingCredited.selector, _token, _account));
        vm.prank(_account);
        _ledger.withdrawTo(address(_token), 0, _vault);
    }

    function test_RevertWhen_TheAmountIsAboveTheCredit() external {
        vm.startPrank(_account);
        vm.expectRevert(abi.encodeWithSelector(Errors.Ledger_CreditTooLow.selector, _token, _account, 10, 11));
        _ledger.withdrawTo(address(_token), 11, _vault);
        vm.expectRevert(
            abi.encodeWithSelector(Errors.Ledger_CreditTooLow.selector, _token, _account, 10, type(uint256).max)
        );
        _ledger.withdrawTo(address(_token), type(uint256).max, _vault);
    }

    function test_RevertWhen_TheReceiverIsZeroOrTheLedgerItself() external {
        vm.startPrank(_account);
        vm.expectRevert(abi.encodeWithSelector(Errors.Ledger_NoReceiver.selector, address(0)));
        _ledger.withdrawTo(address(_token), 1, address(0));
        vm.expectRevert(abi.encodeWithSelector(Errors.Ledger_NoReceiver.selector, _ledger));
        _ledger.withdrawTo(address(_token), 1, address(_ledger));
    }

    function test_GivenAnotherAccountsCredit_ItIsNotReached() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.Ledger_CreditTooLow.selector, _token, _vault, 0, 10));
        vm.prank(_vault);
        _ledger.withdrawTo(address(_token), 10, _vault);
    }

    function test_GivenTheTokenReEnters_NobodyIsPaidMeanwhile() external {
        ReentrantToken bad = new ReentrantToken();
        bad.mint(address(this), 20);
        bad.approve(address(_ledger), 20);
        _ledger.give(address(bad), _account, 10);
        _ledger.give(address(bad), _vault, 10);
        bad.arm(address(_ledger), abi.encodeCall(ILedger.withdraw, (address(bad), _vault)));
        vm.prank(_account);
        _ledger.withdrawTo(address(bad), 4, _account);
        assertEq(bad.tried(), 1);
        assertEq(bad.succeeded(), 0);
        assertEq(bad.balanceOf(_account), 4);
        assertEq(bad.balanceOf(_vault), 0);
    }

    function test_SendsTheAmountAndLeavesTheRest() external {
        vm.startPrank(_account);
        vm.expectEmit(address(_ledger));
        emit ILedger.Withdrawn(address(_token), _account, _vault, 4);
        _ledger.withdrawTo(address(_token), 4, _vault);
        assertEq(_token.balanceOf(_vault), 4);
        assertEq(_ledger.creditOf(address(_token), _account), 6);
        _ledger.withdrawTo(address(_token), 6, _vault);
        assertEq(_token.balanceOf(_vault), 10);
        assertEq(_ledger.creditOf(address(_token), _account), 0);
        bytes32 outer = keccak256(abi.encode(_account, 0));
        assertEq(uint256(vm.load(address(_ledger), keccak256(abi.encode(_token, outer)))), 1, "open");
    }
}
