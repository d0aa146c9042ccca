// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {OrderHashLib} from "../../../../contracts/libraries/OrderHashLib.sol";
import {Order, OrderId, OrderState} from "../../../../contracts/types/Orders.sol";
import {Deal} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";
import {Stage, Wallet} from "./Stage.sol";

contract StopTest is Stage {
    function test_RevertGiven_TheOrderDoesNotRun() external {
        Deal memory deal = _deal();
        _wrong(deal, OrderState.NONE);
        _place(deal);
        _wrong(deal, OrderState.PLACED);
        _accept(deal);
        _wrong(deal, OrderState.ACCEPTED);
        _start(deal);
        _stop(deal);
        // Twice would move the deadline.
        _wrong(deal, OrderState.STOPPING);
        _refuse(deal, 0);
        _wrong(deal, OrderState.REFUSED);
    }

    function test_RevertWhen_SomebodyElseCalls() external {
        Deal memory deal = _sponsoredSetup();
        address[3] memory others = [poker, operator, sponsor];
        for (uint256 i = 0; i < 3; ++i) {
            _stopWith(others[i], deal, "", _notSignedBy(deal, client));
        }
        _stopWith(sponsor, deal, _stopSignature(deal, sponsorKey), _notSignedBy(deal, client));
    }

    function test_RevertWhen_TheClientSignedSomethingElse() external {
        Deal memory deal = _setup();
        Deal memory other = _deal();
        other.terms.salt = "other";
        bytes memory refused = _notSignedBy(deal, client);
        _stopWith(poker, deal, _stopSignature(other, clientKey), refused);
        // A receipt, and the order's own id that places orders for others, stop nothing.
        _stopWith(poker, deal, _receiptSignature(deal, clientKey), refused);
        _stopWith(poker, deal, _sign(clientKey, OrderId.unwrap(_id(deal))), refused);
        bytes32 structHash = OrderHashLib.hashStop(OrderId.unwrap(_id(deal)));
        _stopWith(poker, deal, _sign(clientKey, _digestAt(block.chainid + 1, address(book), structHash)), refused);
        _stopWith(poker, deal, _sign(clientKey, _digestAt(block.chainid, address(offers), structHash)), refused);
        bytes memory good = _stopSignature(deal, clientKey);
        _stopWith(poker, deal, _mirrored(good), refused);
        _stopWith(poker, deal, bytes.concat(good, hex"00"), refused);
        _stopWith(poker, deal, new bytes(65), refused);
        _stopWith(poker, deal, good, "");
        assertState(deal, OrderState.STOPPING);
        assertEq(_order(deal).extra.stoppedAt, T0);
    }

    function test_GivenTheClientIsAContract() external {
        Wallet wallet = new Wallet();
        _fund(address(wallet));
        Deal memory deal = _deal();
        (deal.terms.client, deal.terms.payer) = (address(wallet), address(wallet));
        _place(deal);
        _accept(deal);
        _start(deal);
        _stopWith(poker, deal, "", _notSignedBy(deal, address(wallet)));
        wallet.agree(_bookDigest(OrderHashLib.hashStop(OrderId.unwrap(_id(deal)))), true);
        _stopWith(poker, deal, "", "");
        assertState(deal, OrderState.STOPPING);
    }

    function test_GivenTheCvmWasRevoked() external {
        Deal memory deal = _engine();
        _revoke();
        _stop(deal);
        assertState(deal, OrderState.STOPPING);
        _settleRevoked(deal);
        assertState(deal, OrderState.REVOKED);
        _claimAll(deal, 0);
    }

    function test_GivenTheOrderWasFundedInPart() external {
        Deal memory deal = _deal();
        deal.terms.deposit = uint128(_deposit(deal, 1040));
        _place(deal);
        _acceptPartly(deal);
        _start(deal);
        _topUp(deal, poker, 5);
        skip(7);
        _stop(deal);
        Order memory order = _order(deal);
        assertEq(order.extra.limit, 1040);
        assertEq(order.extra.warnBelow, 800);
        assertEq(order.extra.added, 5);
        assertEq(order.extra.stoppedAt, T0 + 7);
    }

    function test_WhenTheClientCalls() external {
        Deal memory deal = _sponsoredEngine();
        skip(50);
        OrderId id = _id(deal);
        Order memory expected = book.getOrder(id);
        bytes memory order = Pack.order(deal.terms);
        vm.expectEmit(address(book));
        emit IOrderBook.OrderStopping(id, client, 4, T0 + 150 + 400);
        vm.prank(client);
        book.stop(order, "");
        expected.state = OrderState.STOPPING;
        expected.events = 5;
        expected.extra.limit = 5000;
        expected.extra.stoppedAt = uint40(T0 + 150);
        assertEq(abi.encode(book.getOrder(id)), abi.encode(expected));
        assertEq(_credits(), 0);
        assertEq(_locked(), _lock(deal));
    }

    function _wrong(Deal memory deal, OrderState actual) private {
        _willRevert(_wrongState(deal, actual, OrderState.STOPPING));
        _stop(deal);
    }

    function _stopWith(address caller, Deal memory deal, bytes memory signature, bytes memory error_) private {
        bytes memory order = Pack.order(deal.terms);
        if (error_.length != 0) vm.expectRevert(error_);
        vm.prank(caller);
        book.stop(order, signature);
    }
}
