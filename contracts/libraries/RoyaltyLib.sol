// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "./Errors.sol";
import {OfferCodec} from "./OfferCodec.sol";

/// @title The royalties that a derived model owes (docs/protocol.md section 6.5), the twin of `domain/royalty.py`.
/// @notice A table is a list of {account 20, bps 2, depth 1}, at most 24: of each amount that the model earns, after fees,
/// `bps` go to `account`. Depth 1 is a payee of a model or dataset that the model was made from, depth 2 a payee of what
/// that one was made from, and so on to 4; what is deeper is owed no more.
/// @dev The rules, each of which the twin repeats:
/// 1. A parent that asks a royalty gives each of its payees floor(royaltyBps * share / 10000), the last payee the rest.
/// 2. A parent that is itself derived passes its own table on, one generation deeper, whole: what its buyers owe its
///    ancestors, its children owe them too.
/// 3. Shares of one account at one depth are added. Shares at other depths stay apart: added up, a share that is about to
///    end could be carried on for ever by a tiny new one.
/// 4. Where the sum exceeds MAX_ROYALTY_BPS, each share becomes floor(share * MAX_ROYALTY_BPS / sum).
/// 5. Shares of zero leave no entry.
/// 6. More than MAX_ENTRIES before rule 4 is an error. Any rule that left somebody out would let the author, who chooses
///    the parents, choose whom; so such a model can only be listed with its lineage unproven, which everybody sees.
/// Each account's share is the same whatever order the parents come in; only the entries' places differ.
library RoyaltyLib {
    uint256 internal constant MAX_ROYALTY_BPS = 5000;
    uint256 internal constant MAX_DEPTH = 4;
    uint256 internal constant MAX_ENTRIES = 24;
    uint256 internal constant ENTRY = 23;

    /// @notice A table in the making.
    /// @param entries account 160 | depth 8 | bps 32 from the lowest bit, so that a shift leaves what is compared.
    struct Draft {
        uint256[MAX_ENTRIES] entries;
        uint256 count;
        uint256 sum;
    }

    // ---------------------------------------------------------------------------------------------- making
    /// @notice Rule 1. `payees` are 1 to 8 whole payees whose shares make 10 000.
    function addParent(Draft memory draft, uint256 royaltyBps, bytes calldata payees) internal pure {
        uint256 last = payees.length / OfferCodec.PAYEE - 1;
        uint256 rest = royaltyBps;
        for (uint256 i = 0; i < last; ++i) {
            (address account, uint256 share) = OfferCodec.payee(payees, i);
            uint256 bps = royaltyBps * share / 10_000;
            rest -= bps;
            _add(draft, account, bps, 1);
        }
        // slither-disable-next-line unused-return: the last payee takes the rest, not its share
        (address remainderTo,) = OfferCodec.payee(payees, last);
        _add(draft, remainderTo, rest, 1);
    }

    /// @notice Rule 2. `table` is one that `close` made: the caller has checked its hash.
    function addTable(Draft memory draft, bytes calldata table) internal pure {
        uint256 count = size(table);
        for (uint256 i = 0; i < count; ++i) {
            (address account, uint256 bps, uint256 depth) = entry(table, i);
            if (depth < MAX_DEPTH) _add(draft, account, bps, depth + 1);
        }
    }

    /// @notice Rules 4 and 5.
    /// @return table The tight bytes.
    function close(Draft memory draft) internal pure returns (bytes memory table) {
        // Nine bytes more than the entries need, for the tail of the last word written below.
        table = new bytes(draft.count * ENTRY + 9);
        uint256 length = 0;
        for (uint256 i = 0; i < draft.count; ++i) {
            uint256 word = draft.entries[i];
            uint256 bps = uint32(word);
            if (draft.sum > MAX_ROYALTY_BPS) bps = bps * MAX_ROYALTY_BPS / draft.sum;
            if (bps == 0) continue;
            uint256 packed = ((word >> 40) << 96) | (bps << 80) | (((word >> 32) & 0xff) << 72);
            // One word per entry: its last nine bytes are zeros, which the next entry overwrites.
            assembly ("memory-safe") {
                mstore(add(add(table, 0x20), length), packed)
            }
            length += ENTRY;
        }
        // The array gets shorter in place: by those nine bytes and by the entries that were left out.
        assembly ("memory-safe") {
            mstore(table, length)
        }
    }

    // ---------------------------------------------------------------------------------------------- reading
    /// @return count Entries of a table. Reverts where the length fits none.
    function size(bytes calldata table) internal pure returns (uint256 count) {
        // slither-disable-next-line divide-before-multiply: the product shows whether anything was left over
        count = table.length / ENTRY;
        if (count * ENTRY != table.length || count > MAX_ENTRIES) {
            revert Errors.RoyaltyLib_Length(table.length, ENTRY, MAX_ENTRIES);
        }
    }

    /// @dev The caller knows that there is an entry `index`.
    function entry(bytes calldata table, uint256 index)
        internal
        pure
        returns (address account, uint256 bps, uint256 depth)
    {
        // One word has all three; what follows them in it is shifted out.
        assembly ("memory-safe") {
            let word := calldataload(add(table.offset, mul(index, ENTRY)))
            account := shr(96, word)
            bps := and(shr(80, word), 0xffff)
            depth := byte(22, word)
        }
    }

    /// @return The word that a derived model's terms carry: which order made it, and what it owes.
    function lineage(bytes32 orderId, bytes32 tableHash) internal pure returns (bytes32) {
        return keccak256(abi.encode(orderId, tableHash));
    }

    /// @dev Rule 3. At most 24 entries are compared, so the cost of a whole table is bounded.
    function _add(Draft memory draft, address account, uint256 bps, uint256 depth) private pure {
        if (bps == 0) return;
        draft.sum += bps;
        uint256 key = (uint256(uint160(account)) << 8) | depth;
        uint256 count = draft.count;
        for (uint256 i = 0; i < count; ++i) {
            if (draft.entries[i] >> 32 == key) {
                draft.entries[i] += bps;
                return;
            }
        }
        if (count == MAX_ENTRIES) revert Errors.RoyaltyLib_TooManyEntries(MAX_ENTRIES);
        draft.entries[count] = (key << 32) | bps;
        draft.count = count + 1;
    }
}
