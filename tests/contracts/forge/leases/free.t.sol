// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {LeaseTerms} from "../../../../contracts/types/Leases.sol";
import {Leases} from "./Leases.sol";

contract FreeTest is Leases {
    function test_RevertWhen_TheCallerIsNotTheOrderBook() external {
        (, bytes32 id) = _leased(1);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_NotOrderBook.selector, lessee, book));
        vm.prank(lessee);
        leases.free(id);
    }

    function test_FreesThePlaceAfterTheEndToo() external {
        (, bytes32 id) = _leased(1);
        bytes memory before = abi.encode(_get(id));
        _take(id, T0);
        skip(2 * PERIOD);
        _free(id);
        assertEq(abi.encode(_get(id)), before);
    }

    function test_GivenNoSuchLeaseOrNoNumberForOneMore() external {
        _free("none");
        assertEq(_get("none").start, 0);
        assertEq(_get("none").left, 0);
        LeaseTerms memory terms = _terms();
        terms.places = type(uint8).max;
        _open(terms);
        bytes memory data = _leaseBytes(terms);
        vm.prank(lessee);
        bytes32 id = leases.lease(data, 1);
        bytes memory before = abi.encode(_get(id));
        _free(id);
        assertEq(abi.encode(_get(id)), before);
    }
}
