// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {VersionState} from "../../../../contracts/interfaces/IOfferRegistry.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OfferKind, OfferTerms, Price} from "../../../../contracts/types/Offers.sol";
import {OfferBytes} from "./OfferBytes.sol";
import {Stage} from "./Stage.sol";

contract ReadingTest is Stage {
    using OfferBytes for OfferTerms;

    function test_LatestVersion_FindsAnyNumberOfVersions() external {
        OfferTerms memory terms = _content(OfferKind.ENGINE, ownerA);
        uint64 offer = (uint64(1) << 32) | _serial(terms, 0);
        assertEq(offers.latestVersion(offer), 0);
        _list(ownerA, terms, 0);
        bytes memory packed = _trailing(terms, URI);
        for (uint32 version = 1; version <= 40; ++version) {
            assertEq(offers.latestVersion(offer), version);
            vm.startPrank(ownerA);
            if (version % 3 == 0) offers.retire(offer, version);
            offers.addVersion(offer, version + 1, packed);
            vm.stopPrank();
        }
    }

    function test_LatestVersion_StopsAtTheLargestNumber() external {
        // As if every version were used: no slot of the offer is zero.
        OfferTerms memory terms = _content(OfferKind.ENGINE, ownerA);
        uint64 offer = _list(ownerA, terms, 0);
        uint256 slot = _slotOfVersions(offer);
        for (uint256 bit = 0; bit < 32; ++bit) {
            _use(offer, uint32(1 << bit), slot);
            // What the halving asks for on its way up to the largest.
            _use(offer, uint32((uint64(1) << 32) - (uint64(1) << bit)), slot);
        }
        assertEq(offers.latestVersion(offer), type(uint32).max);
    }

    function test_OwnersAndKindsFollowFromTheId() external {
        OfferTerms memory terms = _content(OfferKind.DATASET, ownerA);
        uint64 offer = _list(ownerA, terms, 0);
        assertEq(offers.ownerOf(offer), ownerA);
        assertEq(offers.ownerOf(offer + 1), ownerA, "listed or not");
        assertEq(offers.ownerOf(offer + (1 << 32)), address(0));
        assertEq(offers.ownerAt(1), ownerA);
        assertEq(offers.ownerAt(0), address(0));
        assertEq(offers.kindOf(offer), uint8(OfferKind.DATASET));
        assertEq(offers.kindOf(0x1F0000000), 15);
    }

    function test_StatesAreToldApart() external {
        OfferTerms memory terms = _content(OfferKind.DATASET, ownerA);
        uint64 offer = _list(ownerA, terms, 0);
        _is(offer, VersionState.OPEN, terms.hash());
        vm.startPrank(ownerA);
        offers.close(offer, 1, terms.hash());
        _is(offer, VersionState.CLOSED, 0);
        offers.reopen(offer, 1, terms.hash());
        _is(offer, VersionState.OPEN, terms.hash());
        offers.retire(offer, 1);
        _is(offer, VersionState.RETIRED, 0);
        _is(offer + 1, VersionState.UNUSED, 0);
    }

    function testFuzz_Decode_UndoesWhatTheEventCarries(
        Price memory price,
        bytes32[4] memory words,
        uint16 share,
        string memory uri
    ) external view {
        OfferTerms memory terms = _content(OfferKind.MODEL, ownerA);
        terms.price = price;
        (terms.manifestDigest, terms.contentDigest) = (words[0], words[1]);
        (terms.lineage, terms.restrictions) = (words[2], words[3]);
        terms.payees = _two(ownerB, uint16(bound(share, 1, 9999)), ownerA);
        terms.royaltyBps = share;
        (OfferTerms memory read, string memory rest) = offers.decode(_trailing(terms, uri));
        assertEq(abi.encode(read), abi.encode(terms));
        assertEq(rest, uri);
        assertEq(offers.hashTerms(terms), terms.hash());
    }

    function test_Decode_RevertWhen_TheBytesAreTooShort() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferCodec_HeadsLength.selector, 260, 261));
        offers.decode(new bytes(260));
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_EmptyPayee.selector, 0));
        offers.decode(new bytes(261));
    }

    function _is(uint64 offer, VersionState state, bytes32 hash) private view {
        assertEq(uint8(offers.stateOf(offer, 1)), uint8(state));
        assertEq(offers.termsHash(offer, 1), hash);
    }

    /// @dev The mapping of versions is found by looking which slot a reading touches.
    function _slotOfVersions(uint64 offer) private returns (uint256 slot) {
        vm.record();
        offers.termsHash(offer, 1);
        (bytes32[] memory reads,) = vm.accesses(address(offers));
        uint256 key = (uint256(offer) << 32) | 1;
        while (keccak256(abi.encode(key, slot)) != reads[0]) ++slot;
    }

    function _use(uint64 offer, uint32 version, uint256 slot) private {
        bytes32 place = keccak256(abi.encode((uint256(offer) << 32) | version, slot));
        vm.store(address(offers), place, bytes32("used"));
    }
}
