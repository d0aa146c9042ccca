// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

import {IOrderBook} from "../interfaces/IOrderBook.sol";
import {Errors} from "../libraries/Errors.sol";
import {LockLib} from "../libraries/LockLib.sol";
import {OfferCodec} from "../libraries/OfferCodec.sol";
import {OrderCodec} from "../libraries/OrderCodec.sol";
import {OrderHashLib} from "../libraries/OrderHashLib.sol";
import {OrderStateLib} from "../libraries/OrderStateLib.sol";
import {OrderWord} from "../libraries/OrderWord.sol";
import {SettlementLib} from "../libraries/SettlementLib.sol";
import {Price} from "../types/Offers.sol";
import {OrderId, OrderState, Params, Phase} from "../types/Orders.sol";
import {OrderClaiming} from "./OrderClaiming.sol";
import {OrderPricing} from "./OrderPricing.sol";

/// @title Refund, fees, penalty, holdback (docs/protocol.md sections 6.7 and 6.9).
abstract contract OrderSettling is OrderClaiming, OrderPricing {
    using OfferCodec for bytes;
    using OrderCodec for bytes;

    /// @dev Nobody has this address's key; what is credited to it anybody may send there.
    address internal constant BURN = 0x000000000000000000000000000000000000dEaD;
    uint256 internal constant RELEASED = 1;
    uint256 internal constant CONTESTED = 2;

    /// @notice Everything of an ended order beside the payees' dues.
    struct Rest {
        uint256 gross;
        uint256 fees;
        uint256 slashed;
        uint256 penalty;
        uint256 burned;
        uint256 refund;
    }

    /// @notice See {IOrderBook-claimRest}.
    function claimRest(bytes calldata order, bytes calldata heads) external inBook nonReentrant {
        (OrderId id, uint256 count) = _idOf(order);
        OrderWord word = _words[id];
        OrderState state = word.state();
        if (!OrderStateLib.isTerminal(state)) revert Errors.OrderBook_NotTerminal(id, state);
        if (word.mark() & REST != 0) revert Errors.OrderBook_AlreadyClaimed(id, 17);
        uint256 until = _pendingUntil(word, order);
        if (until != 0) revert Errors.OrderBook_HoldbackPending(id, until);
        _checkHashes(order, heads, count);
        Params memory shares = _params[word.paramsVersion()];
        Rest memory rest = _restOf(id, word, order, heads, shares);
        // Effect: once.
        _words[id] = word.claimed(REST).counted();
        emit IOrderBook.Settled(id, word.events(), rest.refund, rest.fees, rest.penalty, rest.burned, rest.slashed);
        address token = OrderCodec.token(order);
        _credit(token, order.payer(), rest.refund);
        _credit(token, shares.treasury, rest.fees);
        _credit(token, order.client(), rest.penalty);
        _credit(token, BURN, rest.burned);
        // Interaction: the lock that waited for the prices.
        if (state == OrderState.EXPIRED) _slash(word, order, rest.slashed);
    }

    /// @notice See {IOrderBook-receipt}.
    function receipt(bytes calldata order, bytes calldata signature) external inBook nonReentrant {
        (OrderId id,) = _idOf(order);
        OrderWord word = _held(id, order);
        address client = order.client();
        if (msg.sender != client) {
            bytes32 digest = _digest(OrderHashLib.hashReceipt(OrderId.unwrap(id)));
            if (!SignatureChecker.isValidSignatureNowCalldata(client, digest, signature)) {
                revert Errors.OrderBook_NotSignedBy(id, client);
            }
        }
        _words[id] = word.withHold(RELEASED).counted();
        emit IOrderBook.HoldbackResolved(id, client, false, word.events());
    }

    /// @notice See {IOrderBook-contest}.
    function contest(bytes calldata order) external inBook nonReentrant {
        (OrderId id,) = _idOf(order);
        OrderWord word = _held(id, order);
        _checkClient(id, order);
        _words[id] = word.withHold(CONTESTED).counted();
        emit IOrderBook.HoldbackResolved(id, msg.sender, true, word.events());
    }

    /// @return word Of an order whose holdback still waits.
    function _held(OrderId id, bytes calldata order) private view returns (OrderWord word) {
        word = _words[id];
        // slither-disable-next-line incorrect-equality: zero is the mark for none
        if (_pendingUntil(word, order) == 0) revert Errors.OrderBook_NoHoldback(id);
    }

    /// @notice The whole account of an ended order: refund + gross + burned = balance + slashed - penalty.
    function _restOf(OrderId id, OrderWord word, bytes calldata order, bytes calldata heads, Params memory shares)
        private
        view
        returns (Rest memory rest)
    {
        if (word.phase() == Phase.NONE) {
            // Never started: the lock pays the penalty, if the start was missed.
            if (word.state() == OrderState.EXPIRED) {
                rest.penalty = SettlementLib.startPenaltyDown(
                    heads.price(0), order.maxSeconds(), order.maxUnits(), shares.startPenaltyBps
                );
                rest.slashed = rest.penalty;
            }
        } else {
            SettlementLib.Frozen memory f = _frozen(id, word, order);
            Price memory price = heads.price(0);
            uint256 full = SettlementLib.computeDueDown(price, f);
            rest.gross = SettlementLib.claimableDown(full, f.state, order.holdbackBps(), _isReleased(word, order));
            rest.fees = SettlementLib.shareDown(rest.gross, shares.feeBps);
            // A contest burns what was held back, and as much of the client's own.
            rest.burned = 2 * (full - rest.gross);
            for (uint256 at = OfferCodec.HEAD; at < heads.length; at += OfferCodec.HEAD) {
                price = heads.price(at);
                bool leased = order.isLeased(at / OfferCodec.HEAD - 1);
                uint256 due = SettlementLib.inputDueDown(price, f, leased);
                rest.gross += due;
                rest.fees += SettlementLib.shareDown(due, shares.feeBps);
                rest.slashed += SettlementLib.inputLockShareDown(price, f, leased);
            }
        }
        rest.refund = _balanceOf(id, word, order) + rest.slashed - rest.penalty - rest.gross - rest.burned;
    }

    /// @dev The desk ends the lock and sends what was slashed; a token that gives less must not be made up for by others.
    function _slash(OrderWord word, bytes calldata order, uint256 slashed) private {
        address token = OrderCodec.token(order);
        // slither-disable-next-line incorrect-equality: zero is the only amount that moves nothing
        uint256 known = slashed == 0 ? 0 : IERC20(token).balanceOf(address(this));
        PROVIDERS.release(order.computeOffer(), token, LockLib.decode(word.lock()), slashed);
        if (slashed != 0) _checkReceived(token, known, slashed);
    }
}
