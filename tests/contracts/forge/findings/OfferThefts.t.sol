// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {OfferRegistry} from "../../../../contracts/OfferRegistry.sol";
import {Derivation} from "../../../../contracts/interfaces/IOfferRegistry.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OfferKind, OfferTerms} from "../../../../contracts/types/Offers.sol";
import {DerivedStage} from "../offers/DerivedStage.sol";
import {OfferBytes} from "../offers/OfferBytes.sol";
import {Signed, SignedStage} from "../offers/SignedStage.sol";
import {In, Stage} from "../offers/Stage.sol";

/// @notice Thefts by way of offers, listed and signed; each test is named after its theft.
contract OfferTheftsTest is SignedStage, DerivedStage {
    using OfferBytes for OfferTerms;

    function setUp() public override(SignedStage, Stage) {
        super.setUp();
    }

    // ------------------------------------------------------------------------------------------- withdrawal
    /// @dev The owner sells a lease and takes the offer from sale, to sell the lessee's place twice.
    function test_AWithdrawnOfferUnderLeaseServesItsLessee() external {
        (In memory compute, In[] memory inputs) = _market();
        vm.prank(ownerB);
        offers.retire(inputs[1].offer, 1);
        inputs[1].lease = "the lessee's";
        offers.checkForSale(_order(compute, inputs));
        inputs[1].lease = 0;
        bytes memory order = _order(compute, inputs);
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_Retired.selector, inputs[1].offer, 1));
        offers.checkForSale(order);
    }

    /// @dev The owner closes a version and reopens it dearer, under orders that were placed at the old price.
    function test_AReopenedVersionHasTheTermsThatItWasClosedWith() external {
        (, In[] memory inputs) = _market();
        OfferTerms memory dearer = _content(OfferKind.DATASET, ownerB);
        dearer.price.fixedPrice = type(uint128).max;
        bytes32 hash = dearer.hash();
        vm.startPrank(ownerB);
        offers.close(inputs[1].offer, 1, inputs[1].terms);
        vm.expectPartialRevert(Errors.OfferRegistry_OtherTerms.selector);
        offers.reopen(inputs[1].offer, 1, hash);
        vm.expectPartialRevert(Errors.OfferRegistry_VersionUsed.selector);
        offers.list(uint32(inputs[1].offer), _trailing(dearer, URI));
    }

    /// @dev Orders name what the registry holds for a closed version as if it were terms.
    function test_TheMarkOfAClosedVersionIsNotForSale() external {
        (In memory compute, In[] memory inputs) = _market();
        vm.prank(ownerB);
        offers.close(inputs[1].offer, 1, inputs[1].terms);
        inputs[1].terms = (keccak256(abi.encode(inputs[1].terms)) >> 64) << 64;
        bytes memory order = _order(compute, inputs);
        vm.expectPartialRevert(Errors.OfferRegistry_OtherTerms.selector);
        offers.checkForSale(order);
    }

    // ------------------------------------------------------------------------------------------- signed offers
    /// @dev SingularityNET's and Marlin's signatures named no chain, so that a fork or a second deployment took them.
    function test_ASignedOfferReplayedOnAnotherChainOrRegistryIsWorthNothing() external {
        Signed memory signed = _signed(5);
        bytes memory call_ = _call(signed, _sign(signed));
        uint256 home = block.chainid;
        vm.chainId(home + 1);
        _reverts(address(book), call_, _notSigned(signed));
        vm.chainId(home);
        (bool done,) = _asBook(call_);
        assertTrue(done);
        // A registry with the same owner at the same index, for the same OrderBook.
        offers = new OfferRegistry(book);
        vm.prank(ownerA);
        offers.enroll();
        _reverts(address(book), call_, _notSigned(signed));
    }

    /// @dev One signature for two sales serves two orders, in whichever block and however it is encoded.
    function test_AnOverdrawnVolumeIsRefused() external {
        Signed memory signed = _signed(2);
        _fill(signed);
        _fill(signed);
        bytes memory why = abi.encodeWithSelector(Errors.OfferRegistry_VolumeUsed.selector, _structHash(signed), 2, 2);
        _reverts(address(book), _call(signed, _sign(signed)), why);
        // Other payees' bytes behind the signed members are no other signed offer.
        bytes memory longer = bytes.concat(_pack(signed), "more");
        bytes memory call_ =
            abi.encodeCall(offers.fillSigned, (signed.offer, 1, token, signed.terms.head(), longer, _sign(signed)));
        _reverts(address(book), call_, why);
        // Nor does listing the version make it one.
        _list(ownerA, signed.terms, 0);
        _reverts(address(book), call_, why);
    }

    /// @dev The owner raised its price and closed the old version; the buyer has an old signature for it.
    function test_AnOldSignatureDoesNotSellAClosedVersion() external {
        Signed memory signed = _signed(5);
        bytes32 terms = signed.terms.hash();
        uint64 offer = _list(ownerA, signed.terms, 0);
        vm.prank(ownerA);
        offers.close(offer, 1, terms);
        _reverts(
            address(book),
            _call(signed, _sign(signed)),
            abi.encodeWithSelector(Errors.OfferRegistry_Closed.selector, offer, 1)
        );
    }

    /// @dev An owner is led to sign for an epoch to come, so that the bump that is to save it saves nothing.
    function test_ASignatureForTheNextEpochDoesNotOutliveTheBump() external {
        Signed memory signed = _signed(5);
        signed.epoch = 1;
        bytes memory signature = _sign(signed);
        vm.roll(5000);
        vm.setBlockhash(4999, keccak256("any block"));
        vm.prank(ownerA);
        uint64 epoch = offers.bumpEpoch();
        assertNotEq(epoch, 1);
        _reverts(
            address(book),
            _call(signed, signature),
            abi.encodeWithSelector(Errors.OfferRegistry_OtherEpoch.selector, ownerA, 1, epoch)
        );
    }

    /// @dev Terms that `list` refuses come in by signature: shares above 10 000 would pay out more than an order holds.
    function test_SharesAboveAllDoNotComeInBySignature() external {
        Signed memory signed = _signed(5);
        signed.terms.payees[0].bps = 9000;
        _reverts(
            address(book),
            _call(signed, _sign(signed)),
            abi.encodeWithSelector(Errors.OfferRegistry_PayeeSum.selector, 11_999, 10_000)
        );
    }

    // ------------------------------------------------------------------------------------------- lineage
    /// @dev The author names parents that it did not use, or hides that it used some.
    function test_AnAuthorCannotLieAboutLineage() external {
        Derivation memory derivation = _trained();
        bytes32 id = book.orderId(derivation.order);
        OfferTerms memory terms = _model(client);
        // A lineage of its own making, in a plain listing and in a derived one.
        terms.lineage = keccak256(abi.encode(id, keccak256("")));
        bytes memory packed = _trailing(terms, URI);
        _reverts(
            client,
            abi.encodeCall(offers.list, (_serial(terms, 0), packed)),
            abi.encodeWithSelector(Errors.OfferRegistry_LineageUnproven.selector, terms.lineage)
        );
        (, bytes32 proven,) = offers.deriveRoyalties(derivation);
        _reverts(
            client,
            abi.encodeCall(offers.listDerived, (_serial(terms, 0), packed, derivation)),
            abi.encodeWithSelector(Errors.OfferRegistry_OtherLineage.selector, terms.lineage, proven)
        );
        // Another's order, and an order that never was.
        terms.lineage = proven;
        packed = _trailing(terms, URI);
        _reverts(
            ownerA,
            abi.encodeCall(offers.listDerived, (_serial(terms, 0), packed, derivation)),
            abi.encodeWithSelector(Errors.OfferRegistry_NotClient.selector, ownerA, client)
        );
        derivation.order[400] ^= 0x01;
        (bool done,) = address(offers).call(abi.encodeCall(offers.deriveRoyalties, (derivation)));
        assertFalse(done);
    }

    /// @dev The author shows a parent's head without its royalty, or with itself as payee.
    function test_AnAuthorCannotSwapWhatAParentAsks() external {
        Derivation memory derivation = _trained();
        bytes memory heads = derivation.heads;
        uint256 royaltyAt = 2 * 241 + 59;
        assertEq(uint8(heads[royaltyAt]) * 256 + uint8(heads[royaltyAt + 1]), 300);
        heads[royaltyAt + 1] = 0;
        vm.expectPartialRevert(Errors.OfferRegistry_InputTerms.selector);
        offers.deriveRoyalties(derivation);
        heads[royaltyAt + 1] = 0x2c;
        derivation.payees[1] = abi.encodePacked(client, uint16(10_000));
        vm.expectPartialRevert(Errors.OfferRegistry_InputPayees.selector);
        offers.deriveRoyalties(derivation);
    }

    /// @dev The royalty table of a derived parent is swapped: for an empty one, for another order's, for a good one with
    /// its accounts exchanged.
    function test_ASwappedRoyaltyTableIsRefused() external {
        Part[] memory parts = new Part[](2);
        Derivation memory first = _trained();
        parts[1] = _listModel(first, 0);
        parts[0].terms = _content(OfferKind.ENGINE, ownerA);
        parts[0].ref = _in((uint64(1) << 32) | (1 << 28), parts[0].terms);
        bytes memory good = parts[1].table;
        Derivation memory second = _completed(parts);
        bytes32 id = book.orderId(first.order);
        bytes[4] memory swapped = [
            abi.encodePacked(id),
            abi.encodePacked(keccak256("another order"), this.from(good, 32)),
            abi.encodePacked(id, coAuthor, uint16(210), uint8(1), ownerB, uint16(90), uint8(1)),
            abi.encodePacked(id, ownerB, uint16(210), uint8(4), coAuthor, uint16(90), uint8(4))
        ];
        for (uint256 i = 0; i < 4; ++i) {
            second.tables[1] = swapped[i];
            vm.expectPartialRevert(Errors.OfferRegistry_InputTable.selector);
            offers.deriveRoyalties(second);
        }
        second.tables[1] = good;
        (,, bytes memory table) = offers.deriveRoyalties(second);
        assertEq(table, abi.encodePacked(ownerB, uint16(210), uint8(2), coAuthor, uint16(90), uint8(2)));
    }

    /// @dev A parent that was sold by signature and claims ancestors of its own making would thin out the true ones.
    function test_AnUnlistedParentCannotInventAncestors() external {
        Signed memory signed = _signed(1);
        signed.terms = _model(ownerA);
        signed.terms.lineage = keccak256(abi.encode(bytes32("no order"), keccak256("no table")));
        signed.offer = (uint64(1) << 32) | _serial(signed.terms, 0);
        _reverts(
            address(book),
            _call(signed, _sign(signed)),
            abi.encodeWithSelector(Errors.OfferRegistry_LineageUnproven.selector, signed.terms.lineage)
        );
    }

    /// @dev The author adds datasets of its own that ask as much as can be asked. Everybody is scaled down alike, so a
    /// parent keeps its part of half: with fifteen such parents beside it, a sixteenth of what all could ask together.
    /// Nothing keeps the author from listing without a lineage instead; what is shown to buyers is never untrue.
    function test_SelfDealtParentsThinOutARoyaltyByWhatTheyAskAndNoMore() external {
        Part[] memory parts = new Part[](3);
        parts[0] = _engine();
        parts[1] = _dataset(ownerB, 5000, 0);
        parts[2] = _dataset(client, 5000, 0);
        (,, bytes memory table) = offers.deriveRoyalties(_completed(parts));
        uint256 sum = 0;
        for (uint256 i = 0; i < table.length / 23; ++i) {
            sum += uint16(bytes2(this.from(table, 23 * i + 20)));
        }
        assertLe(sum, 5000);
        assertEq(uint16(bytes2(this.from(table, 20))), 1750, "7001 of 10 000 of half of half");
    }

    function from(bytes calldata data, uint256 at) external pure returns (bytes calldata) {
        return data[at:];
    }

    function _market() private returns (In memory compute, In[] memory inputs) {
        compute = _in(_list(provider, _compute(), 0), _compute());
        inputs = new In[](2);
        OfferTerms memory engine = _content(OfferKind.ENGINE, ownerA);
        inputs[0] = _in(_list(ownerA, engine, 0), engine);
        OfferTerms memory dataset = _content(OfferKind.DATASET, ownerB);
        inputs[1] = _in(_list(ownerB, dataset, 0), dataset);
    }

    function _notSigned(Signed memory signed) private view returns (bytes memory) {
        return abi.encodeWithSelector(Errors.OfferRegistry_NotSigned.selector, ownerA, _digest(signed));
    }

    function _asBook(bytes memory call_) private returns (bool done, bytes memory why) {
        vm.prank(address(book));
        return address(offers).call(call_);
    }
}
