// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {ContractWallet} from "../../../../contracts/mocks/ContractWallet.sol";
import {OrderId, OrderPreimage, OrderState, Phase} from "../../../../contracts/types/Orders.sol";
import {Market} from "../utils/Market.sol";

contract StopTest is Market {
    function test_RevertGiven_TheOrderDoesNotRun() external {
        OrderPreimage memory pre = _accepted();
        _willRevert(
            abi.encodeWithSelector(
                Errors.OrderBook_WrongState.selector, _id(pre), OrderState.ACCEPTED, OrderState.STOPPED
            )
        );
        _stop(pre);
    }

    function test_RevertGiven_TheCvmWasRevoked() external {
        OrderPreimage memory pre = _engine();
        _revoke();
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_CvmRevoked.selector, cvmId));
        _stop(pre);
    }

    function test_RevertWhen_AStrangerCallsWithoutTheClientsSignature() external {
        OrderPreimage memory pre = _setup();
        bytes memory refused = abi.encodeWithSelector(Errors.OrderBook_NotStopped.selector, _id(pre), client);
        bytes memory operators = _stopSignature(pre, operatorKey);
        OrderPreimage memory other = _preimage();
        other.terms.salt = "other";
        bytes memory others = _stopSignature(other, clientKey);
        vm.startPrank(poker);
        vm.expectRevert(refused);
        book.stop(pre, "");
        vm.expectRevert(refused);
        book.stop(pre, operators);
        vm.expectRevert(refused);
        book.stop(pre, others);
    }

    function test_WhenAStrangerCarriesTheClientsSignature() external {
        OrderPreimage memory pre = _setup();
        bytes memory signature = _stopSignature(pre, clientKey);
        vm.prank(poker);
        book.stop(pre, signature);
        assertState(pre, OrderState.STOPPED);
    }

    function test_WhenTheClientIsAContract() external {
        ContractWallet wallet = new ContractWallet(client);
        OrderPreimage memory pre = _preimage();
        pre.terms.client = address(wallet);
        pre.terms.payer = address(wallet);
        token.mint(address(wallet), pre.terms.deposit);
        vm.prank(address(wallet));
        token.approve(address(book), pre.terms.deposit);
        _place(pre);
        _accept(pre);
        _start(pre);
        bytes memory forged = _stopSignature(pre, operatorKey);
        bytes memory signature = _stopSignature(pre, clientKey);
        OrderId id = _id(pre);
        vm.expectRevert(abi.encodeWithSelector(Errors.OrderBook_NotStopped.selector, id, address(wallet)));
        book.stop(pre, forged);
        book.stop(pre, signature);
        assertState(pre, OrderState.STOPPED);
    }

    function test_GivenSetup() external {
        OrderPreimage memory pre = _setup();
        skip(90);
        OrderId id = _id(pre);
        vm.expectEmit(address(book));
        emit IOrderBook.OrderEnded(id, cvmId, OrderState.STOPPED, Phase.SETUP, 90, 0);
        vm.prank(client);
        book.stop(pre, "");
        // No fixed part and no minimum for compute; the inputs had their keys out: 120 seconds at least.
        _settles(pre, uint256(3_600_007) * 90 / 3600, 90);
    }

    function test_GivenSetupLongerThanSetupSeconds() external {
        OrderPreimage memory pre = _setup();
        skip(1000);
        _stop(pre);
        assertEq(_order(pre).secondsUsed, 1000);
        _settles(pre, uint256(3_600_007) * 240 / 3600, 1000);
    }

    function test_GivenEngine() external {
        OrderPreimage memory pre = _engine();
        skip(400);
        _stop(pre);
        _settles(pre, _amount(pre.compute.price, 500, 0), 500);
    }

    function test_GivenEngineLongerThanMaxSeconds() external {
        OrderPreimage memory pre = _engine();
        skip(1 days);
        _stop(pre);
        _settles(pre, _amount(pre.compute.price, 5000, 0), 5000);
    }

    function _settles(OrderPreimage memory pre, uint256 compute, uint256 secs) private {
        assertState(pre, OrderState.STOPPED);
        assertEq(_free(), STAKE);
        uint256 engine = _amount(pre.inputs[0].price, secs, 0);
        uint256 dataset = _amount(pre.inputs[1].price, secs, 0);
        assertEq(_payout(pre, 8), compute - compute * 250 / 10_000, "compute");
        assertEq(_payout(pre, 16), engine - engine * 250 / 10_000, "engine");
        assertEq(_payout(pre, 0), pre.terms.deposit - compute - engine - 2 * dataset, "refund");
        _claimAll(pre, 0);
    }
}
