// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

import {Errors} from "./Errors.sol";

/// @title Who may order an offer: by client, by engine, by runtime (docs/protocol.md section 6.1).
/// @notice An offer's `restrictions` are keccak256(abi.encode(clients root, engines root, runtimes root)). A root of zero
/// admits everybody; `restrictions` of zero admit everybody in all three. Trees are OpenZeppelin's: pairs are sorted, and
/// a leaf is keccak256(keccak256(abi.encode(tag, value))): hashed twice, so that no inner node passes for a leaf, and
/// tagged by its root, so that a leaf of one tree is none of another.
/// @dev A proof is clients root 32 | engines root 32 | runtimes root 32 | number of siblings 1 + 1 + 1 | the siblings, 32
/// each, clients first. The length has to be exact. What the chain cannot see (who reads the result, which other inputs
/// there are) is enforced in the enclave by the grant.
library RestrictionLib {
    bytes32 internal constant CLIENT_TAG = keccak256("Cloister restriction client");
    bytes32 internal constant ENGINE_TAG = keccak256("Cloister restriction engine");
    bytes32 internal constant RUNTIME_TAG = keccak256("Cloister restriction runtime");

    uint256 private constant _COUNTS = 96;
    uint256 private constant _SIBLINGS = 99;

    /// @notice Reverts with the first restriction that the order does not meet.
    /// @param restrictions    As in the offer's terms.
    /// @param client          The order's client.
    /// @param engineTermsHash Terms hash of the order's engine: its content digest, price and owner's payees are in it.
    /// @param measurement     Of the CVM's runtime.
    /// @param proof           See above; not looked at where `restrictions` are zero.
    function check(
        bytes32 restrictions,
        address client,
        bytes32 engineTermsHash,
        bytes32 measurement,
        bytes calldata proof
    ) internal pure {
        if (restrictions == 0) return;
        if (proof.length < _SIBLINGS) revert Errors.RestrictionLib_Length(proof.length, _SIBLINGS);
        bytes32 got = keccak256(proof[:_COUNTS]);
        if (got != restrictions) revert Errors.RestrictionLib_OtherRoots(got, restrictions);
        uint256 at = _SIBLINGS;
        at = _checkLeaf(proof, 0, at, leaf(CLIENT_TAG, bytes32(uint256(uint160(client)))));
        at = _checkLeaf(proof, 1, at, leaf(ENGINE_TAG, engineTermsHash));
        at = _checkLeaf(proof, 2, at, leaf(RUNTIME_TAG, measurement));
        if (proof.length != at) revert Errors.RestrictionLib_Length(proof.length, at);
    }

    /// @return The leaf of `value` in the tree that `tag` names.
    function leaf(bytes32 tag, bytes32 value) internal pure returns (bytes32) {
        return keccak256(abi.encode(keccak256(abi.encode(tag, value))));
    }

    /// @return The word that an offer's terms carry for these roots.
    function hashRoots(bytes32 clients, bytes32 engines, bytes32 runtimes) internal pure returns (bytes32) {
        return keccak256(abi.encode(clients, engines, runtimes));
    }

    /// @param tree 0 clients, 1 engines, 2 runtimes.
    /// @param at   Where its siblings begin.
    /// @return end Where they end.
    function _checkLeaf(bytes calldata proof, uint256 tree, uint256 at, bytes32 node)
        private
        pure
        returns (uint256 end)
    {
        uint256 count = uint8(proof[_COUNTS + tree]);
        end = at + 32 * count;
        if (end > proof.length) revert Errors.RestrictionLib_Length(proof.length, end);
        bytes32 root = bytes32(proof[32 * tree:32 * tree + 32]);
        if (root == 0) return end;
        bytes32[] calldata siblings;
        // The siblings lie in calldata as an array's members do, so they are read as one without a copy. Within bounds by
        // the check above; memory is not touched.
        assembly ("memory-safe") {
            siblings.offset := add(proof.offset, at)
            siblings.length := count
        }
        if (MerkleProof.processProofCalldata(siblings, node) != root) revert Errors.RestrictionLib_NotAllowed(tree);
    }
}
