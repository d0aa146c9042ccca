// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {DeployPermit2} from "permit2/test/utils/DeployPermit2.sol";

import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OrderId, OrderState} from "../../../../contracts/types/Orders.sol";
import {Deal} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";
import {Stage, Wallet} from "./Stage.sol";

/// @notice With Permit2's own code at its own address, and signatures by the words of its documentation: the types are
/// written out here, so that the contract's strings are checked too.
contract PlaceWithPermit2Test is Stage {
    address private constant _PERMIT2 = 0x000000000022D473030F116dDEE9F6B43aC78BA3;
    bytes32 private constant _TOKEN_TYPEHASH = keccak256("TokenPermissions(address token,uint256 amount)");
    bytes32 private constant _TRANSFER_TYPEHASH = keccak256(
        "PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,OrderWitness witness)OrderWitness(bytes32 orderId)TokenPermissions(address token,uint256 amount)"
    );
    bytes32 private constant _WITNESS_TYPEHASH = keccak256("OrderWitness(bytes32 orderId)");
    uint256 private constant _NONCE = 77;
    // Permit2's errors.
    bytes private constant _INVALID_SIGNER = abi.encodeWithSignature("InvalidSigner()");
    bytes private constant _INVALID_NONCE = abi.encodeWithSignature("InvalidNonce()");

    uint256 private _until;

    struct Transfer {
        address token;
        uint256 amount;
        address spender;
        uint256 nonce;
        uint256 deadline;
        bytes32 orderId;
    }

    function setUp() public override {
        // The stored code remembers the domain of where it was made, on the chain that tests run on by default. On any
        // other it works its domain out, as it does on the chains that people use.
        vm.chainId(8453);
        super.setUp();
        new DeployPermit2().deployPermit2();
        _until = T0 + 1 hours;
        vm.startPrank(sponsor);
        // Permit2 has the allowance, the book has none.
        token.approve(address(book), 0);
        token.approve(_PERMIT2, type(uint256).max);
        vm.stopPrank();
    }

    function test_WhenThePayerSignedATransferForThisOrder() external {
        Deal memory deal = _sponsoredDeal();
        bytes memory clients = _sign(clientKey, OrderId.unwrap(_id(deal)));
        bytes memory payers = _signTransfer(_transfer(deal), sponsorKey);
        uint256 before = token.balanceOf(sponsor);
        bytes memory order = Pack.order(deal.terms);
        vm.prank(poker);
        OrderId returned = book.placeWithPermit2(order, WHERE, clients, _NONCE, _until, payers);
        assertEq(OrderId.unwrap(returned), OrderId.unwrap(_id(deal)));
        assertState(deal, OrderState.PLACED);
        assertEq(before - token.balanceOf(sponsor), deal.terms.deposit);
        assertEq(token.balanceOf(address(book)), deal.terms.deposit);
        // The refund is the payer's.
        _cancelAs(client, deal);
        assertEq(_credit(sponsor), deal.terms.deposit);
    }

    function test_WhenTheClientCallsAndPays() external {
        vm.prank(client);
        token.approve(_PERMIT2, type(uint256).max);
        Deal memory deal = _deal();
        _place2(client, deal, "", _signTransfer(_transfer(deal), clientKey), "");
        assertState(deal, OrderState.PLACED);
    }

    function test_RevertWhen_TheClientHasNotSigned() external {
        Deal memory deal = _sponsoredDeal();
        bytes memory payers = _signTransfer(_transfer(deal), sponsorKey);
        _place2(poker, deal, "", payers, _notSignedBy(deal, client));
        _place2(sponsor, deal, "", payers, _notSignedBy(deal, client));
        _place2(sponsor, deal, payers, payers, _notSignedBy(deal, client));
    }

    function test_RevertWhen_TheTransferWasSignedForAnotherUse() external {
        Deal memory deal = _sponsoredDeal();
        Transfer memory t = _transfer(deal);
        t.orderId = keccak256("another order");
        _refused(deal, t);
        t = _transfer(deal);
        t.amount += 1;
        _refused(deal, t);
        t = _transfer(deal);
        t.token = address(offers);
        _refused(deal, t);
        t = _transfer(deal);
        t.spender = poker;
        _refused(deal, t);
        t = _transfer(deal);
        t.nonce += 1;
        _refused(deal, t);
        t = _transfer(deal);
        t.deadline += 1;
        _refused(deal, t);
        _place2(client, deal, "", _signTransfer(_transfer(deal), clientKey), _INVALID_SIGNER);
        // A plain signature of the order id, good for `placeFor`, moves nothing here.
        _place2(client, deal, "", _sign(sponsorKey, OrderId.unwrap(_id(deal))), _INVALID_SIGNER);
    }

    function test_RevertWhen_AnotherPutsHisOrderInItsPlace() external {
        Deal memory deal = _sponsoredDeal();
        bytes memory payers = _signTransfer(_transfer(deal), sponsorKey);
        deal.terms.client = poker;
        _place2(poker, deal, "", payers, _INVALID_SIGNER);
    }

    function test_RevertWhen_TheDeadlineIsOver() external {
        Deal memory deal = _sponsoredDeal();
        bytes memory payers = _signTransfer(_transfer(deal), sponsorKey);
        vm.warp(_until + 1);
        _place2(client, deal, "", payers, abi.encodeWithSignature("SignatureExpired(uint256)", _until));
        vm.warp(_until);
        _place2(client, deal, "", payers, "");
        assertState(deal, OrderState.PLACED);
    }

    function test_RevertWhen_TheNonceWasUsed() external {
        Deal memory deal = _sponsoredDeal();
        _place2(client, deal, "", _signTransfer(_transfer(deal), sponsorKey), "");
        deal.terms.salt = "next";
        _place2(client, deal, "", _signTransfer(_transfer(deal), sponsorKey), _INVALID_NONCE);
    }

    function test_GivenThePayerIsAContract() external {
        Wallet wallet = new Wallet();
        token.mint(address(wallet), 1e30);
        vm.prank(address(wallet));
        token.approve(_PERMIT2, type(uint256).max);
        Deal memory deal = _deal();
        deal.terms.payer = address(wallet);
        // Standing behind the order is not standing behind the transfer.
        wallet.agree(OrderId.unwrap(_id(deal)), true);
        _place2(client, deal, "", "", abi.encodeWithSignature("InvalidContractSignature()"));
        wallet.agree(_digestOf(_transfer(deal)), true);
        _place2(client, deal, "", "", "");
        assertState(deal, OrderState.PLACED);
        assertEq(token.balanceOf(address(book)), deal.terms.deposit);
    }

    function test_RevertGiven_ThePayerGaveNoAllowance() external {
        vm.prank(sponsor);
        token.approve(_PERMIT2, 0);
        Deal memory deal = _sponsoredDeal();
        bytes memory payers = _signTransfer(_transfer(deal), sponsorKey);
        // As solmate says it, on which Permit2 stands.
        _place2(client, deal, "", payers, abi.encodeWithSignature("Error(string)", "TRANSFER_FROM_FAILED"));
    }

    function test_RevertGiven_ThereIsNoPermit2() external {
        vm.etch(_PERMIT2, "");
        Deal memory deal = _sponsoredDeal();
        bytes memory order = Pack.order(deal.terms);
        bytes memory payers = _signTransfer(_transfer(deal), sponsorKey);
        vm.prank(client);
        vm.expectRevert(bytes(""));
        book.placeWithPermit2(order, WHERE, "", _NONCE, _until, payers);
    }

    function test_RevertWhen_TheTokenGivesLess() external {
        address fee = deployCode("HostileTokens.sol:FeeToken");
        (bool done,) = fee.call(abi.encodeWithSignature("mint(address,uint256)", sponsor, 10_000));
        assertTrue(done);
        vm.prank(sponsor);
        (done,) = fee.call(abi.encodeWithSignature("approve(address,uint256)", _PERMIT2, 10_000));
        assertTrue(done);
        Deal memory deal = _sponsoredDeal();
        (deal.terms.token, deal.terms.deposit) = (fee, 10_000);
        bytes memory payers = _signTransfer(_transfer(deal), sponsorKey);
        _place2(
            client, deal, "", payers, abi.encodeWithSelector(Errors.Escrow_ReceivedOther.selector, fee, 9900, 10_000)
        );
    }

    function test_WhenTheDepositIsZero() external {
        vm.etch(_PERMIT2, "");
        Deal memory deal = _deal();
        deal.terms.deposit = 0;
        _place2(client, deal, "", "", "");
        assertState(deal, OrderState.PLACED);
    }

    function test_RevertWhen_TheTermsCannotBePlaced() external {
        Deal memory deal = _sponsoredDeal();
        bytes memory payers = _signTransfer(_transfer(deal), sponsorKey);
        vm.warp(deal.terms.placeBefore + 1);
        _place2(client, deal, "", payers, _tooLate(deal, deal.terms.placeBefore));
        vm.warp(T0);
        _place2(client, deal, "", payers, "");
        _place2(client, deal, "", payers, _wrongState(deal, OrderState.PLACED, OrderState.PLACED));
    }

    // ------------------------------------------------------------------------------------------- helpers
    function _transfer(Deal memory deal) private view returns (Transfer memory) {
        return Transfer(deal.terms.token, deal.terms.deposit, address(book), _NONCE, _until, OrderId.unwrap(_id(deal)));
    }

    function _digestOf(Transfer memory t) private view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,uint256 chainId,address verifyingContract)"),
                keccak256("Permit2"),
                block.chainid,
                _PERMIT2
            )
        );
        bytes32 permitted = keccak256(abi.encode(_TOKEN_TYPEHASH, t.token, t.amount));
        bytes32 witness = keccak256(abi.encode(_WITNESS_TYPEHASH, t.orderId));
        bytes32 structHash =
            keccak256(abi.encode(_TRANSFER_TYPEHASH, permitted, t.spender, t.nonce, t.deadline, witness));
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }

    function _signTransfer(Transfer memory t, uint256 key) private view returns (bytes memory) {
        return _sign(key, _digestOf(t));
    }

    function _refused(Deal memory deal, Transfer memory signed) private {
        _place2(client, deal, "", _signTransfer(signed, sponsorKey), _INVALID_SIGNER);
    }

    function _place2(address caller, Deal memory deal, bytes memory clients, bytes memory payers, bytes memory error_)
        private
    {
        bytes memory order = Pack.order(deal.terms);
        if (error_.length != 0) vm.expectRevert(error_);
        vm.prank(caller);
        book.placeWithPermit2(order, WHERE, clients, _NONCE, _until, payers);
    }
}
