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

    /// @dev Where `Claimed.credited` has the offer's number.
    uint256 private constant _K = 224;
    /// @dev Its bit that says: nothing more will be due to this offer.
    uint256 private constant _LAST = 1 << 232;

    /// @notice See {IOrderBook-claim}.
    function _claim(bytes calldata order, bytes calldata proof) internal {
        (uint256 k, uint256 head, bytes calldata payees, bytes calldata lineage) = _split(proof);
        // Check (1): these are the offer's receivers. From here on `lineage` is the table of royalties.
        lineage = _checkPayees(order.pointer() + OrderCodec.offerAt(k), head, payees, lineage);
        // Check (2): the order can pay this offer now, and has not paid it. Effect: so much was drawn, or all of it.
        (uint256 before, uint256 net, bool isLast) = _draw(order, k, head);
        _creditAll(OrderCodec.token(order), before, net, isLast, lineage, payees);
    }

    /// @dev What a claim brings: number of the offer 1, number of its payees 1, head, payees, lineage.
    /// @return k       Offer.
    /// @return head    Where its head begins in calldata.
    /// @return payees  Behind it.
    /// @return lineage All the rest.
    function _split(bytes calldata proof)
        private
        pure
        returns (uint256 k, uint256 head, bytes calldata payees, bytes calldata lineage)
    {
        unchecked {
            head = proof.pointer();
            uint256 word = OrderCodec.load(head);
            k = word >> 248;
            uint256 size = uint8(word >> 240) * OfferCodec.PAYEE;
            uint256 least = 2 + OfferCodec.HEAD + size;
            if (proof.length < least) revert Errors.OrderBook_ProofLength(proof.length, least);
            head += 2;
            assembly ("memory-safe") {
                payees.offset := sub(add(proof.offset, least), size)
                // slither-disable-next-line write-after-write: two members of one reference into calldata
                payees.length := size
                lineage.offset := add(proof.offset, least)
                // slither-disable-next-line write-after-write: two members of one reference into calldata
                lineage.length := sub(proof.length, least)
            }
        }
    }

    /// @return before What the offer was credited until now, fees taken off.
    /// @return net    The same with this claim.
    /// @return isLast Nothing follows.
    function _draw(bytes calldata order, uint256 k, uint256 head)
        private
        returns (uint256 before, uint256 net, bool isLast)
    {
        (OrderId id, uint256 count) = _idOf(order);
        if (k > count) revert Errors.OrderBook_NoSuchOffer(id, k, count);
        Entry storage entry = _entryOf(id);
        OrderWord word = entry.word;
        (net, isLast) = _findDue(id, word, order, k, head);
        if (word.hasDrawn()) before = _drawn[id][k];
        // slither-disable-next-line incorrect-equality: sums of our own, and dues never fall
        if (net == before && (net == 0 || !isLast)) revert Errors.OrderBook_NothingDue(id, k);
        if (isLast) {
            entry.word = word.claimed(1 << k).counted();
        } else {
            _drawn[id][k] = net;
            entry.word = word.withDrawn().counted();
        }
        _emitClaimed(id, net | (k << _K) | word.numbered() | (isLast ? _LAST : 0));
        unchecked {
            // No fee exceeds what it is a share of.
            net -= SettlementLib.shareDown(net, word.feeBps());
            if (before != 0) before -= SettlementLib.shareDown(before, word.feeBps());
        }
    }

    /// @dev IOrderBook.Claimed, whose one word needs no buffer.
    function _emitClaimed(OrderId id, uint256 credited) private {
        bytes32 topic = IOrderBook.Claimed.selector;
        assembly ("memory-safe") {
            mstore(0, credited)
            log2(0, 0x20, topic, id)
        }
    }

    /// @param k An offer that the order has.
    /// @return price Where the price of offer `k` stands in memory, after a check that the head at `head` in calldata is
    /// the one that the order names.
    function _priceOf(bytes calldata order, uint256 k, uint256 head) internal pure returns (uint256 price) {
        unchecked {
            price = OfferCodec.form(OrderCodec.load(order.pointer() + OrderCodec.TOKEN) >> 96);
            uint256 at = order.pointer() + OrderCodec.offerAt(k);
            bytes32 expected = bytes32(OrderCodec.load(at + OrderCodec.INPUT_TERMS));
            bytes32 got = OfferCodec.fill(price, head);
            if (got != expected) revert Errors.OrderBook_TermsHash(_offerAt(at), got, expected);
        }
    }

    /// @notice Payees and royalties are those that the head at `head` in calldata names by hash.
    /// @param at Where in calldata the order refers to the offer.
    function _checkPayees(uint256 at, uint256 head, bytes calldata payees, bytes calldata lineage)
        internal
        pure
        returns (bytes calldata table)
    {
        unchecked {
            bytes32 expected = bytes32(OrderCodec.load(head + OfferCodec.PAYEES_HASH));
            bytes32 got = OfferCodec.hashPayees(payees);
            if (got != expected) revert Errors.OrderBook_PayeesHash(_offerAt(at), got, expected);
            expected = bytes32(OrderCodec.load(head + OfferCodec.LINEAGE));
            // Whoever has no parents owes none; whoever has names the order it came from and the table.
            if (expected == 0) {
                assembly ("memory-safe") {
                    // slither-disable-next-line write-after-write: two members of one reference into calldata
                    table.offset := lineage.offset
                    table.length := 0
                }
                return table;
            }
            if (lineage.length < 32) revert Errors.OrderBook_Lineage(_offerAt(at), 0, expected);
            table = lineage[32:];
            got = keccak256(abi.encode(bytes32(lineage), keccak256(table)));
            if (got != expected) revert Errors.OrderBook_Lineage(_offerAt(at), got, expected);
        }
    }

    function _offerAt(uint256 at) private pure returns (uint64) {
        return uint64(OrderCodec.load(at) >> 192);
    }

    /// @return due    Gross due of offer `k`, as far as it can be claimed now.
    /// @return isLast No more will be due.
    function _findDue(OrderId id, OrderWord word, bytes calldata order, uint256 k, uint256 head)
        private
        view
        returns (uint256 due, bool isLast)
    {
        uint256 price = _priceOf(order, k, head);
        OrderState state = word.state();
        if (OrderStateLib.isTerminal(state)) {
            uint256 mark = word.mark();
            if (mark & (1 << k) != 0) revert Errors.OrderBook_AlreadyClaimed(id, k);
            // What the lock owes has to be here before anybody takes it out of what is everybody's.
            if (state == OrderState.EXPIRED && mark & REST == 0) revert Errors.OrderBook_SlashFirst(id);
            isLast = true;
            if (k == 0) {
                // Compute of a COMPLETED order is all that is ever held back.
                if (order.holdbackBps() != 0) {
                    // slither-disable-next-line incorrect-equality: zero is the mark for none
                    isLast = _pendingUntil(word, order) == 0;
                    return (_dueOf(id, word, order, k, price), isLast);
                }
            } else if (order.isLeased(k - 1)) {
                // Nothing, in any state.
                return (0, true);
            }
            // The common claim: the whole price of what the end froze within every limit, as `_dueOf` finds it too.
            if (OrderStateLib.isEngineReported(state)) {
                return (SettlementLib.amountAt(price, word.secs(), word.units()), true);
            }
        } else if (!_isLiving(state)) {
            revert Errors.OrderBook_NotTerminal(id, state);
        }
        due = _dueOf(id, word, order, k, price);
    }

    /// @param form With the offer's price, as `_priceOf` returned it.
    /// @return Gross due of offer `k`, as far as it can be claimed now.
    function _dueOf(OrderId id, OrderWord word, bytes calldata order, uint256 k, uint256 form)
        internal
        view
        returns (uint256)
    {
        if (word.phase() == Phase.NONE) return 0;
        SettlementLib.Frozen memory f = _frozen(id, word, order);
        Price memory price = OfferCodec.priceOf(form);
        if (k != 0) return SettlementLib.inputDueDown(price, f, order.isLeased(k - 1));
        uint256 due = SettlementLib.computeDueDown(price, f);
        return SettlementLib.claimableDown(due, f.state, order.holdbackBps(), _isReleased(word, order));
    }

    /// @notice Whether nothing of a completed order's compute price is held back, or contested, any more.
    function _isReleased(OrderWord word, bytes calldata order) internal view returns (bool) {
        // slither-disable-next-line incorrect-equality: states of the holdback; zero is the mark for none
        return word.hold() == 1 || (word.hold() == 0 && _pendingUntil(word, order) == 0);
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
        if (table.length == 0) {
            _creditPayees(token, before, net, isLast, payees);
            return;
        }
        uint256[] memory amounts = SettlementLib.splitDown(before, net, isLast, table, payees);
        uint256 royalties = table.length / SettlementLib.ROYALTY_BYTES;
        for (uint256 i = 0; i < amounts.length; ++i) {
            // slither-disable-next-line unused-return: `splitDown` has read the share
            (address account,) = i < royalties
                ? SettlementLib.receiverAt(table, i, SettlementLib.ROYALTY_BYTES)
                : SettlementLib.receiverAt(payees, i - royalties, SettlementLib.PAYEE_BYTES);
            _credit(token, account, amounts[i]);
        }
    }

    /// @dev `SettlementLib.splitDown` where no royalties are owed, payee by payee: nothing is kept in memory.
    function _creditPayees(address token, uint256 before, uint256 net, bool isLast, bytes calldata payees) private {
        unchecked {
            uint256 at = payees.pointer();
            uint256 left = net;
            for (uint256 end = at + payees.length; at < end; at += SettlementLib.PAYEE_BYTES) {
                uint256 payee = OrderCodec.load(at);
                uint256 bps = uint16(payee >> 80);
                uint256 share = SettlementLib.shareDown(net, bps);
                left -= share;
                // The last payee takes what rounding left of the whole.
                if (isLast && at + SettlementLib.PAYEE_BYTES == end) share += left;
                if (before != 0) share -= SettlementLib.shareDown(before, bps);
                _credit(token, address(uint160(payee >> 96)), share);
            }
        }
    }
}
