// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Test} from "forge-std/Test.sol";

import {ILedger} from "../../../../contracts/interfaces/ILedger.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {BlacklistToken, FalseToken, MintableToken, ReentrantToken} from "../../../../contracts/mocks/HostileTokens.sol";
import {TestToken} from "../../../../contracts/mocks/TestToken.sol";
import {LedgerHarness} from "../../harness/LedgerHarness.sol";

contract WithdrawTest is Test {
    LedgerHarness private _ledger;
    TestToken private _token;
    address private _account = makeAddr("account");
    address private _poker = makeAddr("poker");

    function setUp() external {
        _ledger = new LedgerHarness();
        _token = new TestToken("Test Dollar", "TUSD", 6);
        _token.mint(address(this), 1e30);
        _token.approve(address(_ledger), type(uint256).max);
        // Warm, as the bench has it: the ledger holds others' money, the account had some before.
        _ledger.give(address(_token), _poker, 5);
        _token.mint(_account, 1);
    }

    function test_RevertGiven_NothingIsCredited() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.Ledger_NothingCredited.selector, _token, _account));
        _ledger.withdraw(address(_token), _account);
        _ledger.give(address(_token), _account, 0);
        assertEq(_slot(_account), 0, "a zero credit leaves no trace");
        vm.expectRevert(abi.encodeWithSelector(Errors.Ledger_NothingCredited.selector, _token, _account));
        _ledger.withdraw(address(_token), _account);
    }

    function test_RevertWhen_TheAccountIsTheLedgerItself() external {
        _ledger.give(address(_token), address(_ledger), 7);
        vm.expectRevert(abi.encodeWithSelector(Errors.Ledger_NoReceiver.selector, _ledger));
        _ledger.withdraw(address(_token), address(_ledger));
    }

    function test_WhenTheAccountCalls() external {
        _ledger.give(address(_token), _account, 7);
        assertEq(_ledger.creditOf(address(_token), _account), 7);
        assertEq(_slot(_account), (7 << 1) | 1);
        vm.expectEmit(address(_ledger));
        emit ILedger.Withdrawn(address(_token), _account, _account, 7);
        vm.prank(_account);
        assertEq(_ledger.withdraw(address(_token), _account), 7);
        assertEq(_token.balanceOf(_account), 8);
        assertEq(_slot(_account), 0, "closed");
        assertEq(_ledger.creditOf(address(_token), _account), 0);
    }

    /// forge-config: default.isolate = true
    function test_WhenTheAccountCalls_ItCostsNoMoreThan42000() external {
        _ledger.give(address(_token), _account, 7);
        vm.prank(_account);
        _ledger.withdraw(address(_token), _account);
        assertLe(vm.lastCallGas().gasTotalUsed, 42_000);
    }

    function test_WhenAnotherCalls() external {
        _ledger.give(address(_token), _account, 7);
        vm.expectEmit(address(_ledger));
        emit ILedger.Withdrawn(address(_token), _account, _account, 7);
        vm.prank(_poker);
        _ledger.withdraw(address(_token), _account);
        assertEq(_token.balanceOf(_account), 8);
        assertEq(_token.balanceOf(_poker), 0);
        assertEq(_slot(_account), 1, "open");
        assertEq(_ledger.creditOf(address(_token), _account), 0);
        _ledger.give(address(_token), _account, 3);
        assertEq(_ledger.creditOf(address(_token), _account), 3);
    }

    function test_GivenTheTokenRefusesTheAccount() external {
        BlacklistToken bad = new BlacklistToken();
        _give(bad, _account, 7);
        _give(bad, _poker, 9);
        bad.refuse(_account, true);
        vm.expectRevert(abi.encodeWithSelector(BlacklistToken.Refused.selector, _account));
        _ledger.withdraw(address(bad), _account);
        assertEq(_ledger.creditOf(address(bad), _account), 7);
        _ledger.withdraw(address(bad), _poker);
        assertEq(bad.balanceOf(_poker), 9, "nobody else waits");
        bad.refuse(_account, false);
        _ledger.withdraw(address(bad), _account);
        assertEq(bad.balanceOf(_account), 7);
    }

    function test_GivenTheTokenSaysFalse() external {
        FalseToken bad = new FalseToken();
        bad.setHonest(true);
        _give(bad, _account, 7);
        bad.setHonest(false);
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, bad));
        _ledger.withdraw(address(bad), _account);
        assertEq(_ledger.creditOf(address(bad), _account), 7);
    }

    function test_GivenTheTokenReEnters_ItPaysOnce() external {
        ReentrantToken bad = new ReentrantToken();
        _give(bad, _account, 7);
        _give(bad, _poker, 7);
        bad.arm(address(_ledger), abi.encodeCall(ILedger.withdraw, (address(bad), _poker)));
        _ledger.withdraw(address(bad), _account);
        assertEq(bad.tried(), 1);
        assertEq(bad.succeeded(), 0);
        assertEq(bad.balanceOf(_account), 7);
        assertEq(bad.balanceOf(_poker), 0);
    }

    function testFuzz_PaysOutWhatWasCredited(uint128[6] calldata amounts, uint256 callers) external {
        uint256 given = 0;
        uint256 paid = _token.balanceOf(_account);
        _token.mint(address(this), 6 * uint256(type(uint128).max));
        for (uint256 i = 0; i < 6; ++i) {
            _ledger.give(address(_token), _account, amounts[i]);
            given += amounts[i];
            if (callers >> i & 1 == 0 || _ledger.creditOf(address(_token), _account) == 0) continue;
            vm.prank(callers >> (i + 8) & 1 == 0 ? _account : _poker);
            _ledger.withdraw(address(_token), _account);
        }
        paid = _token.balanceOf(_account) - paid;
        assertEq(paid + _ledger.creditOf(address(_token), _account), given);
    }

    function _give(MintableToken token, address account, uint256 amount) private {
        token.mint(address(this), amount);
        token.approve(address(_ledger), amount);
        _ledger.give(address(token), account, amount);
    }

    function _slot(address account) private view returns (uint256) {
        bytes32 outer = keccak256(abi.encode(account, 0));
        return uint256(vm.load(address(_ledger), keccak256(abi.encode(_token, outer))));
    }
}
