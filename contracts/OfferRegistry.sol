// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Derivation, IOfferRegistry} from "./interfaces/IOfferRegistry.sol";
import {IOrderReports} from "./interfaces/IOrderReports.sol";
import {Errors} from "./libraries/Errors.sol";
import {OfferCodec} from "./libraries/OfferCodec.sol";
import {OfferRules} from "./libraries/OfferRules.sol";
import {OrderCodec} from "./libraries/OrderCodec.sol";
import {RoyaltyLib} from "./libraries/RoyaltyLib.sol";
import {SignedOffers} from "./offers/SignedOffers.sol";
import {OfferKind, OfferTerms} from "./types/Offers.sol";

/// @title See {IOfferRegistry}. Here: derived models, and what people read; the rest is inherited.
contract OfferRegistry is SignedOffers {
    /// @param orderBook May not exist yet: it checks that it is the one named here.
    constructor(IOrderReports orderBook) SignedOffers(orderBook) {}

    // ---------------------------------------------------------------------------------------------- derived models
    /// @inheritdoc IOfferRegistry
    function listDerived(uint32 serial, bytes calldata terms, Derivation calldata derivation)
        external
        returns (uint64 offer)
    {
        offer = _newOffer(serial);
        _publish(offer, 1, terms, _derive(offer, 1, derivation));
    }

    /// @inheritdoc IOfferRegistry
    function addDerivedVersion(uint64 offer, uint32 version, bytes calldata terms, Derivation calldata derivation)
        external
    {
        _checkNext(offer, version);
        _publish(offer, version, terms, _derive(offer, version, derivation));
    }

    /// @inheritdoc IOfferRegistry
    function deriveRoyalties(Derivation calldata derivation)
        public
        view
        returns (bytes32 orderId, bytes32 lineage, bytes memory table)
    {
        orderId = ORDER_BOOK.checkReport(derivation.order, derivation.report);
        uint256 count = OrderCodec.check(derivation.order);
        OfferCodec.check(derivation.heads, count + 1);
        if (derivation.payees.length != count || derivation.tables.length != count) {
            revert Errors.OfferRegistry_InputCount(derivation.payees.length, derivation.tables.length, count);
        }
        // slither-disable-next-line uninitialized-local: a draft begins empty
        RoyaltyLib.Draft memory draft;
        address token = OrderCodec.token(derivation.order);
        for (uint256 i = 0; i < count; ++i) {
            _addInput(draft, derivation, token, i);
        }
        table = RoyaltyLib.close(draft);
        lineage = RoyaltyLib.lineage(orderId, keccak256(table));
    }

    // ---------------------------------------------------------------------------------------------- for people
    /// @inheritdoc IOfferRegistry
    function decode(bytes calldata data) external pure returns (OfferTerms memory terms, string memory manifestUri) {
        if (data.length < _PAYEES) revert Errors.OfferCodec_HeadsLength(data.length, _PAYEES);
        bytes calldata payees = OfferRules.payeesOf(data[_PAYEES:]);
        terms = OfferCodec.decode(data, _HEAD, OfferCodec.tokenOf(data), payees);
        manifestUri = string(data[_PAYEES + payees.length:]);
    }

    /// @inheritdoc IOfferRegistry
    function hashTerms(OfferTerms calldata terms) external pure returns (bytes32) {
        return OfferCodec.hashStruct(terms);
    }

    // ---------------------------------------------------------------------------------------------- inner
    /// @dev Check: the version is of a model, and the caller was the client of the order that made it.
    function _derive(uint64 offer, uint32 version, Derivation calldata derivation) private returns (bytes32) {
        if (OfferRules.kindOf(offer) != uint8(OfferKind.MODEL)) {
            revert Errors.OfferRegistry_OtherKind(offer, OfferRules.kindOf(offer), uint8(OfferKind.MODEL));
        }
        (bytes32 orderId, bytes32 lineage, bytes memory table) = deriveRoyalties(derivation);
        address client = OrderCodec.client(derivation.order);
        if (client != msg.sender) revert Errors.OfferRegistry_NotClient(msg.sender, client);
        emit OfferDerived(offer, orderId, version, table);
        return lineage;
    }

    /// @dev Everything about an input comes by hash from the order: order -> terms hash -> payees and lineage -> table.
    function _addInput(RoyaltyLib.Draft memory draft, Derivation calldata derivation, address token, uint256 i)
        private
        pure
    {
        bytes calldata heads = derivation.heads;
        uint256 at = (i + 1) * OfferCodec.HEAD;
        bytes32 named = OrderCodec.wordAt(derivation.order, OrderCodec.inputAt(i) + OrderCodec.INPUT_TERMS);
        bytes32 got = OfferCodec.termsHash(heads, at, token);
        if (got != named) revert Errors.OfferRegistry_InputTerms(i, got, named);
        uint256 royaltyBps = OfferCodec.royaltyBps(heads, at);
        // Engines ask none and compute is no input, by the rules of listing.
        if (royaltyBps != 0) {
            bytes calldata payees = derivation.payees[i];
            got = OfferCodec.hashPayees(payees);
            named = OfferCodec.payeesHash(heads, at);
            if (got != named) revert Errors.OfferRegistry_InputPayees(i, got, named);
            RoyaltyLib.addParent(draft, royaltyBps, payees);
        }
        named = OfferCodec.lineage(heads, at);
        if (named != 0) {
            bytes calldata table = derivation.tables[i];
            if (table.length < 32) revert Errors.OfferRegistry_InputTable(i, 0, named);
            got = RoyaltyLib.lineage(bytes32(table[:32]), keccak256(table[32:]));
            if (got != named) revert Errors.OfferRegistry_InputTable(i, got, named);
            RoyaltyLib.addTable(draft, table[32:]);
        }
    }
}
