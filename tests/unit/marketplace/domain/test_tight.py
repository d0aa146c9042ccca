"""Tight bytes read back as what was written, and only whole ones are read (protocol section 6.1)."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.offers import OfferTerms
from enclave_runtime.wire.orders import OrderPreimage, OrderTerms
from marketplace.domain.tight import (
    HEAD_BYTES,
    INPUT_BYTES,
    ORDER_BYTES,
    PAYEE_BYTES,
    decode_head,
    decode_order,
    decode_payees,
    encode_head,
    encode_heads,
    encode_order,
    encode_payees,
    payees_hash,
    split_heads,
)
from tests.conformance.strategies import offers, order_terms, preimages


@settings(max_examples=50)
@given(order_terms())
def test_orders_read_back(terms: OrderTerms) -> None:
    data = encode_order(terms)
    assert len(data) == ORDER_BYTES + INPUT_BYTES * len(terms.inputs)
    assert decode_order(data) == terms


@settings(max_examples=50)
@given(order_terms(), st.data())
def test_one_byte_of_difference_is_another_order(terms: OrderTerms, data: st.DataObject) -> None:
    packed = bytearray(encode_order(terms))
    at = data.draw(st.integers(0, len(packed) - 1))
    packed[at] ^= data.draw(st.integers(1, 255))
    assert encode_order(decode_order(bytes(packed))) == packed != encode_order(terms)


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
    data = (encode_order(terms) * 8)[:size]
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
