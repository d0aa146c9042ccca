// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Derivation} from "../../../../contracts/interfaces/IOfferRegistry.sol";
import {Report} from "../../../../contracts/types/Orders.sol";
import {OfferKind, OfferTerms, Payee} from "../../../../contracts/types/Offers.sol";
import {OfferBytes} from "./OfferBytes.sol";
import {In, Stage} from "./Stage.sol";

/// @notice A client that trains: an engine, two datasets and, in the second generation, the model that came of them.
abstract contract DerivedStage is Stage {
    using OfferBytes for OfferTerms;

    /// @dev One offer of an order: as the order names it, and as its head and payees say.
    struct Part {
        In ref;
        OfferTerms terms;
        bytes table;
    }

    function _engine() internal returns (Part memory part) {
        part.terms = _content(OfferKind.ENGINE, ownerA);
        part.ref = _in(_list(ownerA, part.terms, 0), part.terms);
    }

    function _dataset(address owner, uint16 royaltyBps, uint32 number) internal returns (Part memory part) {
        part.terms = _content(OfferKind.DATASET, owner);
        part.terms.royaltyBps = royaltyBps;
        part.ref = _in(_list(owner, part.terms, number), part.terms);
    }

    function _model(address owner) internal view returns (OfferTerms memory terms) {
        terms = _content(OfferKind.MODEL, owner);
        terms.payees = new Payee[](1);
        terms.payees[0] = Payee(owner, 10_000);
    }

    /// @dev An order of these inputs that was completed.
    function _completed(Part[] memory parts) internal returns (Derivation memory derivation) {
        OfferTerms memory compute = _compute();
        In[] memory inputs = new In[](parts.length);
        derivation.heads = compute.head();
        derivation.payees = new bytes[](parts.length);
        derivation.tables = new bytes[](parts.length);
        for (uint256 i = 0; i < parts.length; ++i) {
            inputs[i] = parts[i].ref;
            derivation.heads = bytes.concat(derivation.heads, parts[i].terms.head());
            derivation.payees[i] = OfferBytes.payees(parts[i].terms.payees);
            derivation.tables[i] = parts[i].table;
        }
        derivation.order = _order(In(77, 1, compute.hash(), 0), inputs);
        derivation.report = Report("cvm", "result", "statement", 0x0102ff, "r", "vs");
        book.complete(derivation.order, derivation.report);
    }

    /// @dev Engine and two datasets: B asks 300, its co-author has 2999 of 10 000 shares; A asks nothing.
    function _trained() internal returns (Derivation memory derivation) {
        Part[] memory parts = new Part[](3);
        parts[0] = _engine();
        parts[1] = _dataset(ownerB, 300, 0);
        parts[2] = _dataset(ownerA, 0, 1);
        return _completed(parts);
    }

    /// @dev Lists what `derivation` made, as its client wants it listed.
    function _listModel(Derivation memory derivation, uint32 number) internal returns (Part memory part) {
        part.terms = _model(client);
        bytes32 id;
        bytes memory table;
        (id, part.terms.lineage, table) = offers.deriveRoyalties(derivation);
        part.table = bytes.concat(id, table);
        bytes memory packed = _trailing(part.terms, URI);
        vm.prank(client);
        uint64 offer = offers.listDerived(_serial(part.terms, number), packed, derivation);
        part.ref = _in(offer, part.terms);
    }

    function _reverts(address caller, bytes memory call_, bytes memory expected) internal {
        vm.prank(caller);
        (bool done, bytes memory why) = address(offers).call(call_);
        assertFalse(done);
        assertEq(why, expected);
    }
}
