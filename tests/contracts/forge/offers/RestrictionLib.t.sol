// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {RestrictionLib} from "../../../../contracts/libraries/RestrictionLib.sol";

contract RestrictionLibTest is Test {
    address private _client = makeAddr("client");
    bytes32 private _engine = keccak256("engine terms");
    bytes32 private _runtime = keccak256("measurement");

    function doCheck(bytes32 restrictions, address client, bytes32 engine, bytes32 runtime, bytes calldata proof)
        external
        pure
    {
        RestrictionLib.check(restrictions, client, engine, runtime, proof);
    }

    function test_Check_GivenNoRestrictions() external view {
        this.doCheck(0, _client, _engine, _runtime, "");
        this.doCheck(0, _client, _engine, _runtime, "anything");
    }

    function test_Check_RevertWhen_TheProofIsTooShortOrTooLong() external {
        bytes32 restrictions = RestrictionLib.hashRoots(0, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(Errors.RestrictionLib_Length.selector, 98, 99));
        this.doCheck(restrictions, _client, _engine, _runtime, new bytes(98));
        vm.expectRevert(abi.encodeWithSelector(Errors.RestrictionLib_Length.selector, 100, 99));
        this.doCheck(restrictions, _client, _engine, _runtime, new bytes(100));
        bytes memory proof = abi.encodePacked(bytes32(0), bytes32(0), bytes32(0), uint8(0), uint8(2), uint8(0));
        proof = bytes.concat(proof, new bytes(63));
        vm.expectRevert(abi.encodeWithSelector(Errors.RestrictionLib_Length.selector, 162, 163));
        this.doCheck(restrictions, _client, _engine, _runtime, proof);
    }

    function test_Check_RevertWhen_TheRootsAreNotThoseOfTheTerms() external {
        bytes32 restrictions = RestrictionLib.hashRoots("x", 0, 0);
        vm.expectRevert(
            abi.encodeWithSelector(
                Errors.RestrictionLib_OtherRoots.selector, RestrictionLib.hashRoots(0, 0, 0), restrictions
            )
        );
        this.doCheck(restrictions, _client, _engine, _runtime, new bytes(99));
    }

    function test_Check_GivenAllRootsAreZero() external view {
        this.doCheck(RestrictionLib.hashRoots(0, 0, 0), _client, _engine, _runtime, new bytes(99));
    }

    function test_Check_GivenARoot_WhoIsInTheTreePasses() external {
        for (uint256 tree = 0; tree < 3; ++tree) {
            (bytes32 root, bytes32[2] memory siblings) = _tree(tree, _leafOf(tree));
            (bytes32 restrictions, bytes memory proof) = _proof(tree, root, siblings);
            this.doCheck(restrictions, _client, _engine, _runtime, proof);
            // And who is not, does not.
            vm.expectRevert(abi.encodeWithSelector(Errors.RestrictionLib_NotAllowed.selector, tree));
            this.doCheck(
                restrictions,
                tree == 0 ? address(1) : _client,
                tree == 1 ? bytes32("x") : _engine,
                tree == 2 ? bytes32("x") : _runtime,
                proof
            );
        }
    }

    function test_Check_GivenAllThreeRoots() external view {
        bytes memory proof;
        bytes32[3] memory roots;
        bytes memory siblings;
        for (uint256 tree = 0; tree < 3; ++tree) {
            bytes32[2] memory two;
            (roots[tree], two) = _tree(tree, _leafOf(tree));
            siblings = abi.encodePacked(siblings, two);
        }
        proof = bytes.concat(abi.encodePacked(roots), hex"020202", siblings);
        this.doCheck(RestrictionLib.hashRoots(roots[0], roots[1], roots[2]), _client, _engine, _runtime, proof);
    }

    function test_Check_RevertWhen_AnInnerNodeIsShownAsALeaf() external {
        // A tree of four leaves whose inner node would be the engine: a shorter way up to the same root.
        bytes32 left = _pair(_leafOf(1), keccak256("other"));
        bytes32 right = keccak256("right");
        bytes32 root = _pair(left, right);
        bytes32 restrictions = RestrictionLib.hashRoots(0, root, 0);
        bytes memory proof = abi.encodePacked(bytes32(0), root, bytes32(0), uint8(0), uint8(1), uint8(0), right);
        vm.expectRevert(abi.encodeWithSelector(Errors.RestrictionLib_NotAllowed.selector, 1));
        this.doCheck(restrictions, _client, left, _runtime, proof);
    }

    function test_Check_RevertWhen_ALeafOfAnotherTreeIsShown() external {
        // The same 32 bytes are an engine's terms in one tree and a measurement in the other.
        (bytes32 root, bytes32[2] memory siblings) = _tree(1, RestrictionLib.leaf(RestrictionLib.ENGINE_TAG, _runtime));
        (bytes32 restrictions, bytes memory proof) = _proof(2, root, siblings);
        vm.expectRevert(abi.encodeWithSelector(Errors.RestrictionLib_NotAllowed.selector, 2));
        this.doCheck(restrictions, _client, _engine, _runtime, proof);
    }

    function testFuzz_Check_NoOtherClientPasses(address other, bytes32[2] memory siblings) external {
        vm.assume(other != _client);
        (bytes32 root, bytes32[2] memory good) = _tree(0, _leafOf(0));
        bytes32 restrictions = RestrictionLib.hashRoots(root, 0, 0);
        bytes memory head = abi.encodePacked(root, bytes32(0), bytes32(0), hex"020000");
        vm.expectRevert(abi.encodeWithSelector(Errors.RestrictionLib_NotAllowed.selector, 0));
        this.doCheck(restrictions, other, _engine, _runtime, abi.encodePacked(head, siblings));
        vm.expectRevert(abi.encodeWithSelector(Errors.RestrictionLib_NotAllowed.selector, 0));
        this.doCheck(restrictions, other, _engine, _runtime, abi.encodePacked(head, good));
    }

    function _leafOf(uint256 tree) private view returns (bytes32) {
        if (tree == 0) return RestrictionLib.leaf(RestrictionLib.CLIENT_TAG, bytes32(uint256(uint160(_client))));
        if (tree == 1) return RestrictionLib.leaf(RestrictionLib.ENGINE_TAG, _engine);
        return RestrictionLib.leaf(RestrictionLib.RUNTIME_TAG, _runtime);
    }

    function _tree(uint256 tree, bytes32 leaf) private pure returns (bytes32 root, bytes32[2] memory siblings) {
        siblings = [keccak256(abi.encode("first", tree)), keccak256(abi.encode("second", tree))];
        root = _pair(_pair(leaf, siblings[0]), siblings[1]);
    }

    function _pair(bytes32 a, bytes32 b) private pure returns (bytes32) {
        return a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
    }

    function _proof(uint256 tree, bytes32 root, bytes32[2] memory siblings)
        private
        pure
        returns (bytes32 restrictions, bytes memory proof)
    {
        bytes32[3] memory roots;
        uint8[3] memory counts;
        (roots[tree], counts[tree]) = (root, 2);
        restrictions = RestrictionLib.hashRoots(roots[0], roots[1], roots[2]);
        proof = bytes.concat(
            abi.encodePacked(roots), abi.encodePacked(counts[0], counts[1], counts[2]), abi.encodePacked(siblings)
        );
    }
}
