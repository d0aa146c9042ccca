"""Terms that the registry would refuse are refused in words first (protocol sections 2 and 6.4)."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given

from enclave_runtime.wire.offers import OfferKind, OfferTerms, Payee, Price
from enclave_runtime.wire.scalars import ZERO32, ZERO_ADDRESS
from marketplace.domain.offer import (
    check_terms,
    compute_terms,
    content_terms,
    kind_of,
    price_words,
    sole_payee,
)
from marketplace.errors import BadInputError
from tests.conformance.strategies import offers

TOKEN, OWNER, KEY = b"\x70" * 20, b"\x0a" * 20, b"\x0b" * 20
COMPUTE = compute_terms(token=TOKEN, price=Price(per_hour=1), payees=sole_payee(OWNER))
DATA = content_terms(
    OfferKind.DATASET,
    token=TOKEN,
    price=Price(1),
    payees=sole_payee(OWNER),
    manifest_digest=b"\x01" * 32,
    content_digest=b"\x02" * 32,
    grant_key=KEY,
)


@given(offers())
def test_accepts_what_the_registry_lists(terms: OfferTerms) -> None:
    check_terms(terms)


@pytest.mark.parametrize(
    ("terms", "change", "word"),
    [
        (DATA, {"kind": 0}, "kind"),
        (DATA, {"kind": 5}, "kind"),
        (DATA, {"token": ZERO_ADDRESS}, "token"),
        (DATA, {"payees": ()}, "payees"),
        (DATA, {"payees": (Payee(OWNER, 1000),) * 9}, "payees"),
        (DATA, {"payees": (Payee(OWNER, 9999),)}, "9999 bps"),
        (DATA, {"payees": (Payee(OWNER, 10_000), Payee(OWNER, 0))}, "payee 2"),
        (DATA, {"payees": (Payee(ZERO_ADDRESS, 10_000),)}, "payee 1"),
        (DATA, {"price": Price(revenue_bps=10_001)}, "revenue"),
        (DATA, {"price": Price(min_seconds=60, max_seconds=59)}, "longest rent"),
        (DATA, {"royalty_bps": 5001}, "royalty"),
        (COMPUTE, {"royalty_bps": 1}, "royalty"),
        (DATA, {"manifest_digest": ZERO32}, "manifest digest"),
        (DATA, {"content_digest": ZERO32}, "content digest"),
        (DATA, {"grant_key": ZERO_ADDRESS}, "grant key"),
        (COMPUTE, {"content_digest": b"\x01" * 32}, "content digest"),
        (COMPUTE, {"lineage": b"\x01" * 32}, "lineage"),
    ],
)
def test_refuses_with_the_member_named(terms: OfferTerms, change: dict[str, Any], word: str) -> None:
    with pytest.raises(BadInputError, match=word):
        check_terms(dataclasses.replace(terms, **change))


def test_reads_kinds_and_prices_as_people_write_them() -> None:
    assert kind_of(" Dataset ") is OfferKind.DATASET
    for text in ("none", "gpu", ""):
        with pytest.raises(BadInputError):
            kind_of(text)
    assert (
        price_words(Price(100, 3600, 60, per_unit=2))
        == "100 per order + 3600 per hour (at least 60 s) + 2 per unit"
    )
    assert price_words(Price()) == "free"
