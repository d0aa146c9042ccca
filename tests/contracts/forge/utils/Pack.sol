// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {OfferTerms, Payee} from "../../../../contracts/types/Offers.sol";
import {InputRef, OrderTerms, RuntimePolicy, Windows} from "../../../../contracts/types/Orders.sol";
import {OfferCodec} from "../../../../contracts/libraries/OfferCodec.sol";

/// @notice Structs to the tight bytes that calls carry: the other direction of OrderCodec and OfferCodec, written with
/// `abi.encodePacked` so that an error in an offset there cannot repeat itself here.
library Pack {
    function order(OrderTerms memory t) internal pure returns (bytes memory packed) {
        packed = abi.encodePacked(t.client, t.payer, t.token, t.compute.offer, t.compute.version, t.compute.termsHash);
        packed = abi.encodePacked(packed, t.configDigest, t.resultKeyDigest, t.runtimePolicyDigest, t.placeBefore);
        packed = abi.encodePacked(packed, windows(t.windows), t.maxUnits, t.holdback.bps, t.holdback.window);
        packed = abi.encodePacked(packed, t.maxFeeBps, t.deposit, t.salt);
        (uint24 extras, bytes memory inputs, bytes memory leases) = (0, "", "");
        if (t.accessKeyDigest != 0) (extras, leases) = (1 << 16, abi.encodePacked(t.accessKeyDigest));
        for (uint256 i = 0; i < t.inputs.length; ++i) {
            InputRef memory input = t.inputs[i];
            inputs = abi.encodePacked(inputs, input.offer, input.version, input.termsHash);
            if (input.lease == 0) continue;
            extras |= uint24(1 << i);
            leases = abi.encodePacked(leases, input.lease);
        }
        packed = abi.encodePacked(packed, extras, inputs, leases);
    }

    /// @notice What `claim` takes beside the order.
    function proof(uint256 k, OfferTerms memory t, bytes memory lineage) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(k), uint8(t.payees.length), head(t), payees(t.payees), lineage);
    }

    /// @notice What `batch` takes.
    function calls(bytes[] memory list) internal pure returns (bytes memory packed) {
        for (uint256 i = 0; i < list.length; ++i) {
            packed = abi.encodePacked(packed, uint16(list[i].length), list[i]);
        }
    }

    function policy(RuntimePolicy memory p) internal pure returns (bytes memory) {
        return abi.encodePacked(p.teeMask, p.worstTcb, uint8(p.trustClasses.length), p.trustClasses, p.measurements);
    }

    function windows(Windows memory w) internal pure returns (bytes memory) {
        return abi.encodePacked(
            w.acceptWithin, w.startWithin, w.setupSeconds, w.keysWithin, w.loadWithin, w.maxSeconds, w.grace
        );
    }

    function head(OfferTerms memory t) internal pure returns (bytes memory packed) {
        packed = abi.encodePacked(t.kind, t.price.fixedPrice, t.price.perHour, t.price.perUnit);
        packed = abi.encodePacked(
            packed, t.price.minSeconds, t.price.maxSeconds, t.price.revenueBps, t.royaltyBps, payeesHash(t.payees)
        );
        packed = abi.encodePacked(packed, t.manifestDigest, t.contentDigest, t.grantKey, t.lineage, t.restrictions);
    }

    function heads(OfferTerms memory compute, OfferTerms[] memory inputs) internal pure returns (bytes memory packed) {
        packed = head(compute);
        for (uint256 i = 0; i < inputs.length; ++i) {
            packed = bytes.concat(packed, head(inputs[i]));
        }
    }

    function payees(Payee[] memory list) internal pure returns (bytes memory packed) {
        for (uint256 i = 0; i < list.length; ++i) {
            packed = abi.encodePacked(packed, list[i].account, list[i].bps);
        }
    }

    function payeesHash(Payee[] memory list) internal pure returns (bytes32) {
        bytes32[] memory hashes = new bytes32[](list.length);
        for (uint256 i = 0; i < list.length; ++i) {
            hashes[i] = keccak256(abi.encode(OfferCodec.PAYEE_TYPEHASH, list[i]));
        }
        return keccak256(abi.encodePacked(hashes));
    }

    /// @return token, head, payees and URI, as OfferRegistry takes them.
    function listing(OfferTerms memory t, string memory uri) internal pure returns (bytes memory) {
        return bytes.concat(bytes20(t.token), head(t), payees(t.payees), bytes(uri));
    }
}
