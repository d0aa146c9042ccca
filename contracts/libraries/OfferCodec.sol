// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {OfferTerms, Payee, Price} from "../types/Offers.sol";
import {Errors} from "./Errors.sol";

/// @title Offer terms as tight bytes, and their EIP-712 hash (docs/protocol.md section 2).
/// @notice A head is everything of `OfferTerms` but its token (given beside it) and its payees (given by hash), big
/// endian, 241 bytes, as the constants below lay it out. The heads of an order lie one after the other, compute first.
/// Payees are {account 20, bps 2} each, 1 to 8. Nothing is padded, so no two byte strings carry the same terms.
/// @dev Every accessor reads `heads.offset + at` without a bound: whoever took the bytes from outside calls `check`
/// once. `at` is a byte offset, a multiple of HEAD. The assembly reads calldata and writes behind the free memory
/// pointer or into memory that Solidity allocated: it is memory-safe.
library OfferCodec {
    uint256 internal constant HEAD = 241;
    uint256 internal constant PAYEE = 22;
    uint256 internal constant MAX_PAYEES = 8;

    // Where each member of a head begins, and its size in bytes behind it.
    uint256 internal constant KIND = 0; // 1
    uint256 internal constant FIXED_PRICE = 1; // 16
    uint256 internal constant PER_HOUR = 17; // 16
    uint256 internal constant PER_UNIT = 33; // 16
    uint256 internal constant MIN_SECONDS = 49; // 4
    uint256 internal constant MAX_SECONDS = 53; // 4
    uint256 internal constant REVENUE_BPS = 57; // 2
    uint256 internal constant ROYALTY_BPS = 59; // 2
    uint256 internal constant PAYEES_HASH = 61; // 32
    uint256 internal constant MANIFEST_DIGEST = 93; // 32
    uint256 internal constant CONTENT_DIGEST = 125; // 32
    uint256 internal constant GRANT_KEY = 157; // 20
    uint256 internal constant LINEAGE = 177; // 32
    uint256 internal constant RESTRICTIONS = 209; // 32

    // Whole literals, so that the compiler hashes them: a concatenation of constants would be hashed at run time.
    bytes32 internal constant PRICE_TYPEHASH = keccak256(
        "Price(uint128 fixedPrice,uint128 perHour,uint32 minSeconds,uint32 maxSeconds,uint128 perUnit,uint16 revenueBps)"
    );
    bytes32 internal constant PAYEE_TYPEHASH = keccak256("Payee(address account,uint16 bps)");
    bytes32 internal constant OFFER_TERMS_TYPEHASH = keccak256(
        "OfferTerms(uint8 kind,address token,Price price,Payee[] payees,bytes32 manifestDigest,bytes32 contentDigest,address grantKey,uint16 royaltyBps,bytes32 lineage,bytes32 restrictions)"
        "Payee(address account,uint16 bps)"
        "Price(uint128 fixedPrice,uint128 perHour,uint32 minSeconds,uint32 maxSeconds,uint128 perUnit,uint16 revenueBps)"
    );

    /// @notice Reverts unless `heads` are exactly `count` heads.
    function check(bytes calldata heads, uint256 count) internal pure {
        if (heads.length != count * HEAD) revert Errors.OfferCodec_HeadsLength(heads.length, count * HEAD);
    }

    /// @return hash The terms hash of the head at byte `at`: a struct hash without a domain, so that it names the same
    /// terms on every chain.
    function termsHash(bytes calldata heads, uint256 at, address token) internal pure returns (bytes32 hash) {
        bytes32 priceType = PRICE_TYPEHASH;
        bytes32 termsType = OFFER_TERMS_TYPEHASH;
        // One buffer behind the free memory pointer serves both hashes: abi.encode would copy every member thrice.
        // Memory-safe: nothing below the pointer is touched and nothing above it is kept.
        assembly ("memory-safe") {
            let head := add(heads.offset, at)
            let buffer := mload(0x40)
            // The three prices of 16 bytes each begin behind the kind.
            mstore(buffer, priceType)
            mstore(add(buffer, 0x20), shr(128, calldataload(add(head, FIXED_PRICE))))
            mstore(add(buffer, 0x40), shr(128, calldataload(add(head, PER_HOUR))))
            let word := calldataload(add(head, MIN_SECONDS))
            mstore(add(buffer, 0x60), shr(224, word))
            mstore(add(buffer, 0x80), and(shr(192, word), 0xffffffff))
            mstore(add(buffer, 0xa0), shr(128, calldataload(add(head, PER_UNIT))))
            mstore(add(buffer, 0xc0), and(shr(176, word), 0xffff))
            let price_ := keccak256(buffer, 0xe0)
            mstore(buffer, termsType)
            mstore(add(buffer, 0x20), shr(248, calldataload(head)))
            mstore(add(buffer, 0x40), shr(96, shl(96, token)))
            mstore(add(buffer, 0x60), price_)
            // payeesHash, manifestDigest and contentDigest are neighbours in both layouts: one copy.
            calldatacopy(add(buffer, 0x80), add(head, PAYEES_HASH), 0x60)
            mstore(add(buffer, 0xe0), shr(96, calldataload(add(head, GRANT_KEY))))
            mstore(add(buffer, 0x100), and(shr(160, word), 0xffff))
            // So are lineage and restrictions.
            calldatacopy(add(buffer, 0x120), add(head, LINEAGE), 0x40)
            hash := keccak256(buffer, 0x160)
        }
    }

    /// @notice A form that heads are read into, one after the other: eighteen words that serve a head's price, and both
    /// of its hashes.
    /// @return at The form: its six words of `Price`. In front of them stands the price's type hash, so that they are what
    /// EIP-712 hashes, and behind them the eleven words of the terms.
    function form(uint256 token) internal pure returns (uint256 at) {
        (bytes32 priceType, bytes32 termsType) = (PRICE_TYPEHASH, OFFER_TERMS_TYPEHASH);
        // Memory-safe: all of the form lies below the new free pointer.
        assembly ("memory-safe") {
            at := mload(0x40)
            mstore(0x40, add(at, 0x240))
            mstore(at, priceType)
            mstore(add(at, 0xe0), termsType)
            mstore(add(at, 0x120), token)
            at := add(at, 0x20)
        }
    }

    /// @param at   A form, into which the head's price goes.
    /// @param head Where a head begins in calldata.
    /// @return hash The same as `termsHash`, for the form's token.
    function fill(uint256 at, uint256 head) internal pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            let word := calldataload(add(head, MIN_SECONDS))
            mstore(at, shr(128, calldataload(add(head, FIXED_PRICE))))
            mstore(add(at, 0x20), shr(128, calldataload(add(head, PER_HOUR))))
            mstore(add(at, 0x40), shr(224, word))
            mstore(add(at, 0x60), and(shr(192, word), 0xffffffff))
            mstore(add(at, 0x80), shr(128, calldataload(add(head, PER_UNIT))))
            mstore(add(at, 0xa0), and(shr(176, word), 0xffff))
            // Behind the price: type hash, kind, token, price, and the rest as `termsHash` has it.
            mstore(add(at, 0xe0), byte(0, calldataload(head)))
            mstore(add(at, 0x120), keccak256(sub(at, 0x20), 0xe0))
            calldatacopy(add(at, 0x140), add(head, PAYEES_HASH), 0x60)
            mstore(add(at, 0x1a0), shr(96, calldataload(add(head, GRANT_KEY))))
            mstore(add(at, 0x1c0), and(shr(160, word), 0xffff))
            calldatacopy(add(at, 0x1e0), add(head, LINEAGE), 0x40)
            hash := keccak256(add(at, 0xc0), 0x160)
        }
    }

    /// @return value The price that a form holds, where it stands.
    function priceOf(uint256 at) internal pure returns (Price memory value) {
        assembly ("memory-safe") {
            value := at
        }
    }

    /// @return hash The EIP-712 hash of `Payee[]`. Reverts unless `payees` are 1 to 8 whole payees.
    function hashPayees(bytes calldata payees) internal pure returns (bytes32 hash) {
        unchecked {
            uint256 size = payees.length;
            // slither-disable-next-line divide-before-multiply: the product shows whether anything was left over
            uint256 count = size / PAYEE;
            // No payee wraps around.
            if (count - 1 >= MAX_PAYEES || count * PAYEE != size) {
                revert Errors.OfferCodec_PayeesLength(size, PAYEE, MAX_PAYEES);
            }
        }
        bytes32 payeeType = PAYEE_TYPEHASH;
        // Three words to hash one payee, then the row of hashes, both behind the free memory pointer and not kept.
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            let to := add(buffer, 0x60)
            let from := payees.offset
            let end := add(from, payees.length)
            mstore(buffer, payeeType)
            for {} 1 {} {
                let word := calldataload(from)
                mstore(add(buffer, 0x20), shr(96, word))
                mstore(add(buffer, 0x40), and(shr(80, word), 0xffff))
                mstore(to, keccak256(buffer, 0x60))
                to := add(to, 0x20)
                from := add(from, PAYEE)
                if iszero(lt(from, end)) { break }
            }
            let row := add(buffer, 0x60)
            hash := keccak256(row, sub(to, row))
        }
    }

    /// @return account Receiver number `index`; the caller knows that there is one.
    /// @return bps     Its share.
    function payee(bytes calldata payees, uint256 index) internal pure returns (address account, uint256 bps) {
        // One word has both; what follows them in it is shifted out.
        assembly ("memory-safe") {
            let word := calldataload(add(payees.offset, mul(index, PAYEE)))
            account := shr(96, word)
            bps := and(shr(80, word), 0xffff)
        }
    }

    /// @return value The token that terms begin with when they are listed.
    function tokenOf(bytes calldata terms) internal pure returns (address value) {
        assembly ("memory-safe") {
            value := shr(96, calldataload(terms.offset))
        }
    }

    /// @return value OfferKind as its number.
    function kind(bytes calldata heads, uint256 at) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := shr(248, calldataload(add(heads.offset, at)))
        }
    }

    /// @return value The price as a struct in memory.
    function price(bytes calldata heads, uint256 at) internal pure returns (Price memory value) {
        // Six loads into the six words that Solidity allocated for `value`.
        assembly ("memory-safe") {
            let head := add(heads.offset, at)
            mstore(value, shr(128, calldataload(add(head, FIXED_PRICE))))
            mstore(add(value, 0x20), shr(128, calldataload(add(head, PER_HOUR))))
            mstore(add(value, 0x40), shr(224, calldataload(add(head, MIN_SECONDS))))
            mstore(add(value, 0x60), shr(224, calldataload(add(head, MAX_SECONDS))))
            mstore(add(value, 0x80), shr(128, calldataload(add(head, PER_UNIT))))
            mstore(add(value, 0xa0), shr(240, calldataload(add(head, REVENUE_BPS))))
        }
    }

    /// @return value Least number of seconds billed once the price is due.
    function minSeconds(bytes calldata heads, uint256 at) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := shr(224, calldataload(add(add(heads.offset, at), MIN_SECONDS)))
        }
    }

    /// @return value Longest rent in seconds; zero is no bound.
    function maxSeconds(bytes calldata heads, uint256 at) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := shr(224, calldataload(add(add(heads.offset, at), MAX_SECONDS)))
        }
    }

    /// @return value Share of what a served order earns.
    function revenueBps(bytes calldata heads, uint256 at) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := shr(240, calldataload(add(add(heads.offset, at), REVENUE_BPS)))
        }
    }

    /// @return value Share asked of what derived models earn.
    function royaltyBps(bytes calldata heads, uint256 at) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := shr(240, calldataload(add(add(heads.offset, at), ROYALTY_BPS)))
        }
    }

    /// @return value Hash of the payees, as `hashPayees` makes it.
    function payeesHash(bytes calldata heads, uint256 at) internal pure returns (bytes32 value) {
        return _word(heads, at, PAYEES_HASH);
    }

    /// @return value Digest of the sealed manifest; zero for compute.
    function manifestDigest(bytes calldata heads, uint256 at) internal pure returns (bytes32 value) {
        return _word(heads, at, MANIFEST_DIGEST);
    }

    /// @return value Digest of the plaintext archive; zero for compute.
    function contentDigest(bytes calldata heads, uint256 at) internal pure returns (bytes32 value) {
        return _word(heads, at, CONTENT_DIGEST);
    }

    /// @return value Address whose key signs grants; zero for compute.
    function grantKey(bytes calldata heads, uint256 at) internal pure returns (address value) {
        assembly ("memory-safe") {
            value := shr(96, calldataload(add(add(heads.offset, at), GRANT_KEY)))
        }
    }

    /// @return value Proven lineage of a derived model, or zero.
    function lineage(bytes calldata heads, uint256 at) internal pure returns (bytes32 value) {
        return _word(heads, at, LINEAGE);
    }

    /// @return value Roots of who may order, hashed; zero is anybody.
    function restrictions(bytes calldata heads, uint256 at) internal pure returns (bytes32 value) {
        return _word(heads, at, RESTRICTIONS);
    }

    // ---------------------------------------------------------------------------------------------- for people
    /// @return terms The members of one head and its payees as a struct; their bytes are all there.
    function decode(bytes calldata heads, uint256 at, address token, bytes calldata payees)
        internal
        pure
        returns (OfferTerms memory terms)
    {
        terms.kind = uint8(kind(heads, at));
        terms.token = token;
        terms.price = price(heads, at);
        terms.manifestDigest = manifestDigest(heads, at);
        terms.contentDigest = contentDigest(heads, at);
        terms.grantKey = grantKey(heads, at);
        terms.royaltyBps = uint16(royaltyBps(heads, at));
        terms.lineage = lineage(heads, at);
        terms.restrictions = restrictions(heads, at);
        terms.payees = new Payee[](payees.length / PAYEE);
        for (uint256 i = 0; i < terms.payees.length; ++i) {
            (address account, uint256 bps) = payee(payees, i);
            terms.payees[i] = Payee(account, uint16(bps));
        }
    }

    /// @return The terms hash of the same members as a struct.
    function hashStruct(OfferTerms calldata terms) internal pure returns (bytes32) {
        bytes32[] memory payees = new bytes32[](terms.payees.length);
        for (uint256 i = 0; i < payees.length; ++i) {
            payees[i] = keccak256(abi.encode(PAYEE_TYPEHASH, terms.payees[i]));
        }
        return keccak256(
            bytes.concat(
                abi.encode(
                    OFFER_TERMS_TYPEHASH,
                    terms.kind,
                    terms.token,
                    keccak256(abi.encode(PRICE_TYPEHASH, terms.price)),
                    keccak256(abi.encodePacked(payees)),
                    terms.manifestDigest
                ),
                abi.encode(terms.contentDigest, terms.grantKey, terms.royaltyBps, terms.lineage, terms.restrictions)
            )
        );
    }

    function _word(bytes calldata heads, uint256 at, uint256 member) private pure returns (bytes32 value) {
        assembly ("memory-safe") {
            value := calldataload(add(add(heads.offset, at), member))
        }
    }
}
