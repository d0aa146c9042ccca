// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Escrow} from "./Escrow.sol";
import {IOfferOwners} from "./interfaces/IOfferOwners.sol";
import {Desk, IProviderRegistry} from "./interfaces/IProviderRegistry.sol";
import {Errors} from "./libraries/Errors.sol";
import {OfferKind} from "./types/Offers.sol";

/// @title See {IProviderRegistry}.
/// @dev free + locked <= type(uint112).max, checked where stake comes in: no sum of what is in overflows.
contract ProviderRegistry is IProviderRegistry, Escrow {
    /// @dev As Desk says, with slot 0 as one word: accepting and ending an order read and write it once.
    struct Stored {
        uint256 word;
        address operator;
        address payee;
        uint112 unbonding;
        uint40 releaseAt;
    }

    uint256 private constant _MAX = type(uint112).max;
    uint256 private constant _LOCKED = 112;
    uint256 private constant _CAPACITY = 224;
    uint256 private constant _ACTIVE = 240;
    uint256 private constant _ONE_ACTIVE = 1 << 240;

    IOfferOwners public immutable OFFERS;
    /// @inheritdoc IProviderRegistry
    address public immutable ORDER_BOOK;
    /// @inheritdoc IProviderRegistry
    uint256 public immutable UNBONDING_SECONDS;

    /// @dev By offer << 160 | token: one hash to find a desk.
    // slither-disable-next-line uninitialized-state: written through the pointers that `_at` returns
    mapping(uint256 key => Stored) private _desks;

    modifier onlyOrderBook() {
        if (msg.sender != ORDER_BOOK) revert Errors.ProviderRegistry_NotOrderBook(msg.sender, ORDER_BOOK);
        _;
    }

    /// @param offers           Says whose an offer is.
    /// @param orderBook        Where the OrderBook will stand: it is deployed after this, and checks it.
    /// @param unbondingSeconds Longer than the time in which a proof against an order may still come.
    constructor(IOfferOwners offers, address orderBook, uint40 unbondingSeconds) {
        OFFERS = offers;
        // slither-disable-next-line missing-zero-check: the OrderBook's constructor compares it
        ORDER_BOOK = orderBook;
        UNBONDING_SECONDS = unbondingSeconds;
    }

    // ------------------------------------------------------------------------------------------ the owner
    /// @inheritdoc IProviderRegistry
    function openDesk(uint64 offer, address token, address operator, address payee, uint16 capacity) external {
        _checkOwner(offer);
        // Check: the kind is in the id, the top four bits of the serial.
        uint256 kind = (offer >> 28) & 0xf;
        if (kind != uint8(OfferKind.COMPUTE)) revert Errors.ProviderRegistry_NotCompute(offer, kind);
        if (token == address(0)) revert Errors.ProviderRegistry_NoToken();
        Stored storage desk = _at(offer, token);
        if (desk.operator != address(0)) revert Errors.ProviderRegistry_AlreadyOpen(offer, token);
        _checkOperator(operator);
        _checkPayee(payee);
        desk.operator = operator;
        desk.payee = payee;
        desk.word = uint256(capacity) << _CAPACITY;
        emit DeskOpened(offer, token, operator, payee, capacity);
    }

    /// @inheritdoc IProviderRegistry
    function setOperator(uint64 offer, address token, address operator) external {
        Stored storage desk = _owned(offer, token);
        _checkOperator(operator);
        desk.operator = operator;
        emit OperatorChanged(offer, token, operator);
    }

    /// @inheritdoc IProviderRegistry
    function setPayee(uint64 offer, address token, address payee) external {
        Stored storage desk = _owned(offer, token);
        _checkPayee(payee);
        desk.payee = payee;
        emit PayeeChanged(offer, token, payee);
    }

    /// @inheritdoc IProviderRegistry
    function setCapacity(uint64 offer, address token, uint16 capacity) external {
        Stored storage desk = _owned(offer, token);
        desk.word = (desk.word & ~(uint256(type(uint16).max) << _CAPACITY)) | (uint256(capacity) << _CAPACITY);
        emit CapacityChanged(offer, token, capacity);
    }

    /// @inheritdoc IProviderRegistry
    function requestUnstake(uint64 offer, address token, uint256 amount) external {
        Stored storage desk = _owned(offer, token);
        if (amount == 0) revert Errors.ProviderRegistry_ZeroAmount();
        uint256 word = desk.word;
        _checkFree(offer, token, word, amount);
        uint256 unbonding = desk.unbonding + amount;
        if (unbonding > _MAX) revert Errors.ProviderRegistry_TooMuch(offer, token, unbonding, _MAX);
        // Effect: out of every order's reach, but not of a strike's.
        unchecked {
            desk.word = word - amount;
        }
        uint256 releaseAt = block.timestamp + UNBONDING_SECONDS;
        // forge-lint: disable-next-line(unsafe-typecast)
        (desk.unbonding, desk.releaseAt) = (uint112(unbonding), uint40(releaseAt));
        emit UnstakeRequested(offer, token, amount, releaseAt);
    }

    /// @inheritdoc IProviderRegistry
    function finishUnstake(uint64 offer, address token) external nonReentrant {
        Stored storage desk = _at(offer, token);
        uint256 amount = desk.unbonding;
        if (amount == 0) revert Errors.ProviderRegistry_NothingRequested(offer, token);
        uint256 releaseAt = desk.releaseAt;
        if (block.timestamp < releaseAt) revert Errors.ProviderRegistry_StillUnbonding(releaseAt, block.timestamp);
        // Effect: nothing is leaving any more.
        (desk.unbonding, desk.releaseAt) = (0, 0);
        address payee = desk.payee;
        emit Unstaked(offer, token, payee, amount);
        // Interaction:
        _push(token, payee, amount);
    }

    // ------------------------------------------------------------------------------------------ anybody
    /// @inheritdoc IProviderRegistry
    function stake(uint64 offer, address token, uint256 amount) external nonReentrant {
        _stake(offer, token, amount);
    }

    /// @inheritdoc IProviderRegistry
    function stakeWithPermit(
        uint64 offer,
        address token,
        uint256 amount,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external nonReentrant {
        _tryPermit(token, msg.sender, amount, Permit(deadline, v, r, s));
        _stake(offer, token, amount);
    }

    // ------------------------------------------------------------------------------------------ the OrderBook
    /// @inheritdoc IProviderRegistry
    function reserve(uint64 offer, address token, address operator, uint256 lock) external onlyOrderBook {
        Stored storage desk = _at(offer, token);
        address expected = desk.operator;
        if (expected == address(0)) revert Errors.ProviderRegistry_NoDesk(offer, token);
        if (operator != expected) revert Errors.ProviderRegistry_NotOperator(operator, expected);
        uint256 word = desk.word;
        uint256 active = word >> _ACTIVE;
        uint256 capacity = (word >> _CAPACITY) & type(uint16).max;
        if (active >= capacity) revert Errors.ProviderRegistry_Full(offer, token, capacity);
        _checkFree(offer, token, word, lock);
        unchecked {
            // Neither part overflows: lock <= free, free + locked fits, active < capacity.
            desk.word = word - lock + (lock << _LOCKED) + _ONE_ACTIVE;
        }
    }

    /// @inheritdoc IProviderRegistry
    function release(uint64 offer, address token, uint256 lock, uint256 slashed) external onlyOrderBook {
        Stored storage desk = _at(offer, token);
        uint256 word = desk.word;
        uint256 locked = (word >> _LOCKED) & _MAX;
        if (lock > locked) lock = locked;
        if (slashed > lock) slashed = lock;
        unchecked {
            // No part underflows: lock <= locked, slashed <= lock, and a place is freed only where one is taken.
            word = word - (lock << _LOCKED) + (lock - slashed);
            if (word >= _ONE_ACTIVE) word -= _ONE_ACTIVE;
        }
        desk.word = word;
        if (slashed != 0) {
            emit Slashed(offer, token, slashed);
            _pushToOrderBook(token, slashed);
        }
    }

    /// @inheritdoc IProviderRegistry
    function strike(uint64 offer, address token, uint256 lock) external onlyOrderBook returns (uint256 taken) {
        Stored storage desk = _at(offer, token);
        uint256 word = desk.word;
        uint256 free = word & _MAX;
        uint256 locked = (word >> _LOCKED) & _MAX;
        if (lock > locked) lock = locked;
        unchecked {
            taken = lock + free + desk.unbonding;
            desk.word = word - (lock << _LOCKED) - free;
        }
        (desk.unbonding, desk.releaseAt) = (0, 0);
        emit Struck(offer, token, taken);
        _pushToOrderBook(token, taken);
    }

    // ------------------------------------------------------------------------------------------ views
    /// @inheritdoc IProviderRegistry
    function deskOf(uint64 offer, address token) external view returns (Desk memory) {
        Stored storage desk = _at(offer, token);
        uint256 word = desk.word;
        // forge-lint: disable-start(unsafe-typecast)
        return Desk({
            free: uint112(word),
            locked: uint112(word >> _LOCKED),
            capacity: uint16(word >> _CAPACITY),
            active: uint16(word >> _ACTIVE),
            operator: desk.operator,
            payee: desk.payee,
            unbonding: desk.unbonding,
            releaseAt: desk.releaseAt
        });
        // forge-lint: disable-end(unsafe-typecast)
    }

    // ------------------------------------------------------------------------------------------ inside
    function _stake(uint64 offer, address token, uint256 amount) private {
        if (amount == 0) revert Errors.ProviderRegistry_ZeroAmount();
        Stored storage desk = _at(offer, token);
        if (desk.operator == address(0)) revert Errors.ProviderRegistry_NoDesk(offer, token);
        uint256 word = desk.word;
        // Check: what is locked finds room in `free` when it comes back.
        uint256 room = _MAX - (word & _MAX) - ((word >> _LOCKED) & _MAX);
        if (amount > room) revert Errors.ProviderRegistry_TooMuch(offer, token, amount, room);
        unchecked {
            desk.word = word + amount;
        }
        emit Staked(offer, token, msg.sender, amount);
        // Interaction:
        _pull(token, msg.sender, amount);
    }

    /// @dev Under the guard of its own: an end without a slash, the common one, pays nothing for it.
    function _pushToOrderBook(address token, uint256 amount) private nonReentrant {
        _push(token, ORDER_BOOK, amount);
    }

    function _at(uint64 offer, address token) private view returns (Stored storage) {
        return _desks[(uint256(offer) << 160) | uint160(token)];
    }

    function _owned(uint64 offer, address token) private view returns (Stored storage desk) {
        _checkOwner(offer);
        desk = _at(offer, token);
        if (desk.operator == address(0)) revert Errors.ProviderRegistry_NoDesk(offer, token);
    }

    function _checkOwner(uint64 offer) private view {
        address owner = OFFERS.ownerOf(offer);
        if (msg.sender != owner) revert Errors.ProviderRegistry_NotOwner(offer, msg.sender, owner);
    }

    function _checkPayee(address payee) private view {
        // Check: what came back here would belong to nobody.
        if (payee == address(0) || payee == address(this)) revert Errors.ProviderRegistry_NoPayee(payee);
    }

    function _checkOperator(address operator) private pure {
        if (operator == address(0)) revert Errors.ProviderRegistry_NoOperator();
    }

    function _checkFree(uint64 offer, address token, uint256 word, uint256 needed) private pure {
        uint256 free = word & _MAX;
        if (needed > free) revert Errors.ProviderRegistry_FreeStakeTooLow(offer, token, free, needed);
    }
}
