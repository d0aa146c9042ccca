// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {
    BlacklistToken,
    BonusToken,
    FalseToken,
    FeeToken,
    MintableToken,
    ReentrantToken,
    SilentToken
} from "../../../../contracts/mocks/HostileTokens.sol";
import {TestToken} from "../../../../contracts/mocks/TestToken.sol";
import {OrderPreimage, OrderState, Outcome} from "../../../../contracts/types/Orders.sol";
import {Market} from "../utils/Market.sol";

/// @notice A token that lies harms the orders and stakes counted in it, and nobody else's.
contract HostileTokensTest is Market {
    TestToken private _good;

    function test_FeeOnTransfer_IsRefusedAtPlacingAndStaking() external {
        address bad = address(new FeeToken());
        OrderPreimage memory pre = _in(bad);
        uint256 deposit = pre.terms.deposit;
        _willRevert(abi.encodeWithSelector(Errors.Escrow_ReceivedOther.selector, bad, deposit - deposit / 100, deposit));
        _place(pre);
        _refusedStake(bad, abi.encodeWithSelector(Errors.Escrow_ReceivedOther.selector, bad, 990, 1000));
    }

    function test_BonusOnTransfer_IsRefusedAtPlacingAndStaking() external {
        address bad = address(new BonusToken());
        OrderPreimage memory pre = _in(bad);
        uint256 deposit = pre.terms.deposit;
        _willRevert(abi.encodeWithSelector(Errors.Escrow_ReceivedOther.selector, bad, deposit + 1, deposit));
        _place(pre);
        _refusedStake(bad, abi.encodeWithSelector(Errors.Escrow_ReceivedOther.selector, bad, 1001, 1000));
    }

    function test_FalseOnTransfer_IsRefusedAtPlacingStakingAndClaiming() external {
        FalseToken bad = new FalseToken();
        OrderPreimage memory pre = _in(address(bad));
        bytes memory refused = abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(bad));
        _willRevert(refused);
        _place(pre);
        _refusedStake(address(bad), refused);
        bad.setHonest(true);
        _place(pre);
        _cancelAs(client, pre);
        bad.setHonest(false);
        vm.expectRevert(refused);
        book.claim(pre, type(uint256).max);
        assertEq(book.claimedOf(_id(pre)), 0, "not taken for paid");
        bad.setHonest(true);
        _claimAll(pre, 0);
    }

    function test_NoCode_IsRefused() external {
        OrderPreimage memory pre = _in(makeAddr("no token"), false);
        vm.expectRevert();
        vm.prank(client);
        book.place(pre.terms, WHERE);
    }

    function test_NoReturnValue_WorksThroughTheWholeLife() external {
        SilentToken odd = new SilentToken();
        OrderPreimage memory pre = _in(address(odd));
        _place(pre);
        _stakeIn(address(odd), _lock(pre));
        _accept(pre);
        _start(pre);
        _checkpoint(pre, 0, 0);
        skip(1000);
        _complete(pre, Outcome.COMPLETED, 1000, 5);
        _claimAll(pre, 0);
        assertEq(odd.balanceOf(address(book)), 0);
        assertGt(odd.balanceOf(provider), 0);
    }

    /// @dev After Particle (2023) and Marlin's jobClose: one refused receiver must not hold the others' money.
    function test_RefusedReceiver_HoldsNobodyElsesMoney() external {
        BlacklistToken bad = new BlacklistToken();
        OrderPreimage memory pre = _in(address(bad));
        _place(pre);
        _stakeIn(address(bad), _lock(pre));
        _accept(pre);
        _start(pre);
        bad.refuse(provider, true);
        bad.refuse(client, true);
        // The provider is refused, so its slash and everybody's settlement must not need it.
        vm.warp(T0 + 5401);
        _expire(pre);
        assertState(pre, OrderState.EXPIRED);
        vm.expectRevert(abi.encodeWithSelector(BlacklistToken.Refused.selector, client));
        book.claim(pre, type(uint256).max);
        book.claim(pre, type(uint256).max - 1);
        assertEq(bad.balanceOf(engineOwner), 1_000_003 - uint256(1_000_003) * 250 / 10_000);
        assertEq(bad.balanceOf(address(book)), pre.terms.deposit, "the client's refund waits");
        bad.refuse(client, false);
        book.claim(pre, 1);
        assertEq(bad.balanceOf(address(book)), 0);
    }

    function test_Reentrancy_CannotClaimTwice() external {
        ReentrantToken bad = new ReentrantToken();
        OrderPreimage memory pre = _in(address(bad));
        OrderPreimage memory other = _in(address(bad));
        other.terms.salt = "other";
        _place(other);
        _place(pre);
        _cancelAs(client, pre);
        bad.arm(address(book), abi.encodeCall(book.claim, (pre, type(uint256).max)));
        _claimAll(pre, 0);
        assertEq(bad.tried(), 1);
        assertEq(bad.succeeded(), 0);
        assertEq(bad.balanceOf(address(book)), other.terms.deposit, "the other order's deposit stays");
    }

    function test_Reentrancy_CannotPlaceOrCancelWhilePlacing() external {
        ReentrantToken bad = new ReentrantToken();
        OrderPreimage memory pre = _in(address(bad));
        bad.arm(address(book), abi.encodeCall(book.cancel, (pre.terms)));
        vm.warp(T0);
        _place(pre);
        assertEq(bad.tried(), 1);
        assertEq(bad.succeeded(), 0);
        assertState(pre, OrderState.PLACED);
    }

    function test_Reentrancy_CannotSettleWhileTheSlashMoves() external {
        ReentrantToken bad = new ReentrantToken();
        OrderPreimage memory pre = _in(address(bad));
        _place(pre);
        _stakeIn(address(bad), _lock(pre));
        _accept(pre);
        _start(pre);
        vm.warp(T0 + 5401);
        bad.arm(address(book), abi.encodeCall(book.claim, (pre, type(uint256).max)));
        _expire(pre);
        assertEq(bad.tried(), 1);
        assertEq(bad.succeeded(), 0);
        bad.arm(address(0), "");
        uint256 slashed = 1_000_003 + 2 * (17 + uint256(777_777) * 5000 / 3600);
        uint256 before = bad.balanceOf(address(book));
        book.claim(pre, type(uint256).max);
        assertEq(before - bad.balanceOf(address(book)), pre.terms.deposit + slashed);
        assertEq(bad.balanceOf(address(book)), 0);
    }

    function test_Reentrancy_CannotWithdrawStakeTwice() external {
        ReentrantToken bad = new ReentrantToken();
        _stakeIn(address(bad), 1000);
        vm.prank(provider);
        providers.requestUnstake(address(bad), 400);
        skip(UNBONDING);
        bad.arm(address(providers), abi.encodeCall(providers.finishUnstake, (address(bad))));
        vm.prank(provider);
        providers.finishUnstake(address(bad));
        assertEq(bad.tried(), 1);
        assertEq(bad.succeeded(), 0);
        assertEq(bad.balanceOf(provider), 400);
        assertEq(bad.balanceOf(address(providers)), 600);
    }

    function test_OrdersInGoodTokensAreUnharmed() external {
        _good = token;
        BlacklistToken bad = new BlacklistToken();
        OrderPreimage memory well = _placed();
        OrderPreimage memory ill = _in(address(bad));
        _place(ill);
        bad.refuse(client, true);
        token = _good;
        _cancelAs(client, ill);
        _cancelAs(client, well);
        uint256 before = _good.balanceOf(client);
        book.claim(well, type(uint256).max);
        assertEq(_good.balanceOf(client) - before, well.terms.deposit);
    }

    /// @dev The same offers, listed anew in another token; the market's helpers count in it from here on.
    function _in(address bad) private returns (OrderPreimage memory pre) {
        return _in(bad, true);
    }

    function _in(address bad, bool fund) private returns (OrderPreimage memory pre) {
        token = TestToken(bad);
        pre = _preimage();
        pre.terms.salt = keccak256(abi.encode(bad));
        vm.prank(provider);
        pre.terms.compute.offer = offers.list(pre.compute, "");
        for (uint256 i = 0; i < 3; ++i) {
            pre.terms.inputs[i].offer = offers.list(pre.inputs[i], "");
        }
        if (!fund) return pre;
        MintableToken(bad).mint(client, 1e30);
        vm.prank(client);
        SilentToken(bad).approve(address(book), type(uint256).max);
    }

    function _stakeIn(address bad, uint256 amount) private {
        MintableToken(bad).mint(provider, amount);
        vm.startPrank(provider);
        SilentToken(bad).approve(address(providers), amount);
        providers.stake(bad, amount);
        vm.stopPrank();
    }

    function _refusedStake(address bad, bytes memory error_) private {
        MintableToken(bad).mint(provider, 1000);
        vm.startPrank(provider);
        MintableToken(bad).approve(address(providers), 1000);
        vm.expectRevert(error_);
        providers.stake(bad, 1000);
        vm.stopPrank();
    }
}
