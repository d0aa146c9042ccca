// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICvmRegistry} from "./interfaces/ICvmRegistry.sol";
import {IOfferRegistry} from "./interfaces/IOfferRegistry.sol";
import {IOrderBook} from "./interfaces/IOrderBook.sol";
import {IProviderRegistry} from "./interfaces/IProviderRegistry.sol";
import {IReferenceValues} from "./interfaces/IReferenceValues.sol";
import {Errors} from "./libraries/Errors.sol";
import {OrderBase} from "./orders/OrderBase.sol";
import {OrderClosing} from "./orders/OrderClosing.sol";
import {Order, OrderId, OrderTerms, Params} from "./types/Orders.sol";

/// @title The OrderBook: the parts under `orders/` in one contract, its parameters and its views.
/// @notice Immutable; nothing pauses an exit. New parameters reach orders accepted from then on.
contract OrderBook is OrderClosing {
    uint256 internal constant MAX_FEE_BPS = 1000;
    uint256 internal constant MAX_START_PENALTY_BPS = 5000;
    uint256 internal constant MAX_MIN_GRACE = 1 days;

    /// @inheritdoc IOrderBook
    address public immutable AUTHORITY;

    /// @param authority Access manager; it adds parameters through its own `execute`, roles and delays.
    /// @param initial   Parameters of version 1.
    constructor(
        address authority,
        IOfferRegistry offers,
        IProviderRegistry providers,
        ICvmRegistry cvms,
        IReferenceValues references,
        Params memory initial
    ) OrderBase(offers, providers, cvms, references) {
        AUTHORITY = authority;
        _addParams(initial);
    }

    /// @inheritdoc IOrderBook
    function addParams(Params calldata added) external returns (uint16 version) {
        if (msg.sender != AUTHORITY) revert Errors.OrderBook_NotAuthority(msg.sender, AUTHORITY);
        return _addParams(added);
    }

    /// @inheritdoc IOrderBook
    function orderId(OrderTerms calldata terms) external view returns (OrderId) {
        return _idOf(terms);
    }

    /// @inheritdoc IOrderBook
    function getOrder(OrderId id) external view returns (Order memory) {
        return _orders[id];
    }

    /// @inheritdoc IOrderBook
    function params(uint16 version) external view returns (Params memory) {
        return _params[version];
    }

    function _addParams(Params memory added) private returns (uint16 version) {
        _checkBound("feeBps", added.feeBps, MAX_FEE_BPS);
        _checkBound("startPenaltyBps", added.startPenaltyBps, MAX_START_PENALTY_BPS);
        _checkBound("minGrace", added.minGrace, MAX_MIN_GRACE);
        // A fee may be zero, but its receiver may not: tokens refuse the zero address, and claims would hang.
        if (added.treasury == address(0)) revert Errors.OrderBook_NoTreasury();
        version = ++paramsVersion;
        _params[version] = added;
        emit ParamsAdded(version, added.feeBps, added.startPenaltyBps, added.minGrace, added.treasury);
    }

    function _checkBound(bytes32 field, uint256 got, uint256 most) private pure {
        if (got > most) revert Errors.OrderBook_ParamsBound(field, got, most);
    }
}
