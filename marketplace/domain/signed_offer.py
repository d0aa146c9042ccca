"""Offers that are signed instead of listed (protocol 2 and 6.1; twin of contracts/offers/SignedOffers.sol).

The owner signs `SignedOffer` under the OfferRegistry's domain; the signature sells up to `volume` orders
until `expires_at`, while the owner's epoch is the one named. The version may be listed with the same terms,
or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from enclave_runtime.wire.eip712 import Domain, typed_digest
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.offers import Payee
from enclave_runtime.wire.scalars import U32, U40, U64, Bytes32
from marketplace.domain.tight import decode_payees, encode_payees

__all__ = ["SignedOffer", "decode_signed", "encode_signed", "offer_registry_domain", "signed_offer_digest"]

_BYTES: Final = 49
"""The part of the tight bytes before the payees."""


@dataclass(frozen=True, slots=True)
class SignedOffer:
    """What an owner signs.

    Attributes:
        volume: how many orders it sells.
        expires_at: Unix time, in seconds; good until then and then included.
        epoch: the owner's, as the registry has it; `bumpEpoch` ends all signatures of earlier ones.
        salt: tells apart what is otherwise the same.
    """

    offer: U64
    version: U32
    terms_hash: Bytes32
    volume: U32
    expires_at: U40
    epoch: U64
    salt: Bytes32


def offer_registry_domain(chain_id: int, registry: bytes) -> Domain:
    """Return the domain under which `SignedOffer` is signed."""
    return Domain("Cloister OfferRegistry", "1", chain_id, registry)


def signed_offer_digest(domain: Domain, signed: SignedOffer) -> bytes:
    """Return the 32 bytes that the owner signs."""
    return typed_digest(domain, signed)


def encode_signed(signed: SignedOffer, payees: tuple[Payee, ...]) -> bytes:
    """Return the tight bytes for the registry: what the order does not say already, and the payees.

    Raises:
        WireError: a member outside its width, or payees that cannot be.
    """
    try:
        numbers = (
            signed.volume.to_bytes(4, "big")
            + signed.expires_at.to_bytes(5, "big")
            + signed.epoch.to_bytes(8, "big")
        )
    except OverflowError as error:
        raise WireError("signed offer: a member does not fit its width") from error
    return numbers + signed.salt + encode_payees(payees)


def decode_signed(
    data: bytes, *, offer: int, version: int, terms_hash: bytes
) -> tuple[SignedOffer, tuple[Payee, ...]]:
    """Return what `encode_signed` wrote; offer, version and terms hash are those of the order.

    Raises:
        WireError: too few bytes, or payees that cannot be.
    """
    if len(data) < _BYTES:
        raise WireError(f"signed offer: got {len(data)} bytes, expected at least {_BYTES}")
    signed = SignedOffer(
        offer=offer,
        version=version,
        terms_hash=terms_hash,
        volume=int.from_bytes(data[:4], "big"),
        expires_at=int.from_bytes(data[4:9], "big"),
        epoch=int.from_bytes(data[9:17], "big"),
        salt=data[17:_BYTES],
    )
    return signed, decode_payees(data[_BYTES:])
