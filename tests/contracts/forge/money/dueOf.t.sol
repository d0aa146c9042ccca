// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Outcome} from "../../../../contracts/types/Orders.sol";
import {Deal} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";
import {Money} from "./Money.sol";

contract DueOfTest is Money {
    function test_RevertWhen_TheBytesAreOthers() external {
        Deal memory deal = _engine();
        bytes memory order = Pack.order(deal.terms);
        bytes memory head = Pack.head(deal.compute);
        vm.expectRevert(_wrongLength(order.length + 1));
        book.dueOf(bytes.concat(order, hex"00"), 0, head);
        bytes memory error_ = abi.encodeWithSelector(Errors.OrderBook_NoSuchOffer.selector, _id(deal), 4, 3);
        vm.expectRevert(error_);
        book.dueOf(order, 4, head);
        vm.expectRevert(_headsLength(482, 241));
        book.dueOf(order, 0, bytes.concat(head, head));
        error_ = _otherTerms(inputOffers[0], deal.compute, deal.inputs[0]);
        vm.expectRevert(error_);
        book.dueOf(order, 1, head);
    }

    function test_GivenItDidNotStart() external {
        Deal memory deal = _deal();
        _is(deal, 0, 0, 0);
        _place(deal);
        _is(deal, 0, 0, 0);
        _accept(deal);
        _is(deal, 0, 0, 0);
        _revoke();
        _void(deal);
        _is(deal, 0, 0, 0);
        _is(deal, 3, 0, 0);
    }

    function test_GivenItRuns() external {
        Deal memory deal = _servedDeal();
        _runs(deal);
        uint256 first = _usage(deal.compute.price, 100, 0);
        _is(deal, 0, first, 0);
        _claim(deal, 0);
        _is(deal, 0, first, first);
        skip(100);
        _is(deal, 0, first, first);
        _prove(deal, 200, 9);
        _is(deal, 0, _usage(deal.compute.price, 200, 9), first);
        _is(deal, 1, _prorata(deal.inputs[0].price, 200, 9, 5000), 0);
    }

    function test_GivenItExpired() external {
        Deal memory deal = _expired();
        uint256 due = _amount(deal.inputs[0].price, 500, 0);
        _is(deal, 1, due, 0);
        _claimRest(deal);
        _is(deal, 1, due, 0);
        _claim(deal, 1);
        _is(deal, 1, due, due);
        _is(deal, 2, _amount(deal.inputs[1].price, 500, 0), 0);
    }

    function test_GivenItsHoldbackIsPending() external {
        Deal memory deal = _held();
        uint256 full = _amount(deal.compute.price, 1000, 50);
        uint256 free = full - full * HELD_BPS / 10_000;
        _is(deal, 0, free, 0);
        _claim(deal, 0);
        _is(deal, 0, free, free);
        _receiptAs(client, deal, "");
        _is(deal, 0, full, free);
        _claim(deal, 0);
        _is(deal, 0, full, full);
    }

    function test_GivenTheOfferWasClaimed() external {
        Deal memory deal = _completed();
        for (uint256 k = 0; k < 4; ++k) {
            uint256 due = _amount(_termsOf(deal, k).price, 1000, 50);
            _is(deal, k, due, 0);
            _claim(deal, k);
            _is(deal, k, due, due);
        }
    }

    function _is(Deal memory deal, uint256 k, uint256 gross, uint256 claimed) private view {
        (uint256 gotGross, uint256 gotClaimed) = book.dueOf(Pack.order(deal.terms), k, Pack.head(_termsOf(deal, k)));
        assertEq(gotGross, gross, "gross");
        assertEq(gotClaimed, claimed, "claimed");
    }
}
