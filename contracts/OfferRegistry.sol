// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOfferRegistry} from "./interfaces/IOfferRegistry.sol";
import {Errors} from "./libraries/Errors.sol";
import {OrderHashLib} from "./libraries/OrderHashLib.sol";
import {OfferKind, OfferTerms, Payee} from "./types/Offers.sol";
import {ComputeRef, InputRef} from "./types/Orders.sol";

/// @title See {IOfferRegistry}.
contract OfferRegistry is IOfferRegistry {
    uint256 public constant MAX_PAYEES = 8;
    uint256 public constant BPS = 10_000;

    struct Offer {
        // slot 0: 160 + 32 + 8 + 8 = 208 bits
        address owner;
        uint32 latest;
        uint8 kind;
        bool active;
    }

    /// @inheritdoc IOfferRegistry
    uint64 public offerCount;
    mapping(uint64 offer => Offer) private _offers;
    mapping(uint64 offer => mapping(uint32 version => bytes32)) private _termsHash;

    /// @inheritdoc IOfferRegistry
    function list(OfferTerms calldata terms, string calldata manifestUri) external returns (uint64 offer) {
        _checkTerms(terms);
        offer = ++offerCount;
        _offers[offer] = Offer({owner: msg.sender, latest: 1, kind: terms.kind, active: true});
        _store(offer, 1, terms, manifestUri);
    }

    /// @inheritdoc IOfferRegistry
    function addVersion(uint64 offer, OfferTerms calldata terms, string calldata manifestUri)
        external
        returns (uint32 version)
    {
        Offer storage stored = _owned(offer);
        if (terms.kind != stored.kind) revert Errors.OfferRegistry_OtherKind(offer, terms.kind, stored.kind);
        _checkTerms(terms);
        version = ++stored.latest;
        _store(offer, version, terms, manifestUri);
    }

    /// @inheritdoc IOfferRegistry
    function setActive(uint64 offer, bool active) external {
        _owned(offer).active = active;
        emit OfferActive(offer, msg.sender, active);
    }

    /// @inheritdoc IOfferRegistry
    function retireVersion(uint64 offer, uint32 version) external {
        _owned(offer);
        if (_termsHash[offer][version] == 0) revert Errors.OfferRegistry_UnknownVersion(offer, version);
        delete _termsHash[offer][version];
        emit OfferVersionRetired(offer, msg.sender, version);
    }

    /// @inheritdoc IOfferRegistry
    function ownerOf(uint64 offer) external view returns (address) {
        return _offers[offer].owner;
    }

    /// @inheritdoc IOfferRegistry
    function getOffer(uint64 offer) external view returns (address owner, uint8 kind, bool active, uint32 latest) {
        Offer storage stored = _offers[offer];
        return (stored.owner, stored.kind, stored.active, stored.latest);
    }

    /// @inheritdoc IOfferRegistry
    function termsHash(uint64 offer, uint32 version) external view returns (bytes32) {
        return _termsHash[offer][version];
    }

    /// @inheritdoc IOfferRegistry
    function checkForSale(ComputeRef calldata compute, InputRef[] calldata inputs)
        external
        view
        returns (address provider)
    {
        for (uint256 i = 0; i < inputs.length; ++i) {
            _checkForSale(inputs[i].offer, inputs[i].version, inputs[i].termsHash);
        }
        return _checkForSale(compute.offer, compute.version, compute.termsHash);
    }

    /// @inheritdoc IOfferRegistry
    function hashTerms(OfferTerms calldata terms) external pure returns (bytes32) {
        return OrderHashLib.hashOffer(terms);
    }

    function _checkForSale(uint64 offer, uint32 version, bytes32 expected) private view returns (address owner) {
        Offer storage stored = _offers[offer];
        owner = stored.owner;
        if (owner == address(0)) revert Errors.OfferRegistry_UnknownOffer(offer);
        if (!stored.active) revert Errors.OfferRegistry_Inactive(offer);
        bytes32 registered = _termsHash[offer][version];
        if (registered == 0) revert Errors.OfferRegistry_UnknownVersion(offer, version);
        if (registered != expected) revert Errors.OfferRegistry_OtherTerms(offer, version, registered, expected);
    }

    function _owned(uint64 offer) private view returns (Offer storage stored) {
        stored = _offers[offer];
        if (stored.owner == address(0)) revert Errors.OfferRegistry_UnknownOffer(offer);
        if (stored.owner != msg.sender) revert Errors.OfferRegistry_NotOwner(offer, msg.sender, stored.owner);
    }

    function _store(uint64 offer, uint32 version, OfferTerms calldata terms, string calldata manifestUri) private {
        bytes32 hash = OrderHashLib.hashOffer(terms);
        _termsHash[offer][version] = hash;
        emit OfferListed(offer, msg.sender, hash, version, terms.kind, abi.encode(terms, manifestUri));
    }

    function _checkTerms(OfferTerms calldata terms) private pure {
        if (terms.kind == uint8(OfferKind.NONE) || terms.kind > uint8(type(OfferKind).max)) {
            revert Errors.OfferRegistry_UnknownKind(terms.kind);
        }
        if (terms.token == address(0)) revert Errors.OfferRegistry_NoToken();
        _checkPayees(terms.payees);
        // Check: members that promise what nothing enforces yet are empty.
        if (terms.price.revenueBps != 0) revert Errors.OfferRegistry_Reserved("price.revenueBps");
        if (terms.royaltyBps != 0) revert Errors.OfferRegistry_Reserved("royaltyBps");
        if (terms.restrictions != 0) revert Errors.OfferRegistry_Reserved("restrictions");
        // Check: compute has no content, everything else has.
        if (terms.kind == uint8(OfferKind.COMPUTE)) {
            if (terms.manifestDigest != 0) revert Errors.OfferRegistry_ComputeHasContent("manifestDigest");
            if (terms.contentDigest != 0) revert Errors.OfferRegistry_ComputeHasContent("contentDigest");
            if (terms.grantKey != address(0)) revert Errors.OfferRegistry_ComputeHasContent("grantKey");
            if (terms.lineage != 0) revert Errors.OfferRegistry_ComputeHasContent("lineage");
        } else {
            if (terms.manifestDigest == 0) revert Errors.OfferRegistry_MissingDigest("manifestDigest");
            if (terms.contentDigest == 0) revert Errors.OfferRegistry_MissingDigest("contentDigest");
            if (terms.grantKey == address(0)) revert Errors.OfferRegistry_MissingDigest("grantKey");
        }
    }

    function _checkPayees(Payee[] calldata payees) private pure {
        uint256 count = payees.length;
        if (count == 0 || count > MAX_PAYEES) revert Errors.OfferRegistry_PayeeCount(count, MAX_PAYEES);
        uint256 sum = 0;
        for (uint256 i = 0; i < count; ++i) {
            if (payees[i].account == address(0) || payees[i].bps == 0) revert Errors.OfferRegistry_EmptyPayee(i);
            sum += payees[i].bps;
        }
        if (sum != BPS) revert Errors.OfferRegistry_PayeeSum(sum, BPS);
    }
}
