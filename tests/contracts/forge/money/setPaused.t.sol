// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OrderId, OrderState, Outcome, Params, Report} from "../../../../contracts/types/Orders.sol";
import {Deal} from "../utils/Market.sol";
import {Money} from "./Money.sol";

contract SetPausedTest is Money {
    function test_RevertWhen_TheCallerIsNotTheAuthority() external {
        address[3] memory others = [admin, operator, poker];
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectRevert(
                abi.encodeWithSelector(Errors.OrderBook_NotAuthority.selector, others[i], address(authority))
            );
            vm.prank(others[i]);
            book.setPaused(true);
        }
    }

    function test_WhenItPauses() external {
        Deal memory waiting = _sponsoredDeal();
        waiting.terms.salt = "waiting";
        _placeSponsored(waiting);
        Params memory before = book.params(1);
        vm.expectEmit(address(book));
        emit IOrderBook.PausedSet(true);
        _pause(true);
        assertTrue(book.isPaused());
        assertEq(book.paramsVersion(), 1);
        assertEq(abi.encode(book.params(1)), abi.encode(before));
        bytes memory paused = abi.encodeWithSelector(Errors.OrderBook_Paused.selector);
        _willRevert(paused);
        _accept(waiting);
        vm.expectRevert(paused);
        this.acceptPartly(waiting);
        // What waits binds nobody: it is placed, and leaves when its client wants.
        Deal memory deal = _placed();
        _willRevert(paused);
        _accept(deal);
        _cancelAs(client, deal);
        assertEq(_credit(client), deal.terms.deposit);
    }

    /// @dev External, for an expected revert around a call whose making calls contracts.
    function acceptPartly(Deal memory deal) external {
        _acceptPartly(deal);
    }

    function test_WhenItAllowsAgain() external {
        Deal memory deal = _placed();
        _pause(true);
        vm.expectEmit(address(book));
        emit IOrderBook.PausedSet(false);
        _pause(false);
        assertFalse(book.isPaused());
        _accept(deal);
        assertState(deal, OrderState.ACCEPTED);
    }

    function test_GivenTheBookIsPaused() external {
        Deal[8] memory deals;
        for (uint256 i = 0; i < 8; ++i) {
            deals[i] = i == 6 ? _heldDeal() : _deal();
            deals[i].terms.salt = bytes32(i + 1);
            _place(deals[i]);
            if (i != 0) _accept(deals[i]);
        }
        _pause(true);
        _cancelAs(client, deals[0]);
        for (uint256 i = 1; i < 7; ++i) {
            _start(deals[i]);
        }
        skip(100);
        for (uint256 i = 2; i < 7; ++i) {
            _checkpoint(deals[i], 100, 0);
        }
        _claim(deals[2], 0);
        _reclaimAs(client, deals[2], deals[2].terms.deposit - _deposit(deals[2], 2000));
        _topUpAs(client, deals[2], 1_000_000);
        _refuse(deals[1], 10);
        _complete(deals[2], Outcome.COMPLETED, 100, 0);
        _stop(deals[3]);
        skip(1);
        _prove(deals[3], 101, 0);
        _complete(deals[6], Outcome.COMPLETED, 100, 0);
        _receiptAs(client, deals[6], "");
        skip(401);
        _expire(deals[3]);
        _expire(deals[4]);
        (Report memory one, Report memory two) = _twoWords(deals[2], 100, 0);
        _revoke();
        _settleRevoked(deals[5]);
        _void(deals[7]);
        uint256 before = token.balanceOf(address(book));
        for (uint256 i = 1; i < 7; ++i) {
            _claimWhatIsThere(deals[i]);
        }
        assertGt(token.balanceOf(address(book)), before, "the slash");
        assertEq(token.balanceOf(address(book)), _credits(), "everything is out");
        _equivocateAs(poker, deals[2], one, two);
        _withdraw(client);
        _withdraw(provider);
        assertState(deals[3], OrderState.STOPPED);
        assertEq(_locked(), 0);
        assertEq(_desk().active, 0);
    }
}
