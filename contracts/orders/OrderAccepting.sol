// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../interfaces/IOrderBook.sol";
import {Errors} from "../libraries/Errors.sol";
import {LockLib} from "../libraries/LockLib.sol";
import {OfferCodec} from "../libraries/OfferCodec.sol";
import {OrderCodec} from "../libraries/OrderCodec.sol";
import {OrderHashLib} from "../libraries/OrderHashLib.sol";
import {OrderWord} from "../libraries/OrderWord.sol";
import {SettlementLib} from "../libraries/SettlementLib.sol";
import {OfferKind, Price} from "../types/Offers.sol";
import {Extra, OrderId, OrderState, RuntimePolicy} from "../types/Orders.sol";
import {OrderPlacing} from "./OrderPlacing.sol";

/// @title Everything that is checked once, when a provider takes an order (docs/protocol.md sections 6.2 and 6.8).
abstract contract OrderAccepting is OrderPlacing {
    using OfferCodec for bytes;
    using OrderCodec for bytes;

    /// @dev What acceptance finds out about an order.
    struct Taking {
        OrderId id;
        uint256 count;
        OrderWord word;
        Price[] prices;
        uint256 version;
        uint256 limit;
        uint256 lock;
        bytes32 measurement;
    }

    /// @notice PLACED -> ACCEPTED, but for the checks of sale and restrictions, which the caller adds.
    /// @return taking With the measurement of the CVM, which restrictions look at.
    function _accept(bytes calldata order, bytes calldata heads, RuntimePolicy calldata policy, uint32 cvm)
        internal
        returns (Taking memory taking)
    {
        (taking.id, taking.count) = _idOf(order);
        taking.word = _movable(taking.id, OrderState.ACCEPTED);
        if (_current.paused) revert Errors.OrderBook_Paused();
        _checkNotAfter(taking.id, taking.word.since() + order.uintAt(OrderCodec.ACCEPT_WITHIN, 4));
        // Check (1): the terms are those that the order names, of the right kinds, in the order's token.
        taking.prices = _checkHeads(order, heads, taking.count);
        // Check (2): the CVM is the caller's, good past startWithin, and as client and market want it.
        taking.measurement = _checkCvm(order, policy, cvm);
        // Check (3): fee and windows are within the terms, and the deposit covers what can be due.
        _checkMoney(order, taking);
        // Effect: this CVM and no other may start, until startWithin.
        uint256 startBy = block.timestamp + order.uintAt(OrderCodec.START_WITHIN, 4);
        uint256 code = LockLib.encodeUp(taking.lock);
        OrderWord word = taking.word;
        if (taking.limit < order.maxSeconds()) {
            // A warning comes a grace before the order would have to end.
            _extras[taking.id] = Extra(0, 0, uint32(taking.limit), uint32(order.grace() * 2), 0);
            word = word.withExtra();
        }
        _words[taking.id] = word.withState(OrderState.ACCEPTED).withSince(startBy).withParams(taking.version)
            .withCvm(cvm).withLock(code).counted();
        taking.lock = LockLib.decode(code);
        emit IOrderBook.OrderAccepted(
            taking.id,
            order.computeOffer(),
            cvm,
            word.events(),
            uint16(taking.version),
            uint32(taking.limit),
            taking.lock
        );
        // Interaction, and check (4): the caller is the desk's operator, the desk has room, and its stake covers the lock.
        PROVIDERS.reserve(order.computeOffer(), OrderCodec.token(order), msg.sender, taking.lock);
    }

    // ------------------------------------------------------------------------------------------ offers
    /// @return prices Compute first, then the inputs that are under no lease.
    function _checkHeads(bytes calldata order, bytes calldata heads, uint256 count)
        internal
        pure
        returns (Price[] memory prices)
    {
        heads.check(count + 1);
        address token = OrderCodec.token(order);
        prices = new Price[](count + 1);
        prices[0] = _checkHead(order, heads, 0, OrderCodec.COMPUTE_OFFER, OrderCodec.COMPUTE_TERMS, token);
        uint256 kind = heads.kind(0);
        if (kind != uint256(OfferKind.COMPUTE)) revert Errors.OrderBook_ComputeKind(kind);
        uint256 paid = 1;
        unchecked {
            uint256 revenue = prices[0].revenueBps;
            for (uint256 i = 0; i < count; ++i) {
                uint256 at = OrderCodec.inputAt(i);
                uint256 headAt = OfferCodec.HEAD * (i + 1);
                _checkInputKind(i, heads.kind(headAt));
                Price memory price = _checkHead(order, heads, headAt, at, at + OrderCodec.INPUT_TERMS, token);
                revenue += price.revenueBps;
                if (order.inputLease(i) == 0) prices[paid++] = price;
            }
            // More than all of what it earns is no share.
            if (revenue > SettlementLib.BPS) revert Errors.OrderBook_RevenueAboveAll(revenue);
        }
        // The list is as long as what is paid: settlement loops over all of it.
        assembly ("memory-safe") {
            mstore(prices, paid)
        }
    }

    /// @dev The terms hash pins price and token; the price's own bound on the rent is the order's concern alone.
    function _checkHead(
        bytes calldata order,
        bytes calldata heads,
        uint256 headAt,
        uint256 offerAt,
        uint256 hashAt,
        address token
    ) private pure returns (Price memory price) {
        bytes32 expected = order.wordAt(hashAt);
        bytes32 got = heads.termsHash(headAt, token);
        if (got != expected) {
            revert Errors.OrderBook_TermsHash(uint64(order.uintAt(offerAt, 8)), got, expected);
        }
        price = heads.price(headAt);
        if (price.maxSeconds != 0 && order.maxSeconds() > price.maxSeconds) {
            revert Errors.OrderBook_RentTooLong(
                uint64(order.uintAt(offerAt, 8)), order.maxSeconds(), price.maxSeconds
            );
        }
    }

    /// @dev The engine is first and alone; all others are what it works on.
    function _checkInputKind(uint256 i, uint256 kind) private pure {
        bool fits = i == 0
            ? kind == uint256(OfferKind.ENGINE)
            : kind == uint256(OfferKind.MODEL) || kind == uint256(OfferKind.DATASET);
        if (!fits) revert Errors.OrderBook_InputKind(i, kind);
    }

    // ------------------------------------------------------------------------------------------ money
    function _checkMoney(bytes calldata order, Taking memory taking) private view {
        taking.version = _current.version;
        uint256 most = order.uintAt(OrderCodec.MAX_FEE_BPS, 2);
        if (_current.feeBps > most) revert Errors.OrderBook_FeeAboveMax(_current.feeBps, most);
        _checkWindows(order, _current.minGrace);
        (uint256 grace, uint256 longest, uint256 units) = (order.grace(), order.maxSeconds(), order.maxUnits());
        uint256 held = order.holdbackBps();
        uint256 least = SettlementLib.leastLimit(order.setupSeconds(), grace, longest);
        bool ok;
        (ok, taking.limit) =
            SettlementLib.fundedLimit(taking.prices, order.deposit(), least, longest, units, held);
        if (!ok) {
            uint256 needed = SettlementLib.depositRequired(taking.prices, least, units, held);
            revert Errors.OrderBook_DepositTooLow(order.deposit(), needed);
        }
        taking.lock = _lockOf(taking.prices, order, grace, _current.startPenaltyBps);
    }

    /// @dev `SettlementLib.lockRequiredUp` without a second list of the inputs' prices.
    function _lockOf(Price[] memory prices, bytes calldata order, uint256 grace, uint256 penaltyBps)
        private
        pure
        returns (uint256 lock)
    {
        lock = SettlementLib.startPenaltyDown(prices[0], order.maxSeconds(), order.maxUnits(), penaltyBps);
        unchecked {
            for (uint256 i = 1; i < prices.length; ++i) {
                lock += SettlementLib.inputLockUp(prices[i], grace);
            }
        }
    }

    // ------------------------------------------------------------------------------------------ runtime
    function _checkPolicyDigest(bytes calldata order, RuntimePolicy calldata policy) internal pure {
        bytes32 got = OrderHashLib.hashPolicy(policy);
        bytes32 expected = order.wordAt(OrderCodec.RUNTIME_POLICY_DIGEST);
        if (got != expected) revert Errors.OrderBook_PolicyDigest(got, expected);
    }

    function _checkCvm(bytes calldata order, RuntimePolicy calldata policy, uint32 cvm)
        private
        view
        returns (bytes32 measurement)
    {
        _checkPolicyDigest(order, policy);
        (uint256 facts, address operator) = CVMS.factsAt(cvm);
        if (address(uint160(facts)) == address(0)) revert Errors.OrderBook_CvmUnknown(cvm);
        if (facts & CVM_REVOKED != 0) revert Errors.OrderBook_CvmRevoked(cvm);
        if (facts & CVM_RETIRED != 0) revert Errors.OrderBook_CvmRetired(cvm);
        if (operator != msg.sender) revert Errors.OrderBook_CvmOperator(cvm, operator, msg.sender);
        uint256 until = block.timestamp + order.uintAt(OrderCodec.START_WITHIN, 4);
        uint256 expiresAt = uint40(facts >> 160);
        if (expiresAt <= until) revert Errors.OrderBook_CvmExpires(cvm, expiresAt, until);
        bytes32 refusal;
        bool accepted;
        (refusal, accepted, measurement) = _appraise(policy, facts);
        if (!accepted) revert Errors.OrderBook_NotReference(cvm, uint32(facts >> 216));
        if (refusal != 0) revert Errors.OrderBook_PolicyRefuses(cvm, refusal);
    }

    /// @return refusal     The first member of the client's policy that these facts do not fit, or zero.
    /// @return accepted    Whether the market accepts the runtime: removals count at once.
    /// @return measurement Of the CVM's runtime.
    function _appraise(RuntimePolicy calldata policy, uint256 facts)
        internal
        view
        returns (bytes32 refusal, bool accepted, bytes32 measurement)
    {
        uint256 tcb = uint8(facts >> 200);
        uint8 worst;
        uint8 tee;
        bytes32 rootSet;
        (worst, tee, measurement, rootSet) = REFERENCES.profileOf(uint32(facts >> 216));
        accepted = worst != 0 && tcb <= worst;
        if (!_contains(policy.trustClasses, rootSet)) refusal = "trustClasses";
        else if ((policy.teeMask >> tee) & 1 == 0) refusal = "teeMask";
        else if (!_names(policy.measurements, measurement)) refusal = "measurements";
        else if (tcb > policy.worstTcb) refusal = "worstTcb";
    }

    /// @notice Whether a policy's list has the measurement, or a family that was declared with it.
    function _names(bytes32[] calldata measurements, bytes32 measurement) private view returns (bool) {
        if (_contains(measurements, measurement)) return true;
        for (uint256 i = 0; i < measurements.length; ++i) {
            if (REFERENCES.inFamily(measurements[i], measurement)) return true;
        }
        return false;
    }

    function _contains(bytes32[] calldata values, bytes32 wanted) private pure returns (bool) {
        for (uint256 i = 0; i < values.length; ++i) {
            if (values[i] == wanted) return true;
        }
        return false;
    }
}
