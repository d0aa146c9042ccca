"""A lease as calls and events of LeaseBook carry it: its terms read back, its name (protocol 6.6)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from enclave_runtime.wire.errors import WireError
from marketplace.domain.lease import Lease, LeaseTerms, lease_bytes, terms_bytes
from marketplace.errors import BadInputError

__all__ = ["LEASE_TERMS_BYTES", "Leasing", "TopUp", "check_lease_terms", "decode_lease_terms"]

_WIDTHS: Final = {
    "offer": 8,
    "version": 4,
    "terms_hash": 32,
    "token": 20,
    "price_per_period": 16,
    "period_seconds": 4,
    "max_periods": 2,
    "places": 1,
    "notice_seconds": 4,
    "min_seconds": 4,
    "max_fee_bps": 2,
    "payees_hash": 32,
    "salt": 32,
}
"""Bytes of each member, in order: `lease.terms_bytes` writes them, this reads them."""
_RAW: Final = frozenset({"terms_hash", "token", "payees_hash", "salt"})
LEASE_TERMS_BYTES: Final = sum(_WIDTHS.values())


@dataclass(frozen=True, slots=True)
class Leasing:
    """What names one lease: the terms, who uses it, who paid and gets refunds, and a number of theirs."""

    terms: LeaseTerms
    lessee: bytes
    payer: bytes
    salt: int

    def to_bytes(self) -> bytes:
        """Return the lease as calldata has it."""
        # The terms' id is not part of the bytes: the contract computes it.
        return lease_bytes(self.terms, Lease(b"", self.lessee, self.payer, self.salt))


@dataclass(frozen=True, slots=True)
class TopUp:
    """How far anybody may renew a lease with its payer's allowance.

    Attributes:
        periods: how many more.
        until: Unix time after which no more.
        within: only so many seconds before the lease's end.
    """

    periods: int
    until: int
    within: int


def check_lease_terms(terms: LeaseTerms) -> None:
    """Refuse terms under which nothing could be leased.

    Raises:
        BadInputError: names the member.
    """
    for name in ("period_seconds", "max_periods", "places"):
        if getattr(terms, name) < 1:
            raise BadInputError(name.replace("_", " "), getattr(terms, name), "at least 1")
    for name, size in _WIDTHS.items():
        value = getattr(terms, name)
        if name not in _RAW and not 0 <= value < 1 << 8 * size:
            raise BadInputError(name.replace("_", " "), value, f"a whole number below 2^{8 * size}")


def decode_lease_terms(data: bytes) -> LeaseTerms:
    """Return the terms in their bytes.

    Raises:
        WireError: another length.
    """
    if len(data) != LEASE_TERMS_BYTES:
        raise WireError(f"lease terms: got {len(data)} bytes, expected {LEASE_TERMS_BYTES}")
    members: dict[str, bytes | int] = {}
    at = 0
    for field in fields(LeaseTerms):
        size = _WIDTHS[field.name]
        raw, at = data[at : at + size], at + size
        members[field.name] = raw if field.name in _RAW else int.from_bytes(raw, "big")
    terms = LeaseTerms(**members)  # type: ignore[arg-type]  # each by its own width and kind
    if terms_bytes(terms) != data:
        raise WireError("lease terms: got bytes that do not read back")
    return terms
