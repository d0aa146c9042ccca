"""Tight bytes read back as what was written, and only whole ones are read (protocol section 6.1)."""

import dataclasses
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.offers import OfferTerms
from enclave_runtime.wire.orders import ComputeRef, Holdback, InputRef, OrderPreimage, OrderTerms, Windows
from enclave_runtime.wire.scalars import ZERO32
from marketplace.domain.tight import (
    EXTRA_BYTES,
    HEAD_BYTES,
    INPUT_BYTES,
    ORDER_BYTES,
    PAYEE_BYTES,
    decode_calls,
    decode_head,
    decode_order,
    decode_payees,
    encode_calls,
    encode_claim,
    encode_head,
    encode_heads,
    encode_order,
    encode_payees,
    order_size,
    payees_hash,
    split_heads,
)
from tests.conformance.strategies import offers, order_terms, preimages


@settings(max_examples=50)
@given(order_terms())
def test_orders_read_back(terms: OrderTerms) -> None:
    data = encode_order(terms)
    extras = [item for item in (terms.access_key_digest, *(one.lease for one in terms.inputs)) if any(item)]
    assert len(data) == ORDER_BYTES + INPUT_BYTES * len(terms.inputs) + EXTRA_BYTES * len(extras)
    assert decode_order(data) == terms
    assert order_size(data + b"a location", len(terms.inputs)) == len(data)


@settings(max_examples=50)
@given(order_terms(), st.data())
def test_one_byte_of_difference_is_another_order(terms: OrderTerms, data: st.DataObject) -> None:
    packed = bytearray(encode_order(terms))
    at = data.draw(st.integers(0, len(packed) - 1))
    packed[at] ^= data.draw(st.integers(1, 255))
    try:
        other = decode_order(bytes(packed))
    except WireError:  # extras that are not there, or are zero now
        assert ORDER_BYTES - 3 <= at < ORDER_BYTES or at >= ORDER_BYTES + INPUT_BYTES * len(terms.inputs)
    else:
        assert encode_order(other) == packed != encode_order(terms)


@settings(max_examples=50)
@given(offers())
def test_offers_read_back(terms: OfferTerms) -> None:
    head, payees = encode_head(terms), encode_payees(terms.payees)
    assert (len(head), len(payees)) == (HEAD_BYTES, PAYEE_BYTES * len(terms.payees))
    assert decode_payees(payees) == terms.payees
    assert decode_head(head, terms.token, payees) == terms
    assert payees_hash(terms.payees) in head


@settings(max_examples=20)
@given(preimages())
def test_the_heads_of_an_order_are_its_offers_compute_first(preimage: OrderPreimage) -> None:
    heads = split_heads(encode_heads(preimage))
    assert heads == tuple(encode_head(offer) for offer in (preimage.compute, *preimage.inputs))


@settings(max_examples=30)
@given(order_terms(), st.integers(0, 2000))
def test_refuses_orders_of_a_length_that_no_order_has(terms: OrderTerms, size: int) -> None:
    bare = tuple(replace(item, lease=ZERO32) for item in terms.inputs)
    data = (encode_order(replace(terms, inputs=bare, access_key_digest=ZERO32)) * 8)[:size]
    if (size - ORDER_BYTES) % INPUT_BYTES == 0 and ORDER_BYTES < size <= ORDER_BYTES + 16 * INPUT_BYTES:
        assert len(decode_order(data).inputs) == (size - ORDER_BYTES) // INPUT_BYTES
    else:
        with pytest.raises(WireError, match="order: got"):
            decode_order(data)


@pytest.mark.parametrize("size", [0, 21, 23, 9 * PAYEE_BYTES])
def test_refuses_payees_that_are_none_too_many_or_cut(size: int) -> None:
    with pytest.raises(WireError, match="payees"):
        decode_payees(bytes(size))


@pytest.mark.parametrize("size", [0, HEAD_BYTES, 2 * HEAD_BYTES - 1, 18 * HEAD_BYTES])
def test_refuses_heads_that_are_none_too_many_or_cut(size: int) -> None:
    with pytest.raises(WireError, match="heads"):
        split_heads(bytes(size))


@settings(max_examples=20)
@given(offers(), offers())
def test_refuses_payees_of_another_offer(one: OfferTerms, other: OfferTerms) -> None:
    payees = encode_payees((*other.payees[:-1], dataclasses.replace(other.payees[-1], account=b"\x01" * 20)))
    with pytest.raises(WireError, match="hash"):
        decode_head(encode_head(one), one.token, payees)
    with pytest.raises(WireError, match="head: got"):
        decode_head(encode_head(one)[:-1], one.token, payees)
    with pytest.raises(WireError, match="head: got"):
        decode_head(encode_head(one), one.token[:-1], payees)


@settings(max_examples=20)
@given(order_terms())
def test_refuses_members_outside_their_width(terms: OrderTerms) -> None:
    wrong = [
        dataclasses.replace(terms, deposit=2**128),
        dataclasses.replace(terms, max_units=-1),
        dataclasses.replace(terms, client=b"\x01" * 19),
        dataclasses.replace(terms, inputs=()),
        dataclasses.replace(terms, inputs=terms.inputs[:1] * 17),
    ]
    for item in wrong:
        with pytest.raises(WireError, match="expected"):
            encode_order(item)


@pytest.mark.parametrize("extras", [1 << 3, 1 << 15, 1 << 17, 1 << 23])
def test_refuses_extras_without_a_meaning(extras: int) -> None:
    terms = _bare(3)
    data = bytearray(encode_order(terms) + b"\x01" * 32)
    data[ORDER_BYTES - 3 : ORDER_BYTES] = extras.to_bytes(3, "big")
    with pytest.raises(WireError, match="order: got extras"):
        decode_order(bytes(data))


@pytest.mark.parametrize("extras", [1, 4, 1 << 16])
def test_refuses_an_extra_that_is_zero(extras: int) -> None:
    data = bytearray(encode_order(_bare(3)) + bytes(32))
    data[ORDER_BYTES - 3 : ORDER_BYTES] = extras.to_bytes(3, "big")
    with pytest.raises(WireError, match="order: got extras"):
        decode_order(bytes(data))


def test_refuses_to_write_what_has_no_bytes() -> None:
    with pytest.raises(WireError, match="reserved"):
        encode_order(replace(_bare(1), delivery=1))
    with pytest.raises(WireError, match="reserved"):
        encode_order(replace(_bare(1), delivery_digest=b"\x01" * 32))


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_calls_of_a_batch_read_back(calls: list[bytes]) -> None:
    data = encode_calls(calls)
    assert decode_calls(data) == tuple(calls)
    for cut in {1, 2, len(data) - 1} & set(range(1, len(data))):
        try:
            left = decode_calls(data[:cut])
        except WireError:
            continue
        assert encode_calls(left) == data[:cut]


def test_a_call_too_long_for_a_batch_is_refused() -> None:
    with pytest.raises(WireError, match="expected 16 bits"):
        encode_calls([bytes(1 << 16)])


@settings(max_examples=20)
@given(offers(), st.integers(0, 16), st.binary(max_size=80))
def test_a_claim_is_number_count_head_payees_and_lineage(
    terms: OfferTerms, number: int, lineage: bytes
) -> None:
    parts = bytes([number, len(terms.payees)]), encode_head(terms), encode_payees(terms.payees), lineage
    assert encode_claim(number, terms, lineage) == b"".join(parts)


def _bare(inputs: int) -> OrderTerms:
    ref = InputRef(7, 1, b"\x02" * 32, ZERO32)
    return OrderTerms(
        client=b"\x01" * 20,
        payer=b"\x01" * 20,
        token=b"\x02" * 20,
        compute=ComputeRef(1, 1, b"\x03" * 32),
        inputs=tuple(replace(ref, offer=7 + place) for place in range(inputs)),
        config_digest=b"\x04" * 32,
        result_key_digest=b"\x05" * 32,
        access_key_digest=ZERO32,
        runtime_policy_digest=b"\x06" * 32,
        place_before=1,
        windows=Windows(1, 1, 1, 1, 1, 1, 1),
        max_units=0,
        holdback=Holdback(),
        delivery=0,
        delivery_digest=ZERO32,
        max_fee_bps=0,
        deposit=1,
        salt=b"\x07" * 32,
    )
