"""Signed offers: what is signed, and what travels."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from enclave_runtime.wire.eip712 import encode_type
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.offers import Payee
from marketplace.domain.signed_offer import (
    SignedOffer,
    decode_signed,
    encode_signed,
    offer_registry_domain,
    signed_offer_digest,
)

SIGNED = SignedOffer(7, 2, b"t" * 32, 3, 1_800_000_000, 9, b"s" * 32)
PAYEES = (Payee(b"a" * 20, 4000), Payee(b"b" * 20, 6000))
DOMAIN = offer_registry_domain(204, b"r" * 20)


def test_type_is_as_in_the_contract() -> None:
    assert encode_type(SignedOffer) == (
        "SignedOffer(uint64 offer,uint32 version,bytes32 termsHash,uint32 volume,uint40 expiresAt,"
        "uint64 epoch,bytes32 salt)"
    )


def test_every_member_chain_and_registry_is_signed() -> None:
    digests = {
        signed_offer_digest(DOMAIN, SIGNED),
        signed_offer_digest(offer_registry_domain(205, b"r" * 20), SIGNED),
        signed_offer_digest(offer_registry_domain(204, b"q" * 20), SIGNED),
    }
    for field in dataclasses.fields(SignedOffer):
        value = getattr(SIGNED, field.name)
        change: dict[str, Any] = {field.name: b"x" * 32 if isinstance(value, bytes) else value + 1}
        digests.add(signed_offer_digest(DOMAIN, dataclasses.replace(SIGNED, **change)))
    assert len(digests) == 3 + 7


def test_bytes_come_back_as_they_went() -> None:
    data = encode_signed(SIGNED, PAYEES)
    assert len(data) == 49 + 44
    assert decode_signed(data, offer=7, version=2, terms_hash=b"t" * 32) == (SIGNED, PAYEES)


def test_member_outside_its_width_is_refused() -> None:
    with pytest.raises(WireError, match="width"):
        encode_signed(dataclasses.replace(SIGNED, volume=1 << 32), PAYEES)


def test_too_few_bytes_are_refused() -> None:
    with pytest.raises(WireError, match="at least 49"):
        decode_signed(bytes(48), offer=7, version=2, terms_hash=b"t" * 32)
