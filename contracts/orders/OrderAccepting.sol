// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../interfaces/IOrderBook.sol";
import {Errors} from "../libraries/Errors.sol";
import {LockLib} from "../libraries/LockLib.sol";
import {OfferCodec} from "../libraries/OfferCodec.sol";
import {OrderCodec} from "../libraries/OrderCodec.sol";
import {OrderWord} from "../libraries/OrderWord.sol";
import {PolicyCodec} from "../libraries/PolicyCodec.sol";
import {SettlementLib} from "../libraries/SettlementLib.sol";
import {OfferKind, Price} from "../types/Offers.sol";
import {Current, OrderId, OrderState} from "../types/Orders.sol";
import {OrderPlacing} from "./OrderPlacing.sol";

/// @title Everything that is checked once, when a provider takes an order (docs/protocol.md sections 6.2 and 6.8).
abstract contract OrderAccepting is OrderPlacing {
    using OfferCodec for bytes;
    using OrderCodec for bytes;
    using PolicyCodec for bytes;

    /// @dev What acceptance finds out about an order.
    struct Taking {
        OrderId id;
        uint256 count;
        bytes32 measurement;
        uint256 most;
        uint256 lock;
        uint256 startBy;
        uint256 limit;
        uint256 secs;
        uint256 units;
        bool isRestricted;
    }

    /// @notice PLACED -> ACCEPTED, but for the checks of sale and restrictions, which the caller adds.
    /// @return taking With the measurement of the CVM, which restrictions look at.
    function _accept(bytes calldata order, bytes calldata heads, bytes calldata policy, uint32 cvm)
        internal
        returns (Taking memory taking)
    {
        (taking.id, taking.count) = _idOf(order);
        OrderWord word = _words[taking.id];
        if (word.state() != OrderState.PLACED) {
            revert Errors.OrderBook_WrongState(taking.id, word.state(), OrderState.ACCEPTED);
        }
        Current memory current = _current;
        if (current.paused) revert Errors.OrderBook_Paused();
        _checkNotAfter(taking.id, word.since() + order.uintAt(OrderCodec.ACCEPT_WITHIN, 4));
        // Check (1): fee and windows are within what client and market want.
        uint256 most = order.uintAt(OrderCodec.MAX_FEE_BPS, 2);
        if (current.feeBps > most) revert Errors.OrderBook_FeeAboveMax(current.feeBps, most);
        _checkWindows(order, current.minGrace);
        // Check (2): the terms are those that the order names, of the right kinds, in the order's token.
        _checkHeads(order, heads, taking, current.startPenaltyBps);
        // Check (3): the CVM is good past startWithin, and as client and market want it.
        taking.startBy = block.timestamp + order.uintAt(OrderCodec.START_WITHIN, 4);
        taking.measurement = _checkCvm(order, policy, cvm, taking.startBy);
        // Check (4): the deposit covers what can be due.
        taking.limit = _limitFor(order, heads, taking);
        _take(order, taking, word, current.version, cvm);
    }

    /// @dev Effect: this CVM and no other may start, until startWithin. Interaction, and check (5): the caller is the
    /// desk's operator, the desk has room, and its stake covers the lock.
    function _take(bytes calldata order, Taking memory taking, OrderWord word, uint256 version, uint32 cvm) private {
        uint256 code = LockLib.encodeUp(taking.lock);
        uint256 lock = LockLib.decode(code);
        bool isPartly = taking.limit < order.maxSeconds();
        _words[taking.id] = word.accepted(taking.startBy, version, cvm, code, isPartly);
        uint64 compute = order.computeOffer();
        emit IOrderBook.OrderAccepted(
            taking.id, compute, cvm, taking.limit | (lock << 32) | (version << 224) | (uint256(word.events()) << 240)
        );
        PROVIDERS.reserve(compute, OrderCodec.token(order), msg.sender, lock);
    }

    /// @return Seconds that the deposit pays for. Here: all of them, or it is too low. `acceptWith` takes less.
    function _limitFor(bytes calldata order, bytes calldata heads, Taking memory taking)
        internal
        virtual
        returns (uint256)
    {
        heads;
        if (order.deposit() < taking.most) revert Errors.OrderBook_DepositTooLow(order.deposit(), taking.most);
        return order.maxSeconds();
    }

    // ------------------------------------------------------------------------------------------ offers
    /// @notice Heads are the ones that the order names; adds up the most that the order can cost, and the lock.
    function _checkHeads(bytes calldata order, bytes calldata heads, Taking memory taking, uint256 penaltyBps)
        private
        pure
    {
        heads.check(taking.count + 1);
        if (heads.kind(0) != uint256(OfferKind.COMPUTE)) revert Errors.OrderBook_ComputeKind(heads.kind(0));
        (taking.secs, taking.units) = (order.maxSeconds(), order.maxUnits());
        Price memory price = heads.price(0);
        unchecked {
            uint256 cost = _checkHead(order, heads, 0, OrderCodec.COMPUTE_OFFER, price, taking);
            taking.lock = SettlementLib.shareDown(cost, penaltyBps);
            taking.most = cost + SettlementLib.holdbackDown(cost, order.holdbackBps());
            uint256 revenue = price.revenueBps;
            uint256 grace = order.grace();
            uint256 at = OrderCodec.INPUTS;
            for (uint256 headAt = OfferCodec.HEAD; headAt < heads.length; headAt += OfferCodec.HEAD) {
                _checkInputKind(headAt, heads.kind(headAt));
                heads.priceInto(headAt, price);
                cost = _checkHead(order, heads, headAt, at, price, taking);
                revenue += price.revenueBps;
                if (order.wordAt(at + OrderCodec.INPUT_LEASE) == 0) {
                    taking.most += cost;
                    taking.lock += SettlementLib.inputLockUp(price, grace);
                }
                at += OrderCodec.INPUT;
            }
            // More than all of what it earns is no share.
            if (revenue > SettlementLib.BPS) revert Errors.OrderBook_RevenueAboveAll(revenue);
        }
    }

    /// @dev The terms hash pins price and token; the price's own bound on the rent is the order's concern alone.
    /// @return The most that this offer can cost.
    function _checkHead(
        bytes calldata order,
        bytes calldata heads,
        uint256 headAt,
        uint256 at,
        Price memory price,
        Taking memory taking
    ) private pure returns (uint256) {
        bytes32 got = heads.termsHash(headAt, OrderCodec.token(order));
        if (got != order.wordAt(at + OrderCodec.INPUT_TERMS)) {
            revert Errors.OrderBook_TermsHash(
                uint64(order.uintAt(at, 8)), got, order.wordAt(at + OrderCodec.INPUT_TERMS)
            );
        }
        uint256 secs = taking.secs;
        if (price.maxSeconds != 0 && secs > price.maxSeconds) {
            revert Errors.OrderBook_RentTooLong(uint64(order.uintAt(at, 8)), secs, price.maxSeconds);
        }
        if (heads.restrictions(headAt) != 0) taking.isRestricted = true;
        return SettlementLib.amountDown(price, secs, taking.units);
    }

    /// @dev The engine is first and alone; all others are what it works on.
    function _checkInputKind(uint256 headAt, uint256 kind) private pure {
        bool fits = headAt == OfferCodec.HEAD
            ? kind == uint256(OfferKind.ENGINE)
            : kind == uint256(OfferKind.MODEL) || kind == uint256(OfferKind.DATASET);
        if (!fits) revert Errors.OrderBook_InputKind(headAt / OfferCodec.HEAD - 1, kind);
    }

    // ------------------------------------------------------------------------------------------ runtime
    /// @return classes      Number of trust classes in the client's policy, after a check that it is the client's.
    /// @return measurements Number of its measurements.
    function _checkPolicy(bytes calldata order, bytes calldata policy)
        internal
        pure
        returns (uint256 classes, uint256 measurements)
    {
        (classes, measurements) = PolicyCodec.check(policy);
        bytes32 got = policy.structHash(classes, measurements);
        bytes32 expected = order.wordAt(OrderCodec.RUNTIME_POLICY_DIGEST);
        if (got != expected) revert Errors.OrderBook_PolicyDigest(got, expected);
    }

    /// @dev Whose CVM it is, is not asked: it starts for its own host alone, so that naming another's costs the caller
    /// the start penalty and gains nothing. The evidence binds the operator where CVMs are registered.
    function _checkCvm(bytes calldata order, bytes calldata policy, uint32 cvm, uint256 startBy)
        private
        view
        returns (bytes32 measurement)
    {
        (uint256 facts, uint256 standing) = _factsOf(cvm);
        if (address(uint160(facts)) == address(0)) revert Errors.OrderBook_CvmUnknown(cvm);
        if (facts & CVM_REVOKED != 0) revert Errors.OrderBook_CvmRevoked(cvm);
        if (facts & CVM_RETIRED != 0) revert Errors.OrderBook_CvmRetired(cvm);
        uint256 expiresAt = uint40(facts >> 160);
        if (expiresAt <= startBy) revert Errors.OrderBook_CvmExpires(cvm, expiresAt, startBy);
        if (!_isReference(facts, standing)) revert Errors.OrderBook_NotReference(cvm, uint32(facts >> 216));
        bytes32 refusal;
        (refusal, measurement) = _appraise(order, policy, facts, standing);
        if (refusal != 0) revert Errors.OrderBook_PolicyRefuses(cvm, refusal);
    }

    /// @notice Checks that the policy is the client's, and holds the CVM's facts against it.
    /// @return refusal     The first member of the client's policy that these facts do not fit, or zero.
    /// @return measurement Of the CVM's runtime.
    /// @dev The standing has 240 bits of the hash of what the profile is: enough to find it among what the policy names,
    /// without reading it. Where that fails, the reference values are asked, for families and for the reason.
    function _appraise(bytes calldata order, bytes calldata policy, uint256 facts, uint256 standing)
        internal
        view
        returns (bytes32 refusal, bytes32 measurement)
    {
        (uint256 classes, uint256 measurements) = _checkPolicy(order, policy);
        uint256 tee = uint8(standing >> 8);
        bool found;
        (found, measurement) = _find(policy, classes, measurements, standing);
        if (!found) {
            bytes32 rootSet;
            (,, measurement, rootSet) = REFERENCES.profileOf(uint32(facts >> 216));
            if (!_isAmong(policy, 0, classes, rootSet)) return ("trustClasses", measurement);
            if (!_isInFamily(policy, classes, measurements, measurement)) return ("measurements", measurement);
        }
        if ((policy.teeMask() >> tee) & 1 == 0) return ("teeMask", measurement);
        if (uint8(facts >> 200) > policy.worstTcb()) return ("worstTcb", measurement);
    }

    function _find(bytes calldata policy, uint256 classes, uint256 measurements, uint256 standing)
        private
        pure
        returns (bool, bytes32)
    {
        unchecked {
            for (uint256 i = 0; i < measurements; ++i) {
                bytes32 measurement = policy.entry(classes + i);
                for (uint256 j = 0; j < classes; ++j) {
                    uint256 content = _contentOf(measurement, policy.entry(j), uint8(standing >> 8));
                    if ((content ^ standing) >> 16 == 0) return (true, measurement);
                }
            }
        }
        return (false, 0);
    }

    /// @return content keccak256(abi.encode(measurement, rootSet, tee)), as ReferenceValues names a profile.
    function _contentOf(bytes32 measurement, bytes32 rootSet, uint256 tee) private pure returns (uint256 content) {
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            mstore(buffer, measurement)
            mstore(add(buffer, 0x20), rootSet)
            mstore(add(buffer, 0x40), tee)
            content := keccak256(buffer, 0x60)
        }
    }

    /// @notice Whether a policy's list names a family that was declared with this measurement.
    function _isInFamily(bytes calldata policy, uint256 from, uint256 count, bytes32 measurement)
        private
        view
        returns (bool)
    {
        for (uint256 i = from; i < from + count; ++i) {
            if (REFERENCES.inFamily(policy.entry(i), measurement)) return true;
        }
        return false;
    }

    function _isAmong(bytes calldata policy, uint256 from, uint256 count, bytes32 wanted)
        private
        pure
        returns (bool)
    {
        for (uint256 i = from; i < from + count; ++i) {
            if (policy.entry(i) == wanted) return true;
        }
        return false;
    }
}
