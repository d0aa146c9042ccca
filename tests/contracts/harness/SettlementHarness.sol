// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {OrderStateLib} from "../../../contracts/libraries/OrderStateLib.sol";
import {SettlementLib} from "../../../contracts/libraries/SettlementLib.sol";
import {Price} from "../../../contracts/types/Offers.sol";
import {OrderPreimage, OrderState, OrderTerms, Params, Phase} from "../../../contracts/types/Orders.sol";

/// @notice SettlementLib and OrderStateLib as one contract, for the Python twins' conformance tests and fuzzing.
contract SettlementHarness {
    function amountDown(Price calldata price, uint256 secs, uint256 units) external pure returns (uint256) {
        return SettlementLib.amountDown(price, secs, units);
    }

    function timeDown(Price calldata price, uint256 secs) external pure returns (uint256) {
        return SettlementLib.timeDown(price, secs);
    }

    function depositRequired(OrderPreimage calldata pre) external pure returns (uint256) {
        return SettlementLib.depositRequired(pre);
    }

    function startPenaltyDown(OrderPreimage calldata pre, uint256 startPenaltyBps) external pure returns (uint256) {
        return SettlementLib.startPenaltyDown(pre, startPenaltyBps);
    }

    function lockRequired(OrderPreimage calldata pre, uint256 startPenaltyBps) external pure returns (uint256) {
        return SettlementLib.lockRequired(pre, startPenaltyBps);
    }

    function bill(
        OrderTerms calldata terms,
        OrderState to,
        Phase phase,
        uint256 reported,
        uint256 units,
        uint256 elapsed
    ) external pure returns (uint256 secs, uint256 billedUnits) {
        return SettlementLib.bill(terms, to, phase, reported, units, elapsed);
    }

    function slashedDown(OrderPreimage calldata pre, SettlementLib.Frozen calldata frozen, uint256 startPenaltyBps)
        external
        pure
        returns (uint256)
    {
        return SettlementLib.slashedDown(pre, frozen, startPenaltyBps);
    }

    function settle(OrderPreimage calldata pre, Params calldata params, SettlementLib.Frozen calldata frozen)
        external
        pure
        returns (SettlementLib.Settlement memory)
    {
        return SettlementLib.settle(pre, params, frozen);
    }

    function payouts(OrderPreimage calldata pre, Params calldata params, SettlementLib.Frozen calldata frozen)
        external
        pure
        returns (SettlementLib.Payout[] memory)
    {
        return SettlementLib.payouts(pre, params, frozen);
    }

    function isAllowed(OrderState from, OrderState to) external pure returns (bool) {
        return OrderStateLib.isAllowed(from, to);
    }

    function isTerminal(OrderState state) external pure returns (bool) {
        return OrderStateLib.isTerminal(state);
    }
}
