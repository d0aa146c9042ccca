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
    /// @dev All but those that a checkpoint fills (phase, sequence, seconds and units), and what they have to be: outcome
    /// NONE, and NO_INPUT to blame.
    uint256 private constant _OTHER_BITS = 0xffffffffffffffffffffffffff00000000000000000000000000000000ffff00;
    uint256 private constant _OTHERS = 0xff0000;

    /// @notice ACCEPTED -> RUNNING.
    /// @dev Calls nothing but views of our own registry, so that no guard against reentrancy is paid for.
    function _start(OrderId id, bytes32 cvmId, bytes32 inputsRoot, bytes32 r, bytes32 vs) internal {
        Entry storage entry = _entryOf(id);
        OrderWord word = entry.word;
        if (OrderWord.unwrap(word) & 0xf != uint256(OrderState.ACCEPTED)) {
            revert Errors.OrderBook_WrongState(id, word.state(), OrderState.RUNNING);
        }
        _checkNotAfter(id, word.since());
        // Check: the accepted CVM saw this order and these inputs, is certified now and still accepted.
        uint32 cvm = word.cvm();
        (uint256 facts, uint256 standing) = _factsOf(cvm);
        if (facts & (CVM_REVOKED | CVM_RETIRED) != 0) _refuseCvm(cvm, facts);
        uint256 expiresAt = uint40(facts >> 160);
        if (expiresAt <= block.timestamp) revert Errors.OrderBook_CvmExpires(cvm, expiresAt, block.timestamp);
        if (!_isReference(facts, standing)) revert Errors.OrderBook_NotReference(cvm, uint32(facts >> 216));
        _checkSigned(id, facts, OrderHashLib.hashStart(OrderId.unwrap(id), cvmId, inputsRoot), r, vs);
        // Effect: time runs from here.
        entry.word = word.started(block.timestamp);
        emit IOrderBook.OrderStarted(id, cvm, cvmId, word.events(), inputsRoot);
    }

    /// @notice Takes a proof of what was used so far.
    /// @dev As `_start`, without a guard against reentrancy.
    function _checkpoint(OrderId id, uint256 numbers, bytes32 statementDigest, bytes32 r, bytes32 vs) internal {
        Entry storage entry = _entryOf(id);
        OrderWord word = entry.word;
        // Check (1): a checkpoint of a living order, whose sequence rises and whose usage does not fall.
        _checkProof(id, word, numbers, statementDigest);
        // Check (2): the order's own CVM signed it, and was not revoked.
        bytes32 hash = OrderHashLib.hashCheckpoint(OrderId.unwrap(id), numbers, statementDigest);
        _checkSigned(id, _unrevoked(word.cvm()), hash, r, vs);
        // Effect: proven, as far as clock and word go; maxSeconds, maxUnits and limit cut it where it is paid.
        uint256 elapsed = block.timestamp - word.since();
        entry.word = word.proven(numbers, elapsed);
        _emitCheckpointed(id, numbers | word.numbered());
        if (word.hasExtra()) _warn(id, elapsed);
    }

    /// @dev IOrderBook.OrderCheckpointed, whose one word needs no buffer.
    function _emitCheckpointed(OrderId id, uint256 numbers) private {
        bytes32 topic = IOrderBook.OrderCheckpointed.selector;
        assembly ("memory-safe") {
            mstore(0, numbers)
            log2(0, 0x20, topic, id)
        }
    }

    function _checkProof(OrderId id, OrderWord word, uint256 numbers, bytes32 statementDigest) private pure {
        unchecked {
            // RUNNING and STOPPING are neighbours.
            if ((OrderWord.unwrap(word) & 0xf) - uint256(OrderState.RUNNING) > 1) {
                revert Errors.OrderBook_WrongState(id, word.state(), OrderState.RUNNING);
            }
            uint256 entered = numbers & 0xff;
            // From SETUP to ENGINE and never back; the proof of integrity comes with the step, and with it alone.
            if (entered == (OrderWord.unwrap(word) >> OrderWordLib.PHASE) & 3) {
                if (statementDigest != 0) _mismatch(id, "statementDigest");
            } else {
                if (entered != uint256(Phase.ENGINE)) _mismatch(id, "phase");
                if (statementDigest == 0) _mismatch(id, "statementDigest");
            }
            // Outcome NONE, nobody to blame, and nothing beyond the last member.
            if (numbers & _OTHER_BITS != _OTHERS) _mismatch(id, "numbers");
            uint256 sequence = _sequenceOf(numbers);
            if (sequence <= word.mark() || sequence >= OrderWordLib.MAX_MARK) _mismatch(id, "sequence");
            if (_secsOf(numbers) < word.secs()) _mismatch(id, "secondsUsed");
            if (_unitsOf(numbers) < word.units()) _mismatch(id, "unitsUsed");
        }
    }

    function _refuseCvm(uint32 cvm, uint256 facts) private pure {
        if (facts & CVM_REVOKED != 0) revert Errors.OrderBook_CvmRevoked(cvm);
        revert Errors.OrderBook_CvmRetired(cvm);
    }

    function _sequenceOf(uint256 numbers) internal pure returns (uint256) {
        return uint32(numbers >> 24);
    }

    function _secsOf(uint256 numbers) internal pure returns (uint256) {
        return uint32(numbers >> 56);
    }

    function _unitsOf(uint256 numbers) internal pure returns (uint256) {
        return uint64(numbers >> 88);
    }

    /// @notice RUNNING or STOPPING -> COMPLETED, FAILED, LAPSED or HOST.
    function _complete(bytes calldata order, Report calldata report, string calldata location) internal {
        (OrderId id, uint256 count) = _idOf(order);
        OrderState to = _stateOf(id, (report.numbers >> 8) & 0xff);
        OrderWord word = _movable(id, to);
        // Check (1): what was not proven to be the ordered engine on the ordered inputs is not paid.
        if (to != OrderState.HOST) {
            if (word.phase() != Phase.ENGINE) revert Errors.OrderBook_WrongPhase(id, word.phase(), Phase.ENGINE);
            if (report.numbers & 0xff != uint256(Phase.ENGINE)) _mismatch(id, "phase");
        }
        if ((report.numbers >> 16) & 0xff != NO_INPUT) _mismatch(id, "attributableInput");
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
            id, word.cvm(), to, report.numbers, word.billed(), report.resultDigest, report.statementDigest, location
        );
        _freeze(order, count, id, word, to);
    }

    /// @dev A host's failure proves nothing beyond the last checkpoint.
    function _billed(bytes calldata order, OrderId id, OrderWord word, OrderState to, uint256 numbers)
        private
        view
        returns (OrderWord)
    {
        (uint256 secs, uint256 units) = (_secsOf(numbers), _unitsOf(numbers));
        if (to == OrderState.HOST) (secs, units) = (word.secs(), word.units());
        secs = SettlementLib.secondsDown(secs, block.timestamp - word.since(), _limitOf(id, word, order));
        return word.reported(secs, SettlementLib.min(units, order.maxUnits()));
    }

    /// @notice The CVM's word about the end of `order` is complete, its own, and not behind its checkpoints.
    function _checkTerminal(bytes calldata order, uint256 count, OrderId id, OrderWord word, Report calldata report)
        internal
        view
    {
        uint256 numbers = report.numbers;
        if (_sequenceOf(numbers) != TERMINAL_SEQUENCE) _mismatch(id, "sequence");
        if (_secsOf(numbers) < word.secs()) _mismatch(id, "secondsUsed");
        if (_unitsOf(numbers) < word.units()) _mismatch(id, "unitsUsed");
        if (numbers >> NUMBERS_BITS != 0) _mismatch(id, "numbers");
        if (report.statementDigest == 0) _mismatch(id, "statementDigest");
        _checkSigned(id, _unrevoked(word.cvm()), _hashOf(order, count, id, report), report.r, report.vs);
    }

    /// @return The struct hash that the CVM signed: last words name CVM and inputs, checkpoints say neither again.
    function _hashOf(bytes calldata order, uint256 count, OrderId id, Report calldata report)
        internal
        pure
        returns (bytes32)
    {
        (bytes32 cvmId, bytes32 root) = (0, 0);
        if (_sequenceOf(report.numbers) == TERMINAL_SEQUENCE) (cvmId, root) = (report.cvmId, order.inputsRoot(count));
        return OrderHashLib.hashSummary(
            OrderId.unwrap(id), cvmId, report.numbers, root, report.resultDigest, report.statementDigest
        );
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
