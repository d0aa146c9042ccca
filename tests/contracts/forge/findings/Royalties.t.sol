// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Derivation} from "../../../../contracts/interfaces/IOfferRegistry.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OfferKind, OfferTerms} from "../../../../contracts/types/Offers.sol";
import {InputRef, Outcome, Phase} from "../../../../contracts/types/Orders.sol";
import {Money} from "../money/Money.sol";
import {Deal} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";

/// @notice Royalties through generations, by orders that really ran: datasets are trained into a model, that model into
/// another, and whoever orders the last pays all of them, exact to the unit. Each test is named after who would like not to.
contract RoyaltiesTest is Money {
    /// @dev An offer for sale with what its claims need.
    struct Made {
        uint64 offer;
        OfferTerms terms;
        bytes lineage;
    }

    address internal secondAuthor = makeAddr("second author");
    address internal thirdAuthor = makeAddr("third author");
    uint256 private _salt;

    // ------------------------------------------------------------------------------------------- three generations
    function test_ThreeGenerationsPayEveryAncestor() external {
        (Made memory grandchild, bytes memory table) = _threeGenerations();
        assertEq(_tail(grandchild.lineage), table);
        Deal memory deal = _order3(sponsor, grandchild);
        _ended(deal, Outcome.COMPLETED);
        uint256 gross = _amount(grandchild.terms.price, 1000, 50);
        _claimWith(deal, 2, grandchild.lineage);
        _paidExactly(_net(gross), thirdAuthor);
        _claimRest(deal);
        _claim(deal, 0);
        _claim(deal, 1);
        assertEq(_all(), token.balanceOf(address(book)), "credited == held");
    }

    /// @dev The same in parts, while the order serves: no claim is early, none is late, the sum is the same.
    function testFuzz_ClaimsInPartsPayTheSame(uint256 seed) external {
        (Made memory grandchild,) = _threeGenerations();
        Deal memory deal = _order3(sponsor, grandchild);
        deal.terms.accessKeyDigest = keccak256("access key");
        _runs(deal);
        (uint32 secs, uint64 units) = (100, 0);
        for (uint256 i = 0; i < 5; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            uint32 more = uint32(seed % 200);
            skip(more);
            secs += more;
            units += uint64(seed >> 128) % 9;
            _prove(deal, secs, units);
            uint256 due = _open(deal, 2);
            if (due != 0) _claimWith(deal, 2, grandchild.lineage);
            uint256 net = _net(_due(deal, 2));
            assertLe(_shares(), net, "never more than there is");
            assertEq(_credit(engineOwner), 0);
        }
        _complete(deal, Outcome.COMPLETED, secs, 999);
        _claimWith(deal, 2, grandchild.lineage);
        _paidExactly(_net(_amount(grandchild.terms.price, secs, 999)), thirdAuthor);
    }

    /// @dev What a served model earns is shared by the same table.
    function test_ServiceIncomePaysEveryAncestor() external {
        (Made memory grandchild,) = _threeGenerations();
        Deal memory deal = _order3(sponsor, grandchild);
        deal.terms.accessKeyDigest = keccak256("access key");
        _runs(deal);
        _fund(poker);
        (bytes[] memory payees, bytes[] memory lineages) = _receivers(deal);
        (bytes memory order, bytes memory heads) = (Pack.order(deal.terms), _heads(deal));
        uint256 amount = 9_999_991;
        // Without its table the model is not paid.
        vm.expectRevert(
            abi.encodeWithSelector(
                Errors.OrderBook_Lineage.selector, grandchild.offer, bytes32(0), grandchild.terms.lineage
            )
        );
        vm.prank(poker);
        book.payService(order, heads, payees, lineages, uint128(amount));
        lineages[2] = grandchild.lineage;
        vm.prank(poker);
        book.payService(order, heads, payees, lineages, uint128(amount));
        uint256 gross = amount * grandchild.terms.price.revenueBps / 10_000;
        _paidExactly(_net(gross), thirdAuthor);
        assertEq(_credit(sponsor), amount - gross, "whose service it is");
    }

    // ------------------------------------------------------------------------------------------- thefts
    /// @dev Whoever claims would like to leave the ancestors out, or to be one.
    function test_ClaimedWithoutTheAncestors() external {
        (Made memory grandchild, bytes memory table) = _threeGenerations();
        Deal memory deal = _order3(sponsor, grandchild);
        _ended(deal, Outcome.COMPLETED);
        bytes memory id = _head32(grandchild.lineage);
        bytes[6] memory wrong = [
            bytes(""),
            hex"00",
            id,
            bytes.concat(bytes32(0), table),
            bytes.concat(id, abi.encodePacked(thirdAuthor, uint16(5000), uint8(1))),
            bytes.concat(grandchild.lineage, abi.encodePacked(thirdAuthor, uint16(1), uint8(1)))
        ];
        for (uint256 i = 0; i < 6; ++i) {
            bytes32 got = i < 2 ? bytes32(0) : keccak256(abi.encode(_first(wrong[i]), keccak256(_tail(wrong[i]))));
            _willRevert(
                abi.encodeWithSelector(
                    Errors.OrderBook_Lineage.selector, grandchild.offer, got, grandchild.terms.lineage
                )
            );
            _claimWith(deal, 2, wrong[i]);
        }
        assertEq(_shares(), 0);
    }

    /// @dev Generation by generation a little more is asked, until nothing would be left for whoever sells: all of it
    /// together is cut to half, each share alike.
    function test_GreedyAncestorsTakeHalfAndNoMore() external {
        Made memory made = _owned(ownerA, 4000);
        uint16[3] memory asked = [uint16(3000), 2000, 1000];
        for (uint256 i = 0; i < 3; ++i) {
            made = _train(secondAuthor, made, asked[i]);
        }
        made = _train(thirdAuthor, made, 0);
        // 1000 + 2000 + 3000 + 4000 do not fit into 5000; the cut was made when the third was listed, and again.
        (uint256 sum, uint256 entries) = _sum(_tail(made.lineage));
        assertLe(sum, 5000);
        assertGt(sum, 5000 - entries, "each share lost less than a point");
        Deal memory deal = _order3(client, made);
        _ended(deal, Outcome.COMPLETED);
        _claimWith(deal, 2, made.lineage);
        uint256 net = _net(_amount(made.terms.price, 1000, 50));
        assertGe(_credit(thirdAuthor), net / 2);
        assertEq(_credit(thirdAuthor) + _credit(secondAuthor) + _credit(ownerA), net);
    }

    /// @dev A dynasty: after four generations what the first asked is over, so that a model's debts have a last line.
    function test_RoyaltiesForEver() external {
        Made memory made = _owned(ownerA, 100);
        for (uint256 i = 1; i <= 6; ++i) {
            made = _train(secondAuthor, made, 100);
            (, uint256 entries) = _sum(_tail(made.lineage));
            assertEq(entries, i < 4 ? i : 4);
            bool owed = _owes(_tail(made.lineage), ownerA);
            assertEq(owed, i <= 4, "four generations");
        }
    }

    /// @dev An order that FAILED, or another's order, made no model of its client's.
    function test_ModelOfAFailedOrAnothersOrder() external {
        Made memory dataset = _datasetOf(ownerA, 100);
        Deal memory deal = _order3(secondAuthor, dataset);
        _ended(deal, Outcome.FAILED);
        Derivation memory derivation = _derivation(deal, dataset.lineage);
        vm.expectPartialRevert(Errors.OrderBook_WrongState.selector);
        offers.deriveRoyalties(derivation);
        deal = _order3(secondAuthor, dataset);
        _ended(deal, Outcome.COMPLETED);
        derivation = _derivation(deal, dataset.lineage);
        OfferTerms memory terms = _model(thirdAuthor, 0);
        (, terms.lineage,) = offers.deriveRoyalties(derivation);
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferRegistry_NotClient.selector, thirdAuthor, secondAuthor));
        vm.prank(thirdAuthor);
        offers.listDerived(uint32(OfferKind.MODEL) << 28 | 77, Pack.listing(terms, ""), derivation);
    }

    // ------------------------------------------------------------------------------------------- what is made
    /// @dev Datasets A (433 bps, three payees) and B (250) -> M1 (300), M1 and B -> M2 (1000), M2 -> M3.
    function _threeGenerations() private returns (Made memory made, bytes memory table) {
        Made[] memory parents = new Made[](2);
        parents[0] = _datasetOf(ownerA, 433);
        parents[1] = _datasetOf(ownerB, 250);
        Made memory first = _trainFrom(client, parents, 300);
        parents[0] = first;
        Made memory second = _trainFrom(secondAuthor, parents, 1000);
        parents = new Made[](1);
        parents[0] = second;
        made = _trainFrom(thirdAuthor, parents, 0);
        // M2 at depth 1; M1 and B at depth 2; A's three and B's at depth 3.
        // A: floor(433 * 3333 / 10000) = 144 twice, the last payee, who is owner B, 145. B: 83, 83, 84 for B, co-author, B.
        table = abi.encodePacked(secondAuthor, uint16(1000), uint8(1), client, uint16(300), uint8(2));
        table = abi.encodePacked(table, ownerA, uint16(144), uint8(3), coAuthor, uint16(144 + 83), uint8(3));
        table = abi.encodePacked(table, ownerB, uint16(145 + 83 + 84), uint8(3));
        table = abi.encodePacked(table, ownerB, uint16(83 + 84), uint8(2), coAuthor, uint16(83), uint8(2));
    }

    /// @dev Who has what of `net` that M3 earned.
    function _paidExactly(uint256 net, address author) private view {
        uint256 left = net;
        left -= _is(secondAuthor, net * 1000 / 10_000);
        left -= _is(ownerA, net * 144 / 10_000);
        left -= _is(coAuthor, net * 227 / 10_000 + net * 83 / 10_000);
        left -= _is(ownerB, net * 312 / 10_000 + net * 167 / 10_000);
        left -= _is(client, net * 300 / 10_000);
        assertEq(_credit(author), left, "the seller has the rest, to the unit");
    }

    function _is(address account, uint256 amount) private view returns (uint256) {
        assertEq(_credit(account), amount, vm.getLabel(account));
        return amount;
    }

    function _datasetOf(address owner, uint16 royaltyBps) private returns (Made memory made) {
        made.terms = _datasetTerms(owner);
        made.terms.royaltyBps = royaltyBps;
        made.offer = _offer(owner, made.terms, "");
    }

    /// @dev A dataset with one payee.
    function _owned(address owner, uint16 royaltyBps) private returns (Made memory made) {
        made.terms = _datasetTerms(owner);
        made.terms.payees = _solo(owner);
        made.terms.royaltyBps = royaltyBps;
        made.offer = _offer(owner, made.terms, "");
    }

    function _model(address author, uint16 royaltyBps) private view returns (OfferTerms memory terms) {
        terms = _content(OfferKind.MODEL, author);
        terms.price = _price(1_000_003, 777_777, 0, 11);
        terms.price.revenueBps = 777;
        terms.royaltyBps = royaltyBps;
    }

    function _train(address author, Made memory parent, uint16 royaltyBps) private returns (Made memory) {
        Made[] memory parents = new Made[](1);
        parents[0] = parent;
        return _trainFrom(author, parents, royaltyBps);
    }

    /// @dev `author` orders a training that completes, lists its model, and lets everybody take his money home.
    function _trainFrom(address author, Made[] memory parents, uint16 royaltyBps) private returns (Made memory made) {
        Deal memory deal = _orderOf(author, parents);
        _ended(deal, Outcome.COMPLETED);
        Derivation memory derivation = _derivation(deal, "");
        for (uint256 i = 0; i < parents.length; ++i) {
            derivation.tables[i + 1] = parents[i].lineage;
        }
        made.terms = _model(author, royaltyBps);
        bytes32 id;
        bytes memory table;
        (id, made.terms.lineage, table) = offers.deriveRoyalties(derivation);
        made.lineage = bytes.concat(id, table);
        bytes memory listing = Pack.listing(made.terms, "");
        vm.prank(author);
        made.offer = offers.listDerived(uint32(OfferKind.MODEL) << 28 | uint32(++_salt), listing, derivation);
        _claimRest(deal);
        for (uint256 k = 0; k <= deal.inputs.length; ++k) {
            _claimWith(deal, k, k < 2 ? bytes("") : parents[k - 2].lineage);
        }
        _everybodyWithdraws();
    }

    function _derivation(Deal memory deal, bytes memory lineage) private view returns (Derivation memory derivation) {
        uint256 count = deal.inputs.length;
        derivation.order = Pack.order(deal.terms);
        derivation.heads = _heads(deal);
        derivation.payees = new bytes[](count);
        derivation.tables = new bytes[](count);
        for (uint256 i = 0; i < count; ++i) {
            derivation.payees[i] = Pack.payees(deal.inputs[i].payees);
        }
        derivation.tables[count - 1] = lineage;
        derivation.report = _report(deal, _final(Phase.ENGINE, Outcome.COMPLETED, 1000, 50), signerKey);
    }

    /// @dev Engine and one input more.
    function _order3(address author, Made memory input) private returns (Deal memory) {
        Made[] memory parents = new Made[](1);
        parents[0] = input;
        return _orderOf(author, parents);
    }

    function _orderOf(address author, Made[] memory parents) private returns (Deal memory deal) {
        deal = _deal();
        _fund(author);
        (deal.terms.client, deal.terms.payer) = (author, author);
        deal.terms.placeBefore = type(uint40).max;
        deal.terms.salt = bytes32(++_salt);
        OfferTerms[] memory inputs = new OfferTerms[](parents.length + 1);
        InputRef[] memory refs = new InputRef[](parents.length + 1);
        (inputs[0], refs[0]) = (deal.inputs[0], deal.terms.inputs[0]);
        for (uint256 i = 0; i < parents.length; ++i) {
            inputs[i + 1] = parents[i].terms;
            refs[i + 1] = InputRef(parents[i].offer, 1, 0, 0);
        }
        (deal.inputs, deal.terms.inputs) = (inputs, refs);
        _reprice(deal);
    }

    // ------------------------------------------------------------------------------------------- money
    function _claimWith(Deal memory deal, uint256 k, bytes memory lineage) private {
        (bytes memory order, bytes memory proof) = (Pack.order(deal.terms), Pack.proof(k, _termsOf(deal, k), lineage));
        _arm(poker);
        book.claim(order, proof);
    }

    function _everybodyWithdraws() private {
        address[8] memory known = [client, secondAuthor, thirdAuthor, provider, engineOwner, ownerA, ownerB, coAuthor];
        for (uint256 i = 0; i < 8; ++i) {
            if (_credit(known[i]) != 0) _withdraw(known[i]);
        }
        if (_credit(treasury) != 0) _withdraw(treasury);
    }

    /// @dev What the receivers of a model have, its author and everybody before.
    function _shares() private view returns (uint256) {
        return _credit(secondAuthor) + _credit(thirdAuthor) + _credit(ownerA) + _credit(ownerB) + _credit(coAuthor)
            + _credit(client);
    }

    function _all() private view returns (uint256) {
        return _shares() + _credit(provider) + _credit(engineOwner) + _credit(treasury) + _credit(sponsor);
    }

    // ------------------------------------------------------------------------------------------- tables
    function _sum(bytes memory table) private pure returns (uint256 sum, uint256 entries) {
        entries = table.length / 23;
        for (uint256 i = 0; i < entries; ++i) {
            sum += (uint256(uint8(table[23 * i + 20])) << 8) | uint8(table[23 * i + 21]);
        }
    }

    function _owes(bytes memory table, address account) private pure returns (bool found) {
        for (uint256 i = 0; i < table.length / 23; ++i) {
            uint256 word;
            assembly ("memory-safe") {
                word := mload(add(add(table, 0x20), mul(i, 23)))
            }
            if (address(uint160(word >> 96)) == account) found = true;
        }
    }

    /// @dev Behind the first 32 bytes.
    function _tail(bytes memory data) private pure returns (bytes memory tail) {
        tail = new bytes(data.length - 32);
        for (uint256 i = 0; i < tail.length; ++i) {
            tail[i] = data[i + 32];
        }
    }

    function _first(bytes memory data) private pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := mload(add(data, 0x20))
        }
    }

    function _head32(bytes memory data) private pure returns (bytes memory) {
        return abi.encodePacked(_first(data));
    }
}
