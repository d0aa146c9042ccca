// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OrderState} from "../../../../contracts/types/Orders.sol";
import {Deal} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";
import {Stage} from "./Stage.sol";

contract PlaceBatchTest is Stage {
    function test_WhenTheListIsEmpty() external {
        vm.recordLogs();
        vm.prank(client);
        book.placeBatch(new bytes[](0), WHERE);
        assertEq(vm.getRecordedLogs().length, 0);
    }

    function test_RevertWhen_AnOrderIsAnothers() external {
        Deal[] memory deals = _three();
        deals[2].terms.client = poker;
        _refused(deals, abi.encodeWithSelector(Errors.OrderBook_NotClient.selector, _id(deals[2]), client, poker));
        deals = _three();
        deals[1].terms.payer = sponsor;
        _refused(deals, abi.encodeWithSelector(Errors.OrderBook_OtherPayer.selector, sponsor, client));
    }

    function test_RevertWhen_AnOrderCountsInAnotherToken() external {
        Deal[] memory deals = _three();
        deals[2].terms.token = makeAddr("another token");
        _refused(deals, abi.encodeWithSelector(Errors.OrderBook_OtherInBatch.selector, 2, bytes32("token")));
        deals = _three();
        deals[0].terms.token = makeAddr("another token");
        _refused(deals, abi.encodeWithSelector(Errors.OrderBook_OtherInBatch.selector, 1, bytes32("token")));
    }

    function test_RevertWhen_OneOrderStandsTwice() external {
        Deal[] memory deals = _three();
        deals[2] = deals[0];
        _refused(deals, _wrongState(deals[0], OrderState.PLACED, OrderState.PLACED));
    }

    function test_RevertGiven_OneCannotBePlaced() external {
        Deal[] memory deals = _three();
        deals[1].terms.placeBefore = uint40(T0 - 1);
        _refused(deals, _tooLate(deals[1], T0 - 1));
    }

    function test_RevertWhen_TheLocationIsTooLong() external {
        bytes[] memory orders = _pack(_three());
        vm.expectRevert(_locationTooLong());
        vm.prank(client);
        book.placeBatch(orders, string(new bytes(257)));
    }

    function test_RevertWhen_TheSumIsAUnitTooMuch() external {
        Deal[] memory deals = _three();
        uint256 sum = _sum(deals);
        vm.prank(client);
        token.approve(address(book), sum - 1);
        _refused(
            deals, abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(book), sum - 1, sum)
        );
    }

    function test_RevertWhen_TwoWantTheLastPlaceOfALease() external {
        Deal[] memory deals = new Deal[](2);
        deals[0] = _leasedDeal();
        deals[1] = _deal();
        deals[1].terms.inputs[1].lease = deals[0].terms.inputs[1].lease;
        deals[1].terms.salt = "second";
        _refused(deals, abi.encodeWithSelector(Errors.LeaseBook_NoPlace.selector, deals[0].terms.inputs[1].lease));
    }

    function test_WhenAllAreGood() external {
        Deal[] memory deals = _three();
        bytes[] memory orders = _pack(deals);
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectEmit(address(book));
            emit IOrderBook.OrderPlaced(_id(deals[i]), client, computeOffer, 3, bytes.concat(orders[i], bytes(WHERE)));
        }
        vm.expectEmit(address(token));
        emit IERC20.Transfer(client, address(book), _sum(deals));
        vm.prank(client);
        book.placeBatch(orders, WHERE);
        assertEq(token.balanceOf(address(book)), _sum(deals));
        for (uint256 i = 0; i < 3; ++i) {
            assertState(deals[i], OrderState.PLACED);
        }
    }

    /// @dev With deposits of three kinds: all of 128 bits, one unit, nothing.
    function test_WhenTheSumNeedsMoreThan128Bits() external {
        Deal[] memory deals = _three();
        deals[0].terms.deposit = type(uint128).max;
        deals[1].terms.deposit = 1;
        deals[2].terms.deposit = 0;
        token.mint(client, type(uint128).max);
        bytes[] memory orders = _pack(deals);
        vm.prank(client);
        book.placeBatch(orders, WHERE);
        assertEq(token.balanceOf(address(book)), uint256(type(uint128).max) + 1);
    }

    function _three() private view returns (Deal[] memory deals) {
        deals = new Deal[](3);
        for (uint256 i = 0; i < 3; ++i) {
            deals[i] = _deal();
            deals[i].terms.salt = bytes32(i + 1);
            deals[i].terms.deposit += uint128(i);
        }
    }

    function _pack(Deal[] memory deals) private pure returns (bytes[] memory orders) {
        orders = new bytes[](deals.length);
        for (uint256 i = 0; i < deals.length; ++i) {
            orders[i] = Pack.order(deals[i].terms);
        }
    }

    function _sum(Deal[] memory deals) private pure returns (uint256 sum) {
        for (uint256 i = 0; i < deals.length; ++i) {
            sum += deals[i].terms.deposit;
        }
    }

    function _refused(Deal[] memory deals, bytes memory error_) private {
        bytes[] memory orders = _pack(deals);
        vm.expectRevert(error_);
        vm.prank(client);
        book.placeBatch(orders, WHERE);
        for (uint256 i = 0; i < deals.length; ++i) {
            assertState(deals[i], OrderState.NONE);
        }
        assertEq(token.balanceOf(address(book)), 0);
    }
}
