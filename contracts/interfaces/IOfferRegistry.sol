// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {OfferTerms} from "../types/Offers.sol";
import {Report} from "../types/Orders.sol";
import {IOrderReports} from "./IOrderReports.sol";

/// @dev What the registry holds of a version. CLOSED may open again, RETIRED never.
enum VersionState {
    UNUSED,
    OPEN,
    CLOSED,
    RETIRED
}

/// @notice How a model came about: a completed order, repeated, and its report.
/// @param order  The order's terms as tight bytes (OrderCodec).
/// @param heads  Heads of its offers (OfferCodec), compute first; compute's is not looked at.
/// @param payees Of each input; looked at where a model or dataset asks a royalty.
/// @param tables Of each input: order id 32 | royalty table (RoyaltyLib) of the input's own lineage; looked at where a
///               model has one.
/// @param report As the order's CVM signed it.
struct Derivation {
    bytes order;
    bytes heads;
    bytes[] payees;
    bytes[] tables;
    Report report;
}

/// @title Engines, models, datasets and compute for sale (docs/protocol.md sections 2, 6.3 to 6.5).
/// @notice Keeps one word for each version of an offer: the hash of its terms. The terms themselves are in the event:
/// whoever uses them later repeats them in calldata and is checked by hash, so that a price cannot change under an order.
///
/// An offer's id is owner index 32 | serial 32. The owner chooses the serial, whose highest four bits are the OfferKind;
/// the first listing of an account, or `enroll`, gives it its index, for good. Nothing is counted per offer.
///
/// **Tight bytes.** A head is 241 bytes (OfferCodec), payees are {account 20, bps 2} each. A signed offer travels as
/// volume 4 | expiresAt 5 | epoch 8 | salt 32 | payees; its EIP-712 struct, under this contract's domain, is
/// SignedOffer(uint64 offer,uint32 version,bytes32 termsHash,uint32 volume,uint40 expiresAt,uint64 epoch,bytes32 salt).
///
/// **Withdrawal.** Closing or retiring a version takes effect on new orders in the same block, and it reaches no order
/// under a lease: such an input names the lease, LeaseBook pins offer, version and terms to it and takes a place only
/// where the order ends within it; so the input is not asked for here, and the owner's notice is what is left of the
/// leases that it sold. Orders already accepted are never touched.
interface IOfferRegistry {
    /// @notice An account has an index, the upper half of the ids of its offers.
    event OwnerEnrolled(uint32 indexed index, address indexed owner);

    /// @notice A version of an offer is for sale.
    /// @param terms token 20 | head 241 | payees | manifest URI (a hint: its digest is in the head). The payees are of 22
    /// bytes each and end where their shares add up to 10 000; what is left is the URI. `decode` does just that.
    event OfferListed(
        uint64 indexed offer, address indexed owner, bytes32 indexed termsHash, uint32 version, bytes terms
    );
    /// @notice The lineage of a version was proven by a report.
    /// @param table {account 20, bps 2, depth 1} each: who is owed what part of the version's earnings.
    event OfferDerived(uint64 indexed offer, bytes32 indexed orderId, uint32 version, bytes table);
    /// @notice The owner took one version from sale; `reopen` undoes it.
    event OfferClosed(uint64 indexed offer, address indexed owner, uint32 version);
    /// @notice The owner put a closed version on sale again, with the same terms.
    event OfferReopened(uint64 indexed offer, address indexed owner, uint32 version);
    /// @notice The owner took one version from sale, for good.
    event OfferRetired(uint64 indexed offer, address indexed owner, uint32 version);

    /// @notice An order used a signed offer.
    /// @param filled How often it has been used, this time included.
    event SignedOfferFilled(
        uint64 indexed offer, bytes32 indexed signedOffer, bytes32 indexed termsHash, uint32 version, uint32 filled
    );
    /// @notice The owner cancelled one signed offer, for good.
    event SignedOfferCancelled(uint64 indexed offer, bytes32 indexed signedOffer, address indexed owner);
    /// @notice Every signature that `owner` made under an earlier epoch is worth nothing.
    event EpochBumped(address indexed owner, uint64 epoch);

    // ---------------------------------------------------------------------------------------------- listing
    /// @notice Gives the caller an index, if it has none: what a signed offer needs when nothing was ever listed.
    /// @return index From 1.
    function enroll() external returns (uint32 index);

    /// @notice Lists version 1 of a new offer, open at once, owned by the caller.
    /// @dev Warning: the registry cannot know that content or grant key belong to the caller. A lineage must be zero:
    /// it is proven by `listDerived` or not at all.
    /// @param serial Any that the caller has not used; its highest four bits are the kind.
    /// @param terms  token 20 | head 241 | payees | manifest URI, as in the event.
    /// @return offer owner index 32 | serial 32.
    function list(uint32 serial, bytes calldata terms) external returns (uint64 offer);

    /// @notice Lists one more version of an offer, with its own terms; the kind stays. Others stay as they are.
    /// @param version The one after the newest.
    function addVersion(uint64 offer, uint32 version, bytes calldata terms) external;

    /// @notice Lists a model that a completed order of the caller's made, with the royalties that its parents ask.
    /// @dev The head's lineage must be what `deriveRoyalties` says. Warning: this proves which order there was and what
    /// its CVM reported, not that the listed content is its result: an author can claim parents that it does not have,
    /// and owes them royalties for it; it cannot disown parents and keep the lineage.
    function listDerived(uint32 serial, bytes calldata terms, Derivation calldata derivation)
        external
        returns (uint64 offer);

    /// @notice `addVersion` for a version with a lineage.
    function addDerivedVersion(uint64 offer, uint32 version, bytes calldata terms, Derivation calldata derivation)
        external;

    /// @notice Takes one version from sale until it is reopened; its signed offers rest with it.
    /// @param terms The version's terms hash: what is kept afterwards lets nothing but these terms come back.
    function close(uint64 offer, uint32 version, bytes32 terms) external;

    /// @notice Puts a closed version on sale again.
    function reopen(uint64 offer, uint32 version, bytes32 terms) external;

    /// @notice Takes one version from sale for good, and with it every signed offer of it. A version that was never
    /// listed can be retired too, where it would be the next to list.
    function retire(uint64 offer, uint32 version) external;

    // ---------------------------------------------------------------------------------------------- signed offers
    /// @notice Counts one use of a signed offer. Only by the OrderBook, which reads price and payees from the same head.
    /// @dev Reverts unless the owner's signature is good, not expired, of the owner's epoch, and may be used once more;
    /// and unless the version is open with these terms, or was never listed: then the terms are checked here as `list`
    /// checks them, so that no order meets terms that could not be listed. **A version that is closed, retired or listed
    /// with other terms is not sold by any signature**: the chain has the owner's later word, which all can read, while
    /// old signatures may lie anywhere; who wants to sell by signature alone does not list that version.
    /// @param signed See above; payees are looked at where the version was never listed.
    function fillSigned(
        uint64 offer,
        uint32 version,
        address token,
        bytes calldata head,
        bytes calldata signed,
        bytes calldata signature
    ) external;

    /// @notice Cancels one signed offer, for good.
    function cancelSigned(uint64 offer, uint32 version, bytes32 terms, bytes calldata signed) external;

    /// @notice Cancels every offer that the caller has signed so far, at a cost that does not depend on their number.
    /// @return epoch What the next ones have to be signed with.
    function bumpEpoch() external returns (uint64 epoch);

    // ---------------------------------------------------------------------------------------------- reading
    /// @notice Reverts, naming the offer, unless every offer of the order is for sale with the terms that it names.
    /// Inputs under a lease are the LeaseBook's to check and are passed over.
    /// @param order The order's terms as tight bytes (OrderCodec).
    function checkForSale(bytes calldata order) external view;

    /// @notice As above, passing over what `fillSigned` takes care of.
    /// @param signedOffers Bit 0 compute, bit k input k - 1.
    function checkForSaleExcept(bytes calldata order, uint256 signedOffers) external view;

    /// @return Who may list under this id, whether it has been listed or not; zero where nobody has the index.
    function ownerOf(uint64 offer) external view returns (address);

    /// @return OfferKind of every version, as its number.
    function kindOf(uint64 offer) external pure returns (uint8);

    /// @return The caller's index as an owner, zero where it has none.
    function ownerIndexOf(address owner) external view returns (uint32);

    /// @return The owner with that index, zero where there is none.
    function ownerAt(uint32 index) external view returns (address);

    /// @return Number of owners, which is the newest one's index.
    function ownerCount() external view returns (uint32);

    /// @return The terms hash of a version, or zero unless it is for sale.
    function termsHash(uint64 offer, uint32 version) external view returns (bytes32);

    /// @return What became of a version.
    function stateOf(uint64 offer, uint32 version) external view returns (VersionState);

    /// @notice Searches, so it is for reading only; its cost grows with the logarithm of the answer.
    /// @return The newest version's number, zero where there is none.
    function latestVersion(uint64 offer) external view returns (uint32);

    /// @return The owner's epoch, which its signed offers have to name.
    function epochOf(address owner) external view returns (uint64);

    /// @return digest What the owner signs.
    /// @return left   How often the signed offer can still be used, as far as it is not for the version or the signature
    /// to say: zero where it is expired, cancelled, used up or of another epoch.
    function signedOffer(uint64 offer, uint32 version, bytes32 terms, bytes calldata signed)
        external
        view
        returns (bytes32 digest, uint256 left);

    /// @notice What `listDerived` wants in the head, and who is owed what. Reverts as it would.
    function deriveRoyalties(Derivation calldata derivation)
        external
        view
        returns (bytes32 orderId, bytes32 lineage, bytes memory table);

    /// @return terms       The terms in an event's trailing bytes.
    /// @return manifestUri What follows them.
    function decode(bytes calldata data) external pure returns (OfferTerms memory terms, string memory manifestUri);

    /// @return The hash that these terms would be listed under.
    function hashTerms(OfferTerms calldata terms) external pure returns (bytes32);

    /// @return The only caller of `fillSigned`, and the judge of reports that lineage is proven by.
    function ORDER_BOOK() external view returns (IOrderReports);
}
