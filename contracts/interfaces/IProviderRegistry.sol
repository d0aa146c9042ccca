// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {OrderId} from "../types/Orders.sol";

/// @title Providers, their operator keys and their stake (docs/protocol.md section 6.8).
/// @notice A provider is the account that owns compute offers. Its operator is a hot key that accepts orders. Stake is
/// counted per provider and token; the OrderBook alone locks, frees and slashes.
/// @dev Warning: an operator withdraws nothing, but whoever has its key can accept orders whose dues go to himself and
/// let them fail: free stake is what it can lose. `requestUnstake` takes stake out of its reach at once.
interface IProviderRegistry {
    event ProviderRegistered(address indexed provider, address indexed operator);
    event OperatorChanged(address indexed provider, address indexed operator, address indexed previous);
    event Staked(address indexed provider, address indexed token, uint256 amount);
    event UnstakeRequested(address indexed provider, address indexed token, uint256 amount, uint256 releaseAt);
    event Unstaked(address indexed provider, address indexed token, uint256 amount);
    event StakeLocked(OrderId indexed id, address indexed provider, address indexed token, uint256 amount);
    /// @param amount  What leaves the lock.
    /// @param slashed The part of it that went to the OrderBook; the rest is free again.
    event StakeUnlocked(
        OrderId indexed id, address indexed provider, address indexed token, uint256 amount, uint256 slashed
    );

    /// @notice Makes the caller a provider with `operator` as its hot key.
    /// @dev An operator serves one provider. Take a fresh key: whoever sees this transaction first could name the
    /// key as its own operator, which costs the caller nothing but another fresh key.
    function register(address operator) external;

    /// @notice Names another hot key; the previous one can accept nothing from now on.
    function setOperator(address operator) external;

    /// @notice Adds stake in `token`, taken from the caller, who is a provider.
    function stake(address token, uint256 amount) external;

    /// @notice The same with an EIP-2612 permit instead of an allowance.
    function stakeWithPermit(address token, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;

    /// @notice Takes `amount` out of the free stake; it can be withdrawn after the unbonding time.
    /// @dev A second request joins the first and starts the time anew.
    function requestUnstake(address token, uint256 amount) external;

    /// @notice Sends what was requested, after the unbonding time, to the provider.
    function finishUnstake(address token) external;

    /// @notice Locks stake for an order that `operator` accepted, if it is the provider's operator. OrderBook only.
    function lock(OrderId id, address provider, address operator, address token, uint256 amount) external;

    /// @notice Ends an order's lock: `slashed` of it goes to the OrderBook, the rest is free again. OrderBook only.
    function unlock(OrderId id, address provider, address token, uint256 amount, uint256 slashed) external;

    /// @return The only caller of `lock` and `unlock`.
    function ORDER_BOOK() external view returns (address);

    /// @return Seconds between a request and its withdrawal.
    function UNBONDING_SECONDS() external view returns (uint256);

    /// @return The hot key, or zero where `provider` is none.
    function operatorOf(address provider) external view returns (address);

    /// @return The provider that `operator` serves, or zero.
    function providerOfOperator(address operator) external view returns (address);

    /// @return free      Neither locked nor leaving.
    /// @return locked    Held for accepted and running orders.
    /// @return unbonding Requested, not yet withdrawn.
    /// @return releaseAt Unix time from which `unbonding` can be withdrawn.
    function stakeOf(address provider, address token)
        external
        view
        returns (uint128 free, uint128 locked, uint128 unbonding, uint40 releaseAt);
}
