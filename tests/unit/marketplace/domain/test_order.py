"""Quotes, drafts and the walk from order id to terms (protocol sections 2, 6.1 and 6.3)."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings

from enclave_runtime.wire.cvm import TcbStatus, TeeKind
from enclave_runtime.wire.errors import RefusedError
from enclave_runtime.wire.offers import OfferKind, OfferTerms, Price
from enclave_runtime.wire.orders import (
    Holdback,
    OrderPreimage,
    order_book_domain,
    order_id,
    runtime_policy_digest,
)
from marketplace.domain.draft import OrderDraft, default_windows, draft_order
from marketplace.domain.offer import ListedOffer, compute_terms, content_terms, sole_payee
from marketplace.domain.order import check_order, check_preimage, runtime_policy
from marketplace.domain.pricing import Params, deposit_required, lock_required
from marketplace.domain.quote import quote
from marketplace.errors import BadInputError
from tests.conformance.strategies import preimages

TOKEN, OWNER, CLIENT = b"\x70" * 20, b"\x0a" * 20, b"\x0c" * 20
PARAMS = Params(250, 1000, 600, b"\xfe" * 20)
POLICY = runtime_policy(frozenset({"intel"}), frozenset({TeeKind.TDX}), frozenset({b"\x07" * 32}))
DOMAIN = order_book_domain(31337, b"\x0b" * 20)
NOW = 1_800_000_000


def listed(number: int, terms: OfferTerms, active: bool = True) -> ListedOffer:
    return ListedOffer(number, 1, OWNER, active, terms, "file:x", 1, 5)


def content(kind: OfferKind, price: Price, token: bytes = TOKEN) -> OfferTerms:
    digests = {"manifest_digest": b"\x01" * 32, "content_digest": b"\x02" * 32}
    return content_terms(
        kind, token=token, price=price, payees=sole_payee(OWNER), grant_key=b"\x03" * 20, **digests
    )


COMPUTE = listed(1, compute_terms(token=TOKEN, price=Price(10, 3600, 60), payees=sole_payee(OWNER)))
ENGINE = listed(2, content(OfferKind.ENGINE, Price(5)))
DATA = listed(3, content(OfferKind.DATASET, Price(7, 7200)))
DRAFT = OrderDraft(
    client=CLIENT,
    compute=COMPUTE,
    inputs=(ENGINE, DATA),
    config_digest=b"\x04" * 32,
    result_key_digest=b"\x05" * 32,
    policy=POLICY,
    max_seconds=1800,
    salt=b"\x06" * 32,
)
ORDER = draft_order(DRAFT, PARAMS, now=NOW)


def test_draft_has_safe_windows_and_the_exact_deposit() -> None:
    terms = ORDER.terms
    assert terms.deposit == deposit_required(ORDER) == (10 + 1800) + 5 + (7 + 3600)
    assert terms.windows.grace >= PARAMS.min_grace and terms.windows.keys_within >= PARAMS.min_grace
    assert (terms.payer, terms.max_fee_bps, terms.place_before) == (CLIENT, 250, NOW + 3600)
    assert terms.runtime_policy_digest == runtime_policy_digest(POLICY)


def test_quote_adds_up_and_says_who_gets_what() -> None:
    grace = ORDER.terms.windows.grace
    told = quote(COMPUTE, (ENGINE, DATA), PARAMS, max_seconds=1800, grace=grace)
    assert told.deposit == ORDER.terms.deposit == sum(line.most for line in told.lines)
    assert told.least == (10 + 60) + 5 + 7
    assert told.provider_lock == lock_required(ORDER, PARAMS.start_penalty_bps)
    assert [line.role for line in told.lines] == ["compute", "engine", "input 1"]
    assert all(line.most == line.fixed + line.timed + line.units for line in told.lines)
    assert told.lines[0].shares == ((OWNER, 1810 - 1810 * 250 // 10_000),)
    assert told.fee_most == 45 + 0 + 90


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"inputs": ()}, "inputs"),
        ({"inputs": (DATA,)}, "input 0"),
        ({"inputs": (ENGINE, DATA, DATA)}, "one offer twice"),
        ({"inputs": (ENGINE, dataclasses.replace(ENGINE, offer=9))}, "exactly one engine"),
        (
            {"inputs": (ENGINE, listed(4, content(OfferKind.DATASET, Price(), b"\x71" * 20)))},
            "token of input 1",
        ),
        ({"inputs": (dataclasses.replace(ENGINE, active=False),)}, "closed"),
        ({"compute": ENGINE}, "compute"),
        ({"deposit": 1}, "deposit"),
        ({"max_fee_bps": 249}, "max fee"),
        ({"max_seconds": 0}, "max_seconds"),
        ({"place_within_s": 0}, "placeBefore"),
    ],
)
def test_refuses_a_draft_that_nobody_could_accept(change: dict[str, Any], word: str) -> None:
    with pytest.raises(BadInputError, match=word):
        draft_order(dataclasses.replace(DRAFT, **change), PARAMS, now=NOW)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"payer": b"\0" * 20}, "payer"),
        ({"holdback": Holdback(1, 0)}, "holdback"),
        ({"delivery": 1}, "delivery"),
        ({"delivery_digest": b"\x01" * 32}, "delivery digest"),
        ({"runtime_policy_digest": b"\x01" * 32}, "runtime policy"),
    ],
)
def test_refuses_reserved_terms(change: dict[str, Any], word: str) -> None:
    changed = dataclasses.replace(ORDER, terms=dataclasses.replace(ORDER.terms, **change))
    with pytest.raises(BadInputError, match=word):
        check_order(changed, POLICY, PARAMS, now=NOW)


def test_refuses_windows_below_the_chains_minimum() -> None:
    windows = dataclasses.replace(ORDER.terms.windows, grace=599)
    with pytest.raises(BadInputError, match="grace: got 599 s, expected at least 600 s"):
        draft_order(dataclasses.replace(DRAFT, windows=windows), PARAMS, now=NOW)


def test_empty_runtime_policy_refuses() -> None:
    with pytest.raises(BadInputError, match="measurements"):
        runtime_policy(frozenset({"intel"}), frozenset({TeeKind.TDX}), frozenset())
    with pytest.raises(BadInputError, match="TEE kinds"):
        runtime_policy(frozenset({"intel"}), frozenset(), frozenset({b"\x01" * 32}), TcbStatus.OUT_OF_DATE)


@settings(max_examples=25)
@given(preimages())
def test_walk_from_id_to_every_terms_hash(preimage: OrderPreimage) -> None:
    check_preimage(DOMAIN, order_id(DOMAIN, preimage.terms), preimage)


def test_walk_names_the_hash_that_differs() -> None:
    expected = order_id(DOMAIN, ORDER.terms)
    other = dataclasses.replace(ORDER.inputs[1], price=Price(8))
    cases = [
        (dataclasses.replace(ORDER, terms=dataclasses.replace(ORDER.terms, salt=b"\x09" * 32)), "order.id"),
        (dataclasses.replace(ORDER, inputs=ORDER.inputs[:1]), "order.inputs"),
        (dataclasses.replace(ORDER, inputs=(ORDER.inputs[0], other)), "order.input-terms.1"),
        (dataclasses.replace(ORDER, compute=ORDER.inputs[0]), "order.compute-terms"),
    ]
    for changed, step in cases:
        with pytest.raises(RefusedError) as caught:
            check_preimage(DOMAIN, expected, changed)
        assert caught.value.step == step


@pytest.mark.parametrize("max_seconds", [60, 600, 3600, 86_400])
def test_default_windows_wait_for_keys_no_longer_than_the_order_may_run(max_seconds: int) -> None:
    windows = default_windows(max_seconds, PARAMS)
    assert PARAMS.min_grace <= windows.keys_within <= max(max_seconds, PARAMS.min_grace)
