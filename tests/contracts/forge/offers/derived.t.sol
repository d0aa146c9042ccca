// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Derivation, IOfferRegistry} from "../../../../contracts/interfaces/IOfferRegistry.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OfferKind, OfferTerms} from "../../../../contracts/types/Offers.sol";
import {DerivedStage} from "./DerivedStage.sol";
import {OfferBytes} from "./OfferBytes.sol";
import {ReportShelf} from "./Stage.sol";

contract DerivedTest is DerivedStage {
    using OfferBytes for OfferTerms;

    // ------------------------------------------------------------------------------------------- listDerived
    function test_ListDerived_RevertWhen_TheSerialIsNotOfAModel() external {
        Derivation memory derivation = _trained();
        OfferTerms memory terms = _content(OfferKind.DATASET, client);
        (, terms.lineage,) = offers.deriveRoyalties(derivation);
        uint64 offer = (uint64(3) << 32) | _serial(terms, 0);
        _refused(
            terms,
            derivation,
            abi.encodeWithSelector(Errors.OfferRegistry_OtherKind.selector, offer, OfferKind.DATASET, OfferKind.MODEL)
        );
    }

    function test_ListDerived_RevertWhen_TheOrderWasNotCompletedWithThisReport() external {
        Derivation memory derivation = _trained();
        OfferTerms memory terms = _model(client);
        (, terms.lineage,) = offers.deriveRoyalties(derivation);
        derivation.report.numbers += 1;
        _refused(
            terms, derivation, abi.encodeWithSelector(ReportShelf.NoSuchReport.selector, keccak256(derivation.order))
        );
    }

    function test_ListDerived_RevertWhen_TheCallerIsNotTheOrdersClient() external {
        Derivation memory derivation = _trained();
        OfferTerms memory terms = _model(client);
        (, terms.lineage,) = offers.deriveRoyalties(derivation);
        _reverts(
            ownerB,
            abi.encodeCall(offers.listDerived, (_serial(terms, 0), _trailing(terms, URI), derivation)),
            abi.encodeWithSelector(Errors.OfferRegistry_NotClient.selector, ownerB, client)
        );
    }

    function test_ListDerived_RevertWhen_TheHeadsAreNotOneForEachOffer() external {
        Derivation memory derivation = _trained();
        derivation.heads = bytes.concat(derivation.heads, new bytes(241));
        _refused(
            _model(client), derivation, abi.encodeWithSelector(Errors.OfferCodec_HeadsLength.selector, 5 * 241, 4 * 241)
        );
    }

    function test_ListDerived_RevertWhen_PayeesOrTablesAreNotOneForEachInput() external {
        Derivation memory derivation = _trained();
        bytes[] memory good = derivation.payees;
        derivation.payees = new bytes[](2);
        bytes4 why = Errors.OfferRegistry_InputCount.selector;
        _refused(_model(client), derivation, abi.encodeWithSelector(why, 2, 3, 3));
        derivation.payees = good;
        derivation.tables = new bytes[](4);
        _refused(_model(client), derivation, abi.encodeWithSelector(why, 3, 4, 3));
    }

    function test_ListDerived_RevertWhen_AHeadIsNotTheInputsThatTheOrderNames() external {
        Derivation memory derivation = _trained();
        OfferTerms memory asked = _content(OfferKind.DATASET, ownerB);
        asked.royaltyBps = 300;
        OfferTerms memory generous = _content(OfferKind.DATASET, ownerB);
        bytes memory heads = derivation.heads;
        bytes memory head = generous.head();
        for (uint256 i = 0; i < 241; ++i) {
            heads[2 * 241 + i] = head[i];
        }
        _refused(
            _model(client),
            derivation,
            abi.encodeWithSelector(Errors.OfferRegistry_InputTerms.selector, 1, generous.hash(), asked.hash())
        );
    }

    function test_ListDerived_RevertWhen_PayeesAreNotTheHeads() external {
        Derivation memory derivation = _trained();
        bytes32 named = OfferBytes.hashPayees(_content(OfferKind.DATASET, ownerB).payees);
        derivation.payees[1] = OfferBytes.payees(_two(client, 7001, coAuthor));
        _refused(
            _model(client),
            derivation,
            abi.encodeWithSelector(
                Errors.OfferRegistry_InputPayees.selector, 1, OfferBytes.hashPayees(_two(client, 7001, coAuthor)), named
            )
        );
        // Of who asks nothing they are not looked at.
        derivation.payees[1] = OfferBytes.payees(_content(OfferKind.DATASET, ownerB).payees);
        derivation.payees[2] = "";
        offers.deriveRoyalties(derivation);
    }

    function test_ListDerived_RevertWhen_AnInputsTableIsNotTheOneItsLineageNames() external {
        Part[] memory parts = new Part[](2);
        Derivation memory first = _trained();
        parts[1] = _listModel(first, 0);
        parts[0].terms = _content(OfferKind.ENGINE, ownerA);
        parts[0].ref = _in((uint64(2) << 32) | (1 << 28), parts[0].terms);
        bytes memory good = parts[1].table;
        bytes32 id = book.orderId(first.order);
        Derivation memory second = _completed(parts);
        bytes32 named = parts[1].terms.lineage;
        bytes[3] memory wrong = [bytes(""), abi.encodePacked(id), bytes.concat(good, new bytes(23))];
        for (uint256 i = 0; i < 3; ++i) {
            second.tables[1] = wrong[i];
            bytes32 got;
            if (i == 1) got = keccak256(abi.encode(id, keccak256("")));
            if (i == 2) got = keccak256(abi.encode(id, keccak256(bytes.concat(this.tail(good), new bytes(23)))));
            _refused(
                _model(client), second, abi.encodeWithSelector(Errors.OfferRegistry_InputTable.selector, 1, got, named)
            );
        }
        second.tables[1] = good;
        offers.deriveRoyalties(second);
    }

    function test_ListDerived_RevertWhen_TheHeadsLineageIsAnother() external {
        Derivation memory derivation = _trained();
        (, bytes32 lineage,) = offers.deriveRoyalties(derivation);
        OfferTerms memory terms = _model(client);
        bytes32[2] memory wrong = [bytes32(0), bytes32("another")];
        for (uint256 i = 0; i < 2; ++i) {
            terms.lineage = wrong[i];
            _refused(
                terms, derivation, abi.encodeWithSelector(Errors.OfferRegistry_OtherLineage.selector, wrong[i], lineage)
            );
        }
    }

    function test_ListDerived_GivenParentsThatAskNoRoyalty() external {
        Part[] memory parts = new Part[](2);
        parts[0] = _engine();
        parts[1] = _dataset(ownerB, 0, 0);
        Derivation memory derivation = _completed(parts);
        Part memory model = _listModel(derivation, 0);
        assertEq(model.table, abi.encodePacked(book.orderId(derivation.order)));
        assertEq(model.terms.lineage, keccak256(abi.encode(book.orderId(derivation.order), keccak256(""))));
        assertEq(offers.termsHash(model.ref.offer, 1), model.terms.hash());
    }

    function test_ListDerived_GivenParentsThatAskOne() external {
        Derivation memory derivation = _trained();
        bytes32 id = book.orderId(derivation.order);
        // 300 * 7001 / 10000 = 210; the co-author, who is last, has the rest.
        bytes memory table = abi.encodePacked(ownerB, uint16(210), uint8(1), coAuthor, uint16(90), uint8(1));
        OfferTerms memory terms = _model(client);
        terms.lineage = keccak256(abi.encode(id, keccak256(table)));
        uint64 offer = (uint64(3) << 32) | _serial(terms, 9);
        bytes memory packed = _trailing(terms, URI);
        vm.expectEmit(address(offers));
        emit IOfferRegistry.OfferDerived(offer, id, 1, table);
        vm.expectEmit(address(offers));
        emit IOfferRegistry.OfferListed(offer, client, terms.hash(), 1, packed);
        vm.prank(client);
        assertEq(offers.listDerived(_serial(terms, 9), packed, derivation), offer);
        assertEq(offers.termsHash(offer, 1), terms.hash());
    }

    function test_ListDerived_GivenAParentThatIsDerived() external {
        Part[] memory parts = new Part[](3);
        parts[1] = _listModel(_trained(), 0);
        parts[0].terms = _content(OfferKind.ENGINE, ownerA);
        parts[0].ref = _in((uint64(2) << 32) | (1 << 28), parts[0].terms);
        parts[2] = _dataset(ownerB, 100, 5);
        Part memory child = _listModel(_completed(parts), 1);
        assertEq(
            this.tail(child.table),
            abi.encodePacked(
                abi.encodePacked(ownerB, uint16(210), uint8(2), coAuthor, uint16(90), uint8(2)),
                abi.encodePacked(ownerB, uint16(70), uint8(1), coAuthor, uint16(30), uint8(1))
            )
        );
    }

    function test_ListDerived_RevertGiven_TheSerialWasUsed() external {
        Derivation memory derivation = _trained();
        Part memory model = _listModel(derivation, 0);
        _refused(
            model.terms,
            derivation,
            abi.encodeWithSelector(Errors.OfferRegistry_VersionUsed.selector, model.ref.offer, 1)
        );
    }

    // ------------------------------------------------------------------------------------------- addDerivedVersion
    function test_AddDerivedVersion_RevertWhen_TheCallerOrTheVersionIsWrong() external {
        Derivation memory derivation = _trained();
        Part memory model = _listModel(derivation, 0);
        bytes memory packed = _trailing(model.terms, URI);
        uint64 offer = model.ref.offer;
        _reverts(
            poker,
            abi.encodeCall(offers.addDerivedVersion, (offer, 2, packed, derivation)),
            abi.encodeWithSelector(Errors.OfferRegistry_NotOwner.selector, offer, poker, client)
        );
        _reverts(
            client,
            abi.encodeCall(offers.addDerivedVersion, (offer, 3, packed, derivation)),
            abi.encodeWithSelector(Errors.OfferRegistry_VersionGap.selector, offer, 3)
        );
    }

    function test_AddDerivedVersion_RevertWhen_TheOfferIsNotAModel() external {
        Derivation memory derivation = _trained();
        OfferTerms memory terms = _content(OfferKind.ENGINE, client);
        uint64 offer = _list(client, terms, 0);
        _reverts(
            client,
            abi.encodeCall(offers.addDerivedVersion, (offer, 2, _trailing(terms, URI), derivation)),
            abi.encodeWithSelector(Errors.OfferRegistry_OtherKind.selector, offer, OfferKind.ENGINE, OfferKind.MODEL)
        );
    }

    function test_AddDerivedVersion_WhenAllIsProven() external {
        Derivation memory derivation = _trained();
        OfferTerms memory terms = _model(client);
        uint64 offer = _list(client, terms, 0); // the first version's lineage is unproven
        (bytes32 id, bytes32 lineage, bytes memory table) = offers.deriveRoyalties(derivation);
        terms.lineage = lineage;
        bytes memory packed = _trailing(terms, "ipfs://2");
        vm.expectEmit(address(offers));
        emit IOfferRegistry.OfferDerived(offer, id, 2, table);
        vm.expectEmit(address(offers));
        emit IOfferRegistry.OfferListed(offer, client, terms.hash(), 2, packed);
        vm.prank(client);
        offers.addDerivedVersion(offer, 2, packed, derivation);
        assertEq(offers.termsHash(offer, 2), terms.hash());
    }

    // ------------------------------------------------------------------------------------------- deriveRoyalties
    function test_DeriveRoyalties_SaysWhatListDerivedWants() external {
        Derivation memory derivation = _trained();
        vm.prank(poker);
        (bytes32 id, bytes32 lineage, bytes memory table) = offers.deriveRoyalties(derivation);
        assertEq(id, book.orderId(derivation.order));
        assertEq(table, abi.encodePacked(ownerB, uint16(210), uint8(1), coAuthor, uint16(90), uint8(1)));
        assertEq(lineage, keccak256(abi.encode(id, keccak256(table))));
    }

    function tail(bytes calldata data) external pure returns (bytes calldata) {
        return data[32:];
    }

    function _refused(OfferTerms memory terms, Derivation memory derivation, bytes memory why) private {
        bytes memory call_ = abi.encodeCall(offers.listDerived, (_serial(terms, 0), _trailing(terms, URI), derivation));
        _reverts(client, call_, why);
    }
}
