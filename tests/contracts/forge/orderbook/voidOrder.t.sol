// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {TcbStatus} from "../../../../contracts/types/Certificates.sol";
import {Order, OrderId, OrderState, RuntimePolicy} from "../../../../contracts/types/Orders.sol";
import {Deal} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";
import {Stage} from "./Stage.sol";

contract VoidOrderTest is Stage {
    function test_RevertGiven_TheOrderIsNotAccepted() external {
        Deal memory deal = _deal();
        _refused(deal, _wrongState(deal, OrderState.NONE, OrderState.CANCELLED));
        _place(deal);
        _refused(deal, _wrongState(deal, OrderState.PLACED, OrderState.CANCELLED));
        _accept(deal);
        _start(deal);
        _revoke();
        _refused(deal, _wrongState(deal, OrderState.RUNNING, OrderState.CANCELLED));
        _settleRevoked(deal);
        _refused(deal, _wrongState(deal, OrderState.REVOKED, OrderState.CANCELLED));
    }

    function test_RevertGiven_TheOrderIsCancelled() external {
        Deal memory deal = _accepted();
        _revoke();
        _void(deal);
        _refused(deal, _wrongState(deal, OrderState.CANCELLED, OrderState.CANCELLED));
    }

    function test_RevertWhen_ThePolicyIsNotTheClients() external {
        Deal memory deal = _accepted();
        RuntimePolicy memory narrower = _policy();
        narrower.worstTcb = 0;
        bytes memory order = Pack.order(deal.terms);
        bytes memory policy = Pack.policy(narrower);
        vm.expectRevert(
            abi.encodeWithSelector(
                Errors.OrderBook_PolicyDigest.selector, _hashPolicy(narrower), deal.terms.runtimePolicyDigest
            )
        );
        book.voidOrder(order, policy);
        vm.expectRevert(abi.encodeWithSelector(Errors.PolicyCodec_Length.selector, 0));
        book.voidOrder(order, "");
        // Where no policy is asked, none is looked at.
        _revoke();
        book.voidOrder(order, "");
        assertState(deal, OrderState.CANCELLED);
    }

    function test_RevertGiven_TheCvmIsStillGood() external {
        Deal memory deal = _accepted();
        bytes memory stillGood = abi.encodeWithSelector(Errors.OrderBook_CvmStillGood.selector, cvm);
        _refused(deal, stillGood);
        // Retirement is the operator's own doing and no way out of the penalty.
        _retire();
        _refused(deal, stillGood);
        skip(60 days);
        _refused(deal, stillGood);
    }

    function test_GivenTheCvmWasRevoked() external {
        Deal memory deal = _sponsoredAccepted();
        _revoke();
        skip(10 days);
        _voids(deal);
    }

    function test_GivenItsProfileWasRemoved() external {
        Deal memory deal = _sponsoredAccepted();
        _removeProfile();
        _voids(deal);
    }

    function test_GivenTheTrustClassWasRemoved() external {
        Deal memory deal = _sponsoredAccepted();
        vm.prank(admin);
        references.removeTrustClass(ROOT_SET);
        // Also long after the start deadline: nobody was first, nobody loses.
        skip(10 days);
        _voids(deal);
    }

    function test_GivenTheMarketAsksABetterTcb() external {
        _renewWith(TcbStatus.SW_HARDENING_NEEDED);
        Deal memory deal = _sponsoredAccepted();
        uint32[] memory list = new uint32[](1);
        list[0] = profile;
        vm.prank(admin);
        references.raiseFloor(list, uint8(TcbStatus.UP_TO_DATE));
        skip(10 days);
        _voids(deal);
    }

    function test_RevertGiven_TheRuntimeIsAcceptedAgain() external {
        Deal memory deal = _accepted();
        _removeProfile();
        vm.prank(admin);
        references.acceptProfile(MEASUREMENT, ROOT_SET, 1, uint8(TcbStatus.SW_HARDENING_NEEDED), keccak256("release 1"));
        _refused(deal, abi.encodeWithSelector(Errors.OrderBook_CvmStillGood.selector, cvm));
        _start(deal);
        assertState(deal, OrderState.RUNNING);
    }

    function test_GivenARenewalIsBelowTheClientsFloor() external {
        Deal memory deal = _belowTheFloor();
        vm.warp(T0 + 300);
        _voids(deal);
    }

    function test_RevertGiven_ARenewalIsBelowTheFloorAndTheStartWasMissed() external {
        Deal memory deal = _belowTheFloor();
        vm.warp(T0 + 301);
        _refused(deal, _tooLate(deal, T0 + 300));
        _expire(deal);
        assertState(deal, OrderState.EXPIRED);
        _claimAll(deal, _penalty(deal));
        assertEq(_credit(client), _penalty(deal), "the client's, not the sponsor's");
        assertEq(_credit(sponsor), deal.terms.deposit);
    }

    function test_GivenTheDepositWasToppedUp() external {
        Deal memory deal = _sponsoredDeal();
        deal.terms.deposit = uint128(_deposit(deal, 1040));
        _placeSponsored(deal);
        _acceptPartly(deal);
        _topUp(deal, poker, 1000);
        _revoke();
        _void(deal);
        assertEq(_credit(sponsor), deal.terms.deposit + 1000);
        assertEq(_credit(poker), 0, "whoever added gave it to the payer");
        assertEq(token.balanceOf(address(book)), deal.terms.deposit + 1000);
    }

    function test_GivenAnInputIsLeased() external {
        Deal memory deal = _leasedDeal();
        bytes32 lease = deal.terms.inputs[1].lease;
        _place(deal);
        _accept(deal);
        assertEq(_places(lease), 0);
        _revoke();
        _void(deal);
        assertEq(_places(lease), 1);
    }

    /// @dev The market is content with worse, the client is not.
    function _belowTheFloor() private returns (Deal memory deal) {
        vm.prank(admin);
        references.lowerFloor(profile, uint8(TcbStatus.OUT_OF_DATE));
        deal = _sponsoredAccepted();
        _renewWith(TcbStatus.OUT_OF_DATE);
    }

    function _voids(Deal memory deal) private {
        OrderId id = _id(deal);
        (bytes memory order, bytes memory policy) = (Pack.order(deal.terms), _packedPolicy());
        vm.expectEmit(address(book));
        emit IOrderBook.OrderEnded(id, cvm, OrderState.CANCELLED, uint256(2) << 240, 0);
        vm.prank(poker);
        book.voidOrder(order, policy);
        Order memory got = _order(deal);
        assertEq(uint8(got.state), uint8(OrderState.CANCELLED));
        assertEq(got.since, block.timestamp);
        assertEq(got.claimed, 1 << REST);
        assertEq(_locked(), 0);
        assertEq(_free(), STAKE);
        assertEq(_desk().active, 0);
        assertEq(_credit(sponsor), deal.terms.deposit);
        assertEq(_credits(), deal.terms.deposit);
        assertEq(token.balanceOf(address(book)), deal.terms.deposit);
    }

    function _refused(Deal memory deal, bytes memory error_) private {
        _willRevert(error_);
        _void(deal);
    }
}
