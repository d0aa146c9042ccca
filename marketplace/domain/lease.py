"""Leases: the right to use an offer for a time, paid in advance (protocol 6.6; twin of types/Leases.sol)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from enclave_runtime.wire.errors import WireError
from marketplace.errors import BadInputError

__all__ = [
    "LEASE_BYTES",
    "LEASE_TERMS_BYTES",
    "LeaseTerms",
    "Leasing",
    "TopUp",
    "decode_lease_terms",
]

LEASE_TERMS_BYTES: Final = 157
LEASE_BYTES: Final = 205
_WIDTHS: Final = (
    ("offer", 8),
    ("version", 4),
    ("terms_hash", 32),
    ("token", 20),
    ("price_per_period", 16),
    ("period_seconds", 4),
    ("max_periods", 2),
    ("places", 1),
    ("notice_seconds", 4),
    ("max_fee_bps", 2),
    ("payees_hash", 32),
    ("salt", 32),
)


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """What an owner asks for the use of one version of an offer.

    Attributes:
        offer: an engine, a model or a dataset.
        terms_hash: of that version, 32 bytes.
        token: ERC-20 of the price, 20 bytes.
        price_per_period: due in advance for each period, in token units, fee included.
        max_periods: how many may be paid ahead of the running one.
        places: how many orders may use one lease at once.
        notice_seconds: the least time between a recall and the end that it brings.
        max_fee_bps: above this protocol fee the owner sells no lease.
        payees_hash: of the receivers, as in an offer's head.
        salt: 32 bytes.
    """

    offer: int
    version: int
    terms_hash: bytes
    token: bytes
    price_per_period: int
    period_seconds: int
    max_periods: int
    places: int
    notice_seconds: int
    max_fee_bps: int
    payees_hash: bytes
    salt: bytes

    def to_bytes(self) -> bytes:
        """Return the terms as calldata has them, 157 bytes.

        Raises:
            BadInputError: a member outside its width.
        """
        return b"".join(_packed(name, getattr(self, name), size) for name, size in _WIDTHS)

    def check(self) -> None:
        """Refuse terms under which nothing could be leased.

        Raises:
            BadInputError: names the member.
        """
        for name in ("period_seconds", "max_periods", "places"):
            if getattr(self, name) < 1:
                raise BadInputError(name.replace("_", " "), getattr(self, name), "at least 1")
        self.to_bytes()


@dataclass(frozen=True, slots=True)
class Leasing:
    """What names one lease: the terms, who uses it, who paid and gets refunds, and a number of theirs."""

    terms: LeaseTerms
    lessee: bytes
    payer: bytes
    salt: int

    def to_bytes(self) -> bytes:
        """Return the lease as calldata has it, 205 bytes.

        Raises:
            BadInputError: a member outside its width.
        """
        ends = _packed("lessee", self.lessee, 20), _packed("payer", self.payer, 20)
        return b"".join((self.terms.to_bytes(), *ends, _packed("salt", self.salt, 8)))


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


def decode_lease_terms(data: bytes) -> LeaseTerms:
    """Return the terms in 157 bytes.

    Raises:
        WireError: another length.
    """
    if len(data) != LEASE_TERMS_BYTES:
        raise WireError(f"lease terms: got {len(data)} bytes, expected {LEASE_TERMS_BYTES}")
    members, at = [], 0
    for name, size in _WIDTHS:
        raw, at = data[at : at + size], at + size
        members.append(raw if name in _RAW else int.from_bytes(raw, "big"))
    return LeaseTerms(*members)  # type: ignore[arg-type]  # in the order of the members


_RAW: Final = frozenset({"terms_hash", "token", "payees_hash", "salt"})


def _packed(name: str, value: bytes | int, size: int) -> bytes:
    if isinstance(value, bytes):
        if len(value) != size:
            raise BadInputError(name.replace("_", " "), f"{len(value)} bytes", f"{size} bytes")
        return value
    if not 0 <= value < 1 << 8 * size:
        raise BadInputError(name.replace("_", " "), value, f"a whole number below 2^{8 * size}")
    return value.to_bytes(size, "big")
