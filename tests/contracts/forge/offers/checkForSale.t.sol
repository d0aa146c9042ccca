// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OfferKind, OfferTerms} from "../../../../contracts/types/Offers.sol";
import {OfferBytes} from "./OfferBytes.sol";
import {In, Stage} from "./Stage.sol";

contract CheckForSaleTest is Stage {
    using OfferBytes for OfferTerms;

    In internal compute;
    In[3] internal inputs;

    function setUp() public override {
        super.setUp();
        compute = _in(_list(provider, _compute(), 0), _compute());
        OfferKind[3] memory kinds = [OfferKind.ENGINE, OfferKind.MODEL, OfferKind.DATASET];
        for (uint256 i = 0; i < 3; ++i) {
            OfferTerms memory terms = _content(kinds[i], ownerA);
            inputs[i] = _in(_list(ownerA, terms, 0), terms);
        }
    }

    function test_CheckForSale_RevertWhen_TheLengthFitsNoNumberOfInputs() external {
        bytes memory none = _order(compute, new In[](0));
        vm.expectRevert(abi.encodeWithSelector(Errors.OrderCodec_Length.selector, 300));
        offers.checkForSale(none);
        vm.expectRevert(abi.encodeWithSelector(Errors.OrderCodec_Length.selector, 300 + 17 * 44));
        offers.checkForSale(new bytes(300 + 17 * 44));
        vm.expectRevert(abi.encodeWithSelector(Errors.OrderCodec_Length.selector, 345));
        offers.checkForSale(new bytes(345));
    }

    function test_CheckForSale_GivenEverythingIsForSale() external view {
        offers.checkForSale(_packed());
    }

    function test_CheckForSale_ReadsOneSlotForEachOffer() external {
        bytes memory order = _packed();
        vm.record();
        offers.checkForSale(order);
        (bytes32[] memory reads, bytes32[] memory writes) = vm.accesses(address(offers));
        assertEq(reads.length, 4);
        assertEq(writes.length, 0);
    }

    function test_CheckForSale_RevertGiven_AnOfferIsUnused() external {
        compute.version = 2;
        _refused(abi.encodeWithSelector(Errors.OfferRegistry_UnknownVersion.selector, compute.offer, 2));
        compute.version = 1;
        inputs[2].offer = 99;
        _refused(abi.encodeWithSelector(Errors.OfferRegistry_UnknownVersion.selector, 99, 1));
    }

    function test_CheckForSale_RevertGiven_AnOfferIsClosed() external {
        vm.prank(ownerA);
        offers.close(inputs[1].offer, 1, inputs[1].terms);
        _refused(abi.encodeWithSelector(Errors.OfferRegistry_Closed.selector, inputs[1].offer, 1));
        vm.prank(provider);
        offers.close(compute.offer, 1, compute.terms);
        _refused(abi.encodeWithSelector(Errors.OfferRegistry_Closed.selector, compute.offer, 1));
    }

    function test_CheckForSale_RevertGiven_AnOfferIsRetired() external {
        vm.prank(ownerA);
        offers.retire(inputs[0].offer, 1);
        _refused(abi.encodeWithSelector(Errors.OfferRegistry_Retired.selector, inputs[0].offer, 1));
    }

    function test_CheckForSale_RevertGiven_AnOfferHasOtherTerms() external {
        bytes32 registered = inputs[2].terms;
        inputs[2].terms = "others";
        _refused(
            abi.encodeWithSelector(
                Errors.OfferRegistry_OtherTerms.selector, inputs[2].offer, 1, registered, bytes32("others")
            )
        );
    }

    function test_CheckForSale_RevertWhen_TheTermsNamedAreZeroOrAMark() external {
        In memory good = inputs[1];
        // Zero, where nothing was listed.
        inputs[1] = In(good.offer, 2, 0, 0);
        _refused(abi.encodeWithSelector(Errors.OfferRegistry_UnknownVersion.selector, good.offer, 2));
        // What the registry holds of a closed version.
        vm.prank(ownerA);
        offers.close(good.offer, 1, good.terms);
        bytes32 mark = bytes32(uint256(keccak256(abi.encode(good.terms))) & ~uint256(type(uint64).max));
        inputs[1] = In(good.offer, 1, mark, 0);
        _refused(abi.encodeWithSelector(Errors.OfferRegistry_OtherTerms.selector, good.offer, 1, mark, mark));
        // And of a retired one.
        vm.prank(ownerA);
        offers.retire(good.offer, 1);
        inputs[1] = In(good.offer, 1, bytes32(uint256(1 << 255)), 0);
        _refused(abi.encodeWithSelector(Errors.OfferRegistry_Retired.selector, good.offer, 1));
    }

    function test_CheckForSale_WhenAnInputHasALease() external {
        vm.startPrank(ownerA);
        offers.close(inputs[1].offer, 1, inputs[1].terms);
        offers.retire(inputs[2].offer, 1);
        vm.stopPrank();
        inputs[1].lease = "a lease";
        inputs[2].lease = bytes32(uint256(1));
        offers.checkForSale(_packed());
        inputs[2].lease = 0;
        _refused(abi.encodeWithSelector(Errors.OfferRegistry_Retired.selector, inputs[2].offer, 1));
    }

    // ------------------------------------------------------------------------------------------- Except
    function test_CheckForSaleExcept_WhenABitIsSet() external {
        vm.startPrank(ownerA);
        offers.retire(inputs[0].offer, 1);
        offers.retire(inputs[2].offer, 1);
        vm.stopPrank();
        vm.prank(provider);
        offers.retire(compute.offer, 1);
        bytes memory order = _packed();
        offers.checkForSaleExcept(order, 11); // compute, input 0 and input 2
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_Retired.selector, compute.offer, 1));
        offers.checkForSaleExcept(order, 10);
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_Retired.selector, inputs[0].offer, 1));
        offers.checkForSaleExcept(order, 9);
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_Retired.selector, inputs[2].offer, 1));
        offers.checkForSaleExcept(order, 3);
    }

    function test_CheckForSaleExcept_WhenNoneIsSet() external {
        offers.checkForSaleExcept(_packed(), 0);
        inputs[1].version = 2;
        bytes memory order = _packed();
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_UnknownVersion.selector, inputs[1].offer, 2));
        offers.checkForSaleExcept(order, 0);
    }

    function _packed() private view returns (bytes memory) {
        In[] memory list = new In[](3);
        for (uint256 i = 0; i < 3; ++i) {
            list[i] = inputs[i];
        }
        return _order(compute, list);
    }

    function _refused(bytes memory error_) private {
        bytes memory order = _packed();
        vm.expectRevert(error_);
        offers.checkForSale(order);
    }
}
