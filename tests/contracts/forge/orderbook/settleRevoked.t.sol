// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OrderId, OrderPreimage, OrderState, Phase} from "../../../../contracts/types/Orders.sol";
import {Market} from "../utils/Market.sol";

contract SettleRevokedTest is Market {
    function test_RevertGiven_TheOrderDoesNotRun() external {
        OrderPreimage memory pre = _accepted();
        _revoke();
        _willRevert(
            abi.encodeWithSelector(
                Errors.OrderBook_WrongState.selector, _id(pre), OrderState.ACCEPTED, OrderState.REVOKED
            )
        );
        _settleRevoked(pre);
    }

    function test_RevertGiven_TheCvmIsNotRevoked() external {
        OrderPreimage memory pre = _engine();
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_CvmNotRevoked.selector, cvmId));
        _settleRevoked(pre);
        vm.prank(operator);
        cvms.retire(cvmId);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_CvmNotRevoked.selector, cvmId));
        _settleRevoked(pre);
    }

    function test_GivenSetup() external {
        OrderPreimage memory pre = _setup();
        skip(500);
        _revoke();
        _settleRevoked(pre);
        assertState(pre, OrderState.REVOKED);
        assertEq(_order(pre).secondsUsed, 0);
        assertEq(_free(), STAKE);
        assertEq(_payout(pre, 0), pre.terms.deposit);
        _claimAll(pre, 0);
    }

    function test_GivenEngine() external {
        OrderPreimage memory pre = _setup();
        skip(200);
        _checkpoint(pre, 150, 500);
        skip(1 days);
        _revoke();
        OrderId id = _id(pre);
        vm.expectEmit(address(book));
        emit IOrderBook.OrderEnded(id, cvmId, OrderState.REVOKED, Phase.ENGINE, 150, 0);
        vm.prank(poker);
        book.settleRevoked(pre);
        assertEq(_order(pre).unitsUsed, 0);
        assertEq(_free(), STAKE);
        uint256 compute = 11 + uint256(3_600_007) * 150 / 3600;
        uint256 dataset = 17 + uint256(777_777) * 150 / 3600;
        assertEq(_payout(pre, 8), compute - compute * 250 / 10_000, "compute");
        assertEq(_payout(pre, 0), pre.terms.deposit - compute - 1_000_003 - 2 * dataset, "refund");
        _claimAll(pre, 0);
    }
}
