// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Desk} from "../../../../contracts/interfaces/IProviderRegistry.sol";
import {Desks} from "./Desks.sol";

contract ConstructorTest is Desks {
    function test_KeepsWhatItWasGiven() external view {
        assertEq(address(providers.OFFERS()), address(offers));
        assertEq(providers.ORDER_BOOK(), book);
        assertEq(providers.UNBONDING_SECONDS(), UNBONDING);
    }

    function testFuzz_LeavesTheDesksApart(uint64 offer, address other) external view {
        vm.assume(offer != OFFER || other != address(token));
        Desk memory desk = providers.deskOf(offer, other);
        assertEq(desk.operator, address(0));
        assertEq(desk.free, 0);
    }
}
