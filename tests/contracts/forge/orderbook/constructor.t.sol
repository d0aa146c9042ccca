// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Params} from "../../../../contracts/types/Orders.sol";
import {Market} from "../utils/Market.sol";

contract ConstructorTest is Market {
    function test_RevertWhen_TheProviderRegistryExpectsAnotherOrderBook() external {
        Params memory first = Params(FEE_BPS, PENALTY_BPS, MIN_GRACE, treasury);
        bytes memory code = abi.encodePacked(
            vm.getCode("OrderBook.sol:OrderBook"), abi.encode(authority, offers, providers, cvms, references, first)
        );
        address next = vm.computeCreateAddress(address(this), vm.getNonce(address(this)));
        vm.expectRevert(abi.encodeWithSelector(Errors.OrderBook_Wiring.selector, address(book), next));
        assembly {
            pop(create(0, add(code, 32), mload(code)))
        }
    }

    function test_WhenTheyFitTogether() external view {
        assertEq(address(book.OFFERS()), address(offers));
        assertEq(address(book.PROVIDERS()), address(providers));
        assertEq(address(book.CVMS()), address(cvms));
        assertEq(address(book.REFERENCES()), address(references));
        assertEq(book.AUTHORITY(), address(authority));
        assertEq(providers.ORDER_BOOK(), address(book));
        assertEq(providers.UNBONDING_SECONDS(), UNBONDING);
        assertEq(book.paramsVersion(), 1);
        assertEq(book.params(1).feeBps, FEE_BPS);
    }
}
