// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "../libraries/Errors.sol";
import {LockLib} from "../libraries/LockLib.sol";
import {OfferCodec} from "../libraries/OfferCodec.sol";
import {OrderCodec} from "../libraries/OrderCodec.sol";
import {OrderStateLib} from "../libraries/OrderStateLib.sol";
import {OrderWord} from "../libraries/OrderWord.sol";
import {Order, OrderId, OrderState, OrderTerms, Outcome, Params, Report} from "../types/Orders.sol";
import {OrderClaiming} from "./OrderClaiming.sol";
import {OrderRunning} from "./OrderRunning.sol";

/// @title What a client reads without an indexer.
abstract contract OrderReading is OrderRunning, OrderClaiming {
    using OfferCodec for bytes;
    using OrderCodec for bytes;

    /// @notice See {IOrderBook-orderId}.
    function orderId(bytes calldata order) external view returns (OrderId id) {
        (id,) = _idOf(order);
    }

    /// @notice See {IOrderBook-decodeOrder}.
    function decodeOrder(bytes calldata order) external pure returns (OrderTerms memory) {
        return OrderCodec.decode(order);
    }

    /// @notice See {IOrderBook-getOrder}.
    function getOrder(OrderId id) external view returns (Order memory order) {
        OrderWord word = _words[id];
        bool ended = OrderStateLib.isTerminal(word.state());
        order.state = word.state();
        order.phase = word.phase();
        order.hold = uint8(word.hold());
        order.drawn = word.hasDrawn();
        order.struck = word.isStruck();
        order.since = uint40(word.since());
        order.lastProof = uint32(word.span());
        order.sequence = ended ? 0 : uint32(word.mark());
        order.claimed = ended ? uint32(word.mark()) : 0;
        order.secondsUsed = uint32(word.secs());
        order.unitsUsed = uint64(word.units());
        order.paramsVersion = uint16(word.paramsVersion());
        order.cvm = word.cvm();
        order.lock = LockLib.decode(word.lock());
        order.events = word.events();
        order.extra = _extras[id];
    }

    /// @notice See {IOrderBook-wordsOf}.
    function wordsOf(OrderId[] calldata ids) external view returns (uint256[] memory words) {
        words = new uint256[](ids.length);
        for (uint256 i = 0; i < ids.length; ++i) {
            words[i] = OrderWord.unwrap(_words[ids[i]]);
        }
    }

    /// @notice See {IOrderBook-dueOf}.
    function dueOf(bytes calldata order, uint256 k, bytes calldata head)
        external
        view
        returns (uint256 gross, uint256 claimed)
    {
        (OrderId id, uint256 count) = _idOf(order);
        if (k > count) revert Errors.OrderBook_NoSuchOffer(id, k, count);
        head.check(1);
        uint256 form = _priceOf(order, k, head.pointer());
        OrderWord word = _words[id];
        gross = _dueOf(id, word, order, k, form);
        bool paid = OrderStateLib.isTerminal(word.state()) && word.mark() & (1 << k) != 0;
        claimed = paid ? gross : _drawn[id][k];
    }

    /// @notice See {IOrderBook-checkReport}.
    function checkReport(bytes calldata order, Report calldata report) external view returns (OrderId id) {
        uint256 count;
        (id, count) = _idOf(order);
        OrderWord word = _words[id];
        OrderState state = word.state();
        if (state != OrderState.COMPLETED) revert Errors.OrderBook_WrongState(id, state, OrderState.COMPLETED);
        if (word.isStruck()) revert Errors.OrderBook_NoEquivocation(id);
        _match(_sequenceOf(report.numbers) == TERMINAL_SEQUENCE, id, "sequence");
        _match((report.numbers >> 8) & 0xff == uint256(Outcome.COMPLETED), id, "outcome");
        _match(report.numbers >> NUMBERS_BITS == 0, id, "numbers");
        // What a CVM reported before it was revoked stays reported.
        _checkSigned(id, CVMS.wordOf(word.cvm()), _hashOf(order, count, id, report), report.r, report.vs);
    }

    /// @notice See {IOrderBook-params}.
    function params(uint16 version) external view returns (Params memory) {
        return _params[version];
    }

    /// @notice See {IOrderBook-paramsVersion}.
    function paramsVersion() external view returns (uint16) {
        return _current.version;
    }

    /// @notice See {IOrderBook-isPaused}.
    function isPaused() external view returns (bool) {
        return _current.paused;
    }
}
