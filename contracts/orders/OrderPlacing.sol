// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../interfaces/IOrderBook.sol";
import {Errors} from "../libraries/Errors.sol";
import {OrderCodec} from "../libraries/OrderCodec.sol";
import {OrderWord, OrderWordLib} from "../libraries/OrderWord.sol";
import {Current, OrderId, OrderState} from "../types/Orders.sol";
import {OrderBase} from "./OrderBase.sol";

/// @title From terms to a placed order (docs/protocol.md sections 6.1 and 6.2).
abstract contract OrderPlacing is OrderBase {
    using OrderCodec for bytes;

    uint256 internal constant MAX_HOLDBACK_BPS = 5000;
    uint256 internal constant MAX_HOLDBACK_WINDOW = 90 days;

    /// @notice Everything of placing but who asked for it, and the money.
    function _open(bytes calldata order, string calldata location) internal returns (OrderId id) {
        uint256 count;
        (id, count) = _idOf(order);
        // Check (1): the id is new, for ever.
        OrderState actual = _words[id].state();
        if (actual != OrderState.NONE) revert Errors.OrderBook_WrongState(id, actual, OrderState.PLACED);
        // Check (2): the terms are ones that this contract keeps.
        Current memory current = _current;
        if (current.paused) revert Errors.OrderBook_Paused();
        _checkNotAfter(id, order.uintAt(OrderCodec.PLACE_BEFORE, 5));
        _checkTerms(order, current.minGrace);
        _checkInputs(order, count);
        _checkLocation(location);
        // Effect: PLACED now, with event 0 behind it.
        _words[id] = OrderWord.wrap(
            uint256(OrderState.PLACED) | (block.timestamp << OrderWordLib.SINCE) | (1 << OrderWordLib.EVENTS)
        );
        emit IOrderBook.OrderPlaced(
            id, order.client(), order.computeOffer(), uint8(count), bytes.concat(order, bytes(location))
        );
        // Interaction, with our own LeaseBook: each lease has a place for this order, and lasts as long as it can.
        if (order.hasLease(count)) _takeLeases(order, count);
    }

    function _checkTerms(bytes calldata order, uint256 minGrace) private pure {
        // Other deliveries have no meaning yet, in any runtime.
        if (order.uintAt(OrderCodec.DELIVERY, 1) != 0) revert Errors.OrderBook_Reserved("delivery");
        if (order.wordAt(OrderCodec.DELIVERY_DIGEST) != 0) revert Errors.OrderBook_Reserved("deliveryDigest");
        _checkWindows(order, minGrace);
        // The members of OrderWord hold these.
        uint256 longest = order.maxSeconds() + order.grace();
        if (longest > OrderWordLib.MAX_SPAN) {
            revert Errors.OrderBook_WindowTooLong("maxSeconds", longest, OrderWordLib.MAX_SPAN);
        }
        if (order.maxUnits() > OrderWordLib.MAX_UNITS) {
            revert Errors.OrderBook_UnitsTooMany(order.maxUnits(), OrderWordLib.MAX_UNITS);
        }
        uint256 held = order.holdbackBps();
        uint256 window = order.uintAt(OrderCodec.HOLDBACK_WINDOW, 4);
        // A share without a window could never be contested, a window without a share means nothing.
        if (held > MAX_HOLDBACK_BPS || window > MAX_HOLDBACK_WINDOW || (held == 0) != (window == 0)) {
            revert Errors.OrderBook_Holdback(held, window);
        }
    }

    function _checkWindows(bytes calldata order, uint256 minGrace) internal pure {
        _checkWindow("grace", order.grace(), minGrace);
        _checkWindow("keysWithin", order.uintAt(OrderCodec.KEYS_WITHIN, 4), minGrace);
    }

    function _checkWindow(bytes32 field, uint256 got, uint256 least) private pure {
        if (got < least) revert Errors.OrderBook_WindowTooShort(field, got, least);
    }

    /// @dev At most 16 inputs: 120 comparisons of calldata words.
    function _checkInputs(bytes calldata order, uint256 count) private pure {
        unchecked {
            for (uint256 i = 1; i < count; ++i) {
                uint256 at = OrderCodec.inputAt(i);
                uint256 offer = order.uintAt(at, 8);
                for (uint256 other = OrderCodec.INPUTS; other < at; other += OrderCodec.INPUT) {
                    if (order.uintAt(other, 8) == offer) revert Errors.OrderBook_DuplicateInput(i, uint64(offer));
                }
            }
        }
    }

    function _takeLeases(bytes calldata order, uint256 count) private {
        for (uint256 i = 0; i < count; ++i) {
            bytes32 lease = order.inputLease(i);
            if (lease == 0) continue;
            uint256 at = OrderCodec.inputAt(i);
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
