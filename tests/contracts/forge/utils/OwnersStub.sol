// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOfferOwners} from "../../../../contracts/interfaces/IOfferOwners.sol";

/// @notice As much of an OfferRegistry as desks and leases look at, so that their tests stand alone.
contract OwnersStub is IOfferOwners {
    mapping(uint64 offer => address) public ownerOf;
    mapping(uint64 offer => mapping(uint32 version => bytes32)) public termsHash;

    function setOwner(uint64 offer, address owner) external {
        ownerOf[offer] = owner;
    }

    function setTerms(uint64 offer, uint32 version, bytes32 hash) external {
        termsHash[offer][version] = hash;
    }
}
