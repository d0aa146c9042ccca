// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {CvmCertificate, TcbStatus} from "../../../../contracts/types/Certificates.sol";
import {OrderId, OrderPreimage, OrderState, Phase, RuntimePolicy} from "../../../../contracts/types/Orders.sol";
import {Market} from "../utils/Market.sol";

contract VoidOrderTest is Market {
    function test_RevertGiven_TheOrderIsNotAccepted() external {
        _revoke();
        OrderPreimage memory pre = _placed();
        _willRevert(_wrong(pre, OrderState.PLACED));
        _void(pre);
    }

    function test_RevertGiven_TheOrderRuns() external {
        OrderPreimage memory pre = _setup();
        _revoke();
        _willRevert(_wrong(pre, OrderState.RUNNING));
        _void(pre);
    }

    function test_RevertWhen_ThePolicyIsNotTheClients() external {
        OrderPreimage memory pre = _accepted();
        RuntimePolicy memory narrower = _policy();
        narrower.worstTcb = 0;
        bytes32 got = hashes.hashPolicy(narrower);
        vm.expectRevert(
            abi.encodeWithSelector(Errors.OrderBook_PolicyDigest.selector, got, pre.terms.runtimePolicyDigest)
        );
        book.voidOrder(pre, narrower);
    }

    function test_RevertGiven_TheCvmIsGood() external {
        OrderPreimage memory pre = _accepted();
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_CvmStillGood.selector, cvmId));
        _void(pre);
        // Retirement is the operator's own doing and no way out of the penalty.
        vm.prank(operator);
        cvms.retire(cvmId);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_CvmStillGood.selector, cvmId));
        _void(pre);
        skip(60 days);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_CvmStillGood.selector, cvmId));
        _void(pre);
    }

    function test_GivenTheCvmWasRevoked() external {
        OrderPreimage memory pre = _accepted();
        _revoke();
        _voids(pre);
    }

    function test_GivenTheMeasurementWasRemoved() external {
        OrderPreimage memory pre = _accepted();
        vm.prank(admin);
        references.removeMeasurement(MEASUREMENT);
        _voids(pre);
    }

    function test_GivenTheTrustClassWasRemoved() external {
        OrderPreimage memory pre = _accepted();
        vm.prank(admin);
        references.removeTrustClass(ROOT_SET);
        // Also long after startWithin: nobody was first, nobody loses.
        skip(10 days);
        _voids(pre);
    }

    function test_GivenARenewalShowsAWorseTcb() external {
        vm.prank(admin);
        references.acceptTrustClass(ROOT_SET, uint8(TcbStatus.OUT_OF_DATE));
        OrderPreimage memory pre = _accepted();
        CvmCertificate memory worse = _certificate();
        worse.tcbStatus = uint8(TcbStatus.OUT_OF_DATE);
        worse.expiresAt += 1;
        _certify(worse);
        _voids(pre);
    }

    function _voids(OrderPreimage memory pre) private {
        OrderId id = _id(pre);
        vm.expectEmit(address(book));
        emit IOrderBook.OrderEnded(id, cvmId, OrderState.CANCELLED, Phase.NONE, 0, 0);
        vm.prank(poker);
        book.voidOrder(pre, _policy());
        assertState(pre, OrderState.CANCELLED);
        assertEq(_locked(), 0);
        assertEq(_free(), STAKE);
        uint256 before = token.balanceOf(client);
        _claimAll(pre, 0);
        assertEq(token.balanceOf(client) - before, pre.terms.deposit);
    }

    function _wrong(OrderPreimage memory pre, OrderState actual) private view returns (bytes memory) {
        return abi.encodeWithSelector(Errors.OrderBook_WrongState.selector, _id(pre), actual, OrderState.CANCELLED);
    }
}
