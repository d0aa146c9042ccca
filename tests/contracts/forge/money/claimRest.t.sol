// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OrderId, OrderState, Outcome} from "../../../../contracts/types/Orders.sol";
import {Deal} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";
import {Money} from "./Money.sol";

contract ClaimRestTest is Money {
    function test_RevertGiven_TheOrderHasNotEnded() external {
        Deal memory deal = _deal();
        _notYet(deal, OrderState.NONE);
        _place(deal);
        _notYet(deal, OrderState.PLACED);
        _accept(deal);
        _notYet(deal, OrderState.ACCEPTED);
        _start(deal);
        _notYet(deal, OrderState.RUNNING);
        _stop(deal);
        _notYet(deal, OrderState.STOPPING);
    }

    function test_RevertWhen_TheBytesAreOthers() external {
        Deal memory deal = _completed();
        bytes memory order = Pack.order(deal.terms);
        bytes memory heads = _heads(deal);
        bytes memory longer = bytes.concat(order, hex"00");
        vm.expectRevert(_wrongLength(longer.length));
        book.claimRest(longer, heads);
        vm.expectRevert(_headsLength(heads.length + 241, heads.length));
        book.claimRest(order, bytes.concat(heads, Pack.head(deal.compute)));
        vm.expectRevert(_headsLength(0, heads.length));
        book.claimRest(order, "");
        deal.inputs[1].price.fixedPrice += 1;
        _willRevert(_otherTerms(inputOffers[1], deal.inputs[1], _datasetTerms(ownerA)));
        _claimRest(deal);
        deal.inputs[1].price.fixedPrice -= 1;
        (deal.inputs[1], deal.inputs[2]) = (deal.inputs[2], deal.inputs[1]);
        _willRevert(_otherTerms(inputOffers[1], deal.inputs[1], deal.inputs[2]));
        _claimRest(deal);
    }

    function test_RevertGiven_TheOrderWasCancelled() external {
        Deal memory deal = _placed();
        _cancelAs(client, deal);
        _again(deal);
        deal.terms.salt = "void";
        _place(deal);
        _accept(deal);
        _revoke();
        _void(deal);
        _again(deal);
        assertEq(_credit(client), 2 * uint256(deal.terms.deposit));
    }

    function test_RevertGiven_TheHoldbackIsPending() external {
        Deal memory deal = _held();
        uint256 until = vm.getBlockTimestamp() + WINDOW;
        bytes memory error_ = abi.encodeWithSelector(Errors.OrderBook_HoldbackPending.selector, _id(deal), until);
        _willRevert(error_);
        _claimRest(deal);
        vm.warp(until);
        _willRevert(error_);
        _claimRest(deal);
        vm.warp(until + 1);
        _claimAll(deal, 0);
        assertEq(_credit(provider), _net(_amount(deal.compute.price, 1000, 50)));
    }

    function test_RevertGiven_ItWasCalledBefore() external {
        Deal memory deal = _completed();
        _claimRest(deal);
        _again(deal);
        deal = _deal();
        deal.terms.salt = "expired";
        _runs(deal);
        skip(401);
        _expire(deal);
        _claimRest(deal);
        _again(deal);
    }

    function test_GivenTheOrderEndedWithAReport() external {
        Deal memory deal = _sponsoredDeal();
        _ended(deal, Outcome.FAILED);
        _claimRest(deal);
        uint256 gross = 0;
        uint256 fees = 0;
        for (uint256 k = 0; k < 4; ++k) {
            uint256 due = _amount(_termsOf(deal, k).price, 1000, 50);
            gross += due;
            fees += due * FEE_BPS / 10_000;
        }
        assertEq(_credit(sponsor), deal.terms.deposit - gross);
        assertEq(_credit(treasury), fees);
        assertEq(_credit(client), 0);
        assertEq(_credits(), deal.terms.deposit - gross + fees);
    }

    function test_GivenItExpiredBeforeTheStart() external {
        Deal memory deal = _sponsoredAccepted();
        uint256 lock = _locked();
        assertEq(lock, _lock(deal));
        skip(301);
        _expire(deal);
        assertEq(_locked(), lock, "it waits");
        assertEq(_desk().active, 1);
        _claimRest(deal);
        assertEq(_credit(client), _penalty(deal));
        assertEq(_credit(sponsor), deal.terms.deposit);
        assertEq(_locked(), 0);
        assertEq(_desk().active, 0);
        assertEq(_free(), STAKE - _penalty(deal));
        assertEq(token.balanceOf(address(book)), _credits());
    }

    function test_GivenItExpiredInSetup() external {
        Deal memory deal = _setup();
        skip(300);
        _say(deal, _setupSaid(1, 300));
        skip(401);
        _expire(deal);
        uint256 slashed = 0;
        for (uint256 k = 1; k < 4; ++k) {
            slashed += _amount(_termsOf(deal, k).price, 400, 0);
        }
        _claimAll(deal, slashed);
        uint256 compute = _usage(deal.compute.price, 240, 0);
        assertEq(_credit(provider), _net(compute));
        assertEq(_credit(client), deal.terms.deposit - compute, "the lock pays the inputs");
        assertEq(_credit(engineOwner), _net(1_000_003));
        assertEq(_free(), STAKE - slashed);
    }

    function test_GivenItExpiredInEngine() external {
        Deal memory deal = _engine();
        skip(350);
        _prove(deal, 440, 21);
        skip(401);
        _expire(deal);
        (uint256 slashed, uint256 proven) = (0, 0);
        for (uint256 k = 1; k < 4; ++k) {
            uint256 own = _usage(_termsOf(deal, k).price, 440, 21);
            proven += own;
            slashed += _amount(_termsOf(deal, k).price, 840, 21) - own;
        }
        assertLe(slashed, _locked());
        _claimAll(deal, slashed);
        uint256 compute = _usage(deal.compute.price, 440, 21);
        assertEq(_credit(provider), _net(compute));
        assertEq(_credit(client), deal.terms.deposit - compute - proven);
        assertEq(_free(), STAKE - slashed);
    }

    function test_GivenItsHoldbackWasContested() external {
        Deal memory deal = _held();
        _contestAs(client, deal);
        _claimAll(deal, 0);
        uint256 full = _amount(deal.compute.price, 1000, 50);
        uint256 held = full * HELD_BPS / 10_000;
        assertEq(_credit(BURN), 2 * held);
        assertEq(_credit(provider), _net(full - held));
        uint256 inputs = 0;
        for (uint256 k = 1; k < 4; ++k) {
            inputs += _amount(_termsOf(deal, k).price, 1000, 50);
        }
        assertEq(_credit(client), deal.terms.deposit - full - held - inputs);
    }

    function test_GivenAnInputIsLeased() external {
        Deal memory deal = _leasedDeal();
        _runs(deal);
        skip(401);
        _expire(deal);
        uint256 slashed = 0;
        for (uint256 k = 1; k < 4; ++k) {
            if (k == 2) continue;
            slashed += _amount(_termsOf(deal, k).price, 500, 0) - _usage(_termsOf(deal, k).price, 100, 0);
        }
        _claimAll(deal, slashed);
        assertEq(_credit(ownerA), 0, "of dataset A nobody has anything");
        _willRevert(_nothingDue(deal, 2));
        _claim(deal, 2);
    }

    function test_GivenTheTokenGivesLessThanWasSlashed() external {
        Deal memory deal = _expired();
        uint256 slashed = _slashOf(deal, 100, 500);
        // From now on a transfer to the book brings one unit less.
        vm.mockCall(
            address(token), abi.encodeWithSelector(token.transfer.selector, address(book), slashed), abi.encode(true)
        );
        _willRevert(abi.encodeWithSelector(Errors.Escrow_ReceivedOther.selector, address(token), 0, slashed));
        _claimRest(deal);
        vm.clearMockedCalls();
        _claimAll(deal, slashed);
    }

    function test_GivenEverythingWasClaimedWhileItRan() external {
        Deal memory deal = _servedDeal();
        _runs(deal);
        uint256 before = _credits();
        skip(400);
        _prove(deal, 433, 12);
        for (uint256 k = 0; k < 4; ++k) {
            _claim(deal, k);
        }
        _complete(deal, Outcome.LAPSED, 433, 12);
        _claimWhatIsThere(deal);
        assertEq(_credits() - before, deal.terms.deposit);
        assertEq(token.balanceOf(address(book)), _credits());
    }

    function test_WhenItIsCalled() external {
        Deal memory deal = _expired();
        OrderId id = _id(deal);
        uint16 n = _order(deal).events;
        uint256 slashed = _slashOf(deal, 100, 500);
        uint256 compute = _usage(deal.compute.price, 100, 0);
        uint256 fees = compute * FEE_BPS / 10_000;
        uint256 inputs = 0;
        for (uint256 k = 1; k < 4; ++k) {
            uint256 due = _amount(_termsOf(deal, k).price, 500, 0);
            inputs += due;
            fees += due * FEE_BPS / 10_000;
        }
        vm.expectEmit(address(book));
        emit IOrderBook.Settled(id, n, deal.terms.deposit + slashed - compute - inputs, fees, 0, 0, slashed);
        _claimRest(deal);
        assertEq(_order(deal).claimed, 1 << REST);
        assertEq(_order(deal).events, n + 1);
        assertEq(_locked(), 0);
        assertEq(_desk().active, 0);
        assertEq(_free(), STAKE - slashed);
    }

    /// @dev What the lock pays after `secs` proven seconds and dues for `span`, without units.
    function _slashOf(Deal memory deal, uint256 secs, uint256 span) private pure returns (uint256 sum) {
        for (uint256 k = 1; k < 4; ++k) {
            sum += _amount(_termsOf(deal, k).price, span, 0) - _usage(_termsOf(deal, k).price, secs, 0);
        }
    }

    function _notYet(Deal memory deal, OrderState state) private {
        _willRevert(_notTerminal(deal, state));
        _claimRest(deal);
    }

    function _again(Deal memory deal) private {
        _willRevert(_alreadyClaimed(deal, REST));
        _claimRest(deal);
    }
}
