// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOfferRegistry} from "../../../../contracts/interfaces/IOfferRegistry.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OfferKind, OfferTerms, Payee} from "../../../../contracts/types/Offers.sol";
import {OrderPreimage} from "../../../../contracts/types/Orders.sol";
import {Market} from "../utils/Market.sol";

contract OfferRegistryTest is Market {
    // ------------------------------------------------------------------------------------------- list
    function test_List_RevertWhen_TheKindIsUnknown() external {
        OfferTerms memory terms = _engineTerms();
        terms.kind = 0;
        _refused(terms, abi.encodeWithSelector(Errors.OfferRegistry_UnknownKind.selector, 0));
        terms.kind = 5;
        _refused(terms, abi.encodeWithSelector(Errors.OfferRegistry_UnknownKind.selector, 5));
    }

    function test_List_RevertWhen_ThereIsNoToken() external {
        OfferTerms memory terms = _engineTerms();
        terms.token = address(0);
        _refused(terms, abi.encodeWithSelector(Errors.OfferRegistry_NoToken.selector));
    }

    function test_List_RevertWhen_ThePayeesAreWrong() external {
        OfferTerms memory terms = _engineTerms();
        terms.payees = new Payee[](0);
        _refused(terms, abi.encodeWithSelector(Errors.OfferRegistry_PayeeCount.selector, 0, 8));
        terms.payees = new Payee[](9);
        _refused(terms, abi.encodeWithSelector(Errors.OfferRegistry_PayeeCount.selector, 9, 8));
        terms.payees = new Payee[](2);
        terms.payees[0] = Payee(ownerA, 10_000);
        terms.payees[1] = Payee(address(0), 1);
        _refused(terms, abi.encodeWithSelector(Errors.OfferRegistry_EmptyPayee.selector, 1));
        terms.payees[1] = Payee(ownerB, 0);
        _refused(terms, abi.encodeWithSelector(Errors.OfferRegistry_EmptyPayee.selector, 1));
        terms.payees[1] = Payee(ownerB, 1);
        _refused(terms, abi.encodeWithSelector(Errors.OfferRegistry_PayeeSum.selector, 10_001, 10_000));
        terms.payees[0].bps = 9998;
        _refused(terms, abi.encodeWithSelector(Errors.OfferRegistry_PayeeSum.selector, 9999, 10_000));
    }

    function test_List_WhenThereAreEightPayees() external {
        OfferTerms memory terms = _engineTerms();
        terms.payees = new Payee[](8);
        for (uint256 i = 0; i < 8; ++i) {
            terms.payees[i] = Payee(ownerA, 1250);
        }
        offers.list(terms, "");
        assertEq(offers.offerCount(), 5);
    }

    function test_List_RevertWhen_AReservedMemberIsSet() external {
        OfferTerms memory terms = _engineTerms();
        terms.price.revenueBps = 1;
        _refused(terms, abi.encodeWithSelector(Errors.OfferRegistry_Reserved.selector, bytes32("price.revenueBps")));
        terms = _engineTerms();
        terms.royaltyBps = 1;
        _refused(terms, abi.encodeWithSelector(Errors.OfferRegistry_Reserved.selector, bytes32("royaltyBps")));
        terms = _engineTerms();
        terms.restrictions = "x";
        _refused(terms, abi.encodeWithSelector(Errors.OfferRegistry_Reserved.selector, bytes32("restrictions")));
    }

    function test_List_RevertWhen_ComputeHasContent() external {
        bytes4 selector = Errors.OfferRegistry_ComputeHasContent.selector;
        OfferTerms memory terms = _computeTerms();
        terms.manifestDigest = "x";
        _refused(terms, abi.encodeWithSelector(selector, bytes32("manifestDigest")));
        terms = _computeTerms();
        terms.contentDigest = "x";
        _refused(terms, abi.encodeWithSelector(selector, bytes32("contentDigest")));
        terms = _computeTerms();
        terms.grantKey = poker;
        _refused(terms, abi.encodeWithSelector(selector, bytes32("grantKey")));
        terms = _computeTerms();
        terms.lineage = "x";
        _refused(terms, abi.encodeWithSelector(selector, bytes32("lineage")));
    }

    function test_List_RevertWhen_ContentHasNoDigest() external {
        bytes4 selector = Errors.OfferRegistry_MissingDigest.selector;
        OfferTerms memory terms = _engineTerms();
        terms.manifestDigest = 0;
        _refused(terms, abi.encodeWithSelector(selector, bytes32("manifestDigest")));
        terms = _engineTerms();
        terms.contentDigest = 0;
        _refused(terms, abi.encodeWithSelector(selector, bytes32("contentDigest")));
        terms = _engineTerms();
        terms.grantKey = address(0);
        _refused(terms, abi.encodeWithSelector(selector, bytes32("grantKey")));
    }

    function test_List_WhenTheTermsAreGood() external {
        OfferTerms memory terms = _content(OfferKind.MODEL, ownerA);
        terms.lineage = "an order report";
        bytes32 hash = hashes.hashOffer(terms);
        vm.expectEmit(address(offers));
        emit IOfferRegistry.OfferListed(
            5, ownerA, hash, 1, uint8(OfferKind.MODEL), abi.encode(terms, "ipfs://manifest")
        );
        vm.prank(ownerA);
        assertEq(offers.list(terms, "ipfs://manifest"), 5);
        assertEq(offers.offerCount(), 5);
        assertEq(offers.ownerOf(5), ownerA);
        assertEq(offers.termsHash(5, 1), hash);
        assertEq(offers.hashTerms(terms), hash);
        (address owner, uint8 kind, bool active, uint32 latest) = offers.getOffer(5);
        assertEq(owner, ownerA);
        assertEq(kind, uint8(OfferKind.MODEL));
        assertTrue(active);
        assertEq(latest, 1);
    }

    // ------------------------------------------------------------------------------------------- addVersion
    function test_AddVersion_RevertGiven_NoSuchOffer() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_UnknownOffer.selector, 99));
        offers.addVersion(99, _engineTerms(), "");
    }

    function test_AddVersion_RevertWhen_TheCallerIsNotTheOwner() external {
        vm.expectRevert(
            abi.encodeWithSelector(Errors.OfferRegistry_NotOwner.selector, inputOffers[0], poker, engineOwner)
        );
        vm.prank(poker);
        offers.addVersion(inputOffers[0], _engineTerms(), "");
    }

    function test_AddVersion_RevertWhen_TheKindIsAnother() external {
        vm.expectRevert(
            abi.encodeWithSelector(
                Errors.OfferRegistry_OtherKind.selector, inputOffers[0], OfferKind.DATASET, OfferKind.ENGINE
            )
        );
        vm.prank(engineOwner);
        offers.addVersion(inputOffers[0], _datasetTerms(engineOwner), "");
    }

    function test_AddVersion_RevertWhen_TheTermsAreBad() external {
        OfferTerms memory terms = _engineTerms();
        terms.token = address(0);
        vm.expectRevert(Errors.OfferRegistry_NoToken.selector);
        vm.prank(engineOwner);
        offers.addVersion(inputOffers[0], terms, "");
    }

    function test_AddVersion_WhenTheTermsAreGood() external {
        OfferTerms memory terms = _engineTerms();
        bytes32 first = hashes.hashOffer(terms);
        terms.price.fixedPrice = 5;
        bytes32 second = hashes.hashOffer(terms);
        vm.expectEmit(address(offers));
        emit IOfferRegistry.OfferListed(
            inputOffers[0], engineOwner, second, 2, uint8(OfferKind.ENGINE), abi.encode(terms, "ipfs://2")
        );
        vm.prank(engineOwner);
        assertEq(offers.addVersion(inputOffers[0], terms, "ipfs://2"), 2);
        assertEq(offers.termsHash(inputOffers[0], 1), first);
        assertEq(offers.termsHash(inputOffers[0], 2), second);
        (,,, uint32 latest) = offers.getOffer(inputOffers[0]);
        assertEq(latest, 2);
    }

    // ------------------------------------------------------------------------------------------- setActive
    function test_SetActive_RevertWhen_TheCallerIsNotTheOwner() external {
        vm.expectPartialRevert(Errors.OfferRegistry_NotOwner.selector);
        vm.prank(poker);
        offers.setActive(inputOffers[0], false);
    }

    function test_SetActive_WhenTheOwnerCalls() external {
        vm.startPrank(engineOwner);
        vm.expectEmit(address(offers));
        emit IOfferRegistry.OfferActive(inputOffers[0], engineOwner, false);
        offers.setActive(inputOffers[0], false);
        (,, bool active,) = offers.getOffer(inputOffers[0]);
        assertFalse(active);
        offers.setActive(inputOffers[0], true);
        (,, active,) = offers.getOffer(inputOffers[0]);
        assertTrue(active);
    }

    // ------------------------------------------------------------------------------------------- retireVersion
    function test_RetireVersion_RevertWhen_TheCallerIsNotTheOwner() external {
        vm.expectPartialRevert(Errors.OfferRegistry_NotOwner.selector);
        vm.prank(poker);
        offers.retireVersion(inputOffers[0], 1);
    }

    function test_RetireVersion_WhenTheOwnerCalls() external {
        vm.startPrank(engineOwner);
        offers.addVersion(inputOffers[0], _engineTerms(), "");
        vm.expectEmit(address(offers));
        emit IOfferRegistry.OfferVersionRetired(inputOffers[0], engineOwner, 1);
        offers.retireVersion(inputOffers[0], 1);
        assertEq(offers.termsHash(inputOffers[0], 1), 0);
        assertNotEq(offers.termsHash(inputOffers[0], 2), 0);
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_UnknownVersion.selector, inputOffers[0], 1));
        offers.retireVersion(inputOffers[0], 1);
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_UnknownVersion.selector, inputOffers[0], 3));
        offers.retireVersion(inputOffers[0], 3);
    }

    // ------------------------------------------------------------------------------------------- checkForSale
    function test_CheckForSale() external view {
        OrderPreimage memory pre = _preimage();
        assertEq(offers.checkForSale(pre.terms.compute, pre.terms.inputs), provider);
    }

    function _refused(OfferTerms memory terms, bytes memory error_) private {
        vm.expectRevert(error_);
        offers.list(terms, "");
    }
}
