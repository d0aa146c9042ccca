// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../interfaces/IOrderBook.sol";
import {Errors} from "../libraries/Errors.sol";
import {OrderCodec} from "../libraries/OrderCodec.sol";
import {OrderHashLib} from "../libraries/OrderHashLib.sol";
import {OrderWord, OrderWordLib} from "../libraries/OrderWord.sol";
import {SettlementLib} from "../libraries/SettlementLib.sol";
import {OrderId, OrderState, Outcome, Phase, Report} from "../types/Orders.sol";
import {OrderBase} from "./OrderBase.sol";

/// @title What the accepted CVM signs, and nobody else (docs/protocol.md sections 6.2 and 8).
abstract contract OrderRunning is OrderBase {
    using OrderCodec for bytes;

    /// @dev Bits that `Report.numbers` has.
    uint256 internal constant NUMBERS_BITS = 152;

    /// @notice ACCEPTED -> RUNNING.
    function _start(OrderId id, bytes32 cvmId, bytes32 inputsRoot, bytes32 r, bytes32 vs) internal {
        OrderWord word = _movableFrom(id, OrderState.ACCEPTED, OrderState.RUNNING);
        _checkNotAfter(id, word.since());
        // Check: the accepted CVM saw this order and these inputs, is certified now and still accepted.
        uint32 cvm = word.cvm();
        uint256 facts = _unrevoked(cvm);
        if (facts & CVM_RETIRED != 0) revert Errors.OrderBook_CvmRetired(cvm);
        uint256 expiresAt = uint40(facts >> 160);
        if (expiresAt <= block.timestamp) revert Errors.OrderBook_CvmExpires(cvm, expiresAt, block.timestamp);
        _checkReference(cvm, facts);
        _checkSigned(id, facts, OrderHashLib.hashStart(OrderId.unwrap(id), cvmId, inputsRoot), r, vs);
        // Effect: time runs from here.
        _words[id] =
            word.withState(OrderState.RUNNING).withPhase(Phase.SETUP).withSince(block.timestamp).counted();
        emit IOrderBook.OrderStarted(id, cvm, cvmId, word.events(), inputsRoot);
    }

    /// @notice Takes a proof of what was used so far.
    function _checkpoint(
        OrderId id,
        bytes32 cvmId,
        uint256 numbers,
        bytes32 statementDigest,
        bytes32 r,
        bytes32 vs
    ) internal {
        OrderWord word = _words[id];
        // Check (1): the order's own CVM signed it, and was not revoked.
        uint256 facts = _unrevoked(word.cvm());
        bytes32 hash = OrderHashLib.hashSummary(OrderId.unwrap(id), cvmId, numbers, 0, 0, statementDigest);
        _checkSigned(id, facts, hash, r, vs);
        // Check (2): a checkpoint of a living order, whose sequence rises and whose usage does not fall.
        _checkProof(id, word, numbers, statementDigest);
        // Effect: proven, as far as clock and word go; maxSeconds, maxUnits and limit cut it where it is paid.
        uint256 elapsed = SettlementLib.min(block.timestamp - word.since(), OrderWordLib.MAX_SPAN);
        _words[id] = _proven(word, numbers, elapsed);
        emit IOrderBook.OrderCheckpointed(
            id, word.cvm(), numbers | (uint256(word.events()) << 240), statementDigest
        );
        if (word.hasExtra()) _warn(id, elapsed);
    }

    function _proven(OrderWord word, uint256 numbers, uint256 elapsed) private pure returns (OrderWord) {
        uint256 secs = SettlementLib.min(_secsOf(numbers), elapsed);
        uint256 units = SettlementLib.min(_unitsOf(numbers), OrderWordLib.MAX_UNITS);
        word = word.withPhase(Phase(numbers & 0xff)).withMark(_sequenceOf(numbers)).withSpan(elapsed);
        return word.withSecs(secs).withUnits(units).counted();
    }

    function _checkProof(OrderId id, OrderWord word, uint256 numbers, bytes32 statementDigest) private pure {
        if (!_isLiving(word.state())) revert Errors.OrderBook_WrongState(id, word.state(), OrderState.RUNNING);
        uint256 phase = numbers & 0xff;
        uint256 entered = uint256(word.phase());
        _match(phase == entered || (phase == uint256(Phase.ENGINE) && entered == uint256(Phase.SETUP)), id, "phase");
        _match((phase == entered) == (statementDigest == 0), id, "statementDigest");
        _match((numbers >> 8) & 0xff == uint256(Outcome.NONE), id, "outcome");
        _match((numbers >> 16) & 0xff == NO_INPUT, id, "attributableInput");
        uint256 sequence = _sequenceOf(numbers);
        _match(sequence > word.mark() && sequence < OrderWordLib.MAX_MARK, id, "sequence");
        _match(_secsOf(numbers) >= word.secs(), id, "secondsUsed");
        _match(_unitsOf(numbers) >= word.units(), id, "unitsUsed");
        _match(numbers >> NUMBERS_BITS == 0, id, "numbers");
    }

    function _sequenceOf(uint256 numbers) internal pure returns (uint256) {
        return (numbers >> 24) & 0xffffffff;
    }

    function _secsOf(uint256 numbers) internal pure returns (uint256) {
        return (numbers >> 56) & 0xffffffff;
    }

    function _unitsOf(uint256 numbers) internal pure returns (uint256) {
        return (numbers >> 88) & 0xffffffffffffffff;
    }

    /// @notice RUNNING or STOPPING -> COMPLETED, FAILED, LAPSED or HOST.
    function _complete(bytes calldata order, Report calldata report, string calldata location) internal {
        (OrderId id, uint256 count) = _idOf(order);
        OrderState to = _stateOf(id, (report.numbers >> 8) & 0xff);
        OrderWord word = _movable(id, to);
        // Check (1): what was not proven to be the ordered engine on the ordered inputs is not paid.
        if (to != OrderState.HOST) {
            if (word.phase() != Phase.ENGINE) revert Errors.OrderBook_WrongPhase(id, word.phase(), Phase.ENGINE);
            _match(report.numbers & 0xff == uint256(Phase.ENGINE), id, "phase");
        }
        _match((report.numbers >> 16) & 0xff == NO_INPUT, id, "attributableInput");
        _report(order, count, id, word, to, report, location);
    }

    /// @notice Takes the CVM's last word and ends the order with it.
    function _report(
        bytes calldata order,
        uint256 count,
        OrderId id,
        OrderWord word,
        OrderState to,
        Report calldata report,
        string calldata location
    ) internal {
        _checkLocation(location);
        // Check (2): it is this CVM's last word, about this order and these inputs.
        _checkTerminal(order, count, id, word, report);
        // Effect: what was proven is frozen.
        word = _billed(order, id, word, to, report.numbers);
        emit IOrderBook.OrderReported(
            id,
            word.cvm(),
            to,
            report.numbers,
            word.billed(),
            report.resultDigest,
            report.statementDigest,
            location
        );
        _freeze(order, count, id, word, to);
    }

    /// @dev A host's failure proves nothing beyond the last checkpoint.
    function _billed(bytes calldata order, OrderId id, OrderWord word, OrderState to, uint256 numbers)
        private
        view
        returns (OrderWord)
    {
        uint256 secs = to == OrderState.HOST ? word.secs() : _secsOf(numbers);
        uint256 units = to == OrderState.HOST ? word.units() : _unitsOf(numbers);
        secs = SettlementLib.secondsDown(secs, block.timestamp - word.since(), _limitOf(id, word, order));
        return word.withSecs(secs).withUnits(SettlementLib.min(units, order.maxUnits())).withSpan(0);
    }

    /// @notice The CVM's word about the end of `order` is complete, its own, and not behind its checkpoints.
    function _checkTerminal(
        bytes calldata order,
        uint256 count,
        OrderId id,
        OrderWord word,
        Report calldata report
    ) internal view {
        uint256 numbers = report.numbers;
        _match(_sequenceOf(numbers) == TERMINAL_SEQUENCE, id, "sequence");
        _match(_secsOf(numbers) >= word.secs(), id, "secondsUsed");
        _match(_unitsOf(numbers) >= word.units(), id, "unitsUsed");
        _match(numbers >> NUMBERS_BITS == 0, id, "numbers");
        _match(report.statementDigest != 0, id, "statementDigest");
        _checkSigned(id, _unrevoked(word.cvm()), _hashOf(order, count, id, report), report.r, report.vs);
    }

    /// @return The struct hash that the CVM signed: last words name the inputs, checkpoints do not.
    function _hashOf(bytes calldata order, uint256 count, OrderId id, Report calldata report)
        internal
        pure
        returns (bytes32)
    {
        bool last = _sequenceOf(report.numbers) == TERMINAL_SEQUENCE;
        return OrderHashLib.hashSummary(
            OrderId.unwrap(id),
            report.cvmId,
            report.numbers,
            last ? order.inputsRoot(count) : bytes32(0),
            report.resultDigest,
            report.statementDigest
        );
    }

    /// @notice The market accepts this runtime now: removals count at once.
    function _checkReference(uint32 cvm, uint256 facts) internal view {
        if (!_isReference(facts)) revert Errors.OrderBook_NotReference(cvm, uint32(facts >> 216));
    }

    function _isReference(uint256 facts) internal view returns (bool) {
        uint256 worst = REFERENCES.worstTcbOf(uint32(facts >> 216));
        return worst != 0 && uint8(facts >> 200) <= worst;
    }

    function _warn(OrderId id, uint256 elapsed) private {
        uint256 limit = _extras[id].limit;
        uint256 left = limit > elapsed ? limit - elapsed : 0;
        if (left < _extras[id].warnBelow) emit IOrderBook.OrderLowBalance(id, uint32(limit), left);
    }

    function _stateOf(OrderId id, uint256 outcome) private pure returns (OrderState) {
        if (outcome == uint256(Outcome.COMPLETED)) return OrderState.COMPLETED;
        if (outcome == uint256(Outcome.FAILED)) return OrderState.FAILED;
        if (outcome == uint256(Outcome.HOST)) return OrderState.HOST;
        if (outcome == uint256(Outcome.LAPSED)) return OrderState.LAPSED;
        revert Errors.OrderBook_Outcome(id, outcome);
    }
}
