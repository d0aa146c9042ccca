// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOfferRegistry} from "../../../../contracts/interfaces/IOfferRegistry.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {RestrictionLib} from "../../../../contracts/libraries/RestrictionLib.sol";
import {OfferKind, OfferTerms} from "../../../../contracts/types/Offers.sol";
import {Order, OrderState, Sale} from "../../../../contracts/types/Orders.sol";
import {Deal} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";
import {Stage} from "./Stage.sol";

contract AcceptWithTest is Stage {
    bytes32 private constant _SIGNED_TYPEHASH = keccak256(
        "SignedOffer(uint64 offer,uint32 version,bytes32 termsHash,uint32 volume,uint40 expiresAt,uint64 epoch,bytes32 salt)"
    );
    uint256 private _ownerKey;
    bytes[] private _proofs;
    bytes[] private _signed;

    function setUp() public override {
        super.setUp();
        (, _ownerKey) = makeAddrAndKey("owner A");
        for (uint256 k = 0; k < 4; ++k) {
            _proofs.push("");
            _signed.push("");
        }
    }

    function test_WhenEverythingIsListedAndUnrestricted() external {
        Deal memory deal = _placed();
        _acceptWith(deal, "");
        Order memory order = _order(deal);
        assertEq(uint8(order.state), uint8(OrderState.ACCEPTED));
        assertEq(order.lock, _lock(deal));
        assertEq(order.extra.limit, 0, "funded in full");
    }

    function test_RevertGiven_AcceptWouldRevert() external {
        Deal memory deal = _deal();
        _acceptWith(deal, _wrongState(deal, OrderState.NONE, OrderState.ACCEPTED));
        _place(deal);
        _pause(true);
        _acceptWith(deal, abi.encodeWithSelector(Errors.OrderBook_Paused.selector));
        _pause(false);
        _revoke();
        _acceptWith(deal, _cvmRevoked());
        vm.warp(T0 + 601);
        _acceptWith(deal, _tooLate(deal, T0 + 600));
    }

    function test_RevertWhen_TheListsHaveOtherLengths() external {
        Deal memory deal = _placed();
        _proofs.push("");
        _acceptWith(deal, abi.encodeWithSelector(Errors.OrderBook_ListLength.selector, 5, 4));
        _proofs.pop();
        _proofs.pop();
        _acceptWith(deal, abi.encodeWithSelector(Errors.OrderBook_ListLength.selector, 3, 4));
        _proofs.push("");
        _signed.pop();
        _acceptWith(deal, abi.encodeWithSelector(Errors.OrderBook_ListLength.selector, 3, 4));
        _signed.push("");
        _signed.push("");
        _acceptWith(deal, abi.encodeWithSelector(Errors.OrderBook_ListLength.selector, 5, 4));
    }

    // ------------------------------------------------------------------------------------------- restrictions
    function test_RevertWhen_TheProofDoesNotFit() external {
        (Deal memory deal, bytes memory proof) = _restricted(_clients(client), 0, 0);
        _acceptWith(deal, abi.encodeWithSelector(Errors.RestrictionLib_Length.selector, 0, 99));
        _proofs[3] = bytes.concat(proof, hex"00");
        _acceptWith(deal, abi.encodeWithSelector(Errors.RestrictionLib_Length.selector, 100, 99));
        bytes32 anybody = keccak256(abi.encode(0, 0, 0));
        _proofs[3] = abi.encodePacked(new bytes(99));
        _acceptWith(
            deal,
            abi.encodeWithSelector(Errors.RestrictionLib_OtherRoots.selector, anybody, deal.inputs[2].restrictions)
        );
        _proofs[3] = proof;
        _acceptWith(deal, "");
        assertState(deal, OrderState.ACCEPTED);
    }

    function test_RevertWhen_SomebodyIsNotAllowed() external {
        bytes memory proof;
        Deal memory deal;
        (deal, proof) = _restricted(_clients(poker), 0, 0);
        _proofs[3] = proof;
        _acceptWith(deal, _notAllowed(0));
        (deal, proof) = _restricted(0, _leaf(RestrictionLib.ENGINE_TAG, keccak256("another engine")), 0);
        _proofs[3] = proof;
        _acceptWith(deal, _notAllowed(1));
        (deal, proof) = _restricted(0, 0, _leaf(RestrictionLib.RUNTIME_TAG, keccak256("another runtime")));
        _proofs[3] = proof;
        _acceptWith(deal, _notAllowed(2));
        // The payer is not the client.
        (deal, proof) = _restricted(_clients(sponsor), 0, 0);
        _proofs[3] = proof;
        _acceptWith(deal, _notAllowed(0));
    }

    function test_WhenAllThreeAreAllowed() external {
        bytes32 engine = _leaf(RestrictionLib.ENGINE_TAG, offers.hashTerms(_engineTerms()));
        bytes32 runtime = _leaf(RestrictionLib.RUNTIME_TAG, MEASUREMENT);
        (Deal memory deal, bytes memory proof) = _restricted(_clients(client), engine, runtime);
        _proofs[3] = proof;
        _acceptWith(deal, "");
        assertState(deal, OrderState.ACCEPTED);
    }

    function test_GivenComputeIsRestricted() external {
        Deal memory deal = _deal();
        bytes32 root = _clients(client);
        deal.compute.restrictions = RestrictionLib.hashRoots(root, 0, 0);
        deal.terms.compute.offer = _offer(provider, deal.compute, "");
        vm.startPrank(provider);
        providers.openDesk(deal.terms.compute.offer, address(token), operator, provider, 1);
        token.mint(provider, STAKE);
        token.approve(address(providers), STAKE);
        providers.stake(deal.terms.compute.offer, address(token), STAKE);
        vm.stopPrank();
        _reprice(deal);
        _place(deal);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_NeedsProof.selector, _id(deal)));
        _accept(deal);
        _proofs[0] = abi.encodePacked(root, bytes32(0), bytes32(0), bytes3(0));
        _acceptWith(deal, "");
        assertState(deal, OrderState.ACCEPTED);
    }

    // ------------------------------------------------------------------------------------------- signed offers
    function test_WhenTheOwnerSigned() external {
        Deal memory deal = _signedDeal();
        // Nobody listed it.
        _willRevert(abi.encodeWithSelector(Errors.OfferRegistry_UnknownVersion.selector, deal.terms.inputs[1].offer, 7));
        _accept(deal);
        _acceptWith(
            deal, abi.encodeWithSelector(Errors.OfferRegistry_UnknownVersion.selector, deal.terms.inputs[1].offer, 7)
        );
        bytes memory signed = _sell(deal, 2, T0 + 1 days, 0);
        _signed[2] = abi.encode(signed, _ownersSignature(deal, signed, _ownerKey));
        assertEq(_left(deal, signed), 2);
        _acceptWith(deal, "");
        assertState(deal, OrderState.ACCEPTED);
        assertEq(_left(deal, signed), 1);
    }

    function test_RevertWhen_TheSignedOfferIsNotGood() external {
        Deal memory deal = _signedDeal();
        uint64 offer = deal.terms.inputs[1].offer;
        bytes memory signed = _sell(deal, 1, T0 - 1, 0);
        _signed[2] = abi.encode(signed, _ownersSignature(deal, signed, _ownerKey));
        _acceptWith(deal, abi.encodeWithSelector(Errors.OfferRegistry_SignedExpired.selector, T0 - 1, T0));
        signed = _sell(deal, 1, T0, 1);
        _signed[2] = abi.encode(signed, _ownersSignature(deal, signed, _ownerKey));
        _acceptWith(deal, abi.encodeWithSelector(Errors.OfferRegistry_OtherEpoch.selector, ownerA, 1, 0));
        signed = _sell(deal, 1, T0, 0);
        _signed[2] = abi.encode(signed, _ownersSignature(deal, signed, clientKey));
        (bytes32 digest,) = offers.signedOffer(offer, 7, deal.terms.inputs[1].termsHash, signed);
        _acceptWith(deal, abi.encodeWithSelector(Errors.OfferRegistry_NotSigned.selector, ownerA, digest));
        _signed[2] = abi.encode(signed, _ownersSignature(deal, signed, _ownerKey));
        _acceptWith(deal, "");
        deal.terms.salt = "second";
        _place(deal);
        _acceptWith(
            deal, abi.encodeWithSelector(Errors.OfferRegistry_VolumeUsed.selector, _signedHash(deal, signed), 1, 1)
        );
    }

    function test_RevertGiven_TheListedVersionIsClosed() external {
        Deal memory deal = _placed();
        bytes memory signed = _sell(deal, 5, T0 + 1 days, 0);
        _signed[2] = abi.encode(signed, _ownersSignature(deal, signed, _ownerKey));
        vm.prank(ownerA);
        offers.close(inputOffers[1], 1, deal.terms.inputs[1].termsHash);
        _acceptWith(deal, abi.encodeWithSelector(Errors.OfferRegistry_Closed.selector, inputOffers[1], 1));
    }

    function test_WhenTheOrderIsRefusedForAnotherReason() external {
        Deal memory deal = _signedDeal();
        bytes memory signed = _sell(deal, 1, T0 + 1 days, 0);
        _signed[2] = abi.encode(signed, _ownersSignature(deal, signed, _ownerKey));
        vm.prank(provider);
        offers.close(computeOffer, 1, deal.terms.compute.termsHash);
        _acceptWith(deal, abi.encodeWithSelector(Errors.OfferRegistry_Closed.selector, computeOffer, 1));
        assertEq(_left(deal, signed), 1);
    }

    function test_RevertWhen_TheSignedBytesAreNoPair() external {
        Deal memory deal = _signedDeal();
        _signed[2] = hex"00";
        (bytes memory order, bytes memory heads) = (Pack.order(deal.terms), _heads(deal));
        (bytes memory policy, Sale memory sale) = (_packedPolicy(), Sale(_proofs, _signed));
        vm.prank(operator);
        vm.expectRevert(bytes(""));
        book.acceptWith(order, heads, policy, cvm, sale);
    }

    function test_WhenAnInputIsRestrictedAndSigned() external {
        Deal memory deal = _deal();
        deal.inputs[1].restrictions = RestrictionLib.hashRoots(_clients(client), 0, 0);
        deal.terms.inputs[1].offer = _unlisted();
        deal.terms.inputs[1].version = 7;
        _reprice(deal);
        _place(deal);
        bytes memory signed = _sell(deal, 1, T0, 0);
        _signed[2] = abi.encode(signed, _ownersSignature(deal, signed, _ownerKey));
        _acceptWith(deal, abi.encodeWithSelector(Errors.RestrictionLib_Length.selector, 0, 99));
        _proofs[2] = abi.encodePacked(_clients(client), bytes32(0), bytes32(0), bytes3(0));
        _acceptWith(deal, "");
        assertState(deal, OrderState.ACCEPTED);
    }

    // ------------------------------------------------------------------------------------------- partly funded
    function test_WhenTheDepositPaysForFewerSeconds() external {
        Deal memory deal = _deal();
        // A set-up and two graces: 240 + 2 * 400.
        uint256 least = _deposit(deal, 1040);
        deal.terms.deposit = uint128(least - 1);
        _place(deal);
        _acceptWith(deal, abi.encodeWithSelector(Errors.OrderBook_DepositTooLow.selector, least - 1, least));
        deal.terms.deposit = uint128(least);
        _place(deal);
        // The plain way wants all of it.
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_DepositTooLow.selector, least, _deposit(deal, 5000)));
        _accept(deal);
        _acceptWith(deal, "");
        Order memory order = _order(deal);
        assertEq(order.extra.limit, 1040);
        assertEq(order.extra.warnBelow, 800);
        assertEq(order.extra.added + order.extra.removed + order.extra.stoppedAt, 0);
        assertEq(order.lock, _lock(deal), "as for all of maxSeconds");
    }

    function testFuzz_KeepsTheMostSecondsThatArePaidFor(uint256 limit, uint16 bps) external {
        limit = bound(limit, 1040, 4999);
        Deal memory deal = _deal();
        bps = uint16(bound(bps, 0, 5000));
        (deal.terms.holdback.bps, deal.terms.holdback.window) = (bps, bps == 0 ? 0 : 1 days);
        deal.terms.deposit = uint128(_deposit(deal, limit));
        _place(deal);
        _acceptWith(deal, "");
        assertEq(_order(deal).extra.limit, limit);
        deal.terms.deposit = uint128(_deposit(deal, limit + 1) - 1);
        deal.terms.salt = "second";
        _place(deal);
        _acceptWith(deal, "");
        if (limit != 4999) assertEq(_order(deal).extra.limit, limit);
    }

    function test_WhenOneSecondIsMissing() external {
        Deal memory deal = _deal();
        deal.terms.deposit -= 1;
        _place(deal);
        _acceptWith(deal, "");
        assertEq(_order(deal).extra.limit, 4999);
    }

    function test_WhenMaxSecondsIsShorterThanSetUpAndGraces() external {
        Deal memory deal = _deal();
        deal.terms.windows.maxSeconds = 1040;
        _reprice(deal);
        uint256 needed = deal.terms.deposit;
        deal.terms.deposit -= 1;
        _place(deal);
        _acceptWith(deal, abi.encodeWithSelector(Errors.OrderBook_DepositTooLow.selector, needed - 1, needed));
    }

    function test_GivenAnInputIsLeased() external {
        Deal memory deal = _leasedDeal();
        deal.terms.deposit = uint128(_deposit(deal, 1040));
        _place(deal);
        _acceptWith(deal, "");
        assertEq(_order(deal).extra.limit, 1040);
        assertEq(_order(deal).lock, _lock(deal));
    }

    // ------------------------------------------------------------------------------------------- helpers
    function _acceptWith(Deal memory deal, bytes memory error_) private {
        (bytes memory order, bytes memory heads) = (Pack.order(deal.terms), _heads(deal));
        (bytes memory policy, Sale memory sale) = (_packedPolicy(), Sale(_proofs, _signed));
        if (error_.length != 0) vm.expectRevert(error_);
        vm.prank(operator);
        book.acceptWith(order, heads, policy, cvm, sale);
    }

    /// @dev Input 2 is restricted to these roots, each a tree of one leaf or nothing.
    function _restricted(bytes32 clients, bytes32 engines, bytes32 runtimes)
        private
        returns (Deal memory deal, bytes memory proof)
    {
        deal = _deal();
        deal.inputs[2].restrictions = RestrictionLib.hashRoots(clients, engines, runtimes);
        deal.terms.inputs[2].offer = _offer(ownerB, deal.inputs[2], "");
        _reprice(deal);
        _place(deal);
        proof = abi.encodePacked(clients, engines, runtimes, bytes3(0));
    }

    function _clients(address one) private pure returns (bytes32) {
        return _leaf(RestrictionLib.CLIENT_TAG, bytes32(uint256(uint160(one))));
    }

    /// @dev By the words of the library's documentation.
    function _leaf(bytes32 tag, bytes32 value) private pure returns (bytes32) {
        return keccak256(abi.encode(keccak256(abi.encode(tag, value))));
    }

    function _notAllowed(uint256 tree) private pure returns (bytes memory) {
        return abi.encodeWithSelector(Errors.RestrictionLib_NotAllowed.selector, tree);
    }

    /// @dev An offer of owner A that nobody listed.
    function _unlisted() private view returns (uint64) {
        return (uint64(offers.ownerIndexOf(ownerA)) << 32) | (uint64(OfferKind.DATASET) << 28) | 12_345;
    }

    /// @dev Input 1 is version 7 of an offer that owner A signs instead of listing it.
    function _signedDeal() private returns (Deal memory deal) {
        deal = _deal();
        deal.terms.inputs[1].offer = _unlisted();
        deal.terms.inputs[1].version = 7;
        _place(deal);
    }

    function _sell(Deal memory deal, uint32 volume, uint256 expiresAt, uint64 epoch)
        private
        pure
        returns (bytes memory)
    {
        OfferTerms memory terms = deal.inputs[1];
        return abi.encodePacked(volume, uint40(expiresAt), epoch, bytes32("salt"), Pack.payees(terms.payees));
    }

    function _signedHash(Deal memory deal, bytes memory signed) private pure returns (bytes32) {
        (uint256 volume, uint256 expiresAt, uint256 epoch) =
            (_uint(signed, 0, 4), _uint(signed, 4, 5), _uint(signed, 9, 8));
        return keccak256(
            abi.encode(
                _SIGNED_TYPEHASH,
                deal.terms.inputs[1].offer,
                deal.terms.inputs[1].version,
                deal.terms.inputs[1].termsHash,
                volume,
                expiresAt,
                epoch,
                bytes32("salt")
            )
        );
    }

    function _uint(bytes memory data, uint256 at, uint256 size) private pure returns (uint256 value) {
        for (uint256 i = 0; i < size; ++i) {
            value = (value << 8) | uint8(data[at + i]);
        }
    }

    function _ownersSignature(Deal memory deal, bytes memory signed, uint256 key) private view returns (bytes memory) {
        return _sign(key, _digest("Cloister OfferRegistry", address(offers), _signedHash(deal, signed)));
    }

    function _left(Deal memory deal, bytes memory signed) private view returns (uint256 left) {
        (, left) = IOfferRegistry(address(offers))
            .signedOffer(
                deal.terms.inputs[1].offer, deal.terms.inputs[1].version, deal.terms.inputs[1].termsHash, signed
            );
    }
}
