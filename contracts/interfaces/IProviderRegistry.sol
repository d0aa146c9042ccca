// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice One compute offer's stake and places in one token.
/// @param free      Neither locked nor leaving: what new orders can lock.
/// @param locked    Held for accepted and running orders.
/// @param capacity  How many orders may hold a lock at once.
/// @param active    How many do.
/// @param operator  The hot key that accepts orders. Zero: there is no such desk.
/// @param payee     Receives stake that leaves.
/// @param unbonding Requested, not yet withdrawn; a strike still reaches it.
/// @param releaseAt Unix time from which `unbonding` can be withdrawn.
struct Desk {
    // slot 0: all that accepting and ending an order change
    uint112 free;
    uint112 locked;
    uint16 capacity;
    uint16 active;
    // slot 1
    address operator;
    // slot 2
    address payee;
    // slot 3: 112 + 40 = 152 bits
    uint112 unbonding;
    uint40 releaseAt;
}

/// @title Desks: where compute offers take orders, with their keys, stake and places (docs/protocol.md section 6.8).
/// @notice A desk is a compute offer in one token. Three keys are apart: the offer's owner rules it, its operator is a
/// hot key that accepts orders, its payee receives stake that leaves. The OrderBook alone locks, frees and takes.
/// @dev Warning: an operator moves nothing, but whoever has its key can accept orders whose dues go to himself and let
/// them fail: the free stake of its desks is what it can lose. `requestUnstake` takes stake out of its reach at once.
/// What an order locks and frees, the OrderBook's own events tell; here is an event only where stake is lost.
interface IProviderRegistry {
    event DeskOpened(
        uint64 indexed offer, address indexed token, address indexed operator, address payee, uint16 capacity
    );
    event OperatorChanged(uint64 indexed offer, address indexed token, address indexed operator);
    event PayeeChanged(uint64 indexed offer, address indexed token, address indexed payee);
    event CapacityChanged(uint64 indexed offer, address indexed token, uint16 capacity);
    event Staked(uint64 indexed offer, address indexed token, address indexed from, uint256 amount);
    event UnstakeRequested(uint64 indexed offer, address indexed token, uint256 amount, uint256 releaseAt);
    event Unstaked(uint64 indexed offer, address indexed token, address indexed payee, uint256 amount);
    /// @notice `amount` of one order's lock went to the OrderBook.
    event Slashed(uint64 indexed offer, address indexed token, uint256 amount);
    /// @notice An equivocation took the lock, the free and the leaving stake: `amount` in all.
    event Struck(uint64 indexed offer, address indexed token, uint256 amount);

    /// @notice Opens a desk for the caller's compute offer in `token`; once, for it is changed by the functions below.
    function openDesk(uint64 offer, address token, address operator, address payee, uint16 capacity) external;

    /// @notice Names another hot key; the previous one accepts nothing from now on. Offer's owner only.
    function setOperator(uint64 offer, address token, address operator) external;

    /// @notice Names another receiver of stake that leaves, of what is leaving already too. Offer's owner only.
    function setPayee(uint64 offer, address token, address payee) external;

    /// @notice Sets how many orders may run at once; zero closes the desk. Orders that run are not touched.
    function setCapacity(uint64 offer, address token, uint16 capacity) external;

    /// @notice Adds stake, taken from the caller, who may be anybody: it never comes back to him.
    function stake(uint64 offer, address token, uint256 amount) external;

    /// @notice The same with an EIP-2612 permit instead of an allowance.
    function stakeWithPermit(
        uint64 offer,
        address token,
        uint256 amount,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;

    /// @notice Takes `amount` out of the free stake; it can be withdrawn after the unbonding time. Offer's owner only.
    /// @dev A second request joins the first and starts the time anew.
    function requestUnstake(uint64 offer, address token, uint256 amount) external;

    /// @notice Sends what was requested, after the unbonding time, to the payee, whoever calls.
    function finishUnstake(uint64 offer, address token) external;

    /// @notice Locks stake and takes a place for an order that `operator` accepted. OrderBook only.
    function reserve(uint64 offer, address token, address operator, uint256 lock) external;

    /// @notice Ends an order's lock and frees its place: `slashed` of the lock goes to the OrderBook, the rest is free
    /// again. OrderBook only, once for each `reserve`.
    /// @dev Takes as much as is there: an end never fails for want of stake.
    function release(uint64 offer, address token, uint256 lock, uint256 slashed) external;

    /// @notice Sends that lock, all free and all leaving stake to the OrderBook. OrderBook only.
    /// @dev The place stays taken: the order's own `release` frees it, with a lock of zero since this took it.
    /// @return taken How much it was.
    function strike(uint64 offer, address token, uint256 lock) external returns (uint256 taken);

    /// @return The only caller of `reserve`, `release` and `strike`.
    function ORDER_BOOK() external view returns (address);

    /// @return Seconds between a request and its withdrawal.
    function UNBONDING_SECONDS() external view returns (uint256);

    /// @return The whole desk; its operator is zero where there is none.
    function deskOf(uint64 offer, address token) external view returns (Desk memory);
}
