// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOfferRegistry} from "../../../../contracts/interfaces/IOfferRegistry.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OfferKind, OfferTerms} from "../../../../contracts/types/Offers.sol";
import {OfferBytes} from "./OfferBytes.sol";
import {SignedStage, Signed} from "./SignedStage.sol";

/// @notice An owner that is a contract: it stands behind exactly one digest, whatever the signature.
contract Safe {
    bytes32 private _agreed;

    function enroll(IOfferRegistry offers) external {
        offers.enroll();
    }

    function agree(bytes32 digest) external {
        _agreed = digest;
    }

    function isValidSignature(bytes32 digest, bytes calldata) external view returns (bytes4) {
        return digest == _agreed ? this.isValidSignature.selector : bytes4(0xffffffff);
    }
}

contract SignedTest is SignedStage {
    using OfferBytes for OfferTerms;

    // ------------------------------------------------------------------------------------------- fillSigned
    function test_FillSigned_RevertWhen_TheCallerIsNotTheOrderBook() external {
        Signed memory signed = _signed(2);
        bytes memory call_ = _call(signed, _sign(signed));
        vm.prank(ownerA);
        _reverts(call_, abi.encodeWithSelector(Errors.OfferRegistry_NotOrderBook.selector, ownerA, book));
    }

    function test_FillSigned_RevertWhen_TheHeadIsNotOneHead() external {
        Signed memory signed = _signed(2);
        bytes memory packed = _pack(signed);
        vm.prank(address(book));
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferCodec_HeadsLength.selector, 240, 241));
        offers.fillSigned(signed.offer, 1, token, new bytes(240), packed, "");
    }

    function test_FillSigned_RevertWhen_ItIsVersion0() external {
        Signed memory signed = _signed(2);
        signed.version = 0;
        _refused(signed, abi.encodeWithSelector(Errors.OfferRegistry_UnknownVersion.selector, signed.offer, 0));
    }

    function test_FillSigned_RevertWhen_TheSignedBytesAreTooShort() external {
        Signed memory signed = _signed(2);
        bytes memory head = signed.terms.head();
        vm.startPrank(address(book));
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_SignedLength.selector, 48, 49));
        offers.fillSigned(signed.offer, 1, token, head, new bytes(48), "");
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_EmptyPayee.selector, 0));
        offers.fillSigned(signed.offer, 1, token, head, new bytes(49), "");
        vm.stopPrank();
        _list(ownerA, signed.terms, 0);
        vm.prank(address(book));
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_SignedLength.selector, 48, 49));
        offers.fillSigned(signed.offer, 1, token, head, new bytes(48), "");
    }

    function test_FillSigned_RevertWhen_TheTermsCouldNotBeListed() external {
        Signed memory signed = _signed(2);
        signed.terms.token = address(0);
        _refused(signed, abi.encodeWithSelector(Errors.OfferRegistry_NoToken.selector));
        signed = _signed(2);
        signed.terms.kind = uint8(OfferKind.MODEL);
        _refused(
            signed,
            abi.encodeWithSelector(
                Errors.OfferRegistry_OtherKind.selector, signed.offer, OfferKind.MODEL, OfferKind.DATASET
            )
        );
        signed = _signed(2);
        signed.terms.payees[1].bps = 3000;
        _refused(signed, abi.encodeWithSelector(Errors.OfferRegistry_PayeeSum.selector, 10_001, 10_000));
        signed = _signed(2);
        signed.terms.royaltyBps = 5001;
        _refused(
            signed, abi.encodeWithSelector(Errors.OfferRegistry_OutOfRange.selector, bytes32("royaltyBps"), 5001, 5000)
        );
        signed = _signed(2);
        signed.terms.lineage = "never proven";
        _refused(signed, abi.encodeWithSelector(Errors.OfferRegistry_LineageUnproven.selector, signed.terms.lineage));
    }

    function test_FillSigned_GivenTheVersionWasNeverListed() external {
        Signed memory signed = _signed(2);
        bytes32 hash = _structHash(signed);
        vm.expectEmit(address(offers));
        emit IOfferRegistry.SignedOfferFilled(signed.offer, hash, signed.terms.hash(), 1, 1);
        _fill(signed);
        vm.expectEmit(address(offers));
        emit IOfferRegistry.SignedOfferFilled(signed.offer, hash, signed.terms.hash(), 1, 2);
        _fill(signed);
        assertEq(offers.termsHash(signed.offer, 1), 0, "selling by signature lists nothing");
    }

    function test_FillSigned_GivenTheVersionIsOpenWithTheseTerms() external {
        Signed memory signed = _signed(2);
        assertEq(_list(ownerA, signed.terms, 0), signed.offer);
        _fill(signed);
        // The head's hash of them was checked when it was listed.
        bytes memory packed = _pack(signed);
        assembly ("memory-safe") {
            mstore(packed, 49)
        }
        bytes memory head = signed.terms.head();
        bytes memory signature = _sign(signed);
        vm.prank(address(book));
        offers.fillSigned(signed.offer, 1, token, head, packed, signature);
    }

    function test_FillSigned_RevertGiven_TheVersionIsOpenWithOtherTerms() external {
        Signed memory signed = _signed(2);
        OfferTerms memory dearer = signed.terms;
        uint128 price = dearer.price.fixedPrice;
        dearer.price.fixedPrice = price + 1;
        bytes32 listed = dearer.hash();
        _list(ownerA, dearer, 0);
        signed.terms.price.fixedPrice = price;
        _refused(
            signed,
            abi.encodeWithSelector(
                Errors.OfferRegistry_OtherTerms.selector, signed.offer, 1, listed, signed.terms.hash()
            )
        );
    }

    function test_FillSigned_RevertGiven_TheVersionIsClosedOrRetired() external {
        Signed memory signed = _signed(2);
        bytes32 terms = signed.terms.hash();
        _list(ownerA, signed.terms, 0);
        vm.prank(ownerA);
        offers.close(signed.offer, 1, terms);
        _refused(signed, abi.encodeWithSelector(Errors.OfferRegistry_Closed.selector, signed.offer, 1));
        vm.prank(ownerA);
        offers.reopen(signed.offer, 1, terms);
        _fill(signed);
        vm.prank(ownerA);
        offers.retire(signed.offer, 1);
        _refused(signed, abi.encodeWithSelector(Errors.OfferRegistry_Retired.selector, signed.offer, 1));
    }

    function test_FillSigned_RevertGiven_TheVersionWasRetiredUnlisted() external {
        Signed memory signed = _signed(2);
        vm.prank(ownerA);
        offers.retire(signed.offer, 1);
        _refused(signed, abi.encodeWithSelector(Errors.OfferRegistry_Retired.selector, signed.offer, 1));
    }

    function test_FillSigned_RevertWhen_NobodyHasTheOwnersIndex() external {
        Signed memory signed = _signed(2);
        signed.offer += 1 << 32;
        _refused(signed, abi.encodeWithSelector(Errors.OfferRegistry_NotSigned.selector, address(0), _digest(signed)));
    }

    function test_FillSigned_RevertWhen_ItIsExpired() external {
        Signed memory signed = _signed(2);
        vm.warp(signed.expiresAt);
        _fill(signed);
        vm.warp(signed.expiresAt + 1);
        _refused(
            signed,
            abi.encodeWithSelector(Errors.OfferRegistry_SignedExpired.selector, signed.expiresAt, signed.expiresAt + 1)
        );
    }

    function test_FillSigned_RevertWhen_ItNamesAnotherEpoch() external {
        Signed memory signed = _signed(2);
        signed.epoch = 1;
        _refused(signed, abi.encodeWithSelector(Errors.OfferRegistry_OtherEpoch.selector, ownerA, 1, 0));
    }

    function test_FillSigned_RevertWhen_ItWasUsedAsOftenAsItSays() external {
        for (uint32 volume = 0; volume < 3; ++volume) {
            Signed memory signed = _signed(volume);
            for (uint256 i = 0; i < volume; ++i) {
                _fill(signed);
            }
            _refused(
                signed,
                abi.encodeWithSelector(Errors.OfferRegistry_VolumeUsed.selector, _structHash(signed), volume, volume)
            );
        }
    }

    function test_FillSigned_RevertWhen_AnySignedMemberDiffers() external {
        bytes memory signature = _sign(_signed(2));
        for (uint256 member = 0; member < 6; ++member) {
            Signed memory signed = _signed(2);
            if (member == 0) signed.offer += 1;
            if (member == 1) signed.version += 1;
            if (member == 2) signed.terms.price.perHour += 1;
            if (member == 3) signed.volume += 1;
            if (member == 4) signed.expiresAt += 1;
            if (member == 5) signed.salt = "another";
            vm.prank(address(book));
            _reverts(
                _call(signed, signature),
                abi.encodeWithSelector(Errors.OfferRegistry_NotSigned.selector, ownerA, _digest(signed))
            );
        }
    }

    function test_FillSigned_RevertWhen_TheSignatureIsAnothersShortOrMalleable() external {
        Signed memory signed = _signed(2);
        bytes memory why = abi.encodeWithSelector(Errors.OfferRegistry_NotSigned.selector, ownerA, _digest(signed));
        (, uint256 otherKey) = makeAddrAndKey("not the owner");
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(otherKey, _digest(signed));
        vm.startPrank(address(book));
        _reverts(_call(signed, abi.encodePacked(r, s, v)), why);
        (v, r, s) = vm.sign(keyA, _digest(signed));
        _reverts(_call(signed, abi.encodePacked(r, s)), why);
        _reverts(_call(signed, ""), why);
        uint256 order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        _reverts(_call(signed, abi.encodePacked(r, bytes32(order - uint256(s)), v == 27 ? uint8(28) : uint8(27))), why);
    }

    function test_FillSigned_GivenTheOwnerIsAContract() external {
        Safe safe = new Safe();
        safe.enroll(offers);
        Signed memory signed = _signed(2);
        signed.offer += 1 << 32;
        assertEq(offers.ownerOf(signed.offer), address(safe));
        vm.startPrank(address(book));
        bytes memory why = abi.encodeWithSelector(Errors.OfferRegistry_NotSigned.selector, safe, _digest(signed));
        _reverts(_call(signed, ""), why);
        safe.agree(_digest(signed));
        (bool done,) = address(offers).call(_call(signed, ""));
        assertTrue(done);
        safe.agree(0);
        _reverts(_call(signed, ""), why);
    }

    // ------------------------------------------------------------------------------------------- cancelSigned
    function test_CancelSigned_RevertWhen_TheCallerIsNotTheOwner() external {
        Signed memory signed = _signed(2);
        bytes memory packed = _pack(signed);
        bytes32 terms = signed.terms.hash();
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_NotOwner.selector, signed.offer, poker, ownerA));
        vm.prank(poker);
        offers.cancelSigned(signed.offer, 1, terms, packed);
    }

    function test_CancelSigned_WhenTheOwnerCalls() external {
        Signed memory signed = _signed(2);
        Signed memory other = _signed(2);
        other.salt = "another";
        bytes memory packed = _pack(signed);
        bytes32 terms = signed.terms.hash();
        vm.expectEmit(address(offers));
        emit IOfferRegistry.SignedOfferCancelled(signed.offer, _structHash(signed), ownerA);
        vm.prank(ownerA);
        offers.cancelSigned(signed.offer, 1, terms, packed);
        _refused(
            signed,
            abi.encodeWithSelector(Errors.OfferRegistry_VolumeUsed.selector, _structHash(signed), type(uint256).max, 2)
        );
        (, uint256 left) = offers.signedOffer(signed.offer, 1, terms, packed);
        assertEq(left, 0);
        _fill(other);
    }

    // ------------------------------------------------------------------------------------------- bumpEpoch
    function test_BumpEpoch_WhenTheOwnerCalls() external {
        Signed memory signed = _signed(2);
        vm.prank(ownerB);
        offers.bumpEpoch();
        _fill(signed);
        vm.recordLogs();
        vm.prank(ownerA);
        uint64 epoch = offers.bumpEpoch();
        assertEq(abi.decode(vm.getRecordedLogs()[0].data, (uint64)), epoch);
        assertEq(offers.epochOf(ownerA), epoch);
        _refused(signed, abi.encodeWithSelector(Errors.OfferRegistry_OtherEpoch.selector, ownerA, 0, epoch));
        signed.epoch = epoch;
        _fill(signed);
    }

    function test_BumpEpoch_GoesUpByAStepThatNobodyKnowsBeforehand() external {
        uint64[3] memory epochs;
        for (uint256 i = 0; i < 3; ++i) {
            vm.roll(2000 + i);
            vm.setBlockhash(1999 + i, keccak256(abi.encode("a block", i)));
            vm.prank(ownerA);
            epochs[i] = offers.bumpEpoch();
        }
        assertGt(epochs[0], 0);
        assertGt(epochs[1], epochs[0]);
        assertGt(epochs[2], epochs[1]);
        assertNotEq(epochs[1] - epochs[0], epochs[2] - epochs[1]);
        // Even where the block's hash says zero.
        vm.roll(3000);
        vm.setBlockhash(2999, bytes32(0));
        vm.prank(ownerA);
        assertEq(offers.bumpEpoch(), epochs[2] + 1);
    }

    // ------------------------------------------------------------------------------------------- signedOffer
    function test_SignedOffer_GivesTheDigestAndWhatIsLeft() external {
        Signed memory signed = _signed(2);
        _has(signed, 2);
        _fill(signed);
        _has(signed, 1);
        _fill(signed);
        _has(signed, 0);
        signed.salt = "another";
        _has(signed, 2);
        vm.warp(signed.expiresAt + 1);
        _has(signed, 0);
        vm.warp(T0);
        vm.prank(ownerA);
        offers.bumpEpoch();
        _has(signed, 0);
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_SignedLength.selector, 48, 49));
        offers.signedOffer(signed.offer, 1, 0, new bytes(48));
    }

    function _has(Signed memory signed, uint256 expected) private view {
        (bytes32 digest, uint256 left) =
            offers.signedOffer(signed.offer, signed.version, signed.terms.hash(), _pack(signed));
        assertEq(digest, _digest(signed));
        assertEq(left, expected);
    }

    function _refused(Signed memory signed, bytes memory why) private {
        bytes memory call_ = _call(signed, _sign(signed));
        vm.prank(address(book));
        _reverts(call_, why);
    }

    function _reverts(bytes memory call_, bytes memory expected) private {
        (bool done, bytes memory why) = address(offers).call(call_);
        assertFalse(done);
        assertEq(why, expected);
    }
}
