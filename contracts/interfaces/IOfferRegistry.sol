// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {OfferTerms} from "../types/Offers.sol";
import {ComputeRef, InputRef} from "../types/Orders.sol";

/// @title Engines, models, datasets and compute for sale (docs/protocol.md section 2).
/// @notice Keeps the owner and the hash of each version's terms. The terms themselves are in the event: whoever uses
/// them later repeats them in calldata and is checked by hash, so that a price cannot change under an order.
interface IOfferRegistry {
    /// @notice A version of an offer is for sale.
    /// @param terms abi.encode(OfferTerms, string manifestUri): the whole preimage of `termsHash`, and where the
    /// sealed manifest may be found (a hint: its digest is in the terms).
    event OfferListed(
        uint64 indexed offer, address indexed owner, bytes32 indexed termsHash, uint32 version, uint8 kind, bytes terms
    );
    /// @notice The owner opened or closed the offer for new acceptances.
    event OfferActive(uint64 indexed offer, address indexed owner, bool active);
    /// @notice The owner took one version from sale, for good.
    event OfferVersionRetired(uint64 indexed offer, address indexed owner, uint32 version);

    /// @notice Lists a new offer, version 1, open at once, owned by the caller.
    /// @dev Warning: the registry cannot know that content, lineage or grant key belong to the caller.
    /// @return offer Sequential, from 1.
    function list(OfferTerms calldata terms, string calldata manifestUri) external returns (uint64 offer);

    /// @notice Adds the next version with its own terms; the kind stays. Earlier versions stay for sale.
    function addVersion(uint64 offer, OfferTerms calldata terms, string calldata manifestUri)
        external
        returns (uint32 version);

    /// @notice Opens or closes the offer for new acceptances. Orders already accepted are not touched.
    function setActive(uint64 offer, bool active) external;

    /// @notice Takes one version from sale, for good: an old price must not stay open for ever.
    function retireVersion(uint64 offer, uint32 version) external;

    /// @return The number of offers listed so far, which is the newest offer's id.
    function offerCount() external view returns (uint64);

    /// @return The owner, or zero where no such offer exists.
    function ownerOf(uint64 offer) external view returns (address);

    /// @return owner     Zero where no such offer exists.
    /// @return kind      OfferKind of every version.
    /// @return active    Whether new orders may be accepted.
    /// @return latest    The newest version's number.
    function getOffer(uint64 offer) external view returns (address owner, uint8 kind, bool active, uint32 latest);

    /// @return The terms hash of a version, or zero where it does not exist or was retired.
    function termsHash(uint64 offer, uint32 version) external view returns (bytes32);

    /// @notice Checks, in one call, that all of an order's offers are for sale with the terms that it names.
    /// @return provider Owner of the compute offer.
    function checkForSale(ComputeRef calldata compute, InputRef[] calldata inputs)
        external
        view
        returns (address provider);

    /// @return The hash that these terms would be listed under.
    function hashTerms(OfferTerms calldata terms) external pure returns (bytes32);
}
