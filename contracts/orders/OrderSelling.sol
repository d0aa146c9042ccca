// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "../libraries/Errors.sol";
import {OfferCodec} from "../libraries/OfferCodec.sol";
import {OrderCodec} from "../libraries/OrderCodec.sol";
import {RestrictionLib} from "../libraries/RestrictionLib.sol";
import {SettlementLib} from "../libraries/SettlementLib.sol";
import {Extra, Sale} from "../types/Orders.sol";
import {OrderAccepting} from "./OrderAccepting.sol";
import {OrderPricing} from "./OrderPricing.sol";

/// @title Acceptance of what is not simply for sale to everybody: restricted inputs and signed offers.
abstract contract OrderSelling is OrderAccepting, OrderPricing {
    using OfferCodec for bytes;
    using OrderCodec for bytes;

    /// @notice See {IOrderBook-acceptWith}.
    function acceptWith(
        bytes calldata order,
        bytes calldata heads,
        bytes calldata policy,
        uint32 cvm,
        Sale calldata sale
    ) external inBook nonReentrant {
        Taking memory taking = _accept(order, heads, policy, cvm);
        _checkRestrictions(order, heads, taking, sale.proofs);
        // Check: each offer is for sale with these very terms, listed or by its owner's signature.
        OFFERS.checkForSaleExcept(order, _fill(order, heads, taking.count, sale.signed));
    }

    /// @notice Client, engine and runtime are ones that each owner allows.
    function _checkRestrictions(
        bytes calldata order,
        bytes calldata heads,
        Taking memory taking,
        bytes[] calldata proofs
    ) private pure {
        uint256 count = taking.count;
        if (proofs.length != count + 1) revert Errors.OrderBook_ListLength(proofs.length, count + 1);
        bytes32 engine = order.wordAt(OrderCodec.INPUTS + OrderCodec.INPUT_TERMS);
        address client = order.client();
        for (uint256 k = 0; k <= count; ++k) {
            bytes32 restrictions = heads.restrictions(OfferCodec.HEAD * k);
            RestrictionLib.check(restrictions, client, engine, taking.measurement, proofs[k]);
        }
    }

    /// @return filled Bit k set: offer k was sold by signature.
    function _fill(bytes calldata order, bytes calldata heads, uint256 count, bytes[] calldata signed)
        private
        returns (uint256 filled)
    {
        if (signed.length != count + 1) revert Errors.OrderBook_ListLength(signed.length, count + 1);
        for (uint256 k = 0; k < signed.length; ++k) {
            if (signed[k].length == 0) continue;
            filled |= 1 << k;
            uint256 at = OrderCodec.offerAt(k);
            _fillOne(
                uint64(order.uintAt(at, 8)),
                uint32(order.uintAt(at + OrderCodec.INPUT_VERSION, 4)),
                OrderCodec.token(order),
                heads[OfferCodec.HEAD * k:OfferCodec.HEAD * (k + 1)],
                signed[k]
            );
        }
    }

    function _fillOne(uint64 offer, uint32 version, address token, bytes calldata head, bytes calldata signed) private {
        (bytes memory terms, bytes memory signature) = abi.decode(signed, (bytes, bytes));
        // slither-disable-next-line calls-loop: at most 17 offers, and the market's own registry
        OFFERS.fillSigned(offer, version, token, head, terms, signature);
    }

    /// @dev A deposit that does not pay for maxSeconds pays for fewer, at least a set-up and two graces.
    function _limitFor(bytes calldata order, bytes calldata heads, Taking memory taking)
        internal
        virtual
        override
        returns (uint256 limit)
    {
        uint256 longest = order.maxSeconds();
        if (order.deposit() >= taking.most) return longest;
        uint256 least = SettlementLib.leastLimit(order.setupSeconds(), order.grace(), longest);
        limit = _fundedLimit(order, heads, taking.count, order.deposit(), least);
        // A warning comes a grace before the order would have to end.
        _extras[taking.id] = Extra(0, 0, uint32(limit), uint32(order.grace() * 2), 0);
    }
}
