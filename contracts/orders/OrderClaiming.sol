// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../interfaces/IOrderBook.sol";
import {Errors} from "../libraries/Errors.sol";
import {OfferCodec} from "../libraries/OfferCodec.sol";
import {OrderCodec} from "../libraries/OrderCodec.sol";
import {OrderStateLib} from "../libraries/OrderStateLib.sol";
import {OrderWord} from "../libraries/OrderWord.sol";
import {SettlementLib} from "../libraries/SettlementLib.sol";
import {Price} from "../types/Offers.sol";
import {OrderId, OrderState, Phase} from "../types/Orders.sol";
import {OrderBase} from "./OrderBase.sol";

/// @title From what an order froze, or proved so far, to credits (docs/protocol.md sections 6.3, 6.4, 6.5 and 6.7).
abstract contract OrderClaiming is OrderBase {
    using OfferCodec for bytes;
    using OrderCodec for bytes;

    /// @dev What a claim is about.
    struct Claiming {
        OrderId id;
        OrderWord word;
        uint256 due;
        uint256 drawn;
        bool isLast;
    }

    /// @notice See {IOrderBook-claim}.
    function _claim(
        bytes calldata order,
        uint256 k,
        bytes calldata head,
        bytes calldata payees,
        bytes calldata lineage
    ) internal {
        // Check (1): these are the offer's receivers.
        bytes calldata table = _checkPayees(uint64(order.uintAt(OrderCodec.offerAt(k), 8)), head, 0, payees, lineage);
        // Check (2): the order can pay this offer now, and has not paid it. Effect: so much was drawn, or all of it.
        Claiming memory c;
        _draw(c, order, k, head);
        _pay(OrderCodec.token(order), c, payees, table);
    }

    function _draw(Claiming memory c, bytes calldata order, uint256 k, bytes calldata head) private {
        uint256 count;
        (c.id, count) = _idOf(order);
        c.word = _words[c.id];
        head.check(1);
        _checkTermsOf(c.id, order, count, k, head);
        _findDue(c, order, k, head);
        if (c.isLast) {
            c.word = c.word.withMark(c.word.mark() | (1 << k));
        } else {
            _drawn[c.id][k] = c.due;
            c.word = c.word.withDrawn();
        }
        _words[c.id] = c.word.counted();
        emit IOrderBook.Claimed(c.id, k, c.word.events(), c.isLast, c.due);
    }

    /// @return offer Number of offer `k`, after a check that `head` is its head.
    function _checkTermsOf(OrderId id, bytes calldata order, uint256 count, uint256 k, bytes calldata head)
        internal
        pure
        returns (uint64 offer)
    {
        if (k > count) revert Errors.OrderBook_NoSuchOffer(id, k, count);
        uint256 at = OrderCodec.offerAt(k);
        offer = uint64(order.uintAt(at, 8));
        bytes32 expected = order.wordAt(at + OrderCodec.INPUT_TERMS);
        bytes32 got = head.termsHash(0, OrderCodec.token(order));
        if (got != expected) revert Errors.OrderBook_TermsHash(offer, got, expected);
    }

    /// @notice Payees and royalties are those that the head at `at` names by hash.
    function _checkPayees(
        uint64 offer,
        bytes calldata heads,
        uint256 at,
        bytes calldata payees,
        bytes calldata lineage
    ) internal pure returns (bytes calldata table) {
        bytes32 expected = heads.payeesHash(at);
        bytes32 got = OfferCodec.hashPayees(payees);
        if (got != expected) revert Errors.OrderBook_PayeesHash(offer, got, expected);
        expected = heads.lineage(at);
        // Whoever has no parents owes none; whoever has names the order it came from and the table.
        if (expected == 0) return lineage[:0];
        if (lineage.length < 32) revert Errors.OrderBook_Lineage(offer, 0, expected);
        table = lineage[32:];
        got = keccak256(abi.encode(bytes32(lineage), keccak256(table)));
        if (got != expected) revert Errors.OrderBook_Lineage(offer, got, expected);
    }

    function _findDue(Claiming memory c, bytes calldata order, uint256 k, bytes calldata head) private view {
        OrderState state = c.word.state();
        bool isLiving = _isLiving(state);
        if (!isLiving) {
            if (!OrderStateLib.isTerminal(state)) revert Errors.OrderBook_NotTerminal(c.id, state);
            if (c.word.mark() & (1 << k) != 0) revert Errors.OrderBook_AlreadyClaimed(c.id, k);
            // What the lock owes has to be here before anybody takes it out of what is everybody's.
            if (state == OrderState.EXPIRED && c.word.mark() & REST == 0) revert Errors.OrderBook_SlashFirst(c.id);
        }
        c.due = _dueOf(c.id, c.word, order, k, head, 0);
        c.isLast = !isLiving && (k != 0 || _pendingUntil(c.word, order) == 0);
        if (c.word.hasDrawn()) c.drawn = _drawn[c.id][k];
        if (c.due == c.drawn && (c.due == 0 || !c.isLast)) revert Errors.OrderBook_NothingDue(c.id, k);
    }

    /// @return Gross due of offer `k` whose head is at `at`, as far as it can be claimed now.
    function _dueOf(
        OrderId id,
        OrderWord word,
        bytes calldata order,
        uint256 k,
        bytes calldata heads,
        uint256 at
    ) internal view returns (uint256) {
        if (word.phase() == Phase.NONE) return 0;
        SettlementLib.Frozen memory f = _frozen(id, word, order);
        Price memory price = heads.price(at);
        if (k != 0) return SettlementLib.inputDueDown(price, f, order.inputLease(k - 1) != 0);
        uint256 due = SettlementLib.computeDueDown(price, f);
        return SettlementLib.claimableDown(due, f.state, order.holdbackBps(), _isReleased(word, order));
    }

    /// @notice Whether nothing of a completed order's compute price is held back, or contested, any more.
    function _isReleased(OrderWord word, bytes calldata order) internal view returns (bool) {
        return word.hold() == 1 || (word.hold() == 0 && _pendingUntil(word, order) == 0);
    }

    function _pay(address token, Claiming memory c, bytes calldata payees, bytes calldata table) private {
        uint256 feeBps = _params[c.word.paramsVersion()].feeBps;
        uint256 before = c.drawn - SettlementLib.shareDown(c.drawn, feeBps);
        uint256 net = c.due - SettlementLib.shareDown(c.due, feeBps);
        _creditAll(token, before, net, c.isLast, table, payees);
    }

    /// @notice Credits royalties and payees with what their shares of the net income rose by.
    function _creditAll(
        address token,
        uint256 before,
        uint256 net,
        bool isLast,
        bytes calldata table,
        bytes calldata payees
    ) internal {
        uint256[] memory amounts = SettlementLib.splitDown(before, net, isLast, table, payees);
        uint256 royalties = table.length / SettlementLib.ROYALTY_BYTES;
        for (uint256 i = 0; i < amounts.length; ++i) {
            (address account,) = i < royalties
                ? SettlementLib.receiverAt(table, i, SettlementLib.ROYALTY_BYTES)
                : SettlementLib.receiverAt(payees, i - royalties, SettlementLib.PAYEE_BYTES);
            _credit(token, account, amounts[i]);
        }
    }
}
