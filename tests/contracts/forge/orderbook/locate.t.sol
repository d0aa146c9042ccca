// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Order, OrderId, OrderState, Outcome} from "../../../../contracts/types/Orders.sol";
import {Deal} from "../utils/Market.sol";
import {Stage} from "./Stage.sol";

contract LocateTest is Stage {
    function test_RevertWhen_TheCallerIsNotTheOperator() external {
        Deal memory deal = _accepted();
        vm.prank(provider);
        providers.setOperator(computeOffer, address(token), poker);
        address[3] memory others = [client, provider, poker];
        OrderId id = _id(deal);
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(Errors.OrderBook_CvmOperator.selector, cvm, operator, others[i]));
            vm.prank(others[i]);
            book.locate(id, WHERE);
        }
    }

    function test_RevertGiven_TheOrderHasNoCvm() external {
        OrderId[2] memory ids = [_id(_placed()), OrderId.wrap(keccak256("nothing"))];
        address[2] memory callers = [operator, address(0)];
        for (uint256 i = 0; i < 4; ++i) {
            vm.expectRevert(
                abi.encodeWithSelector(Errors.OrderBook_CvmOperator.selector, 0, address(0), callers[i / 2])
            );
            vm.prank(callers[i / 2]);
            book.locate(ids[i % 2], WHERE);
        }
    }

    function test_RevertWhen_TheLocationIsTooLong() external {
        OrderId id = _id(_accepted());
        vm.startPrank(operator);
        vm.expectRevert(_locationTooLong());
        book.locate(id, string(new bytes(257)));
        book.locate(id, string(new bytes(256)));
        book.locate(id, "");
    }

    function test_WhenTheOperatorCalls() external {
        Deal memory deal = _accepted();
        _locates(deal, 2);
        _start(deal);
        _locates(deal, 4);
        _checkpoint(deal, 0, 0);
        _stop(deal);
        _locates(deal, 7);
        _complete(deal, Outcome.COMPLETED, 0, 0);
        _locates(deal, 9);
        _claimAll(deal, 0);
        _locates(deal, 15);
        // Also after the CVM was revoked: the bundle is what others look into then.
        _revoke();
        _locates(deal, 16);
        assertState(deal, OrderState.COMPLETED);
    }

    function test_GivenTheCounterIsAtItsEnd() external {
        Deal memory deal = _engine();
        OrderId id = _id(deal);
        bytes32 slot = _slotOf(id);
        uint256 counter = uint256(0xffff) << 240;
        vm.store(address(book), slot, bytes32((uint256(vm.load(address(book), slot)) & ~counter) | (0xfffe << 240)));
        _locates(deal, 0xfffe);
        // The last number repeats, and touches nothing beside it.
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(operator);
            book.locate(id, WHERE);
            assertEq(_order(deal).events, 0xffff);
        }
        _stop(deal);
        _complete(deal, Outcome.COMPLETED, 100, 0);
        assertState(deal, OrderState.COMPLETED);
        _claimAll(deal, 0);
        assertEq(_order(deal).events, 0xffff);
    }

    /// @dev Where the order's word is stored: the one slot that has it.
    function _slotOf(OrderId id) private view returns (bytes32 slot) {
        OrderId[] memory ids = new OrderId[](1);
        ids[0] = id;
        bytes32 word = bytes32(book.wordsOf(ids)[0]);
        for (uint256 i = 0; i < 16; ++i) {
            slot = keccak256(abi.encode(id, i));
            if (vm.load(address(book), slot) == word) return slot;
        }
        revert("no slot has it");
    }

    function _locates(Deal memory deal, uint16 n) private {
        OrderId id = _id(deal);
        Order memory expected = book.getOrder(id);
        assertEq(expected.events, n);
        vm.expectEmit(address(book));
        emit IOrderBook.OrderLocated(id, cvm, n, "ipfs://bundle");
        vm.prank(operator);
        book.locate(id, "ipfs://bundle");
        expected.events = n + 1;
        assertEq(abi.encode(book.getOrder(id)), abi.encode(expected));
    }
}
