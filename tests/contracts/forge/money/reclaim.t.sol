// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OrderId, OrderState, Outcome} from "../../../../contracts/types/Orders.sol";
import {Deal} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";
import {Money} from "./Money.sol";

contract ReclaimTest is Money {
    /// @dev setupSeconds + 2 * grace.
    uint256 private constant FLOOR = 240 + 800;

    function test_RevertGiven_TheOrderIsNotAcceptedOrHasEnded() external {
        Deal memory deal = _deal();
        _wrong(deal, OrderState.NONE);
        _place(deal);
        _wrong(deal, OrderState.PLACED);
        _accept(deal);
        _start(deal);
        _refuse(deal, 0);
        _wrong(deal, OrderState.REFUSED);
    }

    function test_RevertWhen_TheBytesAreOthers() external {
        Deal memory deal = _engine();
        bytes memory order = bytes.concat(Pack.order(deal.terms), hex"00");
        bytes memory heads = _heads(deal);
        vm.expectRevert(_wrongLength(order.length));
        vm.prank(client);
        book.reclaim(order, heads, 1);
        deal.inputs[0].price.fixedPrice = 0;
        _willRevert(_otherTerms(inputOffers[0], deal.inputs[0], _engineTerms()));
        _reclaimAs(client, deal, 1);
    }

    function test_RevertWhen_TheCallerIsNotThePayer() external {
        Deal memory deal = _sponsoredEngine();
        address[3] memory others = [client, operator, poker];
        for (uint256 i = 0; i < 3; ++i) {
            _willRevert(abi.encodeWithSelector(Errors.OrderBook_NotPayer.selector, _id(deal), others[i], sponsor));
            _reclaimAs(others[i], deal, 1);
        }
        _reclaimAs(sponsor, deal, 1);
        assertEq(_credit(sponsor), 1);
    }

    function test_GivenTheOrderIsAccepted() external {
        Deal memory deal = _accepted();
        uint256 spare = deal.terms.deposit - _deposit(deal, FLOOR);
        _willRevert(_depositTooLow(deal.terms.deposit, uint256(deal.terms.deposit) + 1));
        _reclaimAs(client, deal, uint256(deal.terms.deposit) + 1);
        _willRevert(_depositTooLow(_deposit(deal, FLOOR) - 1, _deposit(deal, FLOOR)));
        _reclaimAs(client, deal, spare + 1);
        _willRevert(_depositTooLow(0, _deposit(deal, FLOOR)));
        _reclaimAs(client, deal, deal.terms.deposit);
        _reclaimAs(client, deal, spare);
        assertEq(_order(deal).extra.limit, FLOOR);
        skip(301);
        _expire(deal);
        _claimRest(deal);
        assertEq(_credit(client), deal.terms.deposit + _penalty(deal));
    }

    function test_GivenTheOrderRuns() external {
        Deal memory deal = _engine();
        skip(900);
        uint256 spare = deal.terms.deposit - _deposit(deal, 1000 + FLOOR);
        _willRevert(_depositTooLow(_deposit(deal, 1000 + FLOOR) - 1, _deposit(deal, 1000 + FLOOR)));
        _reclaimAs(client, deal, spare + 1);
        _reclaimAs(client, deal, spare);
        assertEq(_order(deal).extra.limit, 1000 + FLOOR);
        // A second later one second more has to stay.
        skip(1);
        _willRevert(_depositTooLow(_deposit(deal, 1000 + FLOOR), _deposit(deal, 1001 + FLOOR)));
        _reclaimAs(client, deal, 0);
        // Time that passed stays paid, proven or not.
        _prove(deal, 1001, 0);
        assertEq(_due(deal, 0), _usage(deal.compute.price, 1001, 0));
    }

    function test_GivenTheFloorIsBeyondMaxSeconds() external {
        Deal memory deal = _deal();
        deal.terms.deposit += 77;
        _runs(deal);
        skip(4000);
        _willRevert(_depositTooLow(_deposit(deal, 5000) - 1, _deposit(deal, 5000)));
        _reclaimAs(client, deal, 78);
        _reclaimAs(client, deal, 77);
        assertEq(_order(deal).extra.limit, 5000);
        assertEq(_credit(client), 77);
    }

    function test_GivenSomebodyElseAddedIt() external {
        Deal memory deal = _partlyDeal(1100);
        _runs(deal);
        _fund(poker);
        _topUpAs(poker, deal, 5_000_000);
        uint256 all = uint256(deal.terms.deposit) + 5_000_000;
        _reclaimAs(client, deal, all - _deposit(deal, 100 + FLOOR));
        assertEq(_order(deal).extra.limit, 100 + FLOOR);
        _complete(deal, Outcome.COMPLETED, 100, 0);
        _claimWhatIsThere(deal);
        assertEq(_credits(), all);
        assertEq(token.balanceOf(address(book)), all);
        assertEq(_credit(poker), 0);
    }

    function test_GivenAHoldback() external {
        Deal memory deal = _heldDeal();
        _runs(deal);
        _reclaimAs(client, deal, deal.terms.deposit - _deposit(deal, 100 + FLOOR));
        skip(399);
        _prove(deal, 499, 0);
        skip(399);
        _prove(deal, 898, 0);
        skip(399);
        _prove(deal, 1297, 1000);
        _complete(deal, Outcome.COMPLETED, 1297, 1000);
        assertEq(_order(deal).secondsUsed, 100 + FLOOR);
        _contestAs(client, deal);
        _claimWhatIsThere(deal);
        assertEq(_credits(), deal.terms.deposit);
        uint256 full = _amount(deal.compute.price, 100 + FLOOR, 1000);
        assertEq(_credit(BURN), 2 * (full * HELD_BPS / 10_000));
        assertEq(_credit(client), deal.terms.deposit - _deposit(deal, 100 + FLOOR), "not a unit is left of the reserve");
    }

    function test_WhenItIsTakenOut() external {
        Deal memory deal = _engine();
        OrderId id = _id(deal);
        uint16 n = _order(deal).events;
        uint256 spare = deal.terms.deposit - _deposit(deal, 3000);
        (bytes memory order, bytes memory heads) = (Pack.order(deal.terms), _heads(deal));
        vm.expectEmit(address(book));
        emit IOrderBook.OrderFunded(id, client, false, n, 3000, spare);
        vm.prank(client);
        book.reclaim(order, heads, uint128(spare));
        assertEq(_credit(client), spare);
        assertEq(_order(deal).extra.removed, spare);
        assertEq(_order(deal).extra.warnBelow, 800);
        assertEq(_order(deal).events, n + 1);
        _withdraw(client);
        // The warning comes with the first proof that leaves less than two graces.
        vm.warp(T0 + 400);
        _prove(deal, 400, 0);
        for (uint256 t = 800; t <= 2200; t += 350) {
            vm.warp(T0 + t);
            _prove(deal, uint32(t), 0);
        }
        vm.warp(T0 + 2201);
        vm.expectEmit(address(book));
        emit IOrderBook.OrderLowBalance(id, 3000, 799);
        _prove(deal, 2201, 0);
    }

    /// @dev Whoever reclaimed all he may keeps nobody from ending the order: by silence here, a stop is alike.
    function test_WhenMoreSecondsThanAreFundedHavePassed() external {
        Deal memory deal = _engine();
        _reclaimAs(client, deal, deal.terms.deposit - _deposit(deal, 100 + FLOOR));
        for (uint256 t = 400; t <= 1500; t += 300) {
            vm.warp(T0 + t);
            _prove(deal, uint32(t), 0);
        }
        vm.warp(T0 + 100 + FLOOR + 400);
        _willRevert(_tooEarly(deal, T0 + 100 + FLOOR + 400));
        _expire(deal);
        skip(1);
        _expire(deal);
        _claimWhatIsThere(deal);
        assertEq(_credit(provider), _net(_usage(deal.compute.price, 100 + FLOOR, 0)));
        assertEq(_order(deal).lastProof, 100 + FLOOR);
    }

    function _wrong(Deal memory deal, OrderState actual) private {
        _willRevert(_wrongState(deal, actual, OrderState.RUNNING));
        _reclaimAs(client, deal, 1);
    }
}
