"""Listings and leases as events carry them, and the serials that owners choose (protocol 2 and 6.6)."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.offers import OfferKind, OfferTerms, Payee, Price
from enclave_runtime.wire.orders import RuntimePolicy
from marketplace.chain.artifacts import contract
from marketplace.chain.authors import listing_bytes
from marketplace.chain.catalog import read_listing
from marketplace.chain.signedoffers import SignedBytes, signer_of
from marketplace.domain.lease import LeaseTerms, terms_bytes
from marketplace.domain.leasing import LEASE_TERMS_BYTES, Leasing, check_lease_terms, decode_lease_terms
from marketplace.domain.offer import ListedOffer, check_terms, kind_in, next_serial, serial_of
from marketplace.domain.tight import encode_policy
from marketplace.errors import BadInputError
from tests.conformance.strategies import preimages
from tests.unit.marketplace.chain.test_node import DEPLOYMENT

TERMS = LeaseTerms(
    7, 1, b"\x01" * 32, b"\x02" * 20, 10**6, 86_400, 12, 2, 3600, 60, 500, b"\x03" * 32, b"\x04" * 32
)


@given(preimages().map(lambda item: item.inputs[0]), st.text(max_size=40))
def test_a_listing_reads_back(terms: OfferTerms, uri: str) -> None:
    assert read_listing(listing_bytes(terms, uri)) == (terms, uri)


@given(preimages().map(lambda item: item.compute), st.integers(0, 282))
def test_a_listing_that_was_cut_is_none(terms: OfferTerms, size: int) -> None:
    with pytest.raises(WireError):
        read_listing(listing_bytes(terms, "")[:size])


def test_bytes_behind_a_listing_that_are_no_text_hide_nothing() -> None:
    offer = OfferTerms(
        4, b"\x01" * 20, Price(), (Payee(b"\x02" * 20, 10_000),), bytes(32), bytes(32), bytes(20), 0,
        bytes(32), bytes(32),
    )  # fmt: skip
    terms, uri = read_listing(listing_bytes(offer, "") + b"\xff\xfe")
    assert (terms, uri) == (offer, "\ufffd\ufffd")


def test_serials_rise_for_each_kind_apart() -> None:
    owner = 9 << 32
    used = [owner | OfferKind.ENGINE << 28 | 4, owner | OfferKind.DATASET << 28 | 1]
    assert next_serial(OfferKind.ENGINE, used) == OfferKind.ENGINE << 28 | 5
    assert next_serial(OfferKind.MODEL, used) == OfferKind.MODEL << 28 | 1
    assert kind_in(used[0]) == OfferKind.ENGINE and serial_of(used[0]) == OfferKind.ENGINE << 28 | 4


def test_a_derived_models_table_is_its_royalties() -> None:
    table = (
        b"\x05" * 20 + (300).to_bytes(2, "big") + b"\x01" + b"\x06" * 20 + (20).to_bytes(2, "big") + b"\x02"
    )
    listed = ListedOffer(1, 1, b"", True, None, "", 1, 0, made_by=b"\x07" * 32, table=table)  # type: ignore[arg-type]
    assert listed.royalties == (Payee(b"\x05" * 20, 300), Payee(b"\x06" * 20, 20))
    assert listed.lineage_proof == b"\x07" * 32 + table


@pytest.mark.parametrize(
    ("kind", "changes", "named"),
    [
        (OfferKind.ENGINE, {"royalty_bps": 1}, "royalty"),
        (OfferKind.DATASET, {"royalty_bps": 5001}, "royalty"),
        (OfferKind.DATASET, {"lineage": b"\x01" * 32}, "lineage"),
        (OfferKind.MODEL, {"price": Price(min_seconds=10, max_seconds=9)}, "longest rent"),
        (OfferKind.MODEL, {"price": Price(revenue_bps=10_001)}, "revenue share"),
    ],
)
def test_terms_that_the_registry_refuses_are_refused_in_words(
    kind: OfferKind, changes: dict[str, object], named: str
) -> None:
    good = OfferTerms(
        int(kind), b"\x01" * 20, Price(), (Payee(b"\x02" * 20, 10_000),), b"\x03" * 32, b"\x04" * 32,
        b"\x05" * 20, 0, bytes(32), bytes(32),
    )  # fmt: skip
    check_terms(good)
    with pytest.raises(BadInputError, match=named):
        check_terms(dataclasses.replace(good, **changes))  # type: ignore[arg-type]


def test_lease_terms_read_back_and_name_a_lease() -> None:
    data = terms_bytes(TERMS)
    assert len(data) == LEASE_TERMS_BYTES and decode_lease_terms(data) == TERMS
    leasing = Leasing(TERMS, b"\x05" * 20, b"\x06" * 20, 9)
    assert leasing.to_bytes() == data + b"\x05" * 20 + b"\x06" * 20 + bytes(7) + b"\x09"
    for wrong in (data[:-1], data + b"\x00"):
        with pytest.raises(WireError, match="lease terms"):
            decode_lease_terms(wrong)


@pytest.mark.parametrize(
    "changes",
    [
        {"places": 0},
        {"period_seconds": 0},
        {"max_periods": 0},
        {"places": 256},
        {"price_per_period": 1 << 128},
    ],
)
def test_lease_terms_that_sell_nothing_are_refused(changes: dict[str, int]) -> None:
    check_lease_terms(TERMS)
    with pytest.raises(BadInputError):
        check_lease_terms(dataclasses.replace(TERMS, **changes))  # type: ignore[arg-type]


def test_a_policy_in_bytes_says_how_many_trust_classes_it_has() -> None:
    policy = RuntimePolicy((b"\x01" * 32, b"\x02" * 32), 6, (b"\x03" * 32,), 1)
    data = encode_policy(policy)
    assert data == (6).to_bytes(32, "big") + b"\x01\x02" + b"\x01" * 32 + b"\x02" * 32 + b"\x03" * 32
    with pytest.raises(WireError):
        encode_policy(dataclasses.replace(policy, trust_classes=(b"\x01" * 32,) * 256))


def test_the_order_book_is_one_contract_of_four_parts() -> None:
    book = contract("OrderBook")
    for part, function in (
        ("OrderBookEntries", "placeFor"), ("OrderBookEndings", "expire"), ("OrderBookAccounts", "claimRest"),
    ):  # fmt: skip
        assert book.functions[function] == contract(part).functions[function]
    assert {"place", "accept", "start", "checkpoint", "complete", "claim", "batch", "withdraw"} <= set(
        book.functions
    )


def test_a_signed_offer_that_was_cut_is_nobodys() -> None:
    terms = OfferTerms(
        4, b"\x01" * 20, Price(), (Payee(b"\x02" * 20, 10_000),), bytes(32), bytes(32), bytes(20), 0,
        bytes(32), bytes(32),
    )  # fmt: skip
    with pytest.raises(WireError, match="at least 49"):
        signer_of(DEPLOYMENT, 1, 1, terms, SignedBytes(b"\x01" * 48, b""))
