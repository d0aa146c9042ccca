// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What desks and leases ask of the OfferRegistry: whose an offer is, and what is for sale.
interface IOfferOwners {
    /// @return The owner, or zero where no such offer exists.
    function ownerOf(uint64 offer) external view returns (address);

    /// @return The terms hash of a version, or zero where it is not for sale.
    function termsHash(uint64 offer, uint32 version) external view returns (bytes32);
}
