// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Escrow} from "./Escrow.sol";
import {IProviderRegistry} from "./interfaces/IProviderRegistry.sol";
import {Errors} from "./libraries/Errors.sol";
import {OrderId} from "./types/Orders.sol";

/// @title See {IProviderRegistry}.
contract ProviderRegistry is IProviderRegistry, Escrow {
    using SafeCast for uint256;

    struct Stake {
        // slot 0
        uint128 free;
        uint128 locked;
        // slot 1: 128 + 40 = 168 bits
        uint128 unbonding;
        uint40 releaseAt;
    }

    /// @inheritdoc IProviderRegistry
    address public immutable ORDER_BOOK;
    /// @inheritdoc IProviderRegistry
    uint256 public immutable UNBONDING_SECONDS;

    /// @inheritdoc IProviderRegistry
    mapping(address provider => address) public operatorOf;
    /// @inheritdoc IProviderRegistry
    mapping(address operator => address) public providerOfOperator;
    /// @inheritdoc IProviderRegistry
    mapping(address provider => mapping(address token => Stake)) public stakeOf;

    modifier onlyOrderBook() {
        if (msg.sender != ORDER_BOOK) revert Errors.ProviderRegistry_NotOrderBook(msg.sender, ORDER_BOOK);
        _;
    }

    /// @param orderBook        Where the OrderBook will stand: it is deployed after this, and checks it.
    /// @param unbondingSeconds Longer than the time in which a proof against the provider may still come.
    constructor(address orderBook, uint40 unbondingSeconds) {
        ORDER_BOOK = orderBook;
        UNBONDING_SECONDS = unbondingSeconds;
    }

    /// @inheritdoc IProviderRegistry
    function register(address operator) external {
        if (operatorOf[msg.sender] != address(0)) revert Errors.ProviderRegistry_AlreadyRegistered(msg.sender);
        _setOperator(operator);
        emit ProviderRegistered(msg.sender, operator);
    }

    /// @inheritdoc IProviderRegistry
    function setOperator(address operator) external {
        address previous = _registered();
        delete providerOfOperator[previous];
        _setOperator(operator);
        emit OperatorChanged(msg.sender, operator, previous);
    }

    /// @inheritdoc IProviderRegistry
    function stake(address token, uint256 amount) external nonReentrant {
        _stake(token, amount);
    }

    /// @inheritdoc IProviderRegistry
    function stakeWithPermit(address token, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
        nonReentrant
    {
        _tryPermit(token, msg.sender, amount, Permit(deadline, v, r, s));
        _stake(token, amount);
    }

    /// @inheritdoc IProviderRegistry
    function requestUnstake(address token, uint256 amount) external {
        if (amount == 0) revert Errors.ProviderRegistry_ZeroAmount();
        Stake storage held = stakeOf[msg.sender][token];
        _takeFree(held, msg.sender, token, amount);
        held.unbonding += amount.toUint128();
        uint256 releaseAt = block.timestamp + UNBONDING_SECONDS;
        held.releaseAt = releaseAt.toUint40();
        emit UnstakeRequested(msg.sender, token, amount, releaseAt);
    }

    /// @inheritdoc IProviderRegistry
    function finishUnstake(address token) external nonReentrant {
        Stake storage held = stakeOf[msg.sender][token];
        uint256 amount = held.unbonding;
        if (amount == 0) revert Errors.ProviderRegistry_NothingRequested(msg.sender, token);
        if (block.timestamp < held.releaseAt) {
            revert Errors.ProviderRegistry_StillUnbonding(held.releaseAt, block.timestamp);
        }
        // Effect: nothing is leaving any more.
        held.unbonding = 0;
        held.releaseAt = 0;
        emit Unstaked(msg.sender, token, amount);
        // Interaction:
        _push(token, msg.sender, amount);
    }

    /// @inheritdoc IProviderRegistry
    function lock(OrderId id, address provider, address operator, address token, uint256 amount)
        external
        onlyOrderBook
    {
        address expected = operatorOf[provider];
        if (operator != expected) revert Errors.ProviderRegistry_NotOperator(operator, expected);
        Stake storage held = stakeOf[provider][token];
        _takeFree(held, provider, token, amount);
        held.locked += amount.toUint128();
        emit StakeLocked(id, provider, token, amount);
    }

    /// @inheritdoc IProviderRegistry
    function unlock(OrderId id, address provider, address token, uint256 amount, uint256 slashed)
        external
        nonReentrant
        onlyOrderBook
    {
        if (slashed > amount) revert Errors.ProviderRegistry_SlashAboveLock(slashed, amount);
        // Effect: the lock is gone; what was not slashed is free.
        Stake storage held = stakeOf[provider][token];
        held.locked -= amount.toUint128();
        held.free += (amount - slashed).toUint128();
        emit StakeUnlocked(id, provider, token, amount, slashed);
        // Interaction:
        _push(token, ORDER_BOOK, slashed);
    }

    function _stake(address token, uint256 amount) private {
        _registered();
        if (amount == 0) revert Errors.ProviderRegistry_ZeroAmount();
        stakeOf[msg.sender][token].free += amount.toUint128();
        emit Staked(msg.sender, token, amount);
        // Interaction:
        _pull(token, msg.sender, amount);
    }

    function _setOperator(address operator) private {
        if (operator == address(0)) revert Errors.ProviderRegistry_NoOperator();
        address taken = providerOfOperator[operator];
        if (taken != address(0)) revert Errors.ProviderRegistry_OperatorTaken(operator, taken);
        operatorOf[msg.sender] = operator;
        providerOfOperator[operator] = msg.sender;
    }

    function _registered() private view returns (address operator) {
        operator = operatorOf[msg.sender];
        if (operator == address(0)) revert Errors.ProviderRegistry_NotRegistered(msg.sender);
    }

    function _takeFree(Stake storage held, address provider, address token, uint256 amount) private {
        uint256 free = held.free;
        if (free < amount) revert Errors.ProviderRegistry_FreeStakeTooLow(provider, token, free, amount);
        held.free = (free - amount).toUint128();
    }
}
