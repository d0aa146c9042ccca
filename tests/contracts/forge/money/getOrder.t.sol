// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Order, OrderId, OrderState, Outcome, Phase} from "../../../../contracts/types/Orders.sol";
import {Deal} from "../utils/Market.sol";
import {Money} from "./Money.sol";

contract GetOrderTest is Money {
    function test_GivenItWasNeverPlaced() external view {
        Order memory none;
        assertEq(abi.encode(book.getOrder(OrderId.wrap("nobody's"))), abi.encode(none));
    }

    function test_GivenEachState() external {
        Deal memory deal = _heldDeal();
        Order memory want;
        _place(deal);
        (want.state, want.since, want.events) = (OrderState.PLACED, uint40(T0), 1);
        _is(deal, want);
        skip(7);
        _accept(deal);
        (want.state, want.since, want.events) = (OrderState.ACCEPTED, uint40(T0 + 7 + 300), 2);
        (want.paramsVersion, want.cvm, want.lock) = (1, cvm, _lock(deal));
        _is(deal, want);
        skip(7);
        _start(deal);
        (want.state, want.phase, want.since, want.events) = (OrderState.RUNNING, Phase.SETUP, uint40(T0 + 14), 3);
        _is(deal, want);
        skip(120);
        _checkpoint(deal, 110, 3);
        (want.phase, want.lastProof, want.sequence, want.secondsUsed, want.unitsUsed) = (Phase.ENGINE, 120, 1, 110, 3);
        want.events = 4;
        _is(deal, want);
        _claim(deal, 0);
        (want.drawn, want.events) = (true, 5);
        _is(deal, want);
        skip(30);
        _stop(deal);
        (want.state, want.events) = (OrderState.STOPPING, 6);
        (want.extra.limit, want.extra.stoppedAt) = (5000, uint40(T0 + 164));
        _is(deal, want);
        skip(10);
        _complete(deal, Outcome.COMPLETED, 155, 2000);
        (want.state, want.since, want.events) = (OrderState.COMPLETED, uint40(T0 + 174), 7);
        (want.lastProof, want.sequence, want.secondsUsed, want.unitsUsed) = (0, 0, 155, 1000);
        _is(deal, want);
        _contestAs(client, deal);
        (want.hold, want.events) = (2, 8);
        _is(deal, want);
        _claimWhatIsThere(deal);
        (want.claimed, want.events) = (15 | uint32(1 << REST), 13);
        _is(deal, want);
    }

    function test_GivenItExpired() external {
        Deal memory deal = _expired();
        Order memory got = _order(deal);
        assertEq(uint8(got.state), uint8(OrderState.EXPIRED));
        assertEq(got.lastProof, 500, "seconds that inputs are due for");
        assertEq(got.lock, _lock(deal));
        assertEq(got.claimed + got.sequence, 0);
    }

    function test_GivenItWasFundedInPart() external {
        Deal memory deal = _partlyDeal(1300);
        _runs(deal);
        _topUpAs(client, deal, 123);
        _reclaimAs(client, deal, 23);
        Order memory got = _order(deal);
        assertEq(got.extra.added, 123);
        assertEq(got.extra.removed, 23);
        assertEq(got.extra.limit, 1300);
        assertEq(got.extra.warnBelow, 800);
        assertEq(got.extra.stoppedAt, 0);
        skip(5);
        _stop(deal);
        assertEq(_order(deal).extra.stoppedAt, T0 + 105);
        assertEq(_order(deal).extra.limit, 1300);
    }

    function _is(Deal memory deal, Order memory want) private view {
        assertEq(abi.encode(_order(deal)), abi.encode(want));
    }
}
