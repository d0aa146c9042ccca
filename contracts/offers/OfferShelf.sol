// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOfferRegistry, VersionState} from "../interfaces/IOfferRegistry.sol";
import {Errors} from "../libraries/Errors.sol";
import {OfferCodec} from "../libraries/OfferCodec.sol";
import {OfferRules} from "../libraries/OfferRules.sol";
import {OrderCodec} from "../libraries/OrderCodec.sol";

/// @title Owners, versions and what is for sale. See {IOfferRegistry}.
abstract contract OfferShelf is IOfferRegistry {
    /// @dev What a version holds that will never be for sale again.
    bytes32 private constant _RETIRED = bytes32(uint256(1 << 255));

    // Where head and payees begin in terms as they are listed; the token is first.
    uint256 internal constant _HEAD = 20;
    uint256 internal constant _PAYEES = _HEAD + OfferCodec.HEAD;

    /// @inheritdoc IOfferRegistry
    uint32 public ownerCount;
    /// @inheritdoc IOfferRegistry
    mapping(uint32 index => address) public ownerAt;
    /// @inheritdoc IOfferRegistry
    mapping(address owner => uint32) public ownerIndexOf;
    /// @dev By offer 64 | version 32. Zero: unused. A terms hash: open. Ending in 64 zero bits: closed or retired. A terms
    /// hash that ends so by chance, or by 2^64 hashes of its owner's, would just never be for sale.
    mapping(uint256 key => bytes32) internal _versions;

    // ---------------------------------------------------------------------------------------------- listing
    /// @inheritdoc IOfferRegistry
    function enroll() external returns (uint32 index) {
        index = ownerIndexOf[msg.sender];
        if (index == 0) index = _enroll();
    }

    /// @inheritdoc IOfferRegistry
    function list(uint32 serial, bytes calldata terms) external returns (uint64 offer) {
        offer = _newOffer(serial);
        _publish(offer, 1, terms, 0);
    }

    /// @inheritdoc IOfferRegistry
    function addVersion(uint64 offer, uint32 version, bytes calldata terms) external {
        _checkNext(offer, version);
        _publish(offer, version, terms, 0);
    }

    /// @inheritdoc IOfferRegistry
    function close(uint64 offer, uint32 version, bytes32 terms) external {
        _checkOwner(offer);
        uint256 key = _key(offer, version);
        _checkOpen(key, terms);
        _versions[key] = _closed(terms);
        emit OfferClosed(offer, msg.sender, version);
    }

    /// @inheritdoc IOfferRegistry
    function reopen(uint64 offer, uint32 version, bytes32 terms) external {
        _checkOwner(offer);
        uint256 key = _key(offer, version);
        bytes32 stored = _versions[key];
        if (stored == 0) revert Errors.OfferRegistry_UnknownVersion(offer, version);
        if (stored == _RETIRED) revert Errors.OfferRegistry_Retired(offer, version);
        if (stored != _closed(terms)) revert Errors.OfferRegistry_OtherTerms(offer, version, stored, terms);
        _versions[key] = terms;
        emit OfferReopened(offer, msg.sender, version);
    }

    /// @inheritdoc IOfferRegistry
    function retire(uint64 offer, uint32 version) external {
        _checkOwner(offer);
        uint256 key = _key(offer, version);
        bytes32 stored = _versions[key];
        if (stored == _RETIRED) revert Errors.OfferRegistry_Retired(offer, version);
        if (stored == 0 && version != 1) _checkPrevious(offer, version);
        _versions[key] = _RETIRED;
        emit OfferRetired(offer, msg.sender, version);
    }

    // ---------------------------------------------------------------------------------------------- for sale
    /// @inheritdoc IOfferRegistry
    function checkForSale(bytes calldata order) external view {
        _checkForSale(order, 0);
    }

    /// @inheritdoc IOfferRegistry
    function checkForSaleExcept(bytes calldata order, uint256 signedOffers) external view {
        _checkForSale(order, signedOffers);
    }

    // ---------------------------------------------------------------------------------------------- reading
    /// @inheritdoc IOfferRegistry
    function ownerOf(uint64 offer) external view returns (address) {
        return ownerAt[uint32(offer >> 32)];
    }

    /// @inheritdoc IOfferRegistry
    function kindOf(uint64 offer) external pure returns (uint8) {
        return uint8(OfferRules.kindOf(offer));
    }

    /// @inheritdoc IOfferRegistry
    function termsHash(uint64 offer, uint32 version) external view returns (bytes32) {
        bytes32 stored = _versions[_key(offer, version)];
        return _isMark(stored) ? bytes32(0) : stored;
    }

    /// @inheritdoc IOfferRegistry
    function stateOf(uint64 offer, uint32 version) external view returns (VersionState) {
        bytes32 stored = _versions[_key(offer, version)];
        if (stored == 0) return VersionState.UNUSED;
        if (stored == _RETIRED) return VersionState.RETIRED;
        return _isMark(stored) ? VersionState.CLOSED : VersionState.OPEN;
    }

    /// @inheritdoc IOfferRegistry
    function latestVersion(uint64 offer) external view returns (uint32) {
        // Versions have no gaps: gallop until one is unused, then halve the way back. `used` is used, `unused` is not.
        uint256 used = 0;
        uint256 unused = 1;
        while (unused <= type(uint32).max && _versions[_key(offer, uint32(unused))] != 0) {
            used = unused;
            unused <<= 1;
        }
        while (unused - used > 1) {
            uint256 middle = (used + unused) / 2;
            if (middle <= type(uint32).max && _versions[_key(offer, uint32(middle))] != 0) used = middle;
            else unused = middle;
        }
        return uint32(used);
    }

    // ---------------------------------------------------------------------------------------------- inner
    function _enroll() private returns (uint32 index) {
        index = ++ownerCount;
        ownerIndexOf[msg.sender] = index;
        ownerAt[index] = msg.sender;
        emit OwnerEnrolled(index, msg.sender);
    }

    function _newOffer(uint32 serial) internal returns (uint64 offer) {
        uint32 index = ownerIndexOf[msg.sender];
        if (index == 0) index = _enroll();
        return (uint64(index) << 32) | serial;
    }

    /// @dev Check: the caller owns the offer, and `version` is the next one.
    function _checkNext(uint64 offer, uint32 version) internal view {
        _checkOwner(offer);
        _checkPrevious(offer, version);
    }

    function _checkPrevious(uint64 offer, uint32 version) private view {
        if (version < 2 || _versions[_key(offer, version - 1)] == 0) {
            revert Errors.OfferRegistry_VersionGap(offer, version);
        }
    }

    /// @dev By index, which is one slot for all of an owner's offers; the owner's address is read for the error alone.
    function _checkOwner(uint64 offer) internal view {
        uint256 index = ownerIndexOf[msg.sender];
        if (index != 0 && index == offer >> 32) return;
        address owner = ownerAt[uint32(offer >> 32)];
        if (owner == address(0)) revert Errors.OfferRegistry_UnknownOffer(offer);
        revert Errors.OfferRegistry_NotOwner(offer, msg.sender, owner);
    }

    /// @param lineage What the head's lineage has to be.
    function _publish(uint64 offer, uint32 version, bytes calldata terms, bytes32 lineage) internal {
        if (terms.length < _PAYEES) revert Errors.OfferCodec_HeadsLength(terms.length, _PAYEES);
        bytes calldata payees = OfferRules.payeesOf(terms[_PAYEES:]);
        bytes32 hash = OfferRules.check(offer, terms, _HEAD, OfferCodec.tokenOf(terms), payees, lineage);
        uint256 key = _key(offer, version);
        if (_versions[key] != 0) revert Errors.OfferRegistry_VersionUsed(offer, version);
        _versions[key] = hash;
        emit OfferListed(offer, msg.sender, hash, version, terms);
    }

    function _checkForSale(bytes calldata order, uint256 except) private view {
        uint256 count = OrderCodec.check(order);
        unchecked {
            uint256 at = OrderCodec.pointer(order);
            if (except & 1 == 0) _checkAt(at + OrderCodec.COMPUTE_OFFER);
            // What is leased was sold by its lease.
            except = (except >> 1) | uint16(OrderCodec.extras(order));
            at += OrderCodec.INPUTS;
            for (uint256 end = at + count * OrderCodec.INPUT; at < end; at += OrderCodec.INPUT) {
                if (except & 1 == 0) _checkAt(at);
                except >>= 1;
            }
        }
    }

    /// @dev Offer 8, version 4 and terms hash 32 lie side by side, for compute as for inputs: the first two are the key.
    /// @param at Where they begin in calldata.
    function _checkAt(uint256 at) private view {
        unchecked {
            _checkOpen(OrderCodec.load(at) >> 160, bytes32(OrderCodec.load(at + OrderCodec.INPUT_TERMS)));
        }
    }

    /// @dev Reverts unless the version is for sale with these terms. A mark is never a terms hash, even if it is named.
    function _checkOpen(uint256 key, bytes32 terms) internal view {
        bytes32 stored = _versions[key];
        if (stored == terms && !_isMark(stored)) return;
        (uint64 offer, uint32 version) = (uint64(key >> 32), uint32(key));
        if (stored == 0) revert Errors.OfferRegistry_UnknownVersion(offer, version);
        if (stored == _RETIRED) revert Errors.OfferRegistry_Retired(offer, version);
        if (stored == _closed(terms)) revert Errors.OfferRegistry_Closed(offer, version);
        revert Errors.OfferRegistry_OtherTerms(offer, version, stored, terms);
    }

    function _key(uint64 offer, uint32 version) internal pure returns (uint256) {
        return (uint256(offer) << 32) | version;
    }

    /// @dev 192 bits of a hash of the terms hash: nothing but these terms reopens the version.
    function _closed(bytes32 terms) private pure returns (bytes32) {
        return (keccak256(abi.encode(terms)) >> 64) << 64;
    }

    function _isMark(bytes32 stored) internal pure returns (bool) {
        return uint64(uint256(stored)) == 0;
    }
}
