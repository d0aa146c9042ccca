// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

import {IOrderBook} from "../interfaces/IOrderBook.sol";
import {Errors} from "../libraries/Errors.sol";
import {OrderCodec} from "../libraries/OrderCodec.sol";
import {OrderHashLib} from "../libraries/OrderHashLib.sol";
import {OrderWord} from "../libraries/OrderWord.sol";
import {SettlementLib} from "../libraries/SettlementLib.sol";
import {Extra, OrderId, OrderState, Outcome, Phase, Report} from "../types/Orders.sol";
import {OrderAccepting} from "./OrderAccepting.sol";
import {OrderPart} from "./OrderPart.sol";
import {OrderRunning} from "./OrderRunning.sol";

/// @title Every end but the CVM's report of an engine (docs/protocol.md section 6.2).
abstract contract OrderEnding is OrderAccepting, OrderRunning, OrderPart {
    using OrderCodec for bytes;

    /// @notice See {IOrderBook-cancel}.
    function cancel(bytes calldata order) external inBook nonReentrant {
        (OrderId id, uint256 count) = _idOf(order);
        OrderWord word = _movableFrom(id, OrderState.PLACED, OrderState.CANCELLED);
        if (msg.sender != order.client()) {
            _checkAfter(id, word.since() + order.uintAt(OrderCodec.ACCEPT_WITHIN, 4));
        }
        _cancel(order, count, id, word);
    }

    /// @notice See {IOrderBook-voidOrder}.
    function voidOrder(bytes calldata order, bytes calldata policy) external inBook nonReentrant {
        (OrderId id, uint256 count) = _idOf(order);
        OrderWord word = _movableFrom(id, OrderState.ACCEPTED, OrderState.CANCELLED);
        uint32 cvm = word.cvm();
        (uint256 facts, uint256 standing) = _factsOf(cvm);
        // slither-disable-next-line incorrect-equality: one bit of the registry's word
        if (facts & CVM_REVOKED == 0) {
            if (_isReference(facts, standing)) {
                (bytes32 refusal,) = _appraise(order, policy, facts, standing);
                // slither-disable-next-line incorrect-equality: zero is the mark for none
                if (refusal == 0) revert Errors.OrderBook_CvmStillGood(cvm);
                // Such a CVM may start, so that after the deadline its start was missed: `expire` is the only way then.
                _checkNotAfter(id, word.since());
            }
        }
        _cancel(order, count, id, word);
    }

    /// @notice See {IOrderBook-refuse}.
    function refuse(bytes calldata order, Report calldata report, string calldata location)
        external
        inBook
        nonReentrant
    {
        (OrderId id, uint256 count) = _idOf(order);
        OrderWord word = _movable(id, OrderState.REFUSED);
        // Check (1): nothing was opened yet; blame falls on an input of this order or on nobody.
        if (word.phase() != Phase.SETUP) revert Errors.OrderBook_WrongPhase(id, word.phase(), Phase.SETUP);
        _match(report.numbers & 0xff == uint256(Phase.SETUP), id, "phase");
        uint256 outcome = (report.numbers >> 8) & 0xff;
        if (outcome != uint256(Outcome.REFUSED)) revert Errors.OrderBook_Outcome(id, outcome);
        uint256 blamed = (report.numbers >> 16) & 0xff;
        _match(blamed == NO_INPUT || blamed < count, id, "attributableInput");
        _match(report.resultDigest == 0, id, "resultDigest");
        _report(order, count, id, word, OrderState.REFUSED, report, location);
    }

    /// @notice See {IOrderBook-stop}.
    function stop(bytes calldata order, bytes calldata signature) external inBook nonReentrant {
        (OrderId id,) = _idOf(order);
        OrderWord word = _movableFrom(id, OrderState.RUNNING, OrderState.STOPPING);
        address client = order.client();
        if (msg.sender != client) {
            bytes32 digest = _digest(OrderHashLib.hashStop(OrderId.unwrap(id)));
            if (!SignatureChecker.isValidSignatureNowCalldata(client, digest, signature)) {
                revert Errors.OrderBook_NotSignedBy(id, client);
            }
        }
        // Effect: from now on the CVM has `grace` for its last word, and no longer than it had before.
        uint256 limit = _limitOf(id, word, order);
        Extra storage extra = _extras[id];
        if (!word.hasExtra()) extra.limit = uint32(limit);
        extra.stoppedAt = uint40(block.timestamp);
        _words[id] = word.withState(OrderState.STOPPING).withExtra().counted();
        uint256 until = SettlementLib.min(block.timestamp, word.since() + limit) + order.grace();
        emit IOrderBook.OrderStopping(id, client, word.events(), until);
    }

    /// @notice See {IOrderBook-expire}.
    function expire(bytes calldata order) external inBook nonReentrant {
        (OrderId id, uint256 count) = _idOf(order);
        OrderWord word = _words[id];
        OrderState state = word.state();
        uint32 cvm = word.cvm();
        if (state == OrderState.ACCEPTED) {
            _checkAfter(id, word.since());
            // Check: the provider could have started. Otherwise `voidOrder` is the way, without a penalty.
            (uint256 facts, uint256 standing) = _factsOf(cvm);
            if (facts & CVM_REVOKED != 0) revert Errors.OrderBook_CvmRevoked(cvm);
            if (!_isReference(facts, standing)) revert Errors.OrderBook_NotReference(cvm, uint32(facts >> 216));
            _end(order, count, id, word, OrderState.EXPIRED);
            return;
        }
        if (!_isLiving(state)) revert Errors.OrderBook_WrongState(id, state, OrderState.EXPIRED);
        _unrevoked(cvm);
        (OrderState to, uint256 deadline) = _silence(id, word, order);
        _checkAfter(id, deadline);
        // slither-disable-next-line incorrect-equality: members of an enum
        if (to == OrderState.EXPIRED) word = word.withSpan(_spanOf(id, word, order));
        _end(order, count, id, word, to);
    }

    /// @notice See {IOrderBook-settleRevoked}.
    function settleRevoked(bytes calldata order) external inBook nonReentrant {
        (OrderId id, uint256 count) = _idOf(order);
        OrderWord word = _movable(id, OrderState.REVOKED);
        // slither-disable-next-line incorrect-equality: one bit of the registry's word
        if (CVMS.wordOf(word.cvm()) & CVM_REVOKED == 0) revert Errors.OrderBook_CvmNotRevoked(word.cvm());
        _end(order, count, id, word, OrderState.REVOKED);
    }

    /// @notice See {IOrderBook-locate}.
    function locate(OrderId id, string calldata location) external inBook {
        _checkLocation(location);
        OrderWord word = _words[id];
        uint32 cvm = word.cvm();
        address operator = CVMS.operatorOf(cvm);
        if (cvm == 0 || msg.sender != operator) revert Errors.OrderBook_CvmOperator(cvm, operator, msg.sender);
        _words[id] = word.counted();
        emit IOrderBook.OrderLocated(id, cvm, word.events(), location);
    }

    /// @return to       What silence makes of the order.
    /// @return deadline The last second in which a word of the CVM is waited for.
    function _silence(OrderId id, OrderWord word, bytes calldata order)
        private
        view
        returns (OrderState to, uint256 deadline)
    {
        uint256 grace = order.grace();
        uint256 started = word.since();
        uint256 proof = started + word.span();
        uint256 end = started + _limitOf(id, word, order) + grace;
        if (word.state() == OrderState.STOPPING) {
            uint256 stopped = _extras[id].stoppedAt;
            // A proof from the very second of the stop may have come before it.
            to = proof > stopped ? OrderState.STOPPED : OrderState.EXPIRED;
            return (to, SettlementLib.min(stopped + grace, end));
        }
        return (OrderState.EXPIRED, SettlementLib.min(proof + grace, end));
    }

    /// @return Seconds that the inputs of an order that EXPIRED are due for.
    function _spanOf(OrderId id, OrderWord word, bytes calldata order) private view returns (uint256) {
        uint256 limit = _limitOf(id, word, order);
        uint256 secs = SettlementLib.min(word.secs(), limit);
        uint256 elapsed = block.timestamp - word.since();
        return SettlementLib.spanOf(word.phase(), secs, elapsed, order.grace(), limit);
    }

    /// @notice All back to the payer, at once: nothing of a cancelled order is due to anybody.
    function _cancel(bytes calldata order, uint256 count, OrderId id, OrderWord word) private {
        uint256 balance = _balanceOf(id, word, order);
        // slither-disable-next-line reentrancy-benign: guarded, and both are contracts of the market
        _end(order, count, id, word, OrderState.CANCELLED);
        _credit(OrderCodec.token(order), order.payer(), balance);
    }
}
