// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../interfaces/IOrderBook.sol";
import {Errors} from "../libraries/Errors.sol";
import {OrderHashLib} from "../libraries/OrderHashLib.sol";
import {SettlementLib} from "../libraries/SettlementLib.sol";
import {
    Order,
    OrderId,
    OrderPreimage,
    OrderStart,
    OrderState,
    OrderTerms,
    Outcome,
    Phase,
    ReportSummary
} from "../types/Orders.sol";
import {OrderPlacing} from "./OrderPlacing.sol";

/// @title What the accepted CVM signs, and nobody else (docs/protocol.md sections 6.2 and 8).
abstract contract OrderRunning is OrderPlacing {
    /// @notice Every terminal summary carries it, so that two of them are visibly two for one sequence.
    uint32 internal constant TERMINAL_SEQUENCE = type(uint32).max;
    uint8 internal constant NO_INPUT = 255;

    /// @inheritdoc IOrderBook
    function start(OrderTerms calldata terms, bytes calldata signature) external nonReentrant {
        OrderId id = _idOf(terms);
        Order storage order = _movable(id, OrderState.ACCEPTED, OrderState.RUNNING);
        _checkNotAfter(id, uint256(order.since) + terms.windows.startWithin);
        // Check: the CVM saw this order and these inputs, is certified now and still accepted.
        bytes32 cvmId = order.cvmId;
        bytes32 root = OrderHashLib.inputsRoot(terms.inputs);
        bytes32 structHash = OrderHashLib.hashStart(OrderStart(OrderId.unwrap(id), cvmId, root));
        uint256 expiresAt = _checkSignedByCvm(id, cvmId, structHash, signature);
        if (expiresAt <= block.timestamp) revert Errors.OrderBook_CvmExpires(cvmId, expiresAt, block.timestamp);
        _checkReference(cvmId);
        // Effect: time runs from here.
        order.state = OrderState.RUNNING;
        order.phase = Phase.SETUP;
        order.since = uint40(block.timestamp);
        order.lastProof = uint40(block.timestamp);
        emit OrderStarted(id, cvmId, root);
    }

    /// @inheritdoc IOrderBook
    function checkpoint(
        OrderTerms calldata terms,
        ReportSummary calldata summary,
        bytes calldata signature,
        string calldata location
    ) external nonReentrant {
        _checkLocation(location);
        OrderId id = _idOf(terms);
        Order storage order = _movable(id, OrderState.RUNNING, OrderState.RUNNING);
        // Check (1): the one checkpoint of these versions, from SETUP to ENGINE.
        _checkPhases(id, order.phase, summary.phase, Phase.SETUP, Phase.ENGINE);
        if (summary.outcome != uint8(Outcome.NONE)) revert Errors.OrderBook_Outcome(id, summary.outcome);
        _match(summary.attributableInput == NO_INPUT, id, "attributableInput");
        _match(summary.resultDigest == 0, id, "resultDigest");
        // Check (2): the sequence rises and leaves room for the terminal one.
        _match(summary.sequence > order.sequence && summary.sequence != TERMINAL_SEQUENCE, id, "sequence");
        _checkSummary(id, order, terms, summary, signature);
        // Effect: proven as far as clock and terms allow.
        uint256 most = SettlementLib.min(block.timestamp - order.since, terms.windows.maxSeconds);
        uint32 proven = uint32(SettlementLib.min(summary.secondsUsed, most));
        order.phase = Phase.ENGINE;
        order.lastProof = uint40(block.timestamp);
        order.sequence = summary.sequence;
        order.secondsUsed = proven;
        order.unitsUsed = uint64(SettlementLib.min(summary.unitsUsed, terms.maxUnits));
        emit OrderCheckpointed(id, order.cvmId, proven, summary, location);
    }

    /// @inheritdoc IOrderBook
    function refuse(
        OrderPreimage calldata pre,
        ReportSummary calldata summary,
        bytes calldata signature,
        string calldata location
    ) external nonReentrant {
        _checkLocation(location);
        OrderId id = _idOfChecked(pre);
        Order storage order = _movable(id, OrderState.RUNNING, OrderState.REFUSED);
        // Check (1): nothing was opened yet; blame falls on an input of this order or on nobody.
        _checkPhases(id, order.phase, summary.phase, Phase.SETUP, Phase.SETUP);
        if (summary.outcome != uint8(Outcome.REFUSED)) revert Errors.OrderBook_Outcome(id, summary.outcome);
        uint8 blamed = summary.attributableInput;
        _match(blamed == NO_INPUT || blamed < pre.inputs.length, id, "attributableInput");
        _match(summary.resultDigest == 0, id, "resultDigest");
        _report(pre, id, order, OrderState.REFUSED, summary, signature, location);
    }

    /// @inheritdoc IOrderBook
    function complete(
        OrderPreimage calldata pre,
        ReportSummary calldata summary,
        bytes calldata signature,
        string calldata location
    ) external nonReentrant {
        _checkLocation(location);
        OrderId id = _idOfChecked(pre);
        OrderState to = _stateOf(id, summary.outcome);
        Order storage order = _movable(id, OrderState.RUNNING, to);
        // Check (1): what was not proven to be the ordered engine on the ordered inputs is not paid.
        if (to != OrderState.HOST) _checkPhases(id, order.phase, summary.phase, Phase.ENGINE, Phase.ENGINE);
        _match(summary.attributableInput == NO_INPUT, id, "attributableInput");
        _report(pre, id, order, to, summary, signature, location);
    }

    /// @inheritdoc IOrderBook
    function locate(OrderId id, string calldata location) external {
        _checkLocation(location);
        bytes32 cvmId = _orders[id].cvmId;
        address operator = _factsOf(cvmId).operator;
        if (msg.sender != operator) revert Errors.OrderBook_CvmOperator(cvmId, operator, msg.sender);
        emit OrderLocated(id, cvmId, location);
    }

    /// @notice Takes the CVM's last word and ends the order with it.
    function _report(
        OrderPreimage calldata pre,
        OrderId id,
        Order storage order,
        OrderState to,
        ReportSummary calldata summary,
        bytes calldata signature,
        string calldata location
    ) private {
        // Check (2): it is this CVM's last word.
        _checkTerminal(id, order, summary);
        _checkSummary(id, order, pre.terms, summary, signature);
        // Effect: what was proven is frozen.
        order.sequence = TERMINAL_SEQUENCE;
        Closing memory closing = _close(pre, order, to, summary.secondsUsed, summary.unitsUsed);
        emit OrderReported(id, order.cvmId, to, order.secondsUsed, order.unitsUsed, summary, location);
        _release(pre, id, closing);
    }

    function _stateOf(OrderId id, uint8 outcome) private pure returns (OrderState) {
        if (outcome == uint8(Outcome.COMPLETED)) return OrderState.COMPLETED;
        if (outcome == uint8(Outcome.FAILED)) return OrderState.FAILED;
        if (outcome == uint8(Outcome.HOST)) return OrderState.HOST;
        revert Errors.OrderBook_Outcome(id, outcome);
    }

    /// @dev The order is in one phase, and the CVM says that it entered, or stayed in, the other.
    function _checkPhases(OrderId id, Phase actual, uint8 signed, Phase expected, Phase expectedSigned) private pure {
        if (actual != expected) revert Errors.OrderBook_WrongPhase(id, actual, expected);
        _match(signed == uint8(expectedSigned), id, "phase");
    }

    function _checkTerminal(OrderId id, Order storage order, ReportSummary calldata summary) private view {
        _match(summary.sequence == TERMINAL_SEQUENCE, id, "sequence");
        _match(summary.secondsUsed >= order.secondsUsed, id, "secondsUsed");
        _match(summary.unitsUsed >= order.unitsUsed, id, "unitsUsed");
    }
}
