// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OrderCodec} from "../../../../contracts/libraries/OrderCodec.sol";
import {OrderId, OrderState, OrderTerms} from "../../../../contracts/types/Orders.sol";
import {Deal} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";
import {Stage, Wallet} from "./Stage.sol";

contract PlaceForTest is Stage {
    function test_WhenAnybodyCarriesBothSignatures() external {
        Deal memory deal = _sponsoredDeal();
        OrderId id = _id(deal);
        bytes memory order = Pack.order(deal.terms);
        (bytes memory one, bytes memory two) = (_consent(deal, clientKey), _consent(deal, sponsorKey));
        (uint256 clients, uint256 sponsors) = (token.balanceOf(client), token.balanceOf(sponsor));
        vm.expectEmit(address(book));
        emit IOrderBook.OrderPlaced(id, client, computeOffer, 3, bytes.concat(order, bytes(WHERE)));
        vm.prank(poker);
        OrderId returned = book.placeFor(order, WHERE, one, two);
        assertEq(OrderId.unwrap(returned), OrderId.unwrap(id));
        assertState(deal, OrderState.PLACED);
        assertEq(token.balanceOf(client), clients, "the client pays nothing");
        assertEq(sponsors - token.balanceOf(sponsor), deal.terms.deposit);
        assertEq(token.balanceOf(address(book)), deal.terms.deposit);
    }

    function test_WhenTheClientCalls() external {
        Deal memory deal = _sponsoredDeal();
        _placeFor(client, deal, "", "", _notSignedBy(deal, sponsor));
        _placeFor(client, deal, "", _consent(deal, clientKey), _notSignedBy(deal, sponsor));
        _placeFor(client, deal, "", _consent(deal, sponsorKey), "");
        assertState(deal, OrderState.PLACED);
    }

    function test_WhenThePayerCalls() external {
        Deal memory deal = _sponsoredDeal();
        _placeFor(sponsor, deal, "", "", _notSignedBy(deal, client));
        _placeFor(sponsor, deal, _consent(deal, sponsorKey), "", _notSignedBy(deal, client));
        _placeFor(sponsor, deal, _consent(deal, clientKey), "", "");
        assertState(deal, OrderState.PLACED);
    }

    function test_WhenClientAndPayerAreOne() external {
        Deal memory deal = _deal();
        _placeFor(poker, deal, "", _consent(deal, clientKey), _notSignedBy(deal, client));
        _placeFor(poker, deal, _consent(deal, clientKey), hex"00", "");
        assertState(deal, OrderState.PLACED);
        deal.terms.salt = "by himself";
        _placeFor(client, deal, "", "", "");
        assertState(deal, OrderState.PLACED);
    }

    function test_RevertWhen_ASignatureIsAnothers() external {
        Deal memory deal = _sponsoredDeal();
        Deal memory other = _sponsoredDeal();
        other.terms.salt = "other";
        (bytes memory one, bytes memory two) = (_consent(deal, clientKey), _consent(deal, sponsorKey));
        // Swapped, each other's, over another order.
        _placeFor(poker, deal, two, one, _notSignedBy(deal, client));
        _placeFor(poker, deal, one, one, _notSignedBy(deal, sponsor));
        _placeFor(poker, deal, one, _consent(other, sponsorKey), _notSignedBy(deal, sponsor));
        _placeFor(poker, deal, _consent(other, clientKey), two, _notSignedBy(deal, client));
        // The carrier's own name in the client's place spends nobody's money.
        other.terms.client = poker;
        _placeFor(poker, other, "", two, _notSignedBy(other, sponsor));
    }

    function test_RevertWhen_ASignatureIsForAnotherPlace() external {
        Deal memory deal = _sponsoredDeal();
        bytes memory one = _consent(deal, clientKey);
        bytes32 terms = _structHash(deal.terms);
        assertEq(_digestAt(block.chainid, address(book), terms), OrderId.unwrap(_id(deal)));
        bytes memory two = _sign(sponsorKey, _digestAt(block.chainid + 1, address(book), terms));
        _placeFor(poker, deal, one, two, _notSignedBy(deal, sponsor));
        two = _sign(sponsorKey, _digestAt(block.chainid, address(offers), terms));
        _placeFor(poker, deal, one, two, _notSignedBy(deal, sponsor));
        // After a fork with another id of the chain the order is another one there.
        bytes memory good = _consent(deal, sponsorKey);
        uint256 chain = block.chainid;
        vm.chainId(chain + 1);
        _placeFor(poker, deal, one, good, _notSignedBy(deal, client));
        assertEq(OrderId.unwrap(_id(deal)), _digestAt(chain + 1, address(book), terms));
        vm.chainId(chain);
        _placeFor(poker, deal, one, good, "");
    }

    function test_RevertWhen_ASignatureIsMalleable() external {
        Deal memory deal = _sponsoredDeal();
        (bytes memory one, bytes memory two) = (_consent(deal, clientKey), _consent(deal, sponsorKey));
        _placeFor(poker, deal, _mirrored(one), two, _notSignedBy(deal, client));
        _placeFor(poker, deal, one, _mirrored(two), _notSignedBy(deal, sponsor));
        (bytes32 r, bytes32 vs) = _signCompact(sponsorKey, OrderId.unwrap(_id(deal)));
        _placeFor(poker, deal, one, abi.encodePacked(r, vs), _notSignedBy(deal, sponsor));
        _placeFor(poker, deal, one, bytes.concat(two, hex"00"), _notSignedBy(deal, sponsor));
        _placeFor(poker, deal, one, new bytes(65), _notSignedBy(deal, sponsor));
    }

    function test_RevertWhen_ThePayerIsNobodyOrTheBook() external {
        Deal memory deal = _deal();
        deal.terms.payer = address(0);
        _placeFor(client, deal, "", new bytes(65), _notSignedBy(deal, address(0)));
        deal.terms.payer = address(book);
        _placeFor(client, deal, "", "", _notSignedBy(deal, address(book)));
        deal.terms.payer = address(token);
        _placeFor(client, deal, "", "", _notSignedBy(deal, address(token)));
    }

    function test_GivenBothAreContracts() external {
        (Wallet one, Wallet two) = (new Wallet(), new Wallet());
        _fund(address(two));
        Deal memory deal = _deal();
        (deal.terms.client, deal.terms.payer) = (address(one), address(two));
        _placeFor(poker, deal, "", "", _notSignedBy(deal, address(one)));
        one.agree(OrderId.unwrap(_id(deal)), true);
        _placeFor(poker, deal, "", "", _notSignedBy(deal, address(two)));
        two.rage();
        _placeFor(poker, deal, "", "", _notSignedBy(deal, address(two)));
        two = new Wallet();
        _fund(address(two));
        deal.terms.payer = address(two);
        one.agree(OrderId.unwrap(_id(deal)), true);
        two.agree(OrderId.unwrap(_id(deal)), true);
        _placeFor(poker, deal, "whatever", "", "");
        assertState(deal, OrderState.PLACED);
        // The order is the contract's, in both its places.
        _cancelAs(address(one), deal);
        assertEq(_credit(address(two)), deal.terms.deposit);
    }

    function test_GivenAContractTookItsWordBack() external {
        Wallet wallet = new Wallet();
        _fund(address(wallet));
        Deal memory deal = _deal();
        deal.terms.payer = address(wallet);
        bytes32 id = OrderId.unwrap(_id(deal));
        wallet.agree(id, true);
        wallet.agree(id, false);
        _placeFor(client, deal, "", "", _notSignedBy(deal, address(wallet)));
    }

    function test_RevertGiven_TheOrderWasPlacedOrCancelled() external {
        Deal memory deal = _sponsoredDeal();
        (bytes memory one, bytes memory two) = (_consent(deal, clientKey), _consent(deal, sponsorKey));
        _placeFor(poker, deal, one, two, "");
        _placeFor(poker, deal, one, two, _wrongState(deal, OrderState.PLACED, OrderState.PLACED));
        _cancelAs(client, deal);
        _placeFor(poker, deal, one, two, _wrongState(deal, OrderState.CANCELLED, OrderState.PLACED));
        assertEq(_credit(sponsor), deal.terms.deposit);
    }

    function test_RevertWhen_TheTermsCannotBePlaced() external {
        Deal memory deal = _sponsoredDeal();
        (bytes memory one, bytes memory two) = (_consent(deal, clientKey), _consent(deal, sponsorKey));
        vm.warp(deal.terms.placeBefore + 1);
        _placeFor(poker, deal, one, two, _tooLate(deal, deal.terms.placeBefore));
        vm.warp(T0);
        bytes memory order = Pack.order(deal.terms);
        vm.expectRevert(_locationTooLong());
        book.placeFor(order, string(new bytes(257)), one, two);
        order = bytes.concat(order, hex"00");
        vm.expectRevert(_wrongLength(order.length));
        book.placeFor(order, WHERE, one, two);
    }

    function test_RevertGiven_ThePayerGaveNoAllowance() external {
        Deal memory deal = _sponsoredDeal();
        (bytes memory one, bytes memory two) = (_consent(deal, clientKey), _consent(deal, sponsorKey));
        vm.prank(sponsor);
        token.approve(address(book), deal.terms.deposit - 1);
        _placeFor(
            poker,
            deal,
            one,
            two,
            abi.encodeWithSelector(
                IERC20Errors.ERC20InsufficientAllowance.selector,
                address(book),
                deal.terms.deposit - 1,
                deal.terms.deposit
            )
        );
    }

    /// @dev EIP-712 by its own words, not by the library's.
    function _structHash(OrderTerms memory t) private pure returns (bytes32) {
        bytes memory inputs;
        for (uint256 i = 0; i < t.inputs.length; ++i) {
            inputs = bytes.concat(inputs, keccak256(abi.encode(OrderCodec.INPUT_REF_TYPEHASH, t.inputs[i])));
        }
        bytes32 compute = keccak256(abi.encode(OrderCodec.COMPUTE_REF_TYPEHASH, t.compute));
        bytes32 windows = keccak256(abi.encode(OrderCodec.WINDOWS_TYPEHASH, t.windows));
        bytes32 held = keccak256(abi.encode(OrderCodec.HOLDBACK_TYPEHASH, t.holdback));
        return keccak256(
            bytes.concat(
                abi.encode(OrderCodec.ORDER_TERMS_TYPEHASH, t.client, t.payer, t.token, compute, keccak256(inputs)),
                abi.encode(t.configDigest, t.resultKeyDigest, t.accessKeyDigest, t.runtimePolicyDigest, t.placeBefore),
                abi.encode(windows, t.maxUnits, held, t.delivery, t.deliveryDigest, t.maxFeeBps, t.deposit, t.salt)
            )
        );
    }

    function _consent(Deal memory deal, uint256 key) private view returns (bytes memory) {
        return _sign(key, OrderId.unwrap(_id(deal)));
    }

    function _placeFor(address caller, Deal memory deal, bytes memory clients, bytes memory payers, bytes memory error_)
        private
    {
        bytes memory order = Pack.order(deal.terms);
        if (error_.length != 0) vm.expectRevert(error_);
        vm.prank(caller);
        book.placeFor(order, WHERE, clients, payers);
    }
}
