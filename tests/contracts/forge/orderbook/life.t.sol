// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Order, OrderPreimage, OrderState, Outcome, Phase} from "../../../../contracts/types/Orders.sol";
import {Market} from "../utils/Market.sol";

/// @notice The whole way once, to the last unit.
contract LifeTest is Market {
    function test_PaysEverybodyToTheLastUnit() external {
        OrderPreimage memory pre = _engine();
        skip(1000);
        _complete(pre, Outcome.COMPLETED, 1099, 77);
        assertState(pre, OrderState.COMPLETED);
        Order memory order = _order(pre);
        assertEq(order.secondsUsed, 1099);
        assertEq(order.unitsUsed, 77);
        assertEq(uint8(order.phase), uint8(Phase.ENGINE));
        assertEq(_locked(), 0);

        uint256 before = token.balanceOf(client);
        _claimAll(pre, 0);
        uint256 compute = _amount(pre.compute.price, 1099, 77);
        uint256 engine = _amount(pre.inputs[0].price, 1099, 77);
        uint256 a = _amount(pre.inputs[1].price, 1099, 77);
        assertEq(compute, 11 + uint256(3_600_007) * 1099 / 3600 + 231);
        uint256 fees = compute * 250 / 10_000 + engine * 250 / 10_000 + 2 * (a * 250 / 10_000);
        assertEq(token.balanceOf(treasury), fees, "fees");
        assertEq(token.balanceOf(provider), compute - compute * 250 / 10_000, "provider");
        assertEq(token.balanceOf(engineOwner), engine - engine * 250 / 10_000, "engine");
        uint256 net = a - a * 250 / 10_000;
        assertEq(token.balanceOf(ownerA), net * 3333 / 10_000, "owner A");
        assertEq(token.balanceOf(coAuthor), 2 * (net * 3333 / 10_000), "co-author of both");
        assertEq(token.balanceOf(client) - before, pre.terms.deposit - compute - engine - 2 * a, "refund");
        assertEq(token.balanceOf(address(book)), 0, "nothing stays");
    }
}
