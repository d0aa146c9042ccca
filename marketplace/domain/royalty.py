"""What a derived model owes to what it was made from (protocol 6.5; twin of RoyaltyLib.sol).

A table lists who is owed what part of a model's earnings, after fees. Depth 1 is a payee of a parent, depth 2
a payee of the parent's parent, up to 4. The registry makes the table from a completed order; this module
makes the same one beforehand, so that an author knows what it will owe before it places the order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from enclave_runtime.wire.hashes import keccak256
from enclave_runtime.wire.offers import OfferKind, OfferTerms, Payee
from marketplace.domain.money import share_down
from marketplace.errors import BadInputError

__all__ = [
    "ENTRY_BYTES",
    "MAX_DEPTH",
    "MAX_ENTRIES",
    "MAX_ROYALTY_BPS",
    "Parent",
    "Royalty",
    "decode_table",
    "encode_table",
    "lineage",
    "parent_of",
    "royalty_table",
]

MAX_ROYALTY_BPS: Final = 5000
"""Most that a table asks in all: a model's own payees keep at least half."""
MAX_DEPTH: Final = 4
"""Generations that are owed anything."""
MAX_ENTRIES: Final = 24
ENTRY_BYTES: Final = 23


@dataclass(frozen=True, slots=True)
class Royalty:
    """One entry of a table.

    Attributes:
        account: address, 20 bytes.
        bps: share of each amount that the model earns, after fees.
        depth: generations between the model and what the account is a payee of, 1 to 4.
    """

    account: bytes
    bps: int
    depth: int


@dataclass(frozen=True, slots=True)
class Parent:
    """What one input asks of the models made from it.

    Attributes:
        payees: of the input; their shares make 10 000.
        table: what the input owes itself, where it is a derived model.
    """

    royalty_bps: int
    payees: tuple[Payee, ...]
    table: tuple[Royalty, ...] = ()


def parent_of(terms: OfferTerms, table: tuple[Royalty, ...] = ()) -> Parent:
    """Return an input as a parent; engines and compute ask nothing."""
    asks = terms.kind in (OfferKind.MODEL, OfferKind.DATASET)
    return Parent(terms.royalty_bps if asks else 0, terms.payees, table)


def royalty_table(parents: Iterable[Parent]) -> tuple[Royalty, ...]:
    """Return what a model made from `parents`, in their order, owes: the six rules of RoyaltyLib.

    Raises:
        BadInputError: more than `MAX_ENTRIES` different accounts and depths. Such a model can only be listed
            with its lineage unproven: leaving somebody out would let the author choose whom.
    """
    sums: dict[tuple[bytes, int], int] = {}
    for parent in parents:
        for entry in (*_own(parent), *_deeper(parent)):
            if entry.bps:
                key = (entry.account, entry.depth)
                sums[key] = sums.get(key, 0) + entry.bps
    if len(sums) > MAX_ENTRIES:
        raise BadInputError("royalties", f"{len(sums)} entries", f"at most {MAX_ENTRIES}")
    total = sum(sums.values())
    scaled = (Royalty(account, _scaled_down(bps, total), depth) for (account, depth), bps in sums.items())
    return tuple(entry for entry in scaled if entry.bps)


def encode_table(table: Iterable[Royalty]) -> bytes:
    """Return the tight bytes of a table: account 20, bps 2, depth 1 each."""
    return b"".join(
        entry.account + entry.bps.to_bytes(2, "big") + entry.depth.to_bytes(1, "big") for entry in table
    )


def decode_table(data: bytes) -> tuple[Royalty, ...]:
    """Return the entries in the bytes of a table.

    Raises:
        BadInputError: a length that fits no table.
    """
    count, over = divmod(len(data), ENTRY_BYTES)
    if over or count > MAX_ENTRIES:
        raise BadInputError("royalty table", f"{len(data)} bytes", f"0 to {MAX_ENTRIES} times {ENTRY_BYTES}")
    rows = (data[at : at + ENTRY_BYTES] for at in range(0, len(data), ENTRY_BYTES))
    return tuple(Royalty(row[:20], int.from_bytes(row[20:22], "big"), row[22]) for row in rows)


def lineage(order_id: bytes, table: bytes) -> bytes:
    """Return the word that a derived model's terms carry: which order made it, and what it owes, 32 bytes."""
    return keccak256(order_id + keccak256(table))


def _own(parent: Parent) -> tuple[Royalty, ...]:
    """Rule 1: floors, and the last payee gets the rest."""
    if not parent.royalty_bps:
        return ()
    *others, last = parent.payees
    shares = [Royalty(payee.account, share_down(parent.royalty_bps, payee.bps), 1) for payee in others]
    rest = parent.royalty_bps - sum(share.bps for share in shares)
    return (*shares, Royalty(last.account, rest, 1))


def _deeper(parent: Parent) -> tuple[Royalty, ...]:
    """Rule 2: the parent's own table, one generation deeper and whole."""
    return tuple(
        Royalty(entry.account, entry.bps, entry.depth + 1)
        for entry in parent.table
        if entry.depth < MAX_DEPTH
    )


def _scaled_down(bps: int, total: int) -> int:
    """Rule 4: the share that is left of `bps` where all shares together ask for `total`."""
    return bps * MAX_ROYALTY_BPS // total if total > MAX_ROYALTY_BPS else bps
