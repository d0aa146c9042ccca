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
import {OfferKind} from "../types/Offers.sol";
import {OrderId, OrderState} from "../types/Orders.sol";
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
        uint256 most;
        uint256 lock;
        uint256 limit;
        uint256 startBy;
        bytes32 measurement;
        uint256 restrictions;
    }

    // Where the members of `Current` stand in its slot.
    uint256 private constant _START_PENALTY_BPS = 16;
    uint256 private constant _MIN_GRACE = 32;
    uint256 private constant _VERSION = 224;
    uint256 private constant _PAUSED = 240;

    // Kinds that an input may have, bit by bit.
    uint256 private constant _ENGINE = 1 << uint256(OfferKind.ENGINE);
    uint256 private constant _DATA = (1 << uint256(OfferKind.MODEL)) | (1 << uint256(OfferKind.DATASET));

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
        uint256 current = _currentPacked();
        if (current >> _PAUSED != 0) revert Errors.OrderBook_Paused();
        // Check (1): deadline, fee and windows are within what client and market want.
        taking.startBy = _checkWindows(taking.id, word, order.pointer(), current);
        // Check (2): the terms are those that the order names, of the right kinds, in the order's token.
        heads.check(taking.count + 1);
        _checkHeads(order.pointer(), heads.pointer(), taking, uint16(current >> _START_PENALTY_BPS));
        // Check (3): the CVM is good past startWithin, and as client and market want it.
        taking.measurement = _checkCvm(order, policy, cvm, taking.startBy);
        // Check (4): the deposit covers what can be due.
        taking.limit = _limitFor(order, heads, taking);
        _take(order.pointer(), taking, word, current, cvm);
    }

    /// @dev Effect: this CVM and no other may start, until startWithin. Interaction, and check (5): the caller is the
    /// desk's operator, the desk has room, and its stake covers the lock.
    /// @param at Where the order begins in calldata.
    function _take(uint256 at, Taking memory taking, OrderWord word, uint256 current, uint32 cvm) private {
        uint256 code = LockLib.encodeUp(taking.lock);
        uint256 lock = LockLib.decode(code);
        uint64 compute = uint64(OrderCodec.load(at + OrderCodec.COMPUTE_OFFER) >> 192);
        {
            uint256 version = uint16(current >> _VERSION);
            uint256 limit = taking.limit;
            bool isPartly = limit < OrderCodec.load(at + OrderCodec.MAX_SECONDS) >> 224;
            _words[taking.id] = word.accepted(taking.startBy, version, uint16(current), cvm, code, isPartly);
            emit IOrderBook.OrderAccepted(
                taking.id, compute, cvm, limit | (lock << 32) | (version << 224) | word.numbered()
            );
        }
        PROVIDERS.reserve(compute, address(uint160(OrderCodec.load(at + OrderCodec.TOKEN) >> 96)), msg.sender, lock);
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

    /// @param at      Where the order begins in calldata.
    /// @param current The slot of `Current`.
    /// @return startBy Last second to start.
    function _checkWindows(OrderId id, OrderWord word, uint256 at, uint256 current)
        private
        view
        returns (uint256 startBy)
    {
        unchecked {
            // acceptWithin, startWithin, setupSeconds, keysWithin, loadWithin, maxSeconds, grace: 32 bits each.
            uint256 windows = OrderCodec.load(at + OrderCodec.ACCEPT_WITHIN);
            _checkNotAfter(id, word.since() + (windows >> 224));
            uint256 feeBps = uint16(current);
            uint256 most = OrderCodec.load(at + OrderCodec.MAX_FEE_BPS) >> 240;
            if (feeBps > most) revert Errors.OrderBook_FeeAboveMax(feeBps, most);
            uint256 least = uint32(current >> _MIN_GRACE);
            uint256 got = uint32(windows >> 32);
            if (got < least) revert Errors.OrderBook_WindowTooShort("grace", got, least);
            got = uint32(windows >> 128);
            if (got < least) revert Errors.OrderBook_WindowTooShort("keysWithin", got, least);
            return block.timestamp + uint32(windows >> 192);
        }
    }

    // ------------------------------------------------------------------------------------------ offers
    /// @notice Heads are the ones that the order names; adds up the most that the order can cost, and the lock.
    /// @dev No sum overflows: see SettlementLib.
    /// @param at   Where the order begins in calldata.
    /// @param head Where the heads do.
    function _checkHeads(uint256 at, uint256 head, Taking memory taking, uint256 penaltyBps) private pure {
        unchecked {
            if (OrderCodec.load(head) >> 248 != uint256(OfferKind.COMPUTE)) {
                revert Errors.OrderBook_ComputeKind(OrderCodec.load(head) >> 248);
            }
            uint256 price = OfferCodec.form(OrderCodec.load(at + OrderCodec.TOKEN) >> 96);
            uint256 cost = _checkHead(at, at + OrderCodec.COMPUTE_OFFER, head, price);
            uint256 lock = SettlementLib.shareDown(cost, penaltyBps);
            cost += SettlementLib.holdbackDown(cost, OrderCodec.load(at + OrderCodec.HOLDBACK_BPS) >> 240);
            uint256 revenue = OrderCodec.load(head + OfferCodec.REVENUE_BPS) >> 240;
            taking.restrictions = OrderCodec.load(head + OfferCodec.RESTRICTIONS);
            uint256 input = at + OrderCodec.INPUTS;
            // A bit for each input, set where it is leased, and one above them all that ends the loop.
            uint256 leases = uint16(OrderCodec.load(at + OrderCodec.EXTRAS) >> 232) | (1 << taking.count);
            for (; leases != 1; leases >>= 1) {
                head += OfferCodec.HEAD;
                // The engine is the first input and alone; all others are what it works on.
                uint256 most = input - at == OrderCodec.INPUTS ? _ENGINE : _DATA;
                if (most >> (OrderCodec.load(head) >> 248) & 1 == 0) _refuseKind(input - at, head);
                most = _checkHead(at, input, head, price);
                revenue += OrderCodec.load(head + OfferCodec.REVENUE_BPS) >> 240;
                taking.restrictions |= OrderCodec.load(head + OfferCodec.RESTRICTIONS);
                // slither-disable-next-line incorrect-equality: one bit of the order's own
                if (leases & 1 == 0) {
                    cost += most;
                    lock += SettlementLib.inputLockAt(price, OrderCodec.load(at + OrderCodec.GRACE) >> 224);
                }
                input += OrderCodec.INPUT;
            }
            // More than all of what it earns is no share.
            if (revenue > SettlementLib.BPS) revert Errors.OrderBook_RevenueAboveAll(revenue);
            (taking.most, taking.lock) = (cost, lock);
        }
    }

    /// @dev The terms hash pins price and token; the price's own bound on the rent is the order's concern alone.
    /// @param at    Where the order begins in calldata.
    /// @param offer Where its reference to this offer does.
    /// @param head  Where the offer's head does.
    /// @param price Form that the head is read into.
    /// @return The most that this offer can cost.
    function _checkHead(uint256 at, uint256 offer, uint256 head, uint256 price) private pure returns (uint256) {
        unchecked {
            bytes32 got = OfferCodec.fill(price, head);
            bytes32 expected = bytes32(OrderCodec.load(offer + OrderCodec.INPUT_TERMS));
            if (got != expected) {
                revert Errors.OrderBook_TermsHash(uint64(OrderCodec.load(offer) >> 192), got, expected);
            }
            uint256 secs = OrderCodec.load(at + OrderCodec.MAX_SECONDS) >> 224;
            uint256 longest = OrderCodec.load(head + OfferCodec.MAX_SECONDS) >> 224;
            if (secs > longest && longest != 0) {
                revert Errors.OrderBook_RentTooLong(uint64(OrderCodec.load(offer) >> 192), secs, longest);
            }
            return SettlementLib.amountAt(price, secs, OrderCodec.load(at + OrderCodec.MAX_UNITS) >> 192);
        }
    }

    /// @param at Where the input begins in its order.
    function _refuseKind(uint256 at, uint256 head) private pure {
        uint256 input = (at - OrderCodec.INPUTS) / OrderCodec.INPUT;
        revert Errors.OrderBook_InputKind(input, OrderCodec.load(head) >> 248);
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
            // slither-disable-next-line unused-return: `standing` has floor and TEE
            (,, measurement, rootSet) = REFERENCES.profileOf(uint32(facts >> 216));
            if (!_isAmong(policy, 0, classes, rootSet)) return ("trustClasses", measurement);
            if (!_isInFamily(policy, classes, measurements, measurement)) return ("measurements", measurement);
        }
        // slither-disable-next-line incorrect-equality: one bit of what the client chose
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
                    // slither-disable-next-line incorrect-equality: two hashes, compared whole
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
            // slither-disable-next-line calls-loop: as long as the client's own policy, a view of ours
            if (REFERENCES.inFamily(policy.entry(i), measurement)) return true;
        }
        return false;
    }

    function _isAmong(bytes calldata policy, uint256 from, uint256 count, bytes32 wanted) private pure returns (bool) {
        for (uint256 i = from; i < from + count; ++i) {
            // slither-disable-next-line incorrect-equality: two hashes, compared whole
            if (policy.entry(i) == wanted) return true;
        }
        return false;
    }
}
