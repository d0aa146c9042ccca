// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "../libraries/Errors.sol";
import {OrderBase} from "./OrderBase.sol";

/// @title The guard of the other parts' functions: they run in the OrderBook or not at all.
/// @dev Called by itself such a part has no storage worth anything, but it could be sent tokens.
abstract contract OrderPart is OrderBase {
    modifier inBook() {
        if (address(this) != BOOK) revert Errors.OrderBook_NotTheBook(address(this), BOOK);
        _;
    }
}
