// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../interfaces/IOrderBook.sol";
import {Errors} from "../libraries/Errors.sol";
import {OrderWordLib} from "../libraries/OrderWord.sol";
import {Current, Params} from "../types/Orders.sol";
import {OrderBase} from "./OrderBase.sol";

/// @title The sets of shares, each immutable under its version.
abstract contract OrderParams is OrderBase {
    uint256 internal constant MAX_FEE_BPS = 1000;
    uint256 internal constant MAX_START_PENALTY_BPS = 5000;
    uint256 internal constant MAX_MIN_GRACE = 1 days;

    function _addParams(Params memory added) internal returns (uint16 version) {
        _checkBound("feeBps", added.feeBps, MAX_FEE_BPS);
        _checkBound("startPenaltyBps", added.startPenaltyBps, MAX_START_PENALTY_BPS);
        _checkBound("minGrace", added.minGrace, MAX_MIN_GRACE);
        // A fee may be zero, but its receiver may not: tokens refuse the zero address, and credits would hang.
        if (added.treasury == address(0)) revert Errors.OrderBook_NoTreasury();
        version = _current.version + 1;
        // An order's word has room for so many versions.
        _checkBound("version", version, OrderWordLib.MAX_PARAMS);
        _params[version] = added;
        _current = Current({
            feeBps: added.feeBps,
            startPenaltyBps: added.startPenaltyBps,
            minGrace: added.minGrace,
            treasury: added.treasury,
            version: version,
            paused: _current.paused
        });
        emit IOrderBook.ParamsAdded(version, added.feeBps, added.startPenaltyBps, added.minGrace, added.treasury);
    }

    function _checkBound(bytes32 field, uint256 got, uint256 most) private pure {
        if (got > most) revert Errors.OrderBook_ParamsBound(field, got, most);
    }
}
