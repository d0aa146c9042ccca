// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOfferRegistry, VersionState} from "../../../../contracts/interfaces/IOfferRegistry.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OfferKind, OfferTerms} from "../../../../contracts/types/Offers.sol";
import {OfferBytes} from "./OfferBytes.sol";
import {Stage} from "./Stage.sol";

contract VersionsTest is Stage {
    using OfferBytes for OfferTerms;

    uint64 private _offer;

    function setUp() public override {
        super.setUp();
        _offer = _list(ownerA, _terms(), 3);
    }

    // ------------------------------------------------------------------------------------------- enroll
    function test_Enroll_GivenTheCallerHasNoIndex() external {
        vm.expectEmit(address(offers));
        emit IOfferRegistry.OwnerEnrolled(2, ownerB);
        vm.prank(ownerB);
        assertEq(offers.enroll(), 2);
        assertEq(offers.ownerAt(2), ownerB);
    }

    function test_Enroll_GivenItHasOne() external {
        vm.prank(ownerA);
        assertEq(offers.enroll(), 1);
        assertEq(offers.ownerCount(), 1);
    }

    // ------------------------------------------------------------------------------------------- addVersion
    function test_AddVersion_RevertGiven_NoSuchOwner() external {
        uint64 nobodys = (uint64(9) << 32) | _serial(_terms(), 0);
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_UnknownOffer.selector, nobodys));
        vm.prank(ownerA);
        offers.addVersion(nobodys, 2, _trailing(_terms(), URI));
    }

    function test_AddVersion_RevertWhen_TheCallerIsNotTheOwner() external {
        _notOwner(poker, abi.encodeCall(offers.addVersion, (_offer, 2, _trailing(_terms(), URI))));
        vm.prank(ownerB);
        offers.enroll();
        _notOwner(ownerB, abi.encodeCall(offers.addVersion, (_offer, 2, _trailing(_terms(), URI))));
        // Who has no index is not the owner of index zero.
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_UnknownOffer.selector, 7));
        vm.prank(poker);
        offers.addVersion(7, 2, _trailing(_terms(), URI));
    }

    function test_AddVersion_RevertWhen_TheVersionIsNotTheNext() external {
        uint32[3] memory gaps = [uint32(0), 1, 3];
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_VersionGap.selector, _offer, gaps[i]));
            vm.prank(ownerA);
            offers.addVersion(_offer, gaps[i], _trailing(_terms(), URI));
        }
        _add(2);
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_VersionUsed.selector, _offer, 2));
        _add(2);
    }

    function test_AddVersion_RevertWhen_TheKindIsAnother() external {
        OfferTerms memory terms = _content(OfferKind.MODEL, ownerA);
        vm.expectRevert(
            abi.encodeWithSelector(Errors.OfferRegistry_OtherKind.selector, _offer, OfferKind.MODEL, OfferKind.DATASET)
        );
        vm.prank(ownerA);
        offers.addVersion(_offer, 2, _trailing(terms, URI));
    }

    function test_AddVersion_RevertWhen_TheTermsAreBad() external {
        OfferTerms memory terms = _terms();
        terms.token = address(0);
        vm.expectRevert(Errors.OfferRegistry_NoToken.selector);
        vm.prank(ownerA);
        offers.addVersion(_offer, 2, _trailing(terms, URI));
        terms = _terms();
        terms.lineage = "x";
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_LineageUnproven.selector, terms.lineage));
        vm.prank(ownerA);
        offers.addVersion(_offer, 2, _trailing(terms, URI));
    }

    function test_AddVersion_GivenTheVersionBeforeWasRetired() external {
        vm.prank(ownerA);
        offers.retire(_offer, 1);
        _add(2);
        assertEq(offers.latestVersion(_offer), 2);
    }

    function test_AddVersion_WhenTheTermsAreGood() external {
        bytes32 first = _terms().hash();
        OfferTerms memory terms = _terms();
        terms.price.fixedPrice = 5;
        vm.expectEmit(address(offers));
        emit IOfferRegistry.OfferListed(_offer, ownerA, terms.hash(), 2, _trailing(terms, "ipfs://2"));
        vm.prank(ownerA);
        offers.addVersion(_offer, 2, _trailing(terms, "ipfs://2"));
        assertEq(offers.termsHash(_offer, 1), first);
        assertEq(offers.termsHash(_offer, 2), terms.hash());
    }

    // ------------------------------------------------------------------------------------------- close
    function test_Close_RevertWhen_TheCallerIsNotTheOwner() external {
        _notOwner(poker, abi.encodeCall(offers.close, (_offer, 1, _terms().hash())));
    }

    function test_Close_RevertWhen_TheTermsAreNotTheVersions() external {
        vm.expectRevert(
            abi.encodeWithSelector(
                Errors.OfferRegistry_OtherTerms.selector, _offer, 1, _terms().hash(), bytes32("others")
            )
        );
        vm.prank(ownerA);
        offers.close(_offer, 1, "others");
    }

    function test_Close_RevertGiven_ItIsUnusedClosedOrRetired() external {
        bytes32 hash = _terms().hash();
        vm.startPrank(ownerA);
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_UnknownVersion.selector, _offer, 2));
        offers.close(_offer, 2, 0);
        offers.close(_offer, 1, hash);
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_Closed.selector, _offer, 1));
        offers.close(_offer, 1, hash);
        // Naming the mark itself does not close the closed.
        bytes32 mark = _mark(hash);
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_OtherTerms.selector, _offer, 1, mark, mark));
        offers.close(_offer, 1, mark);
        offers.retire(_offer, 1);
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_Retired.selector, _offer, 1));
        offers.close(_offer, 1, hash);
    }

    function test_Close_WhenTheOwnerCalls() external {
        _add(2);
        vm.expectEmit(address(offers));
        emit IOfferRegistry.OfferClosed(_offer, ownerA, 1);
        vm.prank(ownerA);
        offers.close(_offer, 1, _terms().hash());
        assertEq(offers.termsHash(_offer, 1), 0);
        assertEq(uint8(offers.stateOf(_offer, 1)), uint8(VersionState.CLOSED));
        assertEq(offers.termsHash(_offer, 2), _terms().hash());
    }

    // ------------------------------------------------------------------------------------------- reopen
    function test_Reopen_RevertWhen_TheCallerIsNotTheOwner() external {
        _notOwner(poker, abi.encodeCall(offers.reopen, (_offer, 1, _terms().hash())));
    }

    function test_Reopen_RevertGiven_ItIsUnusedOpenOrRetired() external {
        bytes32 hash = _terms().hash();
        vm.startPrank(ownerA);
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_UnknownVersion.selector, _offer, 2));
        offers.reopen(_offer, 2, hash);
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_OtherTerms.selector, _offer, 1, hash, hash));
        offers.reopen(_offer, 1, hash);
        offers.retire(_offer, 1);
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_Retired.selector, _offer, 1));
        offers.reopen(_offer, 1, hash);
    }

    function test_Reopen_RevertWhen_TheTermsAreOthersThanWereClosed() external {
        bytes32 hash = _terms().hash();
        bytes32 mark = _mark(hash);
        vm.startPrank(ownerA);
        offers.close(_offer, 1, hash);
        bytes32[2] memory wrong = [bytes32("cheaper"), mark];
        for (uint256 i = 0; i < 2; ++i) {
            vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_OtherTerms.selector, _offer, 1, mark, wrong[i]));
            offers.reopen(_offer, 1, wrong[i]);
        }
    }

    function test_Reopen_GivenItIsClosed() external {
        bytes32 hash = _terms().hash();
        vm.startPrank(ownerA);
        offers.close(_offer, 1, hash);
        vm.expectEmit(address(offers));
        emit IOfferRegistry.OfferReopened(_offer, ownerA, 1);
        offers.reopen(_offer, 1, hash);
        assertEq(offers.termsHash(_offer, 1), hash);
        assertEq(uint8(offers.stateOf(_offer, 1)), uint8(VersionState.OPEN));
    }

    // ------------------------------------------------------------------------------------------- retire
    function test_Retire_RevertWhen_TheCallerIsNotTheOwner() external {
        _notOwner(poker, abi.encodeCall(offers.retire, (_offer, 1)));
    }

    function test_Retire_RevertGiven_ItIsRetired() external {
        vm.startPrank(ownerA);
        offers.retire(_offer, 1);
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_Retired.selector, _offer, 1));
        offers.retire(_offer, 1);
    }

    function test_Retire_RevertGiven_ItIsUnusedAndLeavesAGap() external {
        vm.startPrank(ownerA);
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_VersionGap.selector, _offer, 3));
        offers.retire(_offer, 3);
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_VersionGap.selector, _offer, 0));
        offers.retire(_offer, 0);
    }

    function test_Retire_GivenItIsUnusedAndTheNext() external {
        vm.startPrank(ownerA);
        offers.retire(_offer, 2);
        assertEq(offers.latestVersion(_offer), 2);
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_VersionUsed.selector, _offer, 2));
        offers.addVersion(_offer, 2, _trailing(_terms(), URI));
        offers.addVersion(_offer, 3, _trailing(_terms(), URI));
        // The first of a new offer too.
        uint64 fresh = _offer + 1;
        offers.retire(fresh, 1);
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_VersionUsed.selector, fresh, 1));
        offers.list(uint32(fresh), _trailing(_terms(), URI));
    }

    function test_Retire_GivenItIsOpenOrClosed() external {
        _add(2);
        _add(3);
        vm.startPrank(ownerA);
        offers.close(_offer, 2, _terms().hash());
        for (uint32 version = 1; version <= 2; ++version) {
            vm.expectEmit(address(offers));
            emit IOfferRegistry.OfferRetired(_offer, ownerA, version);
            offers.retire(_offer, version);
            assertEq(offers.termsHash(_offer, version), 0);
            assertEq(uint8(offers.stateOf(_offer, version)), uint8(VersionState.RETIRED));
        }
        assertEq(offers.termsHash(_offer, 3), _terms().hash());
        assertEq(offers.latestVersion(_offer), 3);
    }

    function _terms() private view returns (OfferTerms memory) {
        return _content(OfferKind.DATASET, ownerA);
    }

    function _add(uint32 version) private {
        bytes memory packed = _trailing(_terms(), URI);
        vm.prank(ownerA);
        offers.addVersion(_offer, version, packed);
    }

    function _mark(bytes32 hash) private pure returns (bytes32) {
        return bytes32(uint256(keccak256(abi.encode(hash))) & ~uint256(type(uint64).max));
    }

    function _notOwner(address caller, bytes memory call_) private {
        vm.prank(caller);
        (bool done, bytes memory why) = address(offers).call(call_);
        assertFalse(done);
        assertEq(why, abi.encodeWithSelector(Errors.OfferRegistry_NotOwner.selector, _offer, caller, ownerA));
    }
}
