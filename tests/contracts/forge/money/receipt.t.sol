// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OrderHashLib} from "../../../../contracts/libraries/OrderHashLib.sol";
import {OrderId, Outcome} from "../../../../contracts/types/Orders.sol";
import {Wallet} from "../orderbook/Stage.sol";
import {Deal} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";
import {Money} from "./Money.sol";

contract ReceiptTest is Money {
    function test_RevertGiven_NoHoldbackWaits() external {
        Deal memory deal = _heldDeal();
        _none(deal);
        _place(deal);
        _none(deal);
        _accept(deal);
        _start(deal);
        _none(deal);
        _checkpoint(deal, 0, 0);
        _none(deal);
        _complete(deal, Outcome.FAILED, 0, 0);
        _none(deal);
        deal = _deal();
        deal.terms.salt = "nothing is held back";
        _ended(deal, Outcome.COMPLETED);
        _none(deal);
        deal = _heldDeal();
        deal.terms.salt = "too late";
        _ended(deal, Outcome.COMPLETED);
        skip(WINDOW + 1);
        _none(deal);
        deal.terms.salt = "twice";
        _ended(deal, Outcome.COMPLETED);
        _receiptAs(client, deal, "");
        _none(deal);
        deal.terms.salt = "contested";
        _ended(deal, Outcome.COMPLETED);
        _contestAs(client, deal);
        _none(deal);
    }

    function test_RevertWhen_TheBytesAreNoOrders() external {
        bytes memory order = bytes.concat(Pack.order(_held().terms), hex"00");
        vm.expectRevert(_wrongLength(order.length));
        vm.prank(client);
        book.receipt(order, "");
    }

    function test_RevertWhen_SomebodyElseHasNoSignature() external {
        Deal memory deal = _heldDeal();
        deal.terms.payer = sponsor;
        _ended(deal, Outcome.COMPLETED);
        Deal memory other = _heldDeal();
        other.terms.salt = "other";
        bytes[6] memory wrong = [
            bytes(""),
            _receiptSignature(deal, sponsorKey),
            _receiptSignature(deal, operatorKey),
            _receiptSignature(other, clientKey),
            _stopSignature(deal, clientKey),
            _mirrored(_receiptSignature(deal, clientKey))
        ];
        address[3] memory callers = [poker, operator, sponsor];
        for (uint256 i = 0; i < 6; ++i) {
            _willRevert(_notSignedBy(deal, client));
            _receiptAs(callers[i % 3], deal, wrong[i]);
        }
        // Another chain, another contract.
        bytes32 structHash = OrderHashLib.hashReceipt(OrderId.unwrap(_id(deal)));
        _willRevert(_notSignedBy(deal, client));
        _receiptAs(poker, deal, _sign(clientKey, _digestAt(block.chainid + 1, address(book), structHash)));
        _willRevert(_notSignedBy(deal, client));
        _receiptAs(poker, deal, _sign(clientKey, _digestAt(block.chainid, address(leases), structHash)));
    }

    function test_WhenTheClientCalls() external {
        Deal memory deal = _held();
        // In the last second of the window too.
        skip(WINDOW);
        _receiptAs(client, deal, "");
        _claimAll(deal, 0);
        assertEq(_credit(provider), _net(_amount(deal.compute.price, 1000, 50)));
        assertEq(_credit(BURN), 0);
    }

    function test_WhenAnybodyBringsTheSignature() external {
        Deal memory deal = _held();
        _receiptAs(poker, deal, _receiptSignature(deal, clientKey));
        assertEq(_order(deal).hold, 1);
        Wallet wallet = new Wallet();
        _fund(address(wallet));
        deal.terms.client = address(wallet);
        deal.terms.payer = address(wallet);
        _ended(deal, Outcome.COMPLETED);
        bytes32 digest = _bookDigest(OrderHashLib.hashReceipt(OrderId.unwrap(_id(deal))));
        _willRevert(_notSignedBy(deal, address(wallet)));
        _receiptAs(poker, deal, "any");
        wallet.agree(digest, true);
        _receiptAs(poker, deal, "any");
        assertEq(_order(deal).hold, 1);
    }

    function test_WhenItIsReleased() external {
        Deal memory deal = _held();
        OrderId id = _id(deal);
        uint16 n = _order(deal).events;
        vm.expectEmit(address(book));
        emit IOrderBook.HoldbackResolved(id, client, false, n);
        _receiptAs(client, deal, "");
        assertEq(_order(deal).hold, 1);
        assertEq(_order(deal).events, n + 1);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_NoHoldback.selector, id));
        _contestAs(client, deal);
        _claim(deal, 0);
        _claimRest(deal);
        assertEq(_credit(provider), _net(_amount(deal.compute.price, 1000, 50)));
    }

    function _none(Deal memory deal) private {
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_NoHoldback.selector, _id(deal)));
        _receiptAs(client, deal, "");
    }
}
