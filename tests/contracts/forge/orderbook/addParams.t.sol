// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OrderPreimage, Outcome, Params} from "../../../../contracts/types/Orders.sol";
import {Market} from "../utils/Market.sol";

contract AddParamsTest is Market {
    function test_RevertWhen_TheCallerIsNotTheAuthority() external {
        Params memory next = _next();
        vm.expectRevert(abi.encodeWithSelector(Errors.OrderBook_NotAuthority.selector, admin, address(authority)));
        vm.prank(admin);
        book.addParams(next);
    }

    function test_RevertWhen_AShareIsAboveItsBound() external {
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
    }

    function test_WhenTheAuthorityExecutesIt() external {
        Params memory next = _next();
        vm.expectEmit(address(book));
        emit IOrderBook.ParamsAdded(2, 100, 0, 0, poker);
        vm.prank(admin);
        authority.execute(address(book), abi.encodeCall(book.addParams, next));
        assertEq(book.paramsVersion(), 2);
        assertEq(book.params(2).treasury, poker);
        assertEq(book.params(1).treasury, treasury);
        assertEq(book.params(3).treasury, address(0));
    }

    function test_RevertWhen_AStrangerAsksTheAuthority() external {
        vm.expectRevert();
        vm.prank(poker);
        authority.execute(address(book), abi.encodeCall(book.addParams, _next()));
    }

    function test_GivenAnOrderWasAcceptedBefore() external {
        OrderPreimage memory pre = _engine();
        vm.prank(address(authority));
        book.addParams(_next());
        _complete(pre, Outcome.COMPLETED, 100, 0);
        _claimAll(pre, 0);
        assertGt(token.balanceOf(treasury), 0);
        assertEq(token.balanceOf(poker), 0);
        pre = _preimage();
        pre.terms.salt = "next";
        _place(pre);
        _accept(pre);
        assertEq(_order(pre).paramsVersion, 2);
        assertEq(_locked(), _lock(pre) - _penalty(pre), "no penalty in version 2");
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
