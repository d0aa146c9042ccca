// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../interfaces/IOrderBook.sol";
import {Errors} from "../libraries/Errors.sol";
import {OfferCodec} from "../libraries/OfferCodec.sol";
import {OrderCodec} from "../libraries/OrderCodec.sol";
import {OrderWord} from "../libraries/OrderWord.sol";
import {SettlementLib} from "../libraries/SettlementLib.sol";
import {Extra, OrderId, OrderState, Params} from "../types/Orders.sol";
import {OrderClaiming} from "./OrderClaiming.sol";
import {OrderPricing} from "./OrderPricing.sol";

/// @title Money that moves while an order runs: top-ups, what is not needed, and what a served order earns
/// (docs/protocol.md sections 6.2 and 6.3).
abstract contract OrderFunding is OrderClaiming, OrderPricing {
    using OfferCodec for bytes;
    using OrderCodec for bytes;

    /// @notice See {IOrderBook-topUp}.
    function topUp(bytes calldata order, bytes calldata heads, uint128 amount) external inBook nonReentrant {
        (OrderId id, uint256 count) = _idOf(order);
        OrderWord word = _fundable(id);
        uint256 longest = order.maxSeconds();
        uint256 known = _limitOf(id, word, order);
        // slither-disable-next-line incorrect-equality: `known` never exceeds it
        if (known == longest) revert Errors.OrderBook_FullyFunded(id, known);
        // `known` is below maxSeconds, so that the slot is there.
        Extra storage extra = _extras[id];
        uint256 added = uint256(extra.added) + amount;
        uint256 balance = order.deposit() + added - extra.removed;
        uint256 limit = _fundedLimit(order, heads, count, balance, known);
        extra.added = _toUint128(added);
        extra.limit = uint32(limit);
        _words[id] = word.counted();
        emit IOrderBook.OrderFunded(id, msg.sender, true, word.events(), uint32(limit), amount);
        // Interaction:
        _pull(OrderCodec.token(order), msg.sender, amount);
    }

    /// @notice See {IOrderBook-reclaim}.
    function reclaim(bytes calldata order, bytes calldata heads, uint128 amount) external inBook nonReentrant {
        (OrderId id, uint256 count) = _idOf(order);
        OrderWord word = _fundable(id);
        address payer = order.payer();
        if (msg.sender != payer) revert Errors.OrderBook_NotPayer(id, msg.sender, payer);
        uint256 floor = _floorOf(word, order);
        uint256 balance = _balanceOf(id, word, order);
        if (amount > balance) revert Errors.OrderBook_DepositTooLow(balance, amount);
        uint256 limit = _fundedLimit(order, heads, count, balance - amount, floor);
        Extra storage extra = _extras[id];
        extra.removed = _toUint128(uint256(extra.removed) + amount);
        extra.limit = uint32(limit);
        extra.warnBelow = uint32(order.grace() * 2);
        _words[id] = word.withExtra().counted();
        emit IOrderBook.OrderFunded(id, payer, false, word.events(), uint32(limit), amount);
        _credit(OrderCodec.token(order), payer, amount);
    }

    /// @dev A payment for service on its way to the offers.
    struct Service {
        address token;
        uint256 feeBps;
        address treasury;
        uint256 amount;
        uint256 left;
    }

    /// @notice See {IOrderBook-payService}.
    function payService(
        bytes calldata order,
        bytes calldata heads,
        bytes[] calldata payees,
        bytes[] calldata lineages,
        uint128 amount
    ) external inBook nonReentrant {
        Service memory s = _service(order, heads, amount, payees.length, lineages.length);
        for (uint256 k = 0; k < payees.length; ++k) {
            // A lease is paid for as it is: the order owes such an input nothing.
            if (k != 0 && order.isLeased(k - 1)) continue;
            uint256 offer = order.pointer() + OrderCodec.offerAt(k);
            _share(s, offer, heads, OfferCodec.HEAD * k, payees[k], lineages[k]);
        }
        // What no offer has a share in is the client's, whose service it is.
        _credit(s.token, order.client(), s.left);
        emit IOrderBook.ServicePaid(_id(order), msg.sender, amount, s.left);
        // Interaction:
        _pull(s.token, msg.sender, amount);
    }

    function _service(bytes calldata order, bytes calldata heads, uint256 amount, uint256 payees, uint256 lineages)
        private
        view
        returns (Service memory s)
    {
        (OrderId id, uint256 count) = _idOf(order);
        OrderWord word = _words[id];
        OrderState state = word.state();
        if (!_isLiving(state)) revert Errors.OrderBook_WrongState(id, state, OrderState.RUNNING);
        if (!order.isServed()) revert Errors.OrderBook_NotServed(id);
        _checkHashes(order, heads, count);
        if (payees != count + 1) revert Errors.OrderBook_ListLength(payees, count + 1);
        if (lineages != count + 1) revert Errors.OrderBook_ListLength(lineages, count + 1);
        Params storage shares = _params[word.paramsVersion()];
        s = Service(OrderCodec.token(order), shares.feeBps, shares.treasury, amount, amount);
    }

    /// @notice Credits what the offer with the head at `at` gets of the payment, fee inside.
    /// @param offer Where in calldata the order refers to it.
    function _share(
        Service memory s,
        uint256 offer,
        bytes calldata heads,
        uint256 at,
        bytes calldata payees,
        bytes calldata lineage
    ) private {
        uint256 bps = heads.price(at).revenueBps;
        if (bps == 0) return;
        uint256 gross = SettlementLib.shareDown(s.amount, bps);
        uint256 fee = SettlementLib.shareDown(gross, s.feeBps);
        s.left -= gross;
        bytes calldata table = _checkPayees(offer, heads.pointer() + at, payees, lineage);
        _credit(s.token, s.treasury, fee);
        _creditAll(s.token, 0, gross - fee, true, table, payees);
    }

    function _id(bytes calldata order) private view returns (OrderId id) {
        (id,) = _idOf(order);
    }

    function _fundable(OrderId id) private view returns (OrderWord word) {
        word = _words[id];
        OrderState state = word.state();
        if (state != OrderState.ACCEPTED && !_isLiving(state)) {
            revert Errors.OrderBook_WrongState(id, state, OrderState.RUNNING);
        }
    }

    /// @return The seconds that must stay funded: what passed, a set-up and two graces, as at acceptance.
    function _floorOf(OrderWord word, bytes calldata order) private view returns (uint256) {
        uint256 passed = _isLiving(word.state()) ? block.timestamp - word.since() : 0;
        uint256 floor = passed + order.setupSeconds() + 2 * order.grace();
        return SettlementLib.min(floor, order.maxSeconds());
    }

    function _toUint128(uint256 value) private pure returns (uint128) {
        if (value > type(uint128).max) revert Errors.OrderBook_DepositTooLow(type(uint128).max, value);
        return uint128(value);
    }
}
