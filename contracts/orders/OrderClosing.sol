// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../interfaces/IOrderBook.sol";
import {Errors} from "../libraries/Errors.sol";
import {OrderStateLib} from "../libraries/OrderStateLib.sol";
import {SettlementLib} from "../libraries/SettlementLib.sol";
import {Order, OrderId, OrderPreimage, OrderState, Windows} from "../types/Orders.sol";
import {OrderRunning} from "./OrderRunning.sol";

/// @title Ends that no report brings, and the paying out (docs/protocol.md sections 6.2 and 6.7).
abstract contract OrderClosing is OrderRunning {
    /// @inheritdoc IOrderBook
    function expire(OrderPreimage calldata pre) external nonReentrant {
        OrderId id = _idOfChecked(pre);
        Order storage order = _orders[id];
        Windows calldata windows = pre.terms.windows;
        if (order.state == OrderState.RUNNING) {
            _checkAfter(id, uint256(order.since) + windows.maxSeconds + windows.grace);
        } else {
            _movable(id, OrderState.ACCEPTED, OrderState.EXPIRED);
            _checkAfter(id, uint256(order.since) + windows.startWithin);
            // Check: the provider could have started.
            _checkReference(order.cvmId);
        }
        _unrevoked(order.cvmId);
        // Effect: the lock pays for the silence.
        _end(pre, id, order, OrderState.EXPIRED);
    }

    /// @inheritdoc IOrderBook
    function stop(OrderPreimage calldata pre) external nonReentrant {
        OrderId id = _idOfChecked(pre);
        Order storage order = _movable(id, OrderState.RUNNING, OrderState.STOPPED);
        _unrevoked(order.cvmId);
        // Check: the client wants it now. A signature would leave the moment, and with it the price, to its holder.
        _checkClient(id, pre.terms);
        // Effect: time is paid by the chain's clock, since no report will come.
        _end(pre, id, order, OrderState.STOPPED);
    }

    /// @inheritdoc IOrderBook
    function settleRevoked(OrderPreimage calldata pre) external nonReentrant {
        OrderId id = _idOfChecked(pre);
        Order storage order = _movable(id, OrderState.RUNNING, OrderState.REVOKED);
        (,, bool revoked) = _signerOf(order.cvmId);
        if (!revoked) revert Errors.OrderBook_CvmNotRevoked(order.cvmId);
        // Effect: what the checkpoint proved is paid, and nothing after it.
        _end(pre, id, order, OrderState.REVOKED);
    }

    /// @inheritdoc IOrderBook
    function claim(OrderPreimage calldata pre, uint256 mask) external nonReentrant {
        OrderId id = _idOf(pre.terms);
        SettlementLib.Payout[] memory list = _payouts(id, pre);
        // Effect: each bit is set once. What is not to be paid now is zeroed in the list.
        uint256 known = _claimed[id];
        uint256 claimed = known;
        for (uint256 i = 0; i < list.length; ++i) {
            SettlementLib.Payout memory payout = list[i];
            uint256 bit = 1 << payout.index;
            if (mask & ~known & bit == 0) payout.amount = 0;
            if (payout.amount != 0) claimed |= bit;
        }
        if (claimed == known) return;
        _claimed[id] = claimed;
        // Interaction: each amount to its own receiver.
        address token = pre.terms.token;
        for (uint256 i = 0; i < list.length; ++i) {
            SettlementLib.Payout memory payout = list[i];
            if (payout.amount == 0) continue;
            emit Claimed(id, payout.index, payout.receiver, payout.amount);
            _push(token, payout.receiver, payout.amount);
        }
    }

    /// @inheritdoc IOrderBook
    function payouts(OrderPreimage calldata pre) external view returns (SettlementLib.Payout[] memory) {
        return _payouts(_idOf(pre.terms), pre);
    }

    /// @inheritdoc IOrderBook
    function claimedOf(OrderId id) external view returns (uint256) {
        return _claimed[id];
    }

    function _payouts(OrderId id, OrderPreimage calldata pre) private view returns (SettlementLib.Payout[] memory) {
        Order storage order = _orders[id];
        if (!OrderStateLib.isTerminal(order.state)) revert Errors.OrderBook_NotTerminal(id, order.state);
        // An order that nobody accepted owes its payer the deposit and nobody anything else. Its offers are not looked
        // at: their hashes were never compared with the registry, and a wrong one must not lock the deposit.
        if (order.paramsVersion != 0) _checkOfferTerms(pre);
        return SettlementLib.payouts(pre, _params[order.paramsVersion], _frozen(order));
    }
}
