// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../interfaces/IOrderBook.sol";
import {Errors} from "../libraries/Errors.sol";
import {OrderHashLib} from "../libraries/OrderHashLib.sol";
import {SettlementLib} from "../libraries/SettlementLib.sol";
import {CvmFacts} from "../types/Certificates.sol";
import {OfferKind, OfferTerms} from "../types/Offers.sol";
import {
    InputRef,
    Order,
    OrderId,
    OrderPreimage,
    OrderState,
    OrderTerms,
    Params,
    Phase,
    RuntimePolicy
} from "../types/Orders.sol";
import {OrderBase} from "./OrderBase.sol";

/// @title From terms to an accepted order, or back (docs/protocol.md section 6.2).
abstract contract OrderPlacing is OrderBase {
    uint256 internal constant MAX_INPUTS = 16;

    /// @inheritdoc IOrderBook
    function place(OrderTerms calldata terms, string calldata location) external nonReentrant returns (OrderId id) {
        return _place(terms, location);
    }

    /// @inheritdoc IOrderBook
    function placeWithPermit(
        OrderTerms calldata terms,
        string calldata location,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external nonReentrant returns (OrderId id) {
        // A permit authorises no terms: client and payer are the caller, so that the call itself does.
        _tryPermit(terms.token, msg.sender, terms.deposit, Permit(deadline, v, r, s));
        return _place(terms, location);
    }

    /// @inheritdoc IOrderBook
    function cancel(OrderTerms calldata terms) external nonReentrant {
        OrderId id = _idOf(terms);
        Order storage order = _movable(id, OrderState.PLACED, OrderState.CANCELLED);
        if (msg.sender != terms.client) _checkAfter(id, uint256(order.since) + terms.windows.acceptWithin);
        // Effect: the whole deposit waits for the payer's claim.
        order.state = OrderState.CANCELLED;
        emit OrderEnded(id, 0, OrderState.CANCELLED, Phase.NONE, 0, 0);
    }

    /// @inheritdoc IOrderBook
    function accept(OrderPreimage calldata pre, RuntimePolicy calldata policy, bytes32 cvmId) external nonReentrant {
        OrderId id = _idOfChecked(pre);
        OrderTerms calldata terms = pre.terms;
        Order storage order = _movable(id, OrderState.PLACED, OrderState.ACCEPTED);
        _checkNotAfter(id, uint256(order.since) + terms.windows.acceptWithin);
        // Check (1): every offer is for sale with these very terms, in the order's token.
        address provider = _checkOffers(pre);
        // Check (2): the CVM is the caller's, good past startWithin, and as client and market want it.
        _checkCvm(terms, policy, cvmId);
        // Check (3): fee and windows are within the terms, and the deposit covers the most that can be due.
        uint16 version = paramsVersion;
        uint256 locked = _checkMoney(pre, version);
        // Effect: this CVM and no other may start, until startWithin.
        order.cvmId = cvmId;
        order.state = OrderState.ACCEPTED;
        order.since = uint40(block.timestamp);
        order.paramsVersion = version;
        emit OrderAccepted(id, cvmId, provider, version, locked);
        // Interaction, and check (4): the caller is the provider's operator, and the free stake covers the lock.
        PROVIDERS.lock(id, provider, msg.sender, terms.token, locked);
    }

    /// @inheritdoc IOrderBook
    function voidOrder(OrderPreimage calldata pre, RuntimePolicy calldata policy) external nonReentrant {
        OrderId id = _idOfChecked(pre);
        Order storage order = _movable(id, OrderState.ACCEPTED, OrderState.CANCELLED);
        _checkPolicyDigest(pre.terms, policy);
        CvmFacts memory facts = _factsOf(order.cvmId);
        if (!facts.revoked && _isReference(facts)) {
            if (_firstRefusal(policy, facts) == 0) revert Errors.OrderBook_CvmStillGood(order.cvmId);
            // Such a CVM may start, so that after startWithin its start was missed: `expire` is the only way then.
            _checkNotAfter(id, uint256(order.since) + pre.terms.windows.startWithin);
        }
        // Effect: the whole deposit waits for the payer's claim.
        _end(pre, id, order, OrderState.CANCELLED);
    }

    function _place(OrderTerms calldata terms, string calldata location) private returns (OrderId id) {
        id = _idOf(terms);
        Order storage order = _movable(id, OrderState.NONE, OrderState.PLACED);
        // Check (1): the caller is who the terms bind. Other payers need signatures over the order id, which later
        // versions take.
        _checkClient(id, terms);
        if (terms.payer != terms.client) revert Errors.OrderBook_OtherPayer(terms.payer, terms.client);
        // Check (2): the terms are ones that this contract keeps.
        _checkNotAfter(id, terms.placeBefore);
        _checkReserved(terms);
        _checkInputs(terms.inputs);
        _checkWindows(terms, _params[paramsVersion].minGrace);
        _checkLocation(location);
        // Effect: the id is taken for ever.
        order.state = OrderState.PLACED;
        order.since = uint40(block.timestamp);
        emit OrderPlaced({
            id: id,
            client: terms.client,
            compute: terms.compute.offer,
            payer: terms.payer,
            token: terms.token,
            deposit: terms.deposit,
            preimage: abi.encode(terms),
            location: location
        });
        // Interaction:
        _pull(terms.token, terms.payer, terms.deposit);
    }

    // ------------------------------------------------------------------------------------------ terms
    function _checkReserved(OrderTerms calldata terms) private pure {
        _empty(terms.accessKeyDigest == 0, "accessKeyDigest");
        _empty(terms.holdback.bps == 0, "holdback.bps");
        _empty(terms.holdback.window == 0, "holdback.window");
        _empty(terms.delivery == 0, "delivery");
        _empty(terms.deliveryDigest == 0, "deliveryDigest");
    }

    /// @notice A member that later versions give a meaning is empty now.
    function _empty(bool isEmpty, bytes32 field) private pure {
        if (!isEmpty) revert Errors.OrderBook_Reserved(field);
    }

    function _checkInputs(InputRef[] calldata inputs) private pure {
        uint256 count = inputs.length;
        if (count == 0 || count > MAX_INPUTS) revert Errors.OrderBook_InputCount(count, MAX_INPUTS);
        for (uint256 i = 0; i < count; ++i) {
            _empty(inputs[i].lease == 0, "inputs.lease");
            for (uint256 j = 0; j < i; ++j) {
                if (inputs[i].offer == inputs[j].offer) revert Errors.OrderBook_DuplicateInput(i, inputs[i].offer);
            }
        }
    }

    function _checkWindows(OrderTerms calldata terms, uint256 minGrace) private pure {
        _checkWindow("grace", terms.windows.grace, minGrace);
        _checkWindow("keysWithin", terms.windows.keysWithin, minGrace);
    }

    function _checkWindow(bytes32 field, uint256 got, uint256 least) private pure {
        if (got < least) revert Errors.OrderBook_WindowTooShort(field, got, least);
    }

    // ------------------------------------------------------------------------------------------ offers
    /// @return The stake to lock.
    function _checkMoney(OrderPreimage calldata pre, uint16 version) private view returns (uint256) {
        Params storage current = _params[version];
        OrderTerms calldata terms = pre.terms;
        uint16 feeBps = current.feeBps;
        if (feeBps > terms.maxFeeBps) revert Errors.OrderBook_FeeAboveMax(feeBps, terms.maxFeeBps);
        _checkWindows(terms, current.minGrace);
        uint256 needed = SettlementLib.depositRequired(pre);
        if (terms.deposit < needed) revert Errors.OrderBook_DepositTooLow(terms.deposit, needed);
        return SettlementLib.lockRequired(pre, current.startPenaltyBps);
    }

    function _checkOffers(OrderPreimage calldata pre) private view returns (address provider) {
        OrderTerms calldata terms = pre.terms;
        if (pre.compute.kind != uint8(OfferKind.COMPUTE)) revert Errors.OrderBook_ComputeKind(pre.compute.kind);
        _checkToken(terms.compute.offer, pre.compute.token, terms.token);
        for (uint256 i = 0; i < pre.inputs.length; ++i) {
            OfferTerms calldata input = pre.inputs[i];
            _checkInputKind(i, input.kind);
            _checkToken(terms.inputs[i].offer, input.token, terms.token);
        }
        return OFFERS.checkForSale(terms.compute, terms.inputs);
    }

    /// @dev The engine is first and alone; all others are what it works on.
    function _checkInputKind(uint256 i, uint8 kind) private pure {
        bool fits = i == 0
            ? kind == uint8(OfferKind.ENGINE)
            : kind == uint8(OfferKind.MODEL) || kind == uint8(OfferKind.DATASET);
        if (!fits) revert Errors.OrderBook_InputKind(i, kind);
    }

    function _checkToken(uint64 offer, address got, address expected) private pure {
        if (got != expected) revert Errors.OrderBook_OtherToken(offer, got, expected);
    }

    // ------------------------------------------------------------------------------------------ runtime
    function _checkPolicyDigest(OrderTerms calldata terms, RuntimePolicy calldata policy) private pure {
        bytes32 got = OrderHashLib.hashPolicy(policy);
        if (got != terms.runtimePolicyDigest) revert Errors.OrderBook_PolicyDigest(got, terms.runtimePolicyDigest);
    }

    function _checkCvm(OrderTerms calldata terms, RuntimePolicy calldata policy, bytes32 cvmId) private view {
        _checkPolicyDigest(terms, policy);
        CvmFacts memory facts = _factsOf(cvmId);
        if (facts.signer == address(0)) revert Errors.OrderBook_CvmUnknown(cvmId);
        if (facts.revoked) revert Errors.OrderBook_CvmRevoked(cvmId);
        if (facts.operator != msg.sender) {
            revert Errors.OrderBook_CvmOperator(cvmId, facts.operator, msg.sender);
        }
        uint256 until = block.timestamp + terms.windows.startWithin;
        if (facts.expiresAt <= until) revert Errors.OrderBook_CvmExpires(cvmId, facts.expiresAt, until);
        bytes32 refusal = _firstRefusal(policy, facts);
        if (refusal != 0) revert Errors.OrderBook_PolicyRefuses(cvmId, refusal);
        _checkReference(cvmId, facts);
    }

    /// @return The first member of the client's policy that these facts do not fit, or zero.
    function _firstRefusal(RuntimePolicy calldata policy, CvmFacts memory facts) private pure returns (bytes32) {
        if (!_contains(policy.trustClasses, facts.rootSet)) return "trustClasses";
        if ((policy.teeMask >> facts.tee) & 1 == 0) return "teeMask";
        if (!_contains(policy.measurements, facts.measurement)) return "measurements";
        if (facts.tcbStatus > policy.worstTcb) return "worstTcb";
        return 0;
    }

    function _contains(bytes32[] calldata values, bytes32 wanted) private pure returns (bool) {
        for (uint256 i = 0; i < values.length; ++i) {
            if (values[i] == wanted) return true;
        }
        return false;
    }

    function _factsOf(bytes32 cvmId) internal view returns (CvmFacts memory) {
        return CVMS.factsOf(cvmId);
    }

    /// @notice Checks that the market still accepts a CVM's runtime: removals count at once.
    function _checkReference(bytes32 cvmId) internal view {
        _checkReference(cvmId, _factsOf(cvmId));
    }

    function _checkReference(bytes32 cvmId, CvmFacts memory facts) private view {
        if (!_isReference(facts)) revert Errors.OrderBook_NotReference(cvmId, facts.measurement, facts.rootSet);
    }

    function _isReference(CvmFacts memory facts) private view returns (bool) {
        return REFERENCES.isAccepted(facts.measurement, facts.rootSet, facts.tee, facts.tcbStatus);
    }
}
