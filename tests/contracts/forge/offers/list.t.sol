// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOfferRegistry, VersionState} from "../../../../contracts/interfaces/IOfferRegistry.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OfferKind, OfferTerms, Payee} from "../../../../contracts/types/Offers.sol";
import {OfferBytes} from "./OfferBytes.sol";
import {Stage} from "./Stage.sol";

contract ListTest is Stage {
    using OfferBytes for OfferTerms;

    function test_List_RevertWhen_TheBytesEndWithinTokenOrHead() external {
        OfferTerms memory terms = _content(OfferKind.DATASET, ownerA);
        bytes memory packed = abi.encodePacked(token, terms.head());
        assembly ("memory-safe") {
            mstore(packed, 260)
        }
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferCodec_HeadsLength.selector, 260, 261));
        offers.list(_serial(terms, 0), packed);
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferCodec_HeadsLength.selector, 0, 261));
        offers.list(_serial(terms, 0), "");
    }

    function test_List_RevertWhen_TheBytesEndWithinThePayees() external {
        OfferTerms memory terms = _content(OfferKind.DATASET, ownerA);
        bytes memory packed = _trailing(terms, "");
        uint32 serial = _serial(terms, 0);
        // The bytes behind would complete them, were they looked at.
        bytes memory call_ = abi.encodeCall(offers.list, (serial, packed));
        assembly ("memory-safe") {
            mstore(add(call_, 0x64), 304)
        }
        (bool done, bytes memory why) = address(offers).call(call_);
        assertFalse(done);
        assertEq(why, abi.encodeWithSelector(Errors.OfferCodec_PayeesLength.selector, 43, 22, 8));
    }

    function test_List_RevertWhen_TheKindIsUnknown() external {
        OfferTerms memory terms = _content(OfferKind.ENGINE, ownerA);
        terms.kind = 0;
        _refused(terms, abi.encodeWithSelector(Errors.OfferRegistry_UnknownKind.selector, 0));
        terms.kind = 5;
        _refused(terms, abi.encodeWithSelector(Errors.OfferRegistry_UnknownKind.selector, 5));
    }

    function test_List_RevertWhen_TheSerialsHighestBitsAreAnotherKind() external {
        OfferTerms memory terms = _content(OfferKind.MODEL, ownerA);
        uint32 serial = (uint32(OfferKind.DATASET) << 28) | 7;
        vm.expectRevert(
            abi.encodeWithSelector(
                Errors.OfferRegistry_OtherKind.selector, (uint64(1) << 32) | serial, OfferKind.MODEL, OfferKind.DATASET
            )
        );
        offers.list(serial, _trailing(terms, URI));
    }

    function test_List_RevertWhen_ThereIsNoToken() external {
        OfferTerms memory terms = _content(OfferKind.MODEL, ownerA);
        terms.token = address(0);
        _refused(terms, abi.encodeWithSelector(Errors.OfferRegistry_NoToken.selector));
    }

    function test_List_RevertWhen_EightPayeesDoNotReach10000() external {
        OfferTerms memory terms = _content(OfferKind.MODEL, ownerA);
        terms.payees = new Payee[](9);
        for (uint256 i = 0; i < 9; ++i) {
            terms.payees[i] = Payee(ownerA, i < 8 ? 1249 : 8);
        }
        _refused(terms, abi.encodeWithSelector(Errors.OfferRegistry_PayeeSum.selector, 9992, 10_000));
    }

    function test_List_RevertWhen_ThePayeesAreNotTheHeads() external {
        OfferTerms memory terms = _content(OfferKind.MODEL, ownerA);
        Payee[] memory others = _two(poker, 7001, coAuthor);
        bytes32 named = OfferBytes.hashPayees(terms.payees);
        vm.expectRevert(
            abi.encodeWithSelector(Errors.OfferRegistry_OtherPayees.selector, OfferBytes.hashPayees(others), named)
        );
        offers.list(_serial(terms, 0), abi.encodePacked(token, terms.head(), OfferBytes.payees(others), URI));
    }

    function test_List_RevertWhen_APayeeHasNoAccountOrNoShare() external {
        OfferTerms memory terms = _content(OfferKind.MODEL, ownerA);
        terms.payees[1].account = address(0);
        _refused(terms, abi.encodeWithSelector(Errors.OfferRegistry_EmptyPayee.selector, 1));
        terms.payees = _two(ownerA, 0, ownerB);
        _refused(terms, abi.encodeWithSelector(Errors.OfferRegistry_EmptyPayee.selector, 0));
        // None at all, and no URI: what lies behind reads as zeros.
        terms.payees = new Payee[](0);
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_EmptyPayee.selector, 0));
        offers.list(_serial(terms, 0), _trailing(terms, ""));
    }

    function test_List_RevertWhen_TheSharesPass10000() external {
        OfferTerms memory terms = _content(OfferKind.MODEL, ownerA);
        terms.payees[1].bps = 3000;
        _refused(terms, abi.encodeWithSelector(Errors.OfferRegistry_PayeeSum.selector, 10_001, 10_000));
    }

    /// @dev A payee that the head does not name cannot be slipped in as the URI's first bytes.
    function test_List_WhenTheUriLooksLikeAPayee() external {
        OfferTerms memory terms = _content(OfferKind.MODEL, ownerA);
        string memory uri = string(abi.encodePacked(poker, uint16(1)));
        vm.prank(ownerA);
        offers.list(_serial(terms, 0), _trailing(terms, uri));
        (OfferTerms memory read, string memory rest) = offers.decode(_trailing(terms, uri));
        assertEq(read.payees.length, 2);
        assertEq(rest, uri);
    }

    function test_List_RevertWhen_TheRevenueShareIsAboveAll() external {
        OfferTerms memory terms = _content(OfferKind.MODEL, ownerA);
        terms.price.revenueBps = 10_001;
        _refused(terms, _outOfRange("revenueBps", 10_001, 10_000));
        terms.price.revenueBps = 10_000;
        _list(ownerA, terms, 0);
    }

    function test_List_RevertWhen_ARoyaltyIsAskedThatMayNot() external {
        OfferTerms memory terms = _content(OfferKind.ENGINE, ownerA);
        terms.royaltyBps = 1;
        _refused(terms, _outOfRange("royaltyBps", 1, 0));
        terms = _compute();
        terms.royaltyBps = 1;
        _refused(terms, _outOfRange("royaltyBps", 1, 0));
        terms = _content(OfferKind.MODEL, ownerA);
        terms.royaltyBps = 5001;
        _refused(terms, _outOfRange("royaltyBps", 5001, 5000));
        terms.royaltyBps = 5000;
        _list(ownerA, terms, 0);
        terms.kind = uint8(OfferKind.DATASET);
        _list(ownerA, terms, 0);
    }

    function test_List_RevertWhen_TheLeastRentIsAboveTheLongest() external {
        OfferTerms memory terms = _content(OfferKind.MODEL, ownerA);
        terms.price.minSeconds = 3601;
        terms.price.maxSeconds = 3600;
        _refused(terms, _outOfRange("minSeconds", 3601, 3600));
        terms.price.minSeconds = 3600;
        _list(ownerA, terms, 0);
        terms.price.maxSeconds = 0;
        _list(ownerA, terms, 1);
    }

    function test_List_RevertWhen_ComputeHasContent() external {
        bytes4 selector = Errors.OfferRegistry_ComputeHasContent.selector;
        OfferTerms memory terms = _compute();
        terms.manifestDigest = "x";
        _refused(terms, abi.encodeWithSelector(selector, bytes32("manifestDigest")));
        terms = _compute();
        terms.contentDigest = "x";
        _refused(terms, abi.encodeWithSelector(selector, bytes32("contentDigest")));
        terms = _compute();
        terms.grantKey = poker;
        _refused(terms, abi.encodeWithSelector(selector, bytes32("grantKey")));
    }

    function test_List_RevertWhen_ContentHasNoDigestOrGrantKey() external {
        bytes4 selector = Errors.OfferRegistry_MissingDigest.selector;
        OfferTerms memory terms = _content(OfferKind.ENGINE, ownerA);
        terms.manifestDigest = 0;
        _refused(terms, abi.encodeWithSelector(selector, bytes32("manifestDigest")));
        terms = _content(OfferKind.ENGINE, ownerA);
        terms.contentDigest = 0;
        _refused(terms, abi.encodeWithSelector(selector, bytes32("contentDigest")));
        terms = _content(OfferKind.ENGINE, ownerA);
        terms.grantKey = address(0);
        _refused(terms, abi.encodeWithSelector(selector, bytes32("grantKey")));
    }

    function test_List_RevertWhen_ALineageIsNamed() external {
        for (uint8 kind = 1; kind <= 4; ++kind) {
            OfferTerms memory terms = kind == 4 ? _compute() : _content(OfferKind(kind), ownerA);
            terms.lineage = keccak256("an order report");
            _refused(terms, abi.encodeWithSelector(Errors.OfferRegistry_LineageUnproven.selector, terms.lineage));
        }
    }

    function test_List_RevertGiven_TheSerialWasUsed() external {
        OfferTerms memory terms = _content(OfferKind.DATASET, ownerA);
        uint64 offer = _list(ownerA, terms, 5);
        vm.prank(ownerA);
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_VersionUsed.selector, offer, 1));
        offers.list(_serial(terms, 5), _trailing(terms, URI));
        // Another owner's serials are another's.
        assertNotEq(_list(ownerB, terms, 5), offer);
    }

    function test_List_GivenTheCallerHasNoIndex() external {
        OfferTerms memory terms = _compute();
        vm.expectEmit(address(offers));
        emit IOfferRegistry.OwnerEnrolled(1, provider);
        uint64 first = _list(provider, terms, 0);
        uint64 second = _list(provider, terms, 1);
        assertEq(first >> 32, 1);
        assertEq(second >> 32, 1);
        assertEq(_list(ownerA, _content(OfferKind.ENGINE, ownerA), 0) >> 32, 2);
        assertEq(offers.ownerCount(), 2);
        assertEq(offers.ownerAt(1), provider);
        assertEq(offers.ownerIndexOf(ownerA), 2);
    }

    function test_List_WhenTheTermsAreGood() external {
        OfferTerms memory terms = _content(OfferKind.MODEL, ownerA);
        terms.restrictions = keccak256("roots");
        terms.royaltyBps = 250;
        bytes32 hash = terms.hash();
        uint64 expected = (uint64(1) << 32) | _serial(terms, 42);
        vm.expectEmit(address(offers));
        emit IOfferRegistry.OwnerEnrolled(1, ownerA);
        vm.expectEmit(address(offers));
        emit IOfferRegistry.OfferListed(expected, ownerA, hash, 1, _trailing(terms, URI));
        assertEq(_list(ownerA, terms, 42), expected);
        assertEq(offers.ownerOf(expected), ownerA);
        assertEq(offers.kindOf(expected), uint8(OfferKind.MODEL));
        assertEq(offers.termsHash(expected, 1), hash);
        assertEq(offers.hashTerms(terms), hash);
        assertEq(offers.latestVersion(expected), 1);
        assertEq(uint8(offers.stateOf(expected, 1)), uint8(VersionState.OPEN));
        assertEq(uint8(offers.stateOf(expected, 2)), uint8(VersionState.UNUSED));
    }

    function test_List_WhenThereAreEightPayees() external {
        OfferTerms memory terms = _content(OfferKind.MODEL, ownerA);
        terms.payees = new Payee[](8);
        for (uint256 i = 0; i < 8; ++i) {
            terms.payees[i] = Payee(ownerA, 1250);
        }
        _list(ownerA, terms, 0);
    }

    /// @dev As a sender pays for it: a dataset, two payees, a URI of 60 bytes, the owner known.
    function test_List_CostsAtMost60000() external {
        OfferTerms memory terms = _content(OfferKind.DATASET, ownerA);
        _list(ownerA, terms, 0);
        bytes memory packed = _trailing(terms, "https://store.example/cloister/manifests/0123456789abcdef.js");
        bytes memory call_ = abi.encodeCall(offers.list, (_serial(terms, 1), packed));
        uint256 gas = 21_000;
        for (uint256 i = 0; i < call_.length; ++i) {
            gas += call_[i] == 0 ? 4 : 16;
        }
        emit log_named_uint("calldata", gas - 21_000);
        // This forge-std does not name the cheat code that forge has: every slot and account as at a transaction's start.
        (bool cooled,) = address(vm).call(abi.encodeWithSignature("cool(address)", address(offers)));
        assertTrue(cooled);
        vm.prank(ownerA);
        uint256 before = gasleft();
        (bool done,) = address(offers).call(call_);
        // The call itself is cold here, as it is not for a transaction's receiver.
        gas += before - gasleft() - 2600;
        assertTrue(done);
        emit log_named_uint("list", gas);
        assertLe(gas, 60_000);
    }

    function _outOfRange(bytes32 field, uint256 got, uint256 max) private pure returns (bytes memory) {
        return abi.encodeWithSelector(Errors.OfferRegistry_OutOfRange.selector, field, got, max);
    }

    function _refused(OfferTerms memory terms, bytes memory error_) private {
        bytes memory packed = _trailing(terms, URI);
        vm.expectRevert(error_);
        offers.list(_serial(terms, 0), packed);
    }
}
