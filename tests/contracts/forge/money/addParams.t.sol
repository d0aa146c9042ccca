// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Outcome, Params} from "../../../../contracts/types/Orders.sol";
import {Deal} from "../utils/Market.sol";
import {Money} from "./Money.sol";

contract AddParamsTest is Money {
    function test_RevertWhen_TheCallerIsNotTheAuthority() external {
        Params memory next = _next();
        address[3] memory others = [admin, treasury, poker];
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectRevert(
                abi.encodeWithSelector(Errors.OrderBook_NotAuthority.selector, others[i], address(authority))
            );
            vm.prank(others[i]);
            book.addParams(next);
        }
    }

    function test_RevertWhen_AStrangerAsksTheAuthority() external {
        bytes memory call_ = abi.encodeCall(book.addParams, (_next()));
        vm.expectPartialRevert(IAccessManager.AccessManagerUnauthorizedCall.selector);
        vm.prank(poker);
        authority.execute(address(book), call_);
    }

    function test_RevertWhen_ANumberIsAboveItsBound() external {
        Params memory next = _next();
        next.feeBps = 1001;
        _refused(next, abi.encodeWithSelector(Errors.OrderBook_ParamsBound.selector, bytes32("feeBps"), 1001, 1000));
        next = _next();
        next.startPenaltyBps = 5001;
        _refused(
            next, abi.encodeWithSelector(Errors.OrderBook_ParamsBound.selector, bytes32("startPenaltyBps"), 5001, 5000)
        );
        next = _next();
        next.minGrace = 1 days + 1;
        _refused(
            next, abi.encodeWithSelector(Errors.OrderBook_ParamsBound.selector, bytes32("minGrace"), 86_401, 86_400)
        );
        next = _next();
        next.treasury = address(0);
        _refused(next, abi.encodeWithSelector(Errors.OrderBook_NoTreasury.selector));
        assertEq(book.paramsVersion(), 1);
    }

    function test_RevertWhen_EveryVersionWasUsed() external {
        Params memory next = _next();
        vm.startPrank(address(authority));
        for (uint256 version = 2; version <= 255; ++version) {
            assertEq(book.addParams(next), version);
        }
        vm.stopPrank();
        _refused(next, abi.encodeWithSelector(Errors.OrderBook_ParamsBound.selector, bytes32("version"), 256, 255));
        // The last one fits into an order's word.
        Deal memory deal = _accepted();
        assertEq(_order(deal).paramsVersion, 255);
    }

    function test_WhenTheAuthorityExecutesIt() external {
        Params memory next = Params({feeBps: 1000, startPenaltyBps: 5000, minGrace: 1 days, treasury: poker});
        _pause(true);
        bytes memory call_ = abi.encodeCall(book.addParams, (next));
        vm.expectEmit(address(book));
        emit IOrderBook.ParamsAdded(2, 1000, 5000, 1 days, poker);
        vm.prank(admin);
        authority.execute(address(book), call_);
        assertEq(book.paramsVersion(), 2);
        assertEq(abi.encode(book.params(2)), abi.encode(next));
        assertEq(book.params(1).treasury, treasury);
        assertEq(book.params(3).treasury, address(0));
        assertTrue(book.isPaused());
    }

    function test_GivenAnOrderWasAcceptedBefore() external {
        Deal memory deal = _engine();
        Deal memory late = _deal();
        late.terms.salt = "starts never";
        _place(late);
        _accept(late);
        vm.prank(address(authority));
        book.addParams(Params({feeBps: 1000, startPenaltyBps: 5000, minGrace: 0, treasury: poker}));
        _complete(deal, Outcome.COMPLETED, 100, 0);
        _claimWhatIsThere(deal);
        assertEq(_credit(provider), _net(_amount(deal.compute.price, 100, 0)), "the fee of its acceptance");
        skip(301);
        _expire(late);
        _claimRest(late);
        uint256 inputs = _amount(deal.inputs[0].price, 100, 0) + 2 * _amount(deal.inputs[1].price, 100, 0);
        uint256 refund = deal.terms.deposit - _amount(deal.compute.price, 100, 0) - inputs;
        assertEq(_credit(client), refund + late.terms.deposit + _penalty(late), "the penalty too");
        assertGt(_credit(treasury), 0);
        assertEq(_credit(poker), 0);
        // A new one is asked for its consent to the new fee.
        deal.terms.salt = "new";
        _place(deal);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_FeeAboveMax.selector, 1000, FEE_BPS));
        _accept(deal);
    }

    function _next() private view returns (Params memory) {
        return Params({feeBps: 100, startPenaltyBps: 0, minGrace: 0, treasury: poker});
    }

    function _refused(Params memory next, bytes memory error_) private {
        vm.expectRevert(error_);
        vm.prank(address(authority));
        book.addParams(next);
    }
}
