// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "../libraries/Errors.sol";
import {OfferCodec} from "../libraries/OfferCodec.sol";
import {OrderCodec} from "../libraries/OrderCodec.sol";
import {SettlementLib} from "../libraries/SettlementLib.sol";
import {Price} from "../types/Offers.sol";
import {OrderPart} from "./OrderPart.sol";

/// @title How long a deposit lasts (docs/protocol.md section 6.2).
abstract contract OrderPricing is OrderPart {
    using OfferCodec for bytes;
    using OrderCodec for bytes;

    /// @notice The heads are those that the order names, none more and none less.
    function _checkHashes(bytes calldata order, bytes calldata heads, uint256 count) internal pure {
        heads.check(count + 1);
        address token = OrderCodec.token(order);
        for (uint256 k = 0; k <= count; ++k) {
            uint256 at = OrderCodec.offerAt(k);
            bytes32 expected = order.wordAt(at + OrderCodec.INPUT_TERMS);
            bytes32 got = heads.termsHash(OfferCodec.HEAD * k, token);
            if (got != expected) {
                revert Errors.OrderBook_TermsHash(uint64(order.uintAt(at, 8)), got, expected);
            }
        }
    }

    /// @return prices Compute first, then the inputs that are under no lease.
    function _pricesOf(bytes calldata order, bytes calldata heads, uint256 count)
        private
        pure
        returns (Price[] memory prices)
    {
        _checkHashes(order, heads, count);
        prices = new Price[](count + 1);
        prices[0] = heads.price(0);
        uint256 paid = 1;
        for (uint256 i = 0; i < count; ++i) {
            if (!order.isLeased(i)) prices[paid++] = heads.price(OfferCodec.HEAD * (i + 1));
        }
        // The list is as long as what is paid: settlement loops over all of it.
        assembly ("memory-safe") {
            mstore(prices, paid)
        }
    }

    /// @return limit Seconds that `balance` funds; reverts where these are fewer than `least`.
    function _fundedLimit(bytes calldata order, bytes calldata heads, uint256 count, uint256 balance, uint256 least)
        internal
        pure
        returns (uint256 limit)
    {
        Price[] memory prices = _pricesOf(order, heads, count);
        limit = _longest(prices, order, balance, least);
        // slither-disable-next-line incorrect-equality: the mark for none, which `_longest` sets
        if (limit == type(uint256).max) {
            uint256 needed = SettlementLib.depositRequired(prices, least, order.maxUnits(), order.holdbackBps());
            revert Errors.OrderBook_DepositTooLow(balance, needed);
        }
    }

    /// @return limit The largest number where `balance` does not fund `least`.
    function _longest(Price[] memory prices, bytes calldata order, uint256 balance, uint256 least)
        private
        pure
        returns (uint256 limit)
    {
        (uint256 units, uint256 held) = (order.maxUnits(), order.holdbackBps());
        bool ok;
        (ok, limit) = SettlementLib.fundedLimit(prices, balance, least, order.maxSeconds(), units, held);
        if (!ok) limit = type(uint256).max;
    }
}
