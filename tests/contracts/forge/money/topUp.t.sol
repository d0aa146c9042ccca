// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Price} from "../../../../contracts/types/Offers.sol";
import {OrderId, OrderState, Outcome} from "../../../../contracts/types/Orders.sol";
import {Deal} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";
import {Money} from "./Money.sol";

contract TopUpTest is Money {
    function setUp() public override {
        super.setUp();
        _fund(poker);
    }

    function test_RevertGiven_TheOrderIsNotAcceptedOrHasEnded() external {
        Deal memory deal = _partlyDeal(1100);
        _wrong(deal, OrderState.NONE);
        _place(deal);
        _wrong(deal, OrderState.PLACED);
        _acceptPartly(deal);
        _topUpAs(poker, deal, 1);
        _start(deal);
        _topUpAs(poker, deal, 1);
        _refuse(deal, 0);
        _wrong(deal, OrderState.REFUSED);
    }

    function test_RevertWhen_TheBytesAreOthers() external {
        Deal memory deal = _partlyDeal(1100);
        _runs(deal);
        bytes memory order = bytes.concat(Pack.order(deal.terms), hex"00");
        bytes memory heads = _heads(deal);
        vm.expectRevert(_wrongLength(order.length));
        book.topUp(order, heads, 1);
        deal.inputs[0].price.fixedPrice = 0;
        _willRevert(_otherTerms(inputOffers[0], deal.inputs[0], _engineTerms()));
        _topUpAs(poker, deal, 1);
    }

    function test_RevertGiven_TheDepositPaysForAll() external {
        Deal memory deal = _engine();
        bytes memory full = abi.encodeWithSelector(Errors.OrderBook_FullyFunded.selector, _id(deal), 5000);
        _willRevert(full);
        _topUpAs(client, deal, 1);
        _stop(deal);
        _willRevert(full);
        _topUpAs(client, deal, 1);
        deal = _partlyDeal(1100);
        deal.terms.salt = "filled up";
        _runs(deal);
        _topUpAs(poker, deal, _deposit(deal, 5000) - deal.terms.deposit);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_FullyFunded.selector, _id(deal), 5000));
        _topUpAs(poker, deal, 1);
    }

    function test_RevertWhen_TheCallerHasNotAllowedIt() external {
        Deal memory deal = _partlyDeal(1100);
        _runs(deal);
        token.mint(provider, 100);
        _willRevert(abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(book), 0, 100));
        _topUpAs(provider, deal, 100);
        assertEq(_order(deal).extra.added, 0);
    }

    function test_WhenAnybodyCalls() external {
        Deal memory deal = _partlyDeal(1100);
        _runs(deal);
        assertEq(_order(deal).extra.limit, 1100);
        uint256 start = T0;
        skip(300);
        _prove(deal, 400, 0);
        skip(390);
        _prove(deal, 790, 0);
        skip(390);
        _prove(deal, 1180, 0);
        assertEq(_due(deal, 0), _usage(deal.compute.price, 1100, 0));
        uint256 needed = _deposit(deal, 2000) - deal.terms.deposit;
        uint256 before = token.balanceOf(poker);
        _topUpAs(poker, deal, needed);
        assertEq(before - token.balanceOf(poker), needed);
        assertEq(_order(deal).extra.limit, 2000);
        assertEq(_order(deal).extra.added, needed);
        assertEq(_due(deal, 0), _usage(deal.compute.price, 1180, 0), "proven beyond the limit");
        // Before, it could be expired a grace after second 1100.
        vm.warp(start + 1501);
        _willRevert(_tooEarly(deal, start + 1580));
        _expire(deal);
        vm.warp(start + 1580);
        _prove(deal, 1580, 0);
        _complete(deal, Outcome.COMPLETED, 1580, 0);
        _claimWhatIsThere(deal);
        assertEq(_credits(), deal.terms.deposit + needed);
        assertEq(token.balanceOf(address(book)), _credits());
    }

    function test_GivenSomeWasTakenOutBefore() external {
        Deal memory deal = _engine();
        _reclaimAs(client, deal, _deposit(deal, 5000) - _deposit(deal, 2000));
        assertEq(_order(deal).extra.limit, 2000);
        _topUpAs(poker, deal, _deposit(deal, 3000) - _deposit(deal, 2000));
        assertEq(_order(deal).extra.limit, 3000, "what was taken out pays for nothing");
        skip(400);
        _complete(deal, Outcome.COMPLETED, 500, 0);
        _claimWhatIsThere(deal);
        assertEq(token.balanceOf(address(book)), _credits());
    }

    function test_WhenTheAmountPaysForNoWholeSecond() external {
        Deal memory deal = _partlyDeal(1100);
        _runs(deal);
        _topUpAs(poker, deal, 0);
        uint256 step = _deposit(deal, 1101) - deal.terms.deposit;
        _topUpAs(poker, deal, step - 1);
        assertEq(_order(deal).extra.limit, 1100);
        _topUpAs(poker, deal, 1);
        assertEq(_order(deal).extra.limit, 1101);
        assertEq(_order(deal).extra.added, step);
    }

    function test_WhenTheAmountIsMoreThanTheOrderCanCost() external {
        Deal memory deal = _sponsoredDeal();
        deal.terms.deposit = uint128(_deposit(deal, 1100));
        _runs(deal);
        uint256 amount = _deposit(deal, 5000);
        _topUpAs(poker, deal, amount);
        assertEq(_order(deal).extra.limit, 5000);
        _complete(deal, Outcome.HOST, 100, 0);
        _claimWhatIsThere(deal);
        uint256 compute = _usage(deal.compute.price, 100, 0);
        assertEq(_credit(sponsor), deal.terms.deposit + amount - compute, "the payer's, whoever added it");
        assertEq(_credit(poker), 0);
    }

    function test_GivenTheOrderIsStopping() external {
        Deal memory deal = _partlyDeal(1100);
        _runs(deal);
        uint256 stopped = vm.getBlockTimestamp();
        _stop(deal);
        _topUpAs(poker, deal, _deposit(deal, 3000) - deal.terms.deposit);
        assertEq(_order(deal).extra.limit, 3000);
        assertEq(_order(deal).extra.stoppedAt, stopped);
        vm.warp(stopped + 400);
        _willRevert(_tooEarly(deal, stopped + 400));
        _expire(deal);
        skip(1);
        _expire(deal);
    }

    function test_WhenItIsTaken() external {
        Deal memory deal = _partlyDeal(1100);
        _runs(deal);
        uint16 n = _order(deal).events;
        OrderId id = _id(deal);
        uint256 amount = _deposit(deal, 1500) - deal.terms.deposit;
        (bytes memory order, bytes memory heads) = (Pack.order(deal.terms), _heads(deal));
        vm.expectEmit(address(book));
        emit IOrderBook.OrderFunded(id, poker, true, n, 1500, amount);
        vm.prank(poker);
        book.topUp(order, heads, uint128(amount));
        assertEq(_order(deal).events, n + 1);
    }

    /// @dev Amounts whose sum has no 128 bits are refused before anything is taken.
    function test_RevertWhen_AllThatWasAddedHasNo128Bits() external {
        Deal memory deal = _partlyDeal(1100);
        _runs(deal);
        token.mint(poker, type(uint128).max);
        _topUpAs(poker, deal, 1);
        _willRevert(_depositTooLow(type(uint128).max, uint256(type(uint128).max) + 1));
        _topUpAs(poker, deal, type(uint128).max);
    }

    /// @dev Not a second too many, and not one too few.
    function testFuzz_TheLimitIsTheLongestThatIsPaid(uint128[4] memory perHour, uint32 minSeconds, uint256 deposit)
        external
    {
        Deal memory deal = _heldDeal();
        for (uint256 k = 0; k < 4; ++k) {
            Price memory price = _termsOf(deal, k).price;
            (price.perHour, price.minSeconds) = (uint128(perHour[k] % 10 ** (1 + k * 5)), minSeconds % 8000);
        }
        _relist(deal);
        _stake(provider, 1e20);
        (uint256 least, uint256 most) = (_deposit(deal, 1040), _deposit(deal, 5000));
        deal.terms.deposit = uint128(bound(deposit, least, most));
        _placeAny(deal);
        _acceptAny(deal);
        _isLongest(deal, deal.terms.deposit);
        uint256 added = bound(deposit >> 128, 0, most - least);
        if (deal.terms.deposit == most || _order(deal).extra.limit == 5000) return;
        token.mint(poker, added);
        _topUpAs(poker, deal, added);
        _isLongest(deal, deal.terms.deposit + added);
    }

    function _isLongest(Deal memory deal, uint256 balance) private view {
        uint256 limit = _order(deal).extra.limit;
        if (limit == 0) limit = 5000; // paid in full: nothing else is stored
        assertLe(_deposit(deal, limit), balance, "paid");
        if (limit < 5000) assertGt(_deposit(deal, limit + 1), balance, "the longest");
        else assertEq(limit, 5000);
    }

    function _wrong(Deal memory deal, OrderState actual) private {
        _willRevert(_wrongState(deal, actual, OrderState.RUNNING));
        _topUpAs(poker, deal, 1);
    }
}
