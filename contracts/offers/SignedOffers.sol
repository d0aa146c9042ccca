// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

import {IOfferRegistry} from "../interfaces/IOfferRegistry.sol";
import {IOrderReports} from "../interfaces/IOrderReports.sol";
import {Errors} from "../libraries/Errors.sol";
import {OfferCodec} from "../libraries/OfferCodec.sol";
import {OfferRules} from "../libraries/OfferRules.sol";
import {OrderCodec} from "../libraries/OrderCodec.sol";
import {OfferShelf} from "./OfferShelf.sol";

/// @title Offers that are signed instead of listed. See {IOfferRegistry}.
/// @dev The domain has chain and contract, and it is rebuilt after a fork: a signature is good in one place only. Its
/// struct names the owner by the offer's id. How often one was used is kept for ever, so that a use is never given back.
abstract contract SignedOffers is OfferShelf, EIP712 {
    bytes32 private constant _TYPEHASH = keccak256(
        "SignedOffer(uint64 offer,uint32 version,bytes32 termsHash,uint32 volume,uint40 expiresAt,uint64 epoch,bytes32 salt)"
    );
    /// @dev More than any volume.
    uint256 private constant _CANCELLED = type(uint256).max;

    // Where each member lies in the tight bytes.
    uint256 private constant _VOLUME = 0; // 4
    uint256 private constant _EXPIRES_AT = 4; // 5
    uint256 private constant _EPOCH = 9; // 8
    uint256 private constant _SALT = 17; // 32
    uint256 private constant _SIGNED_PAYEES = 49;

    /// @inheritdoc IOfferRegistry
    IOrderReports public immutable ORDER_BOOK;
    /// @inheritdoc IOfferRegistry
    mapping(address owner => uint64) public epochOf;
    /// @dev By struct hash.
    mapping(bytes32 signedOffer => uint256 filled) private _filled;

    constructor(IOrderReports orderBook) EIP712("Cloister OfferRegistry", "1") {
        ORDER_BOOK = orderBook;
    }

    /// @inheritdoc IOfferRegistry
    function fillSigned(
        uint64 offer,
        uint32 version,
        address token,
        bytes calldata head,
        bytes calldata signed,
        bytes calldata signature
    ) external {
        if (msg.sender != address(ORDER_BOOK)) {
            revert Errors.OfferRegistry_NotOrderBook(msg.sender, address(ORDER_BOOK));
        }
        // Effect: counted before the owner's contract is asked.
        bytes32 hash = _use(offer, version, _checkTerms(offer, version, token, head, signed), signed);
        // Interaction: a static call at most, where the owner is a contract (ERC-1271).
        _checkSignature(ownerAt[uint32(offer >> 32)], hash, signature);
    }

    /// @inheritdoc IOfferRegistry
    function cancelSigned(uint64 offer, uint32 version, bytes32 terms, bytes calldata signed) external {
        _checkOwner(offer);
        bytes32 hash = _structHash(offer, version, terms, signed);
        _filled[hash] = _CANCELLED;
        emit SignedOfferCancelled(offer, hash, msg.sender);
    }

    /// @inheritdoc IOfferRegistry
    function bumpEpoch() external returns (uint64 epoch) {
        // By a step that nobody knows beforehand: had an owner been led to sign for the next epoch, that signature would
        // outlive the bump that was to end it. The step is never zero and the sum never returns.
        unchecked {
            epoch = epochOf[msg.sender] + 1 + uint32(uint256(blockhash(block.number - 1)));
        }
        epochOf[msg.sender] = epoch;
        emit EpochBumped(msg.sender, epoch);
    }

    /// @inheritdoc IOfferRegistry
    function signedOffer(uint64 offer, uint32 version, bytes32 terms, bytes calldata signed)
        external
        view
        returns (bytes32 digest, uint256 left)
    {
        bytes32 hash = _structHash(offer, version, terms, signed);
        digest = _hashTypedDataV4(hash);
        if (block.timestamp > OrderCodec.uintAt(signed, _EXPIRES_AT, 5)) return (digest, 0);
        if (OrderCodec.uintAt(signed, _EPOCH, 8) != epochOf[ownerAt[uint32(offer >> 32)]]) return (digest, 0);
        uint256 volume = OrderCodec.uintAt(signed, _VOLUME, 4);
        uint256 filled = _filled[hash];
        left = filled < volume ? volume - filled : 0;
    }

    /// @dev Check: it may be used now, and once more. Effect: one use more.
    function _use(uint64 offer, uint32 version, bytes32 terms, bytes calldata signed) private returns (bytes32 hash) {
        hash = _structHash(offer, version, terms, signed);
        uint256 expiresAt = OrderCodec.uintAt(signed, _EXPIRES_AT, 5);
        if (block.timestamp > expiresAt) revert Errors.OfferRegistry_SignedExpired(expiresAt, block.timestamp);
        address owner = ownerAt[uint32(offer >> 32)];
        uint256 epoch = OrderCodec.uintAt(signed, _EPOCH, 8);
        if (epoch != epochOf[owner]) revert Errors.OfferRegistry_OtherEpoch(owner, epoch, epochOf[owner]);
        uint256 filled = _filled[hash];
        uint256 volume = OrderCodec.uintAt(signed, _VOLUME, 4);
        if (filled >= volume) revert Errors.OfferRegistry_VolumeUsed(hash, filled, volume);
        unchecked {
            _filled[hash] = ++filled;
        }
        emit SignedOfferFilled(offer, hash, terms, version, uint32(filled));
    }

    /// @dev The library answers false for an owner of zero, which is nobody: no signature recovers to it.
    function _checkSignature(address owner, bytes32 hash, bytes calldata signature) private view {
        bytes32 digest = _hashTypedDataV4(hash);
        if (!SignatureChecker.isValidSignatureNowCalldata(owner, digest, signature)) {
            revert Errors.OfferRegistry_NotSigned(owner, digest);
        }
    }

    /// @dev Terms of a listed version were checked when it was listed; those of an unlisted one are checked now.
    function _checkTerms(uint64 offer, uint32 version, address token, bytes calldata head, bytes calldata signed)
        private
        view
        returns (bytes32 terms)
    {
        OfferCodec.check(head, 1);
        uint256 key = _key(offer, version);
        if (_versions[key] != 0) {
            terms = OfferCodec.termsHash(head, 0, token);
            _checkOpen(key, terms);
            return terms;
        }
        if (version == 0) revert Errors.OfferRegistry_UnknownVersion(offer, version);
        _checkLength(signed);
        return OfferRules.check(offer, head, 0, token, OfferRules.payeesOf(signed[_SIGNED_PAYEES:]), 0);
    }

    function _checkLength(bytes calldata signed) private pure {
        if (signed.length < _SIGNED_PAYEES) revert Errors.OfferRegistry_SignedLength(signed.length, _SIGNED_PAYEES);
    }

    function _structHash(uint64 offer, uint32 version, bytes32 terms, bytes calldata signed)
        private
        pure
        returns (bytes32)
    {
        _checkLength(signed);
        return keccak256(
            abi.encode(
                _TYPEHASH,
                offer,
                version,
                terms,
                OrderCodec.uintAt(signed, _VOLUME, 4),
                OrderCodec.uintAt(signed, _EXPIRES_AT, 5),
                OrderCodec.uintAt(signed, _EPOCH, 8),
                OrderCodec.wordAt(signed, _SALT)
            )
        );
    }
}
