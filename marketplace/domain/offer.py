"""Offers as a person lists them and as the registry keeps them (protocol sections 2, 6.3 and 6.4).

`check_terms` makes the same checks as OfferRegistry, in the same order, so that a mistake is told in words
before it costs gas.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from enclave_runtime.wire.offers import BPS, OfferKind, OfferTerms, Payee, Price, terms_hash
from enclave_runtime.wire.scalars import ZERO32, ZERO_ADDRESS
from marketplace.errors import BadInputError

__all__ = [
    "MAX_PAYEES",
    "ListedOffer",
    "check_terms",
    "compute_terms",
    "content_terms",
    "kind_in",
    "kind_of",
    "next_serial",
    "price_words",
    "serial_of",
    "sole_payee",
]

MAX_PAYEES: Final = 8
MAX_ROYALTY_BPS: Final = 5000
ROYALTY_BYTES: Final = 23
"""One entry of a royalty table: account 20, bps 2, depth 1."""
SERIAL_BITS: Final = 32
KIND_BITS: Final = 28
"""An offer's id is its owner's index, then a serial whose highest four bits are the kind."""
CONTENT_KINDS: Final = (OfferKind.ENGINE, OfferKind.MODEL, OfferKind.DATASET)


@dataclass(frozen=True, slots=True)
class ListedOffer:
    """One version of an offer as the chain shows it.

    Attributes:
        offer: id, from 1.
        version: number, from 1.
        owner: address, 20 bytes.
        active: whether new orders may be accepted on this version.
        terms: the preimage that the registry emitted; its hash equals the stored one.
        manifest_uri: where the sealed manifest may be found: a hint, its digest is in the terms.
        latest: the newest version's number.
        block: number of the block in which the version was listed.
        retired: whether the version was taken from sale for good.
        made_by: a derived model's order, 32 bytes; empty where the lineage is unproven.
        table: what a derived model's parents are owed, as the registry emitted it.
    """

    offer: int
    version: int
    owner: bytes
    active: bool
    terms: OfferTerms
    manifest_uri: str
    latest: int
    block: int
    retired: bool = False
    made_by: bytes = b""
    table: bytes = b""

    @property
    def lineage_proof(self) -> bytes:
        """Return what claims of this offer's dues repeat of its lineage; empty where there is none."""
        return self.made_by + self.table

    @property
    def royalties(self) -> tuple[Payee, ...]:
        """Return what parents get of this offer's net income."""
        entries = (self.table[at : at + ROYALTY_BYTES] for at in range(0, len(self.table), ROYALTY_BYTES))
        return tuple(Payee(item[:20], int.from_bytes(item[20:22], "big")) for item in entries)

    @property
    def kind(self) -> OfferKind:
        """Return what the offer gives."""
        return OfferKind(self.terms.kind)

    @property
    def terms_hash(self) -> bytes:
        """Return what orders pin, 32 bytes."""
        return terms_hash(self.terms)


def serial_of(offer: int) -> int:
    """Return the serial in an offer's id."""
    return offer & (1 << SERIAL_BITS) - 1


def kind_in(offer: int) -> int:
    """Return the kind in an offer's id, as its number."""
    return offer >> KIND_BITS & 0xF


def next_serial(kind: OfferKind, used: Iterable[int]) -> int:
    """Return the lowest serial of a kind above all those that an owner has used of it.

    Args:
        used: ids of offers, of any kind.
    """
    first = int(kind) << KIND_BITS
    mine = [serial_of(offer) for offer in used if kind_in(offer) == kind]
    return max(mine, default=first) + 1


def sole_payee(account: bytes) -> tuple[Payee, ...]:
    """Return payees that give everything to `account`."""
    return (Payee(account, BPS),)


def content_terms(
    kind: OfferKind,
    *,
    token: bytes,
    price: Price,
    payees: Sequence[Payee],
    manifest_digest: bytes,
    content_digest: bytes,
    grant_key: bytes,
    lineage: bytes = ZERO32,
    royalty_bps: int = 0,
    restrictions: bytes = ZERO32,
) -> OfferTerms:
    """Return checked terms of an engine, model or dataset.

    Args:
        lineage: of a derived model, as `OfferRegistry.deriveRoyalties` names it.
        royalty_bps: share asked of what models earn that are made from this one.
        restrictions: who may order, by roots, hashed; zero admits everybody.
    Raises:
        BadInputError: as `check_terms`.
    """
    terms = OfferTerms(
        kind=int(kind),
        token=token,
        price=price,
        payees=tuple(payees),
        manifest_digest=manifest_digest,
        content_digest=content_digest,
        grant_key=grant_key,
        royalty_bps=royalty_bps,
        lineage=lineage,
        restrictions=restrictions,
    )
    check_terms(terms)
    return terms


def compute_terms(*, token: bytes, price: Price, payees: Sequence[Payee]) -> OfferTerms:
    """Return checked terms of a compute offer.

    Raises:
        BadInputError: as `check_terms`.
    """
    terms = OfferTerms(
        kind=int(OfferKind.COMPUTE),
        token=token,
        price=price,
        payees=tuple(payees),
        manifest_digest=ZERO32,
        content_digest=ZERO32,
        grant_key=ZERO_ADDRESS,
        royalty_bps=0,
        lineage=ZERO32,
        restrictions=ZERO32,
    )
    check_terms(terms)
    return terms


def check_terms(terms: OfferTerms) -> None:
    """Refuse terms that OfferRegistry would refuse.

    Raises:
        BadInputError: names the member, what it is and what it must be.
    """
    if terms.kind not in set(OfferKind) - {OfferKind.NONE}:
        raise BadInputError("kind", terms.kind, [kind.name.lower() for kind in OfferKind if kind])
    if terms.token == ZERO_ADDRESS:
        raise BadInputError("token", "the zero address", "the address of an ERC-20 token")
    _check_price(terms.price)
    _check_payees(terms.payees)
    _check_shares(terms)
    _check_content(terms)


def kind_of(text: str) -> OfferKind:
    """Return the kind that a person typed.

    Raises:
        BadInputError: no such kind.
    """
    try:
        kind = OfferKind[text.strip().upper()]
    except KeyError:
        kind = OfferKind.NONE
    if kind is OfferKind.NONE:
        raise BadInputError("kind", repr(text[:40]), [item.name.lower() for item in OfferKind if item])
    return kind


def price_words(price: Price) -> str:
    """Return a price in token units and words, such as "100 per order + 3600 per hour (at least 60 s)"."""
    parts = []
    if price.fixed_price:
        parts.append(f"{price.fixed_price} per order")
    if price.per_hour:
        least = f" (at least {price.min_seconds} s)" if price.min_seconds else ""
        parts.append(f"{price.per_hour} per hour{least}")
    if price.per_unit:
        parts.append(f"{price.per_unit} per unit")
    most = f", for at most {price.max_seconds} s" if price.max_seconds else ""
    return (" + ".join(parts) or "free") + most


def _check_price(price: Price) -> None:
    if 0 < price.max_seconds < price.min_seconds:
        raise BadInputError(
            "longest rent",
            f"{price.max_seconds} s",
            f"at least {price.min_seconds} s, the shortest, or 0",
        )


def _check_payees(payees: tuple[Payee, ...]) -> None:
    if not 1 <= len(payees) <= MAX_PAYEES:
        raise BadInputError("payees", f"{len(payees)} of them", f"1 to {MAX_PAYEES}")
    for number, payee in enumerate(payees, start=1):
        if payee.account == ZERO_ADDRESS or payee.bps == 0:
            raise BadInputError(f"payee {number}", "no account or no share", "an address and at least 1 bps")
    total = sum(payee.bps for payee in payees)
    if total != BPS:
        raise BadInputError("payees' shares", f"{total} bps in all", f"{BPS} bps")


def _check_shares(terms: OfferTerms) -> None:
    derivable = terms.kind in (OfferKind.MODEL, OfferKind.DATASET)
    bounds = {
        "revenue share": (terms.price.revenue_bps, BPS),
        "royalty": (terms.royalty_bps, MAX_ROYALTY_BPS if derivable else 0),
    }
    for name, (got, most) in bounds.items():
        if got > most:
            raise BadInputError(name, f"{got} bps", f"at most {most} bps")
    if terms.lineage != ZERO32 and terms.kind != OfferKind.MODEL:
        raise BadInputError("lineage", "a value", "none: only a model is made by an order")


def _check_content(terms: OfferTerms) -> None:
    content = {
        "manifest digest": terms.manifest_digest != ZERO32,
        "content digest": terms.content_digest != ZERO32,
        "grant key": terms.grant_key != ZERO_ADDRESS,
    }
    for name, given in content.items():
        if given and terms.kind == OfferKind.COMPUTE:
            raise BadInputError(name, "a value", "none: compute has no content")
        if not given and terms.kind != OfferKind.COMPUTE:
            raise BadInputError(name, "none", "a value: without it nobody can check or get the content")
