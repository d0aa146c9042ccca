// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {OrderBase} from "./orders/OrderBase.sol";
import {OrderPunishing} from "./orders/OrderPunishing.sol";
import {OrderReading} from "./orders/OrderReading.sol";

/// @title Part of the OrderBook's code: refunds, holdback, equivocation, and views.
/// @notice Call the OrderBook: this contract keeps nothing and refuses to act by itself. See {IOrderBook}.
contract OrderBookAccounts is OrderPunishing, OrderReading {
    /// @param book Where the OrderBook will stand: it is deployed after this, and checks it.
    constructor(address book, Market memory market) OrderBase(book, market) {}
}
