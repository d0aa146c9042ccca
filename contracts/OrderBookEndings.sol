// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {OrderBase} from "./orders/OrderBase.sol";
import {OrderEnding} from "./orders/OrderEnding.sol";
import {OrderFunding} from "./orders/OrderFunding.sol";

/// @title Part of the OrderBook's code: every end but an engine's report, and money that moves while an order runs.
/// @notice Call the OrderBook: this contract keeps nothing and refuses to act by itself. See {IOrderBook}.
contract OrderBookEndings is OrderEnding, OrderFunding {
    /// @param book Where the OrderBook will stand: it is deployed after this, and checks it.
    constructor(address book, Market memory market) OrderBase(book, market) {}
}
