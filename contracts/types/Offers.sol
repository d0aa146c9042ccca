// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev What an offer gives. The order of the members is part of the terms hash.
enum OfferKind {
    NONE,
    ENGINE,
    MODEL,
    DATASET,
    COMPUTE
}

/// @notice A price as protocol.md section 6.3 has it: the parts add up.
/// @param fixedPrice  Due once per order, in the token's smallest unit.
/// @param perHour     Price of 3600 seconds, billed by the second, rounded down.
/// @param minSeconds  The least number of seconds billed once the price is due.
/// @param maxSeconds  The longest rent: no order may ask for more seconds. Zero is no bound.
/// @param perUnit     Price of one metered unit.
/// @param revenueBps  Share of what a served order earns.
struct Price {
    uint128 fixedPrice;
    uint128 perHour;
    uint32 minSeconds;
    uint32 maxSeconds;
    uint128 perUnit;
    uint16 revenueBps;
}

/// @notice One receiver of an offer's income. All shares of an offer add up to 10 000.
struct Payee {
    address account;
    uint16 bps;
}

/// @notice The preimage of an offer version's terms hash (EIP-712 struct hash).
/// @param kind           OfferKind.
/// @param token          ERC-20 in which the price is counted.
/// @param payees         1 to 8 receivers.
/// @param manifestDigest Digest of the sealed manifest; zero for compute.
/// @param contentDigest  Content digest of the plaintext archive (section 3.2); zero for compute.
/// @param grantKey       Address whose key signs grants for this content; zero for compute.
/// @param royaltyBps     Share asked of what models derived from this one earn; models and datasets only.
/// @param lineage        keccak256(abi.encode(order id, keccak256(royalty table))) of a derived model, which only the
///                       registry can put there; zero where the lineage is unproven.
/// @param restrictions   keccak256(abi.encode(clients root, engines root, runtimes root)); zero means anybody.
struct OfferTerms {
    uint8 kind;
    address token;
    Price price;
    Payee[] payees;
    bytes32 manifestDigest;
    bytes32 contentDigest;
    address grantKey;
    uint16 royaltyBps;
    bytes32 lineage;
    bytes32 restrictions;
}
