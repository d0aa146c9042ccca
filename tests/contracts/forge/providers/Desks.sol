// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {ProviderRegistry} from "../../../../contracts/ProviderRegistry.sol";
import {Desk} from "../../../../contracts/interfaces/IProviderRegistry.sol";
import {MintableToken} from "../../../../contracts/mocks/HostileTokens.sol";
import {TestToken} from "../../../../contracts/mocks/TestToken.sol";
import {OwnersStub} from "../utils/OwnersStub.sol";

/// @notice One compute offer with a desk, its people and an OrderBook that the test plays.
abstract contract Desks is Test {
    uint40 internal constant UNBONDING = 14 days;
    uint256 internal constant STAKE = 1000;
    uint256 internal constant T0 = 1_800_000_000;
    uint64 internal constant OFFER = (uint64(7) << 32) | (4 << 28) | 1;
    uint64 internal constant ENGINE_OFFER = (uint64(7) << 32) | (1 << 28) | 1;
    uint16 internal constant CAPACITY = 3;

    address internal owner = makeAddr("owner");
    address internal operator = makeAddr("operator");
    address internal payee = makeAddr("payee");
    address internal poker = makeAddr("poker");
    address internal book = makeAddr("OrderBook");
    OwnersStub internal offers;
    ProviderRegistry internal providers;
    TestToken internal token;

    function setUp() public virtual {
        vm.warp(T0);
        offers = new OwnersStub();
        offers.setOwner(OFFER, owner);
        offers.setOwner(ENGINE_OFFER, owner);
        providers = new ProviderRegistry(offers, book, UNBONDING);
        token = new TestToken("Test Dollar", "TUSD", 6);
        vm.prank(owner);
        providers.openDesk(OFFER, address(token), operator, payee, CAPACITY);
        _stake(poker, STAKE);
    }

    function _stake(address from, uint256 amount) internal {
        token.mint(from, amount);
        vm.startPrank(from);
        token.approve(address(providers), amount);
        providers.stake(OFFER, address(token), amount);
        vm.stopPrank();
    }

    /// @dev A desk in another token, with `amount` staked by this contract.
    function _deskIn(MintableToken other, uint256 amount) internal {
        vm.prank(owner);
        providers.openDesk(OFFER, address(other), operator, payee, CAPACITY);
        other.mint(address(this), amount);
        other.approve(address(providers), amount);
        providers.stake(OFFER, address(other), amount);
    }

    function _reserve(uint256 lock) internal {
        vm.prank(book);
        providers.reserve(OFFER, address(token), operator, lock);
    }

    function _release(uint256 lock, uint256 slashed) internal {
        vm.prank(book);
        providers.release(OFFER, address(token), lock, slashed);
    }

    function _request(uint256 amount) internal {
        vm.prank(owner);
        providers.requestUnstake(OFFER, address(token), amount);
    }

    function _desk() internal view returns (Desk memory) {
        return providers.deskOf(OFFER, address(token));
    }

    function _assertStake(uint256 free, uint256 locked, uint256 unbonding, uint256 active) internal view {
        Desk memory desk = _desk();
        assertEq(desk.free, free, "free");
        assertEq(desk.locked, locked, "locked");
        assertEq(desk.unbonding, unbonding, "unbonding");
        assertEq(desk.active, active, "active");
        assertEq(token.balanceOf(address(providers)), free + locked + unbonding, "INV: the registry holds its stake");
    }
}
