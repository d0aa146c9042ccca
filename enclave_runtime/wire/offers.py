"""Offer terms: the preimage of a terms hash (twin of types/Offers.sol; protocol sections 2 and 6.3)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from enclave_runtime.wire.eip712 import hash_struct
from enclave_runtime.wire.scalars import U8, U16, U32, U128, Address, Bytes32

__all__ = ["BPS", "OfferKind", "OfferTerms", "Payee", "Price", "terms_hash"]

BPS = 10_000


class OfferKind(IntEnum):
    """What an offer gives; the numbers are part of the terms hash."""

    NONE = 0
    ENGINE = 1
    MODEL = 2
    DATASET = 3
    COMPUTE = 4


@dataclass(frozen=True, slots=True)
class Price:
    """A price in the token's smallest unit; the parts add up. `per_hour` is billed by the second.

    `max_seconds` is the longest rent: no order may ask for more seconds; 0 is no bound.
    """

    fixed_price: U128 = 0
    per_hour: U128 = 0
    min_seconds: U32 = 0
    max_seconds: U32 = 0
    per_unit: U128 = 0
    revenue_bps: U16 = 0


@dataclass(frozen=True, slots=True)
class Payee:
    """One receiver of an offer's income and its share in basis points."""

    account: Address
    bps: U16


@dataclass(frozen=True, slots=True)
class OfferTerms:
    """Everything that an offer version binds its owner to; see the Solidity twin for each member."""

    kind: U8
    token: Address
    price: Price
    payees: tuple[Payee, ...]
    manifest_digest: Bytes32
    content_digest: Bytes32
    grant_key: Address
    royalty_bps: U16
    lineage: Bytes32
    restrictions: Bytes32


def terms_hash(terms: OfferTerms) -> bytes:
    """Return the EIP-712 struct hash of `terms`, 32 bytes: what the registry stores and orders pin."""
    return hash_struct(terms)
