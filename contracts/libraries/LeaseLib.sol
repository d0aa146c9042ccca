// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {LeaseTerms} from "../types/Leases.sol";
import {Errors} from "./Errors.sol";

/// @title Leases as tight bytes, as one word and as arithmetic (docs/protocol.md section 6.6); the twin of the
/// arithmetic is `marketplace/domain/lease.py`.
/// @dev Whoever took bytes from outside has called `terms` or `checkLease` before any accessor reads them.
library LeaseLib {
    uint256 internal constant TERMS = 161;
    uint256 internal constant LEASE = 209;
    uint256 internal constant BPS = 10_000;
    /// @notice `collected` of a lease that is over and wholly credited; no lease lasts so long.
    uint256 internal constant FINAL = type(uint32).max;

    // Where the members of a lease's word begin, in bits.
    uint256 internal constant FEE_BPS = 96; // 16
    uint256 internal constant LEFT = 112; // 8
    uint256 internal constant HELD = 120; // 32
    uint256 internal constant COLLECTED = 152; // 32
    uint256 internal constant PAID = 184; // 32
    uint256 internal constant START = 216; // 40
    uint256 private constant _MASK32 = type(uint32).max;

    bytes32 internal constant LEASE_TERMS_TYPEHASH = keccak256(
        "LeaseTerms(uint64 offer,uint32 version,bytes32 termsHash,address token,uint128 pricePerPeriod,uint32 periodSeconds,uint16 maxPeriods,uint8 places,uint32 noticeSeconds,uint32 minSeconds,uint16 maxFeeBps,bytes32 payeesHash,bytes32 salt)"
    );
    bytes32 internal constant LEASE_TYPEHASH =
        keccak256("Lease(bytes32 terms,address lessee,address payer,uint64 salt)");

    // ------------------------------------------------------------------------------------------ bytes
    /// @notice Reverts unless `data` has the length of terms.
    function checkTerms(bytes calldata data) internal pure {
        if (data.length != TERMS) revert Errors.LeaseBook_Length(data.length, TERMS);
    }

    /// @notice Reverts unless `data` has the length of a lease.
    function checkLease(bytes calldata data) internal pure {
        if (data.length != LEASE) revert Errors.LeaseBook_Length(data.length, LEASE);
    }

    /// @return terms The terms at the beginning of `data`, whose length was checked.
    function decode(bytes calldata data) internal pure returns (LeaseTerms memory terms) {
        // Into the thirteen words that Solidity allocated for `terms`.
        assembly ("memory-safe") {
            let from := data.offset
            mstore(terms, shr(192, calldataload(from)))
            mstore(add(terms, 0x20), shr(224, calldataload(add(from, 8))))
            mstore(add(terms, 0x40), calldataload(add(from, 12)))
            mstore(add(terms, 0x60), shr(96, calldataload(add(from, 44))))
            mstore(add(terms, 0x80), shr(128, calldataload(add(from, 64))))
            // One word has the five that follow: period 4, periods 2, places 1, notice 4, least 4, fee 2.
            let word := calldataload(add(from, 80))
            mstore(add(terms, 0xa0), shr(224, word))
            mstore(add(terms, 0xc0), and(shr(208, word), 0xffff))
            mstore(add(terms, 0xe0), and(shr(200, word), 0xff))
            mstore(add(terms, 0x100), and(shr(168, word), 0xffffffff))
            mstore(add(terms, 0x120), and(shr(136, word), 0xffffffff))
            mstore(add(terms, 0x140), and(shr(120, word), 0xffff))
            // payeesHash and salt are neighbours in both layouts: one copy.
            calldatacopy(add(terms, 0x160), add(from, 97), 0x40)
        }
    }

    /// @return hash The EIP-712 struct hash of `terms`.
    function hashTerms(LeaseTerms memory terms) internal pure returns (bytes32 hash) {
        bytes32 typehash = LEASE_TERMS_TYPEHASH;
        // The struct's words lie in a row; the word before them is borrowed for the type hash and given back.
        assembly ("memory-safe") {
            let before := sub(terms, 0x20)
            let borrowed := mload(before)
            mstore(before, typehash)
            hash := keccak256(before, 0x1c0)
            mstore(before, borrowed)
        }
    }

    /// @return The EIP-712 struct hash of the lease in `data` by the terms with that id.
    function hashLease(bytes calldata data, bytes32 termsId) internal pure returns (bytes32) {
        return keccak256(abi.encode(LEASE_TYPEHASH, termsId, lessee(data), payer(data), salt(data)));
    }

    /// @return account Whose orders may name the lease.
    function lessee(bytes calldata data) internal pure returns (address account) {
        assembly ("memory-safe") {
            account := shr(96, calldataload(add(data.offset, 161)))
        }
    }

    /// @return account Who bought it, and receives every refund.
    function payer(bytes calldata data) internal pure returns (address account) {
        assembly ("memory-safe") {
            account := shr(96, calldataload(add(data.offset, 181)))
        }
    }

    /// @return value Tells leases apart that are else the same.
    function salt(bytes calldata data) internal pure returns (uint64 value) {
        assembly ("memory-safe") {
            value := shr(192, calldataload(add(data.offset, 201)))
        }
    }

    // ------------------------------------------------------------------------------------------ the word
    /// @notice What binds a lease's word to its use.
    /// @dev The id is a whole hash over terms and people, and whoever moves money repeats them. The OrderBook has only
    /// the id and the use; 96 bits are enough for that: for a given id there is one true use, so that another one with
    /// its tag is a second preimage, 2^96 hashes, and not a collision, 2^48.
    function tagOf(bytes32 lease, address lessee_, uint64 offer, uint32 version, bytes32 termsHash)
        internal
        pure
        returns (uint256)
    {
        return uint256(keccak256(abi.encodePacked(lease, lessee_, offer, version, termsHash))) >> 160;
    }

    /// @return Seconds since the start up to when the owner's income was credited.
    function collected(uint256 word) internal pure returns (uint256) {
        return (word >> COLLECTED) & _MASK32;
    }

    /// @return How long the lease lasts, in seconds.
    function paid(uint256 word) internal pure returns (uint256) {
        return (word >> PAID) & _MASK32;
    }

    /// @return Latest possible end of any order that took a place, in seconds since the start.
    function held(uint256 word) internal pure returns (uint256) {
        return (word >> HELD) & _MASK32;
    }

    /// @return Free places.
    function left(uint256 word) internal pure returns (uint256) {
        return (word >> LEFT) & type(uint8).max;
    }

    /// @return Protocol fee when the lease was bought.
    function feeBps(uint256 word) internal pure returns (uint256) {
        return (word >> FEE_BPS) & type(uint16).max;
    }

    /// @return Unix time of its end: from then on it is over.
    function endOf(uint256 word) internal pure returns (uint256) {
        unchecked {
            return (word >> START) + paid(word);
        }
    }

    /// @return The word with another length.
    function withPaid(uint256 word, uint256 seconds_) internal pure returns (uint256) {
        return (word & ~(_MASK32 << PAID)) | (seconds_ << PAID);
    }

    /// @return The word with income credited up to there.
    function withCollected(uint256 word, uint256 seconds_) internal pure returns (uint256) {
        return (word & ~(_MASK32 << COLLECTED)) | (seconds_ << COLLECTED);
    }

    /// @return The word with orders that may end as late as that.
    function withHeld(uint256 word, uint256 seconds_) internal pure returns (uint256) {
        return (word & ~(_MASK32 << HELD)) | (seconds_ << HELD);
    }

    // ------------------------------------------------------------------------------------------ arithmetic
    /// @notice What `seconds_` of a lease cost, in advance or earned: whole periods cost their price exactly.
    /// @dev A price below 2^128 and seconds below 2^32: nothing overflows.
    function earnedDown(uint256 price, uint256 period, uint256 seconds_) internal pure returns (uint256) {
        unchecked {
            return price * seconds_ / period;
        }
    }

    /// @notice `bps` of `amount`, rounded down.
    function shareDown(uint256 amount, uint256 bps) internal pure returns (uint256) {
        unchecked {
            return amount * bps / BPS;
        }
    }

    /// @notice What of earnings that grew from `before` to `after_` falls to one payee.
    /// @dev Floors of the running sum, so that it does not matter how often it is asked.
    function growthDown(uint256 before, uint256 after_, uint256 bps) internal pure returns (uint256) {
        unchecked {
            return shareDown(after_, bps) - shareDown(before, bps);
        }
    }
}
