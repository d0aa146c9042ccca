// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {Escrow} from "../Escrow.sol";
import {ICvmRegistry} from "../interfaces/ICvmRegistry.sol";
import {IOfferRegistry} from "../interfaces/IOfferRegistry.sol";
import {IOrderBook} from "../interfaces/IOrderBook.sol";
import {IProviderRegistry} from "../interfaces/IProviderRegistry.sol";
import {IReferenceValues} from "../interfaces/IReferenceValues.sol";
import {Errors} from "../libraries/Errors.sol";
import {OrderHashLib} from "../libraries/OrderHashLib.sol";
import {OrderStateLib} from "../libraries/OrderStateLib.sol";
import {SettlementLib} from "../libraries/SettlementLib.sol";
import {OfferTerms} from "../types/Offers.sol";
import {
    InputRef,
    Order,
    OrderId,
    OrderPreimage,
    OrderState,
    OrderTerms,
    Params,
    ReportSummary
} from "../types/Orders.sol";

/// @title What placing, running and closing share: storage, the hash checks and the one way to close an order.
abstract contract OrderBase is IOrderBook, Escrow {
    /// @notice What a terminal transition asks of the provider's lock.
    struct Closing {
        uint256 locked;
        uint256 slashed;
    }

    uint256 internal constant MAX_LOCATION_BYTES = 256;

    IOfferRegistry public immutable OFFERS;
    IProviderRegistry public immutable PROVIDERS;
    ICvmRegistry public immutable CVMS;
    IReferenceValues public immutable REFERENCES;

    /// @dev OpenZeppelin's EIP712 would bring a kilobyte of views that the size limit leaves no room for.
    bytes32 private immutable _DOMAIN_SEPARATOR;
    uint256 private immutable _CHAIN_ID;

    mapping(OrderId id => Order) internal _orders;
    mapping(OrderId id => uint256) internal _claimed;
    mapping(uint16 version => Params) internal _params;
    /// @inheritdoc IOrderBook
    uint16 public paramsVersion;

    constructor(IOfferRegistry offers, IProviderRegistry providers, ICvmRegistry cvms, IReferenceValues references) {
        _CHAIN_ID = block.chainid;
        _DOMAIN_SEPARATOR = OrderHashLib.domainSeparator("Cloister OrderBook", "1");
        OFFERS = offers;
        PROVIDERS = providers;
        CVMS = cvms;
        REFERENCES = references;
        // Check: the registry that was told our address before we existed was told the right one.
        if (providers.ORDER_BOOK() != address(this)) {
            revert Errors.OrderBook_Wiring(providers.ORDER_BOOK(), address(this));
        }
    }

    // ------------------------------------------------------------------------------------------ identity
    /// @notice The EIP-712 digest under this contract's domain, also after a fork changed the chain's id.
    function _digest(bytes32 structHash) internal view returns (bytes32) {
        bytes32 domain =
            block.chainid == _CHAIN_ID ? _DOMAIN_SEPARATOR : OrderHashLib.domainSeparator("Cloister OrderBook", "1");
        return MessageHashUtils.toTypedDataHash(domain, structHash);
    }

    function _idOf(OrderTerms calldata terms) internal view returns (OrderId) {
        return OrderId.wrap(_digest(OrderHashLib.hashOrder(terms)));
    }

    /// @notice The order's id, after a check that the offers' terms are those that its own terms name.
    function _idOfChecked(OrderPreimage calldata pre) internal view returns (OrderId) {
        _checkOfferTerms(pre);
        return _idOf(pre.terms);
    }

    function _checkOfferTerms(OrderPreimage calldata pre) internal pure {
        OrderTerms calldata terms = pre.terms;
        _checkTermsHash(terms.compute.offer, pre.compute, terms.compute.termsHash);
        OfferTerms[] calldata offers = pre.inputs;
        uint256 count = terms.inputs.length;
        if (offers.length != count) revert Errors.OrderBook_PreimageInputs(offers.length, count);
        for (uint256 i = 0; i < count; ++i) {
            InputRef calldata input = terms.inputs[i];
            _checkTermsHash(input.offer, offers[i], input.termsHash);
        }
    }

    function _checkTermsHash(uint64 offer, OfferTerms calldata terms, bytes32 expected) private pure {
        bytes32 got = OrderHashLib.hashOffer(terms);
        if (got != expected) revert Errors.OrderBook_TermsHash(offer, got, expected);
    }

    // ------------------------------------------------------------------------------------------ state
    /// @notice The order, if it is in `from` and the table allows it to move on to `to`.
    function _movable(OrderId id, OrderState from, OrderState to) internal view returns (Order storage order) {
        order = _orders[id];
        OrderState actual = order.state;
        if (actual != from || !OrderStateLib.isAllowed(from, to)) {
            revert Errors.OrderBook_WrongState(id, actual, to);
        }
    }

    function _checkClient(OrderId id, OrderTerms calldata terms) internal view {
        if (msg.sender != terms.client) revert Errors.OrderBook_NotClient(id, msg.sender, terms.client);
    }

    /// @notice A deadline still holds at its own second.
    function _checkNotAfter(OrderId id, uint256 deadline) internal view {
        if (block.timestamp > deadline) revert Errors.OrderBook_TooLate(id, deadline, block.timestamp);
    }

    /// @notice A location is a hint for readers of events; bounded, since every one of them has to keep it.
    function _checkLocation(string calldata location) internal pure {
        uint256 size = bytes(location).length;
        if (size > MAX_LOCATION_BYTES) revert Errors.OrderBook_LocationTooLong(size, MAX_LOCATION_BYTES);
    }

    function _checkAfter(OrderId id, uint256 deadline) internal view {
        if (block.timestamp <= deadline) revert Errors.OrderBook_TooEarly(id, deadline, block.timestamp);
    }

    // ------------------------------------------------------------------------------------------ signatures
    /// @notice Checks that the order's own CVM, not revoked, signed `structHash` in this contract's domain.
    /// @return expiresAt Of the CVM's certificate.
    function _checkSignedByCvm(OrderId id, bytes32 cvmId, bytes32 structHash, bytes calldata signature)
        internal
        view
        returns (uint40 expiresAt)
    {
        address signer;
        (signer, expiresAt) = _unrevoked(cvmId);
        // ECDSA takes 65 bytes with a low s and nothing else; a bad signature recovers to zero, no signer is zero.
        (address recovered,,) = ECDSA.tryRecoverCalldata(_digest(structHash), signature);
        if (recovered != signer) revert Errors.OrderBook_NotSigned(id, recovered, signer);
    }

    /// @notice A member of a summary is as the order wants it.
    function _match(bool fits, OrderId id, bytes32 field) internal pure {
        if (!fits) revert Errors.OrderBook_SummaryMismatch(id, field);
    }

    /// @notice Checks that a summary speaks of this order, this CVM and these inputs, and that the CVM signed it.
    function _checkSummary(
        OrderId id,
        Order storage order,
        OrderTerms calldata terms,
        ReportSummary calldata summary,
        bytes calldata signature
    ) internal view {
        _match(summary.orderId == OrderId.unwrap(id), id, "orderId");
        _match(summary.cvmId == order.cvmId, id, "cvmId");
        _match(summary.inputsRoot == OrderHashLib.inputsRoot(terms.inputs), id, "inputsRoot");
        _match(summary.statementDigest != 0, id, "statementDigest");
        _checkSignedByCvm(id, order.cvmId, OrderHashLib.hashSummary(summary), signature);
    }

    /// @notice A revoked CVM's order leaves by `voidOrder` or `settleRevoked` alone, so that nobody is slashed for it.
    function _unrevoked(bytes32 cvmId) internal view returns (address signer, uint40 expiresAt) {
        bool revoked;
        (signer, expiresAt, revoked) = _signerOf(cvmId);
        if (revoked) revert Errors.OrderBook_CvmRevoked(cvmId);
    }

    function _signerOf(bytes32 cvmId) internal view returns (address signer, uint40 expiresAt, bool revoked) {
        return CVMS.signerOf(cvmId);
    }

    // ------------------------------------------------------------------------------------------ closing
    /// @notice Ends an order without a report: freeze, event, lock.
    function _end(OrderPreimage calldata pre, OrderId id, Order storage order, OrderState to) internal {
        Closing memory closing = _close(pre, order, to, order.secondsUsed, 0);
        emit OrderEnded(id, order.cvmId, to, order.phase, order.secondsUsed, closing.slashed);
        _release(pre, id, closing);
    }

    /// @notice Freezes what `to` bills and says what the provider's lock has to give.
    /// @dev Effects alone. The caller emits, then calls `_release`.
    /// @param reported Seconds and units by the CVM's word, before any limit.
    function _close(OrderPreimage calldata pre, Order storage order, OrderState to, uint256 reported, uint256 units)
        internal
        returns (Closing memory closing)
    {
        (uint256 secs, uint256 billedUnits) =
            SettlementLib.bill(pre.terms, to, order.phase, reported, units, block.timestamp - order.since);
        order.state = to;
        // Neither cast cuts: seconds are at most maxSeconds, units at most maxUnits.
        order.secondsUsed = uint32(secs);
        order.unitsUsed = uint64(billedUnits);
        uint256 startPenaltyBps = _params[order.paramsVersion].startPenaltyBps;
        closing.locked = SettlementLib.lockRequired(pre, startPenaltyBps);
        closing.slashed = SettlementLib.slashedDown(pre, _frozen(order), startPenaltyBps);
    }

    /// @notice Interaction: the lock ends; what was slashed arrives here.
    function _release(OrderPreimage calldata pre, OrderId id, Closing memory closing) internal {
        OrderTerms calldata terms = pre.terms;
        address provider = OFFERS.ownerOf(terms.compute.offer);
        PROVIDERS.unlock(id, provider, terms.token, closing.locked, closing.slashed);
    }

    function _frozen(Order storage order) internal view returns (SettlementLib.Frozen memory) {
        return SettlementLib.Frozen(order.state, order.phase, order.secondsUsed, order.unitsUsed);
    }
}
