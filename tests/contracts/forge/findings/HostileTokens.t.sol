// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {ILedger} from "../../../../contracts/interfaces/ILedger.sol";
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
import {OrderState, Outcome} from "../../../../contracts/types/Orders.sol";
import {Deal, Market} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";

/// @notice A token that lies harms the orders and stakes counted in it, and nobody else's.
contract HostileTokensTest is Market {
    uint256 private constant SLASHED = 1_000_003 + 2 * (17 + uint256(777_777) * 400 / 3600);

    function test_FeeOnTransfer_IsRefusedAtPlacingAndStaking() external {
        address bad = address(new FeeToken());
        Deal memory deal = _in(bad);
        uint256 deposit = deal.terms.deposit;
        _willRevert(abi.encodeWithSelector(Errors.Escrow_ReceivedOther.selector, bad, deposit - deposit / 100, deposit));
        _place(deal);
        _refusedStake(bad, abi.encodeWithSelector(Errors.Escrow_ReceivedOther.selector, bad, 990, 1000));
    }

    function test_BonusOnTransfer_IsRefusedAtPlacingAndStaking() external {
        address bad = address(new BonusToken());
        Deal memory deal = _in(bad);
        uint256 deposit = deal.terms.deposit;
        _willRevert(abi.encodeWithSelector(Errors.Escrow_ReceivedOther.selector, bad, deposit + 1, deposit));
        _place(deal);
        _refusedStake(bad, abi.encodeWithSelector(Errors.Escrow_ReceivedOther.selector, bad, 1001, 1000));
    }

    function test_FalseOnTransfer_IsRefusedAtPlacingStakingAndWithdrawing() external {
        FalseToken bad = new FalseToken();
        Deal memory deal = _in(address(bad));
        bytes memory refused = abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(bad));
        _willRevert(refused);
        _place(deal);
        _refusedStake(address(bad), refused);
        bad.setHonest(true);
        _place(deal);
        bad.setHonest(false);
        _cancelAs(client, deal);
        _willRevert(refused);
        _withdraw(client);
        assertEq(_credit(client), deal.terms.deposit, "not taken for paid");
        bad.setHonest(true);
        _withdraw(client);
        assertEq(bad.balanceOf(address(book)), 0);
    }

    function test_NoCode_IsRefused() external {
        address nothing = makeAddr("no token");
        Deal memory deal = _deal();
        (deal.terms.token, deal.compute.token) = (nothing, nothing);
        bytes memory order = Pack.order(deal.terms);
        vm.expectRevert();
        vm.prank(client);
        book.place(order, WHERE);
    }

    function test_NoReturnValue_WorksThroughTheWholeLife() external {
        SilentToken odd = new SilentToken();
        Deal memory deal = _in(address(odd));
        _place(deal);
        _stakeIn(address(odd), _lock(deal));
        _accept(deal);
        _start(deal);
        _checkpoint(deal, 0, 0);
        skip(300);
        _complete(deal, Outcome.COMPLETED, 300, 5);
        _claimAll(deal, 0);
        _withdraw(provider);
        assertGt(odd.balanceOf(provider), 0);
        assertEq(odd.balanceOf(address(book)), _credits());
    }

    /// @dev After Particle (2023) and Marlin's jobClose: one refused receiver must not hold the others' money.
    function test_RefusedReceiver_HoldsNobodyElsesMoney() external {
        BlacklistToken bad = new BlacklistToken();
        Deal memory deal = _in(address(bad));
        _place(deal);
        _stakeIn(address(bad), _lock(deal));
        _accept(deal);
        _start(deal);
        bad.refuse(provider, true);
        bad.refuse(client, true);
        // The provider is refused, so its slash and everybody's settlement must not need it.
        skip(401);
        _expire(deal);
        assertState(deal, OrderState.EXPIRED);
        _claimRest(deal);
        for (uint256 k = 1; k <= 3; ++k) {
            _claim(deal, k);
        }
        _willRevert(abi.encodeWithSelector(BlacklistToken.Refused.selector, client));
        _withdraw(client);
        _withdraw(engineOwner);
        _withdraw(ownerA);
        _withdraw(ownerB);
        _withdraw(coAuthor);
        _withdraw(treasury);
        assertEq(bad.balanceOf(engineOwner), 1_000_003 - uint256(1_000_003) * 250 / 10_000);
        assertEq(bad.balanceOf(address(book)), deal.terms.deposit, "the client's refund waits");
        // And the client may have it sent where the token lets it.
        vm.prank(client);
        ILedger(address(book)).withdrawTo(address(bad), 1, sponsor);
        bad.refuse(client, false);
        _withdraw(client);
        assertEq(bad.balanceOf(address(book)), 0);
    }

    function test_Reentrancy_CannotWithdrawTwice() external {
        ReentrantToken bad = new ReentrantToken();
        Deal memory deal = _in(address(bad));
        Deal memory other = _deal();
        other.terms.salt = "other";
        _place(other);
        _place(deal);
        _cancelAs(client, deal);
        bytes memory again = abi.encodeCall(ILedger.withdraw, (address(bad), client));
        bad.arm(address(book), again);
        uint256 before = bad.balanceOf(client);
        _withdraw(client);
        assertEq(bad.balanceOf(client) - before, deal.terms.deposit);
        // Nor through a batch, whose parts take the guard one by one.
        bytes[] memory calls = new bytes[](1);
        calls[0] = again;
        bad.arm(address(0), "");
        Deal memory third = _deal();
        third.terms.salt = "third";
        _place(third);
        _cancelAs(client, third);
        bad.arm(address(book), abi.encodeCall(book.batch, (Pack.calls(calls))));
        _withdraw(client);
        assertEq(bad.tried(), 2);
        assertEq(bad.balanceOf(address(book)), other.terms.deposit, "the other order's deposit stays");
        assertEq(_credit(client), 0);
    }

    function test_Reentrancy_CannotCancelOrWithdrawWhilePlacing() external {
        ReentrantToken bad = new ReentrantToken();
        Deal memory deal = _in(address(bad));
        Deal memory before = _deal();
        before.terms.salt = "before";
        _place(before);
        _cancelAs(client, before);
        bytes[2] memory inside;
        inside[0] = abi.encodeCall(book.cancel, (Pack.order(deal.terms)));
        inside[1] = abi.encodeCall(ILedger.withdraw, (address(bad), client));
        for (uint256 i = 0; i < 2; ++i) {
            bad.arm(address(book), inside[i]);
            deal.terms.salt = bytes32(i);
            _place(deal);
            assertEq(bad.tried(), i + 1);
            assertEq(bad.succeeded(), 0);
            assertState(deal, OrderState.PLACED);
        }
        assertEq(_credit(client), before.terms.deposit);
    }

    function test_Reentrancy_CannotSettleWhileTheSlashMoves() external {
        ReentrantToken bad = new ReentrantToken();
        Deal memory deal = _in(address(bad));
        _place(deal);
        _stakeIn(address(bad), _lock(deal));
        _accept(deal);
        _start(deal);
        skip(401);
        _expire(deal);
        bad.arm(address(book), abi.encodeCall(book.claimRest, (Pack.order(deal.terms), _heads(deal))));
        _claimRest(deal);
        assertEq(bad.tried(), 1);
        assertEq(bad.succeeded(), 0);
        bad.arm(address(0), "");
        for (uint256 k = 1; k <= 3; ++k) {
            _claim(deal, k);
        }
        assertEq(_credits(), deal.terms.deposit + SLASHED);
        assertEq(bad.balanceOf(address(book)), _credits());
    }

    /// @dev Crediting needs no guard: what comes in through a token's hook is credited once, and nothing leaves.
    function test_Reentrancy_ClaimInsideAWithdrawalCreditsOnce() external {
        ReentrantToken bad = new ReentrantToken();
        Deal memory deal = _in(address(bad));
        _place(deal);
        _stakeIn(address(bad), _lock(deal));
        _accept(deal);
        _start(deal);
        _checkpoint(deal, 0, 0);
        skip(300);
        _complete(deal, Outcome.COMPLETED, 300, 5);
        _claimRest(deal);
        _claim(deal, 0);
        bytes memory claim = abi.encodeCall(book.claim, (Pack.order(deal.terms), Pack.proof(1, deal.inputs[0], "")));
        bad.arm(address(book), claim);
        _withdraw(provider);
        assertEq(bad.succeeded(), 1);
        _withdraw(treasury);
        assertEq(bad.succeeded(), 1, "once");
        assertEq(bad.tried(), 2);
        _claim(deal, 2);
        _claim(deal, 3);
        assertEq(bad.balanceOf(address(book)), _credits());
    }

    function test_Reentrancy_CannotWithdrawStakeTwice() external {
        ReentrantToken bad = new ReentrantToken();
        _in(address(bad));
        _stakeIn(address(bad), 1000);
        vm.prank(provider);
        providers.requestUnstake(computeOffer, address(bad), 400);
        skip(UNBONDING);
        bad.arm(address(providers), abi.encodeCall(providers.finishUnstake, (computeOffer, address(bad))));
        providers.finishUnstake(computeOffer, address(bad));
        assertEq(bad.tried(), 1);
        assertEq(bad.succeeded(), 0);
        assertEq(bad.balanceOf(provider), 400);
        assertEq(bad.balanceOf(address(providers)), 600);
    }

    function test_OrdersInGoodTokensAreUnharmed() external {
        TestToken good = token;
        BlacklistToken bad = new BlacklistToken();
        Deal memory well = _placed();
        Deal memory ill = _in(address(bad));
        _place(ill);
        bad.refuse(client, true);
        _cancelAs(client, ill);
        _cancelAs(client, well);
        _willRevert(abi.encodeWithSelector(BlacklistToken.Refused.selector, client));
        _withdraw(client);
        token = good;
        uint256 before = good.balanceOf(client);
        _withdraw(client);
        assertEq(good.balanceOf(client) - before, well.terms.deposit);
    }

    // ------------------------------------------------------------------------------------------- the bad token
    /// @dev The same offers, listed anew in another token, and a desk for it; the market's helpers count in it from
    /// here on.
    function _in(address bad) private returns (Deal memory) {
        token = TestToken(bad);
        computeOffer = _offer(provider, _computeTerms(), "");
        inputOffers[0] = _offer(engineOwner, _engineTerms(), "");
        inputOffers[1] = _offer(ownerA, _datasetTerms(ownerA), "");
        inputOffers[2] = _offer(ownerB, _datasetTerms(ownerB), "");
        vm.prank(provider);
        providers.openDesk(computeOffer, bad, operator, provider, CAPACITY);
        MintableToken(bad).mint(client, 1e30);
        vm.prank(client);
        SilentToken(bad).approve(address(book), type(uint256).max);
        return _deal();
    }

    function _stakeIn(address bad, uint256 amount) private {
        MintableToken(bad).mint(provider, amount);
        vm.startPrank(provider);
        SilentToken(bad).approve(address(providers), amount);
        providers.stake(computeOffer, bad, amount);
        vm.stopPrank();
    }

    function _refusedStake(address bad, bytes memory error_) private {
        MintableToken(bad).mint(provider, 1000);
        vm.startPrank(provider);
        MintableToken(bad).approve(address(providers), 1000);
        vm.expectRevert(error_);
        providers.stake(computeOffer, bad, 1000);
        vm.stopPrank();
    }

    function _withdraw(address account) private {
        _arm(poker);
        ILedger(address(book)).withdraw(address(token), account);
    }
}
