// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Holdback, OrderId, Outcome} from "../../../../contracts/types/Orders.sol";
import {Deal} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";
import {Money} from "./Money.sol";

contract ContestTest is Money {
    function test_RevertGiven_NoHoldbackWaits() external {
        Deal memory deal = _heldDeal();
        _none(deal);
        _runs(deal);
        _none(deal);
        _complete(deal, Outcome.LAPSED, 100, 0);
        _none(deal);
        deal = _completed();
        _none(deal);
        deal = _heldDeal();
        deal.terms.salt = "late";
        _ended(deal, Outcome.COMPLETED);
        skip(WINDOW + 1);
        _none(deal);
        deal.terms.salt = "twice";
        _ended(deal, Outcome.COMPLETED);
        _contestAs(client, deal);
        _none(deal);
    }

    function test_RevertWhen_TheBytesAreNoOrders() external {
        bytes memory order = bytes.concat(Pack.order(_held().terms), hex"00");
        vm.expectRevert(_wrongLength(order.length));
        vm.prank(client);
        book.contest(order);
    }

    function test_RevertWhen_TheCallerIsNotTheClient() external {
        Deal memory deal = _heldDeal();
        deal.terms.payer = sponsor;
        _ended(deal, Outcome.COMPLETED);
        address[3] memory others = [sponsor, operator, poker];
        for (uint256 i = 0; i < 3; ++i) {
            _willRevert(_notTheClient(deal, others[i]));
            _contestAs(others[i], deal);
        }
    }

    function test_WhenTheClientCallsWithinTheWindow() external {
        Deal memory deal = _held();
        uint256 full = _amount(deal.compute.price, 1000, 50);
        uint256 held = full * HELD_BPS / 10_000;
        _claim(deal, 0);
        skip(WINDOW);
        OrderId id = _id(deal);
        uint16 n = _order(deal).events;
        vm.expectEmit(address(book));
        emit IOrderBook.HoldbackResolved(id, client, true, n);
        _contestAs(client, deal);
        assertEq(_order(deal).hold, 2);
        assertEq(_order(deal).events, n + 1);
        skip(1_000_000);
        _claimWhatIsThere(deal);
        assertEq(_credit(provider), _net(full - held));
        assertEq(_credit(BURN), 2 * held);
        assertEq(_credits(), deal.terms.deposit);
        assertEq(token.balanceOf(address(book)), _credits());
        // What burns anybody may send there.
        _withdraw(BURN);
        assertEq(token.balanceOf(BURN), 2 * held);
    }

    function test_GivenWhatIsHeldBackRoundsToNothing() external {
        Deal memory deal = _deal();
        deal.compute.price = _price(0, 1, 0, 0);
        deal.terms.holdback = Holdback(5000, WINDOW);
        _relist(deal);
        _ended(deal, Outcome.COMPLETED);
        _contestAs(client, deal);
        _willRevert(_nothingDue(deal, 0));
        _claim(deal, 0);
        _claimAll(deal, 0);
        assertEq(_credit(BURN), 0);
    }

    /// @dev The whole time, all units, half of the price held back.
    function testFuzz_GivenTheOrderCostAllThatItCould(uint128 fixedPrice, uint128 perHour, uint128 perUnit, uint16 bps)
        external
    {
        Deal memory deal = _deal();
        deal.compute.price = _price(fixedPrice % 2 ** 60, perHour % 2 ** 60, 0, perUnit % 2 ** 50);
        deal.terms.holdback = Holdback(uint16(bound(bps, 1, 5000)), WINDOW);
        _relist(deal);
        deal.terms.deposit = uint128(_deposit(deal, 5000));
        _stake(provider, 2 ** 90);
        token.mint(client, 2 ** 127);
        _place(deal);
        _accept(deal);
        _start(deal);
        skip(100);
        _checkpoint(deal, 100, 0);
        skip(4900);
        _complete(deal, Outcome.COMPLETED, 5000, 1000);
        _contestAs(client, deal);
        uint256 full = _amount(deal.compute.price, 5000, 1000);
        uint256 held = full * deal.terms.holdback.bps / 10_000;
        _claimAll(deal, 0);
        assertEq(_credit(BURN), 2 * held);
        assertEq(_credit(client), 0, "nothing is left of a deposit that was exact");
        assertEq(_credit(provider), _net(full - held));
    }

    function _none(Deal memory deal) private {
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_NoHoldback.selector, _id(deal)));
        _contestAs(client, deal);
    }
}
