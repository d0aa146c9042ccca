// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {OfferKind} from "../types/Offers.sol";
import {Errors} from "./Errors.sol";
import {OfferCodec} from "./OfferCodec.sol";
import {RoyaltyLib} from "./RoyaltyLib.sol";

/// @title What terms an offer may have, listed or signed (docs/protocol.md sections 6.3 to 6.5).
/// @dev Pure. Whoever meets terms later, in an order, relies on every rule here: shares make 10 000, a lineage was proven.
library OfferRules {
    uint256 internal constant BPS = 10_000;

    /// @notice Reverts unless the terms may be sold under `offer`.
    /// @param heads   Where the head lies, at byte `at`; the caller has seen that it is all there.
    /// @param payees  As `payeesOf` returned them.
    /// @param lineage What the head's lineage has to be: zero, or what a report proved.
    /// @return hash The terms hash.
    function check(
        uint64 offer,
        bytes calldata heads,
        uint256 at,
        address token,
        bytes calldata payees,
        bytes32 lineage
    ) internal pure returns (bytes32 hash) {
        if (token == address(0)) revert Errors.OfferRegistry_NoToken();
        _checkKind(offer, heads, at);
        _checkNumbers(heads, at);
        bytes32 named = OfferCodec.lineage(heads, at);
        if (named != lineage) {
            if (lineage == 0) revert Errors.OfferRegistry_LineageUnproven(named);
            revert Errors.OfferRegistry_OtherLineage(named, lineage);
        }
        named = OfferCodec.payeesHash(heads, at);
        bytes32 got = OfferCodec.hashPayees(payees);
        if (got != named) revert Errors.OfferRegistry_OtherPayees(got, named);
        return OfferCodec.termsHash(heads, at, token);
    }

    /// @notice Finds the payees at the start of `data`: they end where their shares make 10 000. Reverts unless they do,
    /// within eight, each with an account and a share.
    function payeesOf(bytes calldata data) internal pure returns (bytes calldata payees) {
        uint256 count = 0;
        uint256 sum = 0;
        unchecked {
            // Bytes behind `data` may be read here; whether there were any shows below.
            while (sum < BPS && count < OfferCodec.MAX_PAYEES) {
                (address account, uint256 bps) = OfferCodec.payee(data, count);
                if (account == address(0) || bps == 0) revert Errors.OfferRegistry_EmptyPayee(count);
                sum += bps;
                ++count;
            }
            if (sum != BPS) revert Errors.OfferRegistry_PayeeSum(sum, BPS);
            count *= OfferCodec.PAYEE;
        }
        if (count > data.length) {
            revert Errors.OfferCodec_PayeesLength(data.length, OfferCodec.PAYEE, OfferCodec.MAX_PAYEES);
        }
        return data[:count];
    }

    /// @return OfferKind as its number: the highest four bits of the serial.
    function kindOf(uint64 offer) internal pure returns (uint256) {
        return (offer >> 28) & 0xf;
    }

    function _checkKind(uint64 offer, bytes calldata heads, uint256 at) private pure {
        uint256 kind = OfferCodec.kind(heads, at);
        if (kind == uint8(OfferKind.NONE) || kind > uint8(type(OfferKind).max)) {
            revert Errors.OfferRegistry_UnknownKind(kind);
        }
        if (kind != kindOf(offer)) revert Errors.OfferRegistry_OtherKind(offer, kind, kindOf(offer));
        // Check: compute has no content, everything else has.
        if (kind == uint8(OfferKind.COMPUTE)) {
            if (OfferCodec.manifestDigest(heads, at) != 0) {
                revert Errors.OfferRegistry_ComputeHasContent("manifestDigest");
            }
            if (OfferCodec.contentDigest(heads, at) != 0) {
                revert Errors.OfferRegistry_ComputeHasContent("contentDigest");
            }
            if (OfferCodec.grantKey(heads, at) != address(0)) {
                revert Errors.OfferRegistry_ComputeHasContent("grantKey");
            }
        } else {
            if (OfferCodec.manifestDigest(heads, at) == 0) revert Errors.OfferRegistry_MissingDigest("manifestDigest");
            if (OfferCodec.contentDigest(heads, at) == 0) revert Errors.OfferRegistry_MissingDigest("contentDigest");
            if (OfferCodec.grantKey(heads, at) == address(0)) revert Errors.OfferRegistry_MissingDigest("grantKey");
        }
        // Check: only what a model is made from can ask a royalty.
        uint256 royaltyBps = OfferCodec.royaltyBps(heads, at);
        bool mayAsk = kind == uint8(OfferKind.MODEL) || kind == uint8(OfferKind.DATASET);
        _atMost("royaltyBps", royaltyBps, mayAsk ? RoyaltyLib.MAX_ROYALTY_BPS : 0);
    }

    function _checkNumbers(bytes calldata heads, uint256 at) private pure {
        _atMost("revenueBps", OfferCodec.revenueBps(heads, at), BPS);
        uint256 maxSeconds = OfferCodec.maxSeconds(heads, at);
        if (maxSeconds != 0) _atMost("minSeconds", OfferCodec.minSeconds(heads, at), maxSeconds);
    }

    function _atMost(bytes32 field, uint256 got, uint256 max) private pure {
        if (got > max) revert Errors.OfferRegistry_OutOfRange(field, got, max);
    }
}
