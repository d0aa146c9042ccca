// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
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

    function test_RevertWhen_SomebodyElseCalls() external {
        OrderPreimage memory pre = _setup();
        address[2] memory others = [poker, operator];
        for (uint256 i = 0; i < 2; ++i) {
            vm.expectRevert(abi.encodeWithSelector(Errors.OrderBook_NotClient.selector, _id(pre), others[i], client));
            vm.prank(others[i]);
            book.stop(pre);
        }
    }

    function test_GivenSetup() external {
        OrderPreimage memory pre = _setup();
        skip(90);
        OrderId id = _id(pre);
        vm.expectEmit(address(book));
        emit IOrderBook.OrderEnded(id, cvmId, OrderState.STOPPED, Phase.SETUP, 90, 0);
        vm.prank(client);
        book.stop(pre);
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
