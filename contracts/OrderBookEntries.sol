// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "./interfaces/IOrderBook.sol";
import {Errors} from "./libraries/Errors.sol";
import {OrderBase} from "./orders/OrderBase.sol";
import {OrderParams} from "./orders/OrderParams.sol";
import {OrderSelling} from "./orders/OrderSelling.sol";
import {OrderSponsoring} from "./orders/OrderSponsoring.sol";
import {Params} from "./types/Orders.sol";

/// @title Part of the OrderBook's code: the other ways in, and governance.
/// @notice Call the OrderBook: this contract keeps nothing and refuses to act by itself. See {IOrderBook}.
contract OrderBookEntries is OrderSponsoring, OrderSelling, OrderParams {
    /// @param book Where the OrderBook will stand: it is deployed after this, and checks it.
    constructor(address book, Market memory market) OrderBase(book, market) {}

    /// @notice See {IOrderBook-addParams}.
    function addParams(Params calldata added) external inBook returns (uint16 version) {
        _checkAuthority();
        return _addParams(added);
    }

    /// @notice See {IOrderBook-setPaused}.
    function setPaused(bool paused) external inBook {
        _checkAuthority();
        _current.paused = paused;
        emit IOrderBook.PausedSet(paused);
    }

    function _checkAuthority() private view {
        if (msg.sender != AUTHORITY) revert Errors.OrderBook_NotAuthority(msg.sender, AUTHORITY);
    }
}
