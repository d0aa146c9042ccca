// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What an owner asks for the use of one version of an offer (docs/protocol.md section 6.6). Their EIP-712 hash
/// under the LeaseBook's domain is the terms' id. As calldata: the same members, tight, big endian, 161 bytes.
/// @param offer          8 @ 0: an engine, a model or a dataset.
/// @param version        4 @ 8
/// @param termsHash      32 @ 12: terms of that version as the OfferRegistry has them.
/// @param token          20 @ 44
/// @param pricePerPeriod 16 @ 64: due in advance for each period, fee included.
/// @param periodSeconds  4 @ 80
/// @param maxPeriods     2 @ 84: how many periods may be paid ahead of the running one.
/// @param places         1 @ 86: how many orders may use one lease at once.
/// @param noticeSeconds  4 @ 87: the least time between a recall and the end that it brings.
/// @param minSeconds     4 @ 91: the least time that a lessee who ends early has paid for.
/// @param maxFeeBps      2 @ 95: above this protocol fee the owner sells no lease.
/// @param payeesHash     32 @ 97: EIP-712 hash of the list of payees, as in OfferTerms.
/// @param salt           32 @ 129
struct LeaseTerms {
    uint64 offer;
    uint32 version;
    bytes32 termsHash;
    address token;
    uint128 pricePerPeriod;
    uint32 periodSeconds;
    uint16 maxPeriods;
    uint8 places;
    uint32 noticeSeconds;
    uint32 minSeconds;
    uint16 maxFeeBps;
    bytes32 payeesHash;
    bytes32 salt;
}

/// @notice One lease, in one slot. Its id is the EIP-712 hash of Lease(bytes32 terms,address lessee,address payer,
/// uint64 salt), and binds all that money depends on; the tag binds the use, of which the OrderBook knows the id only.
/// @param tag       keccak256 of id, lessee, offer, version and terms hash, the first 96 bits.
/// @param feeBps    Protocol fee when it was bought.
/// @param left      Free places.
/// @param held      Latest possible end of any order that took a place, in seconds since `start`.
/// @param collected Up to when the owner's income was credited, in seconds since `start`; all ones once it is over and
/// all was.
/// @param paid      How long it lasts, in seconds since `start`.
/// @param start     Unix time; never zero.
struct Lease {
    uint96 tag;
    uint16 feeBps;
    uint8 left;
    uint32 held;
    uint32 collected;
    uint32 paid;
    uint40 start;
}

/// @notice How far anybody may renew a lease with its payer's allowance.
/// @param periods How many more periods.
/// @param until   Unix time after which no more.
/// @param within  Only so many seconds before the lease's end.
struct TopUp {
    uint16 periods;
    uint40 until;
    uint32 within;
}
