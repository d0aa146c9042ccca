// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILedger} from "../../../../contracts/interfaces/ILedger.sol";
import {Order, OrderState, Outcome, Phase} from "../../../../contracts/types/Orders.sol";
import {Deal, Market} from "../utils/Market.sol";

/// @notice The whole way once, to the last unit.
contract LifeTest is Market {
    function test_PaysEverybodyToTheLastUnit() external {
        Deal memory deal = _engine();
        skip(350);
        _prove(deal, 449, 40);
        skip(650);
        _complete(deal, Outcome.COMPLETED, 1099, 77);
        assertState(deal, OrderState.COMPLETED);
        Order memory order = _order(deal);
        assertEq(order.secondsUsed, 1099);
        assertEq(order.unitsUsed, 77);
        assertEq(uint8(order.phase), uint8(Phase.ENGINE));
        assertEq(order.events, 6, "placed, accepted, started, two checkpoints, reported");
        assertEq(_locked(), 0);

        _claimAll(deal, 0);
        uint256 compute = _amount(deal.compute.price, 1099, 77);
        uint256 engine = _amount(deal.inputs[0].price, 1099, 77);
        uint256 a = _amount(deal.inputs[1].price, 1099, 77);
        assertEq(compute, 11 + uint256(3_600_007) * 1099 / 3600 + 231);
        uint256 fees = compute * 250 / 10_000 + engine * 250 / 10_000 + 2 * (a * 250 / 10_000);
        assertEq(_credit(treasury), fees, "fees");
        assertEq(_credit(provider), compute - compute * 250 / 10_000, "provider");
        assertEq(_credit(engineOwner), engine - engine * 250 / 10_000, "engine");
        uint256 net = a - a * 250 / 10_000;
        assertEq(_credit(ownerA), net * 3333 / 10_000, "owner A");
        assertEq(_credit(coAuthor), 2 * (net * 3333 / 10_000), "co-author of both");
        assertEq(_credit(client), deal.terms.deposit - compute - engine - 2 * a, "refund");
        ILedger(address(book)).withdraw(address(token), provider);
        assertEq(token.balanceOf(provider), compute - compute * 250 / 10_000, "withdrawn");
    }
}
