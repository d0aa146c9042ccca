// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {OfferTerms, Payee} from "../../../../contracts/types/Offers.sol";

/// @notice Terms as tight bytes, and their hash in the plainest words: what OfferCodec must agree with.
library OfferBytes {
    bytes32 internal constant PRICE_TYPEHASH = keccak256(
        "Price(uint128 fixedPrice,uint128 perHour,uint32 minSeconds,uint32 maxSeconds,uint128 perUnit,uint16 revenueBps)"
    );
    bytes32 internal constant PAYEE_TYPEHASH = keccak256("Payee(address account,uint16 bps)");
    bytes32 internal constant TERMS_TYPEHASH = keccak256(
        "OfferTerms(uint8 kind,address token,Price price,Payee[] payees,bytes32 manifestDigest,bytes32 contentDigest,address grantKey,uint16 royaltyBps,bytes32 lineage,bytes32 restrictions)Payee(address account,uint16 bps)Price(uint128 fixedPrice,uint128 perHour,uint32 minSeconds,uint32 maxSeconds,uint128 perUnit,uint16 revenueBps)"
    );

    function head(OfferTerms memory terms) internal pure returns (bytes memory) {
        return bytes.concat(
            abi.encodePacked(
                terms.kind,
                terms.price.fixedPrice,
                terms.price.perHour,
                terms.price.perUnit,
                terms.price.minSeconds,
                terms.price.maxSeconds,
                terms.price.revenueBps,
                terms.royaltyBps,
                hashPayees(terms.payees)
            ),
            abi.encodePacked(
                terms.manifestDigest, terms.contentDigest, terms.grantKey, terms.lineage, terms.restrictions
            )
        );
    }

    function payees(Payee[] memory list) internal pure returns (bytes memory packed) {
        for (uint256 i = 0; i < list.length; ++i) {
            packed = abi.encodePacked(packed, list[i].account, list[i].bps);
        }
    }

    function hash(OfferTerms memory terms) internal pure returns (bytes32) {
        return keccak256(
            bytes.concat(
                abi.encode(
                    TERMS_TYPEHASH,
                    terms.kind,
                    terms.token,
                    keccak256(abi.encode(PRICE_TYPEHASH, terms.price)),
                    hashPayees(terms.payees)
                ),
                abi.encode(
                    terms.manifestDigest,
                    terms.contentDigest,
                    terms.grantKey,
                    terms.royaltyBps,
                    terms.lineage,
                    terms.restrictions
                )
            )
        );
    }

    function hashPayees(Payee[] memory list) internal pure returns (bytes32) {
        bytes32[] memory hashes = new bytes32[](list.length);
        for (uint256 i = 0; i < list.length; ++i) {
            hashes[i] = keccak256(abi.encode(PAYEE_TYPEHASH, list[i]));
        }
        return keccak256(abi.encodePacked(hashes));
    }
}
