// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {RoyaltyLib} from "../../../../contracts/libraries/RoyaltyLib.sol";

/// @notice One parent: what it asks, of whom, and what it owes itself.
struct Parent {
    uint16 royaltyBps;
    bytes payees;
    bytes table;
}

contract RoyaltyLibTest is Test {
    address private constant A = address(0xA);
    address private constant B = address(0xB);
    address private constant C = address(0xC);

    // ------------------------------------------------------------------------------------------- doors to calldata
    function make(Parent[] calldata parents) external pure returns (bytes memory) {
        RoyaltyLib.Draft memory draft;
        for (uint256 i = 0; i < parents.length; ++i) {
            if (parents[i].royaltyBps != 0) RoyaltyLib.addParent(draft, parents[i].royaltyBps, parents[i].payees);
            RoyaltyLib.addTable(draft, parents[i].table);
        }
        return RoyaltyLib.close(draft);
    }

    function read(bytes calldata table, uint256 index) external pure returns (address, uint256, uint256) {
        return RoyaltyLib.entry(table, index);
    }

    function size(bytes calldata table) external pure returns (uint256) {
        return RoyaltyLib.size(table);
    }

    // ------------------------------------------------------------------------------------------- addParent
    function test_AddParent_TheLastPayeeGetsTheRest() external view {
        // 333 * 3333 / 10000 = 110, twice; the last gets 113.
        bytes memory payees = abi.encodePacked(A, uint16(3333), B, uint16(3333), C, uint16(3334));
        assertEq(
            this.make(_one(333, payees, "")),
            abi.encodePacked(A, uint16(110), uint8(1), B, uint16(110), uint8(1), C, uint16(113), uint8(1))
        );
    }

    function test_AddParent_WhenAShareRoundsToNothing() external view {
        bytes memory payees = abi.encodePacked(A, uint16(9999), B, uint16(1));
        assertEq(this.make(_one(1, payees, "")), abi.encodePacked(B, uint16(1), uint8(1)));
        payees = abi.encodePacked(A, uint16(1), B, uint16(9999));
        assertEq(this.make(_one(5000, payees, "")), abi.encodePacked(B, uint16(5000), uint8(1)));
    }

    // ------------------------------------------------------------------------------------------- addTable
    function test_AddTable_EachEntryGoesOneGenerationDeeper() external view {
        bytes memory table = abi.encodePacked(A, uint16(100), uint8(1), B, uint16(200), uint8(3));
        assertEq(this.make(_one(0, "", table)), abi.encodePacked(A, uint16(100), uint8(2), B, uint16(200), uint8(4)));
    }

    function test_AddTable_WhenAnEntryIsAtTheDeepestGeneration() external view {
        bytes memory table = abi.encodePacked(A, uint16(100), uint8(4));
        assertEq(this.make(_one(0, "", table)), "");
        // From the payee of the first to nothing, in five generations.
        table = this.make(_one(100, abi.encodePacked(A, uint16(10_000)), ""));
        for (uint8 depth = 1; depth <= 4; ++depth) {
            assertEq(table, abi.encodePacked(A, uint16(100), depth));
            table = this.make(_one(0, "", table));
        }
        assertEq(table, "");
    }

    function test_AddTable_RevertWhen_TheBytesAreNoTable() external {
        uint256[3] memory lengths = [uint256(22), 24, 25 * 23];
        for (uint256 i = 0; i < 3; ++i) {
            Parent[] memory parents = _one(0, "", new bytes(lengths[i]));
            vm.expectRevert(abi.encodeWithSelector(Errors.RoyaltyLib_Length.selector, lengths[i], 23, 24));
            this.make(parents);
            vm.expectRevert(abi.encodeWithSelector(Errors.RoyaltyLib_Length.selector, lengths[i], 23, 24));
            this.size(new bytes(lengths[i]));
        }
        assertEq(this.size(""), 0);
        assertEq(this.size(new bytes(24 * 23)), 24);
    }

    // ------------------------------------------------------------------------------------------- merging
    function test_Merging_GivenTheSameAccountAtTheSameDepth() external view {
        bytes memory payees = abi.encodePacked(A, uint16(5000), B, uint16(2000), A, uint16(3000));
        assertEq(
            this.make(_two(Parent(100, payees, ""), Parent(50, abi.encodePacked(B, uint16(10_000)), ""))),
            abi.encodePacked(A, uint16(80), uint8(1), B, uint16(70), uint8(1))
        );
    }

    function test_Merging_GivenTheSameAccountAtAnotherDepth() external view {
        bytes memory table = abi.encodePacked(A, uint16(300), uint8(3));
        assertEq(
            this.make(_one(1, abi.encodePacked(A, uint16(10_000)), table)),
            abi.encodePacked(A, uint16(1), uint8(1), A, uint16(300), uint8(4))
        );
    }

    // ------------------------------------------------------------------------------------------- close
    function test_Close_WhenTheSumIsAtMostHalf() external view {
        bytes memory table = abi.encodePacked(B, uint16(1), uint8(1));
        assertEq(
            this.make(_one(4999, abi.encodePacked(A, uint16(10_000)), table)),
            abi.encodePacked(A, uint16(4999), uint8(1), B, uint16(1), uint8(2))
        );
    }

    function test_Close_WhenTheSumIsAbove() external view {
        // 5000 * 5000 / 5001 = 4999 and 1 * 5000 / 5001 = 0, which leaves no entry.
        bytes memory table = abi.encodePacked(B, uint16(1), uint8(1));
        assertEq(
            this.make(_one(5000, abi.encodePacked(A, uint16(10_000)), table)),
            abi.encodePacked(A, uint16(4999), uint8(1))
        );
        table = abi.encodePacked(B, uint16(2500), uint8(1));
        assertEq(
            this.make(_one(5000, abi.encodePacked(A, uint16(10_000)), table)),
            abi.encodePacked(A, uint16(3333), uint8(1), B, uint16(1666), uint8(2))
        );
    }

    function test_Close_RevertWhen_ThereAreMoreThan24Entries() external {
        Parent[] memory parents = new Parent[](4);
        for (uint160 i = 0; i < 3; ++i) {
            for (uint160 j = 0; j < 8; ++j) {
                parents[i].payees = abi.encodePacked(parents[i].payees, address(1000 + 8 * i + j), uint16(1250));
            }
            parents[i].royaltyBps = 80;
        }
        bytes memory table = this.make(parents);
        assertEq(table.length, 24 * 23);
        parents[3] = Parent(1, abi.encodePacked(address(1000), uint16(10_000)), "");
        assertEq(this.make(parents).length, 24 * 23, "a known account adds no entry");
        parents[3] = Parent(1, abi.encodePacked(A, uint16(10_000)), "");
        vm.expectRevert(abi.encodeWithSelector(Errors.RoyaltyLib_TooManyEntries.selector, 24));
        this.make(parents);
    }

    // ------------------------------------------------------------------------------------------- for any parents
    function testFuzz_TheSumIsAtMostHalfAndWhatWasAsked(uint256 seed) external view {
        (Parent[] memory parents, uint256 asked) = _any(seed);
        bytes memory table = this.make(parents);
        uint256 sum = 0;
        for (uint256 i = 0; i < table.length / 23; ++i) {
            (address account, uint256 bps, uint256 depth) = this.read(table, i);
            assertNotEq(bps, 0);
            assertTrue(depth >= 1 && depth <= 4);
            assertLe(bps, _asked(parents, account, depth), "no share above what was asked");
            sum += bps;
        }
        assertLe(sum, 5000);
        assertLe(sum, asked);
        // What rounding takes is less than one point for each entry; without scaling it takes nothing.
        if (asked <= 5000) assertEq(sum, asked);
        else assertGt(sum + 24, 5000);
    }

    function testFuzz_TheOrderOfTheParentsDoesNotMatter(uint256 seed, uint256 turn) external view {
        (Parent[] memory parents,) = _any(seed);
        Parent[] memory turned = new Parent[](parents.length);
        for (uint256 i = 0; i < parents.length; ++i) {
            turned[(i + turn % parents.length) % parents.length] = parents[parents.length - 1 - i];
        }
        bytes memory first = this.make(parents);
        bytes memory second = this.make(turned);
        assertEq(first.length, second.length);
        for (uint256 i = 0; i < first.length / 23; ++i) {
            (address account, uint256 bps, uint256 depth) = this.read(first, i);
            assertEq(_find(second, account, depth), bps);
        }
    }

    // ------------------------------------------------------------------------------------------- conformance
    function test_TablesAreAsInPython() external {
        string memory text = vm.readFile("tests/conformance/vectors/royalty/tables.json");
        bytes[] memory inputs = abi.decode(vm.parseJson(text, ".abi"), (bytes[]));
        bytes[] memory tables = abi.decode(vm.parseJson(text, ".table"), (bytes[]));
        bytes32[] memory orders = vm.parseJsonBytes32Array(text, ".order");
        bytes32[] memory lineages = vm.parseJsonBytes32Array(text, ".lineage");
        bool[] memory fits = vm.parseJsonBoolArray(text, ".fits");
        assertGt(inputs.length, 100);
        for (uint256 i = 0; i < inputs.length; ++i) {
            Parent[] memory parents = abi.decode(inputs[i], (Parent[]));
            if (!fits[i]) vm.expectRevert(abi.encodeWithSelector(Errors.RoyaltyLib_TooManyEntries.selector, 24));
            bytes memory table = this.make(parents);
            if (!fits[i]) continue;
            assertEq(table, tables[i]);
            assertEq(RoyaltyLib.lineage(orders[i], keccak256(table)), lineages[i]);
        }
    }

    // ------------------------------------------------------------------------------------------- inner
    /// @dev One to six parents of few accounts, so that many are the same and there are never more than 24 entries.
    function _any(uint256 seed) private pure returns (Parent[] memory parents, uint256 asked) {
        parents = new Parent[](1 + seed % 6);
        for (uint256 i = 0; i < parents.length; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            parents[i].royaltyBps = uint16((seed >> 8) % 5 == 0 ? 0 : (seed >> 16) % 5001);
            asked += parents[i].royaltyBps;
            uint16 first = uint16(1 + (seed >> 48) % 9999);
            parents[i].payees = abi.encodePacked(_account(seed >> 64), first, _account(seed >> 72), 10_000 - first);
            for (uint256 j = 0; j < (seed >> 80) % 4; ++j) {
                uint8 depth = uint8(1 + (seed >> (88 + 8 * j)) % 4);
                uint16 bps = uint16(1 + (seed >> (128 + 16 * j)) % 1600);
                parents[i].table = abi.encodePacked(parents[i].table, _account(seed >> (192 + 8 * j)), bps, depth);
                if (depth < 4) asked += bps;
            }
        }
    }

    function _account(uint256 seed) private pure returns (address) {
        return address(uint160(1 + seed % 6));
    }

    /// @dev Rules 1 and 2 in the plainest words: everything that `account` asked at `depth`.
    function _asked(Parent[] memory parents, address account, uint256 depth) private view returns (uint256 sum) {
        for (uint256 i = 0; i < parents.length; ++i) {
            if (depth == 1) {
                (address first, uint256 share,) = this.read(bytes.concat(parents[i].payees, hex"00"), 0);
                uint256 part = uint256(parents[i].royaltyBps) * share / 10_000;
                if (first == account) sum += part;
                if (address(bytes20(this.tail(parents[i].payees, 22))) == account) sum += parents[i].royaltyBps - part;
            }
            for (uint256 j = 0; j < parents[i].table.length / 23; ++j) {
                (address owed, uint256 bps, uint256 at) = this.read(parents[i].table, j);
                if (owed == account && at + 1 == depth) sum += bps;
            }
        }
    }

    function tail(bytes calldata data, uint256 from) external pure returns (bytes calldata) {
        return data[from:];
    }

    function _find(bytes memory table, address account, uint256 depth) private view returns (uint256) {
        for (uint256 i = 0; i < table.length / 23; ++i) {
            (address owed, uint256 bps, uint256 at) = this.read(table, i);
            if (owed == account && at == depth) return bps;
        }
        return 0;
    }

    function _one(uint16 royaltyBps, bytes memory payees, bytes memory table)
        private
        pure
        returns (Parent[] memory parents)
    {
        parents = new Parent[](1);
        parents[0] = Parent(royaltyBps, payees, table);
    }

    function _two(Parent memory first, Parent memory second) private pure returns (Parent[] memory parents) {
        parents = new Parent[](2);
        (parents[0], parents[1]) = (first, second);
    }
}
