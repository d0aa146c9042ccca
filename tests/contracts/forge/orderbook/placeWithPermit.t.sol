// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OrderId, OrderPreimage, OrderState} from "../../../../contracts/types/Orders.sol";
import {Market} from "../utils/Market.sol";

contract PlaceWithPermitTest is Market {
    uint8 private _v;
    bytes32 private _r;
    bytes32 private _s;
    uint256 private _until;

    function setUp() public override {
        super.setUp();
        vm.prank(client);
        token.approve(address(book), 0);
        _until = T0 + 1 hours;
    }

    function test_WhenThePermitIsGood() external {
        OrderPreimage memory pre = _signed();
        vm.prank(client);
        book.placeWithPermit(pre.terms, WHERE, _until, _v, _r, _s);
        assertState(pre, OrderState.PLACED);
        assertEq(token.balanceOf(address(book)), pre.terms.deposit);
        assertEq(token.allowance(client, address(book)), 0);
    }

    function test_GivenSomebodySpentThePermitFirst() external {
        OrderPreimage memory pre = _signed();
        vm.prank(poker);
        token.permit(client, address(book), pre.terms.deposit, _until, _v, _r, _s);
        vm.prank(client);
        book.placeWithPermit(pre.terms, WHERE, _until, _v, _r, _s);
        assertState(pre, OrderState.PLACED);
    }

    function test_RevertWhen_ThePermitIsBad() external {
        OrderPreimage memory pre = _signed();
        vm.expectRevert(
            abi.encodeWithSelector(
                IERC20Errors.ERC20InsufficientAllowance.selector, address(book), 0, pre.terms.deposit
            )
        );
        vm.prank(client);
        book.placeWithPermit(pre.terms, WHERE, _until + 1, _v, _r, _s);
    }

    function test_RevertWhen_TheCallerCarriesTheClientsPermit() external {
        OrderPreimage memory pre = _signed();
        OrderId id = _id(pre);
        vm.expectRevert(abi.encodeWithSelector(Errors.OrderBook_NotClient.selector, id, poker, client));
        vm.prank(poker);
        book.placeWithPermit(pre.terms, WHERE, _until, _v, _r, _s);
    }

    function _signed() private returns (OrderPreimage memory pre) {
        pre = _preimage();
        bytes32 typehash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 structHash =
            keccak256(abi.encode(typehash, client, address(book), pre.terms.deposit, token.nonces(client), _until));
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), structHash));
        (_v, _r, _s) = vm.sign(clientKey, digest);
    }
}
