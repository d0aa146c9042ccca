// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OrderId, OrderState} from "../../../../contracts/types/Orders.sol";
import {Deal} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";
import {Stage} from "./Stage.sol";

contract PlaceWithPermitTest is Stage {
    bytes32 private constant _PERMIT_TYPEHASH =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");

    uint8 private _v;
    bytes32 private _r;
    bytes32 private _s;
    uint256 private _until;

    function setUp() public override {
        super.setUp();
        _until = T0 + 1 hours;
        vm.prank(client);
        token.approve(address(book), 0);
        vm.prank(sponsor);
        token.approve(address(book), 0);
    }

    function test_WhenThePermitIsGood() external {
        Deal memory deal = _permitted();
        OrderId id = _id(deal);
        bytes memory order = Pack.order(deal.terms);
        vm.expectEmit(address(book));
        emit IOrderBook.OrderPlaced(id, client, computeOffer, 3, bytes.concat(order, bytes(WHERE)));
        vm.prank(client);
        OrderId returned = book.placeWithPermit(order, WHERE, _until, _v, _r, _s);
        assertEq(OrderId.unwrap(returned), OrderId.unwrap(id));
        assertState(deal, OrderState.PLACED);
        assertEq(token.balanceOf(address(book)), deal.terms.deposit);
        assertEq(token.allowance(client, address(book)), 0);
    }

    function test_GivenSomebodySpentThePermitFirst() external {
        Deal memory deal = _permitted();
        vm.prank(poker);
        token.permit(client, address(book), deal.terms.deposit, _until, _v, _r, _s);
        _placeIt(client, deal, _until, "");
        assertState(deal, OrderState.PLACED);
    }

    function test_RevertWhen_ThePermitIsBad() external {
        Deal memory deal = _permitted();
        bytes memory noAllowance = abi.encodeWithSelector(
            IERC20Errors.ERC20InsufficientAllowance.selector, address(book), 0, deal.terms.deposit
        );
        _placeIt(client, deal, _until + 1, noAllowance);
        // Over another amount.
        deal.terms.deposit += 1;
        _placeIt(
            client,
            deal,
            _until,
            abi.encodeWithSelector(
                IERC20Errors.ERC20InsufficientAllowance.selector, address(book), 0, deal.terms.deposit
            )
        );
        deal.terms.deposit -= 1;
        // The permit is over.
        vm.warp(_until + 1);
        _placeIt(client, deal, _until, noAllowance);
        vm.warp(_until);
        _placeIt(client, deal, _until, "");
        assertState(deal, OrderState.PLACED);
    }

    function test_WhenTheTokenKnowsNoPermits() external {
        address old = deployCode("HostileTokens.sol:SilentToken");
        (bool done,) = old.call(abi.encodeWithSignature("mint(address,uint256)", client, 10_000));
        assertTrue(done);
        vm.prank(client);
        (done,) = old.call(abi.encodeWithSignature("approve(address,uint256)", address(book), 10_000));
        assertTrue(done);
        Deal memory deal = _permitted();
        deal.terms.token = old;
        deal.terms.deposit = 10_000;
        _placeIt(client, deal, _until, "");
        assertState(deal, OrderState.PLACED);
    }

    function test_RevertWhen_TheCallerCarriesTheClientsPermit() external {
        Deal memory deal = _permitted();
        _placeIt(
            poker, deal, _until, abi.encodeWithSelector(Errors.OrderBook_NotClient.selector, _id(deal), poker, client)
        );
        // Nor can it be spent on the carrier's own order.
        deal.terms.client = poker;
        _placeIt(poker, deal, _until, abi.encodeWithSelector(Errors.OrderBook_OtherPayer.selector, client, poker));
    }

    function test_RevertWhen_ThePayerIsAnother() external {
        Deal memory deal = _sponsoredDeal();
        _permit(sponsor, sponsorKey, deal.terms.deposit);
        _placeIt(client, deal, _until, abi.encodeWithSelector(Errors.OrderBook_OtherPayer.selector, sponsor, client));
        _placeIt(
            sponsor,
            deal,
            _until,
            abi.encodeWithSelector(Errors.OrderBook_NotClient.selector, _id(deal), sponsor, client)
        );
    }

    function test_RevertWhen_TheTermsCannotBePlaced() external {
        Deal memory deal = _permitted();
        deal.terms.holdback.bps = 1;
        _placeIt(client, deal, _until, abi.encodeWithSelector(Errors.OrderBook_Holdback.selector, 1, 0));
        deal.terms.holdback.bps = 0;
        _placeIt(client, deal, _until, "");
        _placeIt(client, deal, _until, _wrongState(deal, OrderState.PLACED, OrderState.PLACED));
    }

    function _placeIt(address caller, Deal memory deal, uint256 until, bytes memory error_) private {
        bytes memory order = Pack.order(deal.terms);
        if (error_.length != 0) vm.expectRevert(error_);
        vm.prank(caller);
        book.placeWithPermit(order, WHERE, until, _v, _r, _s);
    }

    function _permitted() private returns (Deal memory deal) {
        deal = _deal();
        _permit(client, clientKey, deal.terms.deposit);
    }

    function _permit(address owner, uint256 key, uint256 amount) private {
        bytes32 structHash =
            keccak256(abi.encode(_PERMIT_TYPEHASH, owner, address(book), amount, token.nonces(owner), _until));
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), structHash));
        (_v, _r, _s) = vm.sign(key, digest);
    }
}
