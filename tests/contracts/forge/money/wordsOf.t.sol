// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {OrderWord} from "../../../../contracts/libraries/OrderWord.sol";
import {OrderId, OrderState, Phase} from "../../../../contracts/types/Orders.sol";
import {Deal} from "../utils/Market.sol";
import {Money} from "./Money.sol";

contract WordsOfTest is Money {
    function test_WhenNothingIsAskedFor() external view {
        assertEq(book.wordsOf(new OrderId[](0)).length, 0);
    }

    function test_WhenIdsAreAskedFor() external {
        Deal memory one = _engine();
        Deal memory two = _deal();
        two.terms.salt = "two";
        _place(two);
        OrderId[] memory ids = new OrderId[](4);
        (ids[0], ids[1], ids[2], ids[3]) = (_id(two), OrderId.wrap("nobody's"), _id(one), _id(two));
        uint256[] memory words = book.wordsOf(ids);
        assertEq(words.length, 4);
        assertEq(words[0], uint256(OrderState.PLACED) | ((T0 + 100) << 11) | (1 << 240));
        assertEq(words[1], 0);
        assertEq(words[3], words[0]);
        OrderWord word = OrderWord.wrap(words[2]);
        assertEq(uint8(word.state()), uint8(OrderState.RUNNING));
        assertEq(uint8(word.phase()), uint8(Phase.ENGINE));
        assertEq(word.since(), T0);
        assertEq(word.secs(), 100);
        assertEq(word.cvm(), cvm);
        assertEq(word.events(), 4);
    }
}
