// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OfferCodec} from "../../../../contracts/libraries/OfferCodec.sol";
import {OrderCodec} from "../../../../contracts/libraries/OrderCodec.sol";
import {OfferTerms, Payee, Price} from "../../../../contracts/types/Offers.sol";
import {OfferBytes} from "./OfferBytes.sol";

/// @dev The library takes calldata, so each test goes through a call of this contract to itself.
contract OfferCodecTest is Test {
    // ------------------------------------------------------------------------------------------- doors to calldata
    function doCheck(bytes calldata heads, uint256 count) external pure {
        OfferCodec.check(heads, count);
    }

    function doHash(bytes calldata heads, uint256 at, address token) external pure returns (bytes32) {
        return OfferCodec.termsHash(heads, at, token);
    }

    function doHashPayees(bytes calldata payees) external pure returns (bytes32) {
        return OfferCodec.hashPayees(payees);
    }

    function doPayee(bytes calldata payees, uint256 index) external pure returns (address, uint256) {
        return OfferCodec.payee(payees, index);
    }

    function doRead(bytes calldata heads, uint256 at) external pure returns (OfferTerms memory terms, bytes32 payees) {
        terms.kind = uint8(OfferCodec.kind(heads, at));
        terms.price = OfferCodec.price(heads, at);
        terms.manifestDigest = OfferCodec.manifestDigest(heads, at);
        terms.contentDigest = OfferCodec.contentDigest(heads, at);
        terms.grantKey = OfferCodec.grantKey(heads, at);
        terms.royaltyBps = uint16(OfferCodec.royaltyBps(heads, at));
        terms.lineage = OfferCodec.lineage(heads, at);
        terms.restrictions = OfferCodec.restrictions(heads, at);
        payees = OfferCodec.payeesHash(heads, at);
        assertEq(OfferCodec.minSeconds(heads, at), terms.price.minSeconds);
        assertEq(OfferCodec.maxSeconds(heads, at), terms.price.maxSeconds);
        assertEq(OfferCodec.revenueBps(heads, at), terms.price.revenueBps);
        // The form of the hot paths reads the same price.
        uint256 form = OfferCodec.form(0);
        uint256 head = OrderCodec.pointer(heads) + at;
        OfferCodec.fill(form, head);
        Price memory again = OfferCodec.priceOf(form);
        assertEq(abi.encode(again), abi.encode(terms.price));
        assertEq(address(OfferCodec.tokenOf(heads[at:])), address(bytes20(heads[at:at + 20])));
    }

    // ------------------------------------------------------------------------------------------- check
    function test_Check_RevertWhen_TheBytesAreNotThatManyHeads() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferCodec_HeadsLength.selector, 240, 241));
        this.doCheck(new bytes(240), 1);
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferCodec_HeadsLength.selector, 242, 241));
        this.doCheck(new bytes(242), 1);
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferCodec_HeadsLength.selector, 482, 723));
        this.doCheck(new bytes(482), 3);
    }

    function test_Check_WhenTheyAre() external view {
        this.doCheck(new bytes(241), 1);
        this.doCheck(new bytes(17 * 241), 17);
    }

    // ------------------------------------------------------------------------------------------- termsHash
    function testFuzz_TermsHash_ForAnyTermsAtAnyPlace(OfferTerms memory terms, uint8 before, uint8 behind)
        external
        view
    {
        assertEq(this.doHash(_among(terms, before, behind), _at(before), terms.token), OfferBytes.hash(terms));
    }

    function test_TermsHash_WhenTheTokenIsAnother() external view {
        OfferTerms memory terms;
        bytes memory head = OfferBytes.head(terms);
        assertNotEq(this.doHash(head, 0, address(1)), this.doHash(head, 0, address(2)));
    }

    // ------------------------------------------------------------------------------------------- accessors
    function testFuzz_Accessors_ForAnyTermsAtAnyPlace(OfferTerms memory terms, uint8 before, uint8 behind)
        external
        view
    {
        (OfferTerms memory got, bytes32 payees) = this.doRead(_among(terms, before, behind), _at(before));
        assertEq(payees, OfferBytes.hashPayees(terms.payees));
        terms.payees = got.payees;
        terms.token = got.token;
        assertEq(abi.encode(got), abi.encode(terms));
    }

    // ------------------------------------------------------------------------------------------- hashPayees
    function test_HashPayees_RevertWhen_ThereAreNoneNineOrAPart() external {
        uint256[5] memory lengths = [uint256(0), 21, 23, 8 * 22 + 1, 9 * 22];
        for (uint256 i = 0; i < lengths.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(Errors.OfferCodec_PayeesLength.selector, lengths[i], 22, 8));
            this.doHashPayees(new bytes(lengths[i]));
        }
    }

    function testFuzz_HashPayees_ForAnyOneToEight(Payee[8] memory drawn, uint256 count) external view {
        Payee[] memory list = new Payee[](bound(count, 1, 8));
        for (uint256 i = 0; i < list.length; ++i) {
            list[i] = drawn[i];
        }
        bytes memory packed = OfferBytes.payees(list);
        assertEq(this.doHashPayees(packed), OfferBytes.hashPayees(list));
        // --- payee: account and share by index
        for (uint256 i = 0; i < list.length; ++i) {
            (address account, uint256 bps) = this.doPayee(packed, i);
            assertEq(account, list[i].account);
            assertEq(bps, list[i].bps);
        }
    }

    function _at(uint8 before) private pure returns (uint256) {
        return uint256(before % 4) * OfferCodec.HEAD;
    }

    /// @dev The head with noise of whole heads around it: nothing may leak from a neighbour.
    function _among(OfferTerms memory terms, uint8 before, uint8 behind) private pure returns (bytes memory) {
        return bytes.concat(_noise(before % 4), OfferBytes.head(terms), _noise(behind % 3));
    }

    function _noise(uint256 heads) private pure returns (bytes memory noise) {
        noise = new bytes(heads * OfferCodec.HEAD);
        for (uint256 i = 0; i < noise.length; ++i) {
            noise[i] = 0xff;
        }
    }
}
