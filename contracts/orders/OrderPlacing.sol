// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../interfaces/IOrderBook.sol";
import {Errors} from "../libraries/Errors.sol";
import {OrderCodec} from "../libraries/OrderCodec.sol";
import {OrderWord, OrderWordLib} from "../libraries/OrderWord.sol";
import {OrderId, OrderState} from "../types/Orders.sol";
import {OrderBase} from "./OrderBase.sol";

/// @title From terms to a placed order (docs/protocol.md sections 6.1 and 6.2).
abstract contract OrderPlacing is OrderBase {
    using OrderCodec for bytes;

    uint256 internal constant MAX_HOLDBACK_BPS = 5000;
    uint256 internal constant MAX_HOLDBACK_WINDOW = 90 days;

    /// @notice Everything of placing but who asked for it, and the money.
    /// @dev What the market wants of an order beside its own limits, a least grace and not to be paused, is asked where a
    /// provider takes it: an order that waits binds nobody, and its client can cancel it at any time.
    function _open(bytes calldata order, string calldata location) internal returns (OrderId id) {
        uint256 count;
        (id, count) = _idOf(order);
        // Check (1): the id is new, for ever.
        Entry storage entry = _entryOf(id);
        OrderState actual = entry.word.state();
        if (actual != OrderState.NONE) revert Errors.OrderBook_WrongState(id, actual, OrderState.PLACED);
        // Check (2): the terms are ones that this contract keeps.
        _checkNotAfter(id, order.uintAt(OrderCodec.PLACE_BEFORE, 5));
        _checkTerms(order.pointer());
        _checkInputs(order.pointer() + OrderCodec.INPUTS, count);
        _checkLocation(location);
        // Effect: PLACED now, with event 0 behind it.
        entry.word = OrderWord.wrap(
            uint256(OrderState.PLACED) | (block.timestamp << OrderWordLib.SINCE) | (1 << OrderWordLib.EVENTS)
        );
        _emitPlaced(id, order, count, location);
        // Interaction, with our own LeaseBook: each lease has a place for this order, and lasts as long as it can.
        if (order.hasLease()) _takeLeases(order, count);
    }

    /// @dev IOrderBook.OrderPlaced, from one buffer: the preimage is copied once, from calldata to where it is logged.
    function _emitPlaced(OrderId id, bytes calldata order, uint256 count, string calldata location) private {
        bytes32 topic = IOrderBook.OrderPlaced.selector;
        // Memory-safe: all behind the free pointer, and nothing is kept.
        assembly ("memory-safe") {
            let data := mload(0x40)
            let size := add(order.length, location.length)
            mstore(data, count)
            mstore(add(data, 0x20), 0x40)
            mstore(add(data, 0x40), size)
            let to := add(data, 0x60)
            calldatacopy(to, order.offset, order.length)
            calldatacopy(add(to, order.length), location.offset, location.length)
            // What fills the last word is zero.
            mstore(add(to, size), 0)
            size := and(add(size, 0x7f), not(0x1f))
            let client := shr(96, calldataload(order.offset))
            let compute := shr(192, calldataload(add(order.offset, 60))) // OrderCodec.COMPUTE_OFFER
            log4(data, size, topic, id, client, compute)
        }
    }

    /// @param at Where the order begins in calldata.
    function _checkTerms(uint256 at) private pure {
        unchecked {
            // The members of OrderWord hold these. maxSeconds, grace and maxUnits stand side by side.
            uint256 word = OrderCodec.load(at + OrderCodec.MAX_SECONDS);
            uint256 longest = (word >> 224) + uint32(word >> 192);
            if (longest > OrderWordLib.MAX_SPAN) {
                revert Errors.OrderBook_WindowTooLong("maxSeconds", longest, OrderWordLib.MAX_SPAN);
            }
            uint256 units = uint64(word >> 128);
            if (units > OrderWordLib.MAX_UNITS) {
                revert Errors.OrderBook_UnitsTooMany(units, OrderWordLib.MAX_UNITS);
            }
            word = OrderCodec.load(at + OrderCodec.HOLDBACK_BPS);
            (uint256 held, uint256 window) = (word >> 240, uint32(word >> 208));
            // A share without a window could never be contested, a window without a share means nothing.
            if (held > MAX_HOLDBACK_BPS || window > MAX_HOLDBACK_WINDOW || (held == 0) != (window == 0)) {
                revert Errors.OrderBook_Holdback(held, window);
            }
        }
    }

    /// @dev At most 16 inputs: 120 comparisons of calldata words.
    /// @param first Where the inputs begin in calldata.
    function _checkInputs(uint256 first, uint256 count) private pure {
        unchecked {
            uint256 end = first + count * OrderCodec.INPUT;
            for (uint256 at = first + OrderCodec.INPUT; at < end; at += OrderCodec.INPUT) {
                uint256 offer = OrderCodec.load(at) >> 192;
                for (uint256 other = first; other < at; other += OrderCodec.INPUT) {
                    if (OrderCodec.load(other) >> 192 != offer) continue;
                    revert Errors.OrderBook_DuplicateInput((at - first) / OrderCodec.INPUT, uint64(offer));
                }
            }
        }
    }

    function _takeLeases(bytes calldata order, uint256 count) private {
        for (uint256 i = 0; i < count; ++i) {
            bytes32 lease = order.inputLease(count, i);
            if (lease == 0) continue;
            uint256 at = OrderCodec.inputAt(i);
            // slither-disable-next-line calls-loop: at most 16 inputs, and the market's own LeaseBook
            LEASES.take(
                lease,
                order.client(),
                uint64(order.uintAt(at, 8)),
                uint32(order.uintAt(at + OrderCodec.INPUT_VERSION, 4)),
                order.wordAt(at + OrderCodec.INPUT_TERMS),
                _latestEnd(order)
            );
        }
    }

    /// @return The last second at which the order can still be running, were each window used up.
    function _latestEnd(bytes calldata order) private view returns (uint256) {
        return block.timestamp + order.uintAt(OrderCodec.ACCEPT_WITHIN, 4) + order.uintAt(OrderCodec.START_WITHIN, 4)
            + order.maxSeconds() + order.grace();
    }
}
