"""Offers as a person lists them and as the registry keeps them (protocol sections 2, 6.3 and 6.4).

`check_terms` makes the same checks as OfferRegistry, in the same order, so that a mistake is told in words
before it costs gas.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    "kind_of",
    "price_words",
    "sole_payee",
]

MAX_PAYEES: Final = 8
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
    """

    offer: int
    version: int
    owner: bytes
    active: bool
    terms: OfferTerms
    manifest_uri: str
    latest: int
    block: int

    @property
    def kind(self) -> OfferKind:
        """Return what the offer gives."""
        return OfferKind(self.terms.kind)

    @property
    def terms_hash(self) -> bytes:
        """Return what orders pin, 32 bytes."""
        return terms_hash(self.terms)


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
) -> OfferTerms:
    """Return checked terms of an engine, model or dataset.

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
        royalty_bps=0,
        lineage=lineage,
        restrictions=ZERO32,
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
    _check_reserved(terms)
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
            f"at least the shortest, {price.min_seconds} s, or 0: no bound",
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


def _check_reserved(terms: OfferTerms) -> None:
    reserved = {
        "revenue share": terms.price.revenue_bps != 0,
        "royalty": terms.royalty_bps != 0,
        "restrictions": terms.restrictions != ZERO32,
    }
    for name, given in reserved.items():
        if given:
            raise BadInputError(name, "a value", "none: nothing enforces it yet")


def _check_content(terms: OfferTerms) -> None:
    content = {
        "manifest digest": terms.manifest_digest != ZERO32,
        "content digest": terms.content_digest != ZERO32,
        "grant key": terms.grant_key != ZERO_ADDRESS,
    }
    if terms.kind == OfferKind.COMPUTE:
        content["lineage"] = terms.lineage != ZERO32
    for name, given in content.items():
        if given and terms.kind == OfferKind.COMPUTE:
            raise BadInputError(name, "a value", "none: compute has no content")
        if not given and terms.kind != OfferKind.COMPUTE:
            raise BadInputError(name, "none", "a value: without it nobody can check or get the content")
