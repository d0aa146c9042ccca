"""CBOR is read in one spelling, held against an independent library (RFC 8949)."""

from __future__ import annotations

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_runtime.attestation.cose.cbor import (
    MAX_BYTES,
    MAX_DEPTH,
    Tagged,
    decode,
    encode_bytes,
    encode_text,
)
from enclave_runtime.wire.errors import WireError

_KEYS = st.one_of(st.integers(-(2**64), 2**64 - 1), st.text(max_size=8))
_VALUES = st.recursive(
    st.one_of(
        st.integers(-(2**64), 2**64 - 1),
        st.binary(max_size=40),
        st.text(max_size=20),
        st.booleans(),
        st.none(),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_KEYS, inner, max_size=4)),
    max_leaves=12,
)


@settings(max_examples=60)
@given(_VALUES)
def test_reads_what_another_library_writes(value: object) -> None:
    assert decode(cbor2.dumps(value)) == value


@settings(max_examples=60)
@given(_VALUES, st.binary(min_size=1, max_size=4))
def test_nothing_may_stand_behind_the_item(value: object, more: bytes) -> None:
    with pytest.raises(WireError):
        decode(cbor2.dumps(value) + more)


@settings(max_examples=60)
@given(_VALUES, st.data())
def test_every_truncation_is_refused(value: object, data: st.DataObject) -> None:
    written = cbor2.dumps(value)
    with pytest.raises(WireError):
        decode(written[: data.draw(st.integers(0, len(written) - 1))])


@settings(max_examples=200)
@given(st.binary(max_size=60))
def test_any_bytes_are_one_spelling_or_refused(data: bytes) -> None:
    try:
        value = decode(data)
    except WireError:
        return
    assert cbor2.dumps(_plain(value)) == data, "one value, one spelling"


def _plain(value: object) -> object:
    if isinstance(value, Tagged):
        return cbor2.CBORTag(value.tag, _plain(value.value))
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return value


@pytest.mark.parametrize(
    "data",
    [
        "1817",  # 23 in two bytes
        "190017",
        "5801aa",  # a byte string of one byte with a longer length
        "a2010a010b",  # two equal keys
        "a20102f503",  # and true beside 1, which Python takes for equal
        "a1410001",  # a key that is bytes
        "9f01ff",  # without a count
        "bf0102ff",
        "5f4101ff",
        "ff",
        "f7",  # undefined
        "f97e00",  # a float
        "f818",
        "1c",
        "62c328",  # no UTF-8
        "9b7fffffffffffffff",  # more items than bytes
        "bb00000000ffffffff",
        "5b7fffffffffffffff",
        "",
    ],
)
def test_other_spellings_are_refused(data: str) -> None:
    with pytest.raises(WireError):
        decode(bytes.fromhex(data))


@pytest.mark.parametrize(
    "data, value", [("9f0102ff", [1, 2]), ("bf0102ff", {1: 2}), ("bf019fff02f6ff", {1: [], 2: None})]
)
def test_what_is_signed_whole_may_end_by_a_mark(data: str, value: object) -> None:
    assert decode(bytes.fromhex(data), is_signed=True) == value
    with pytest.raises(WireError):
        decode(bytes.fromhex(data))


@pytest.mark.parametrize("data", ["9f01", "bf01ff", "bf", "5f4101ff", "bf01020103ff", "9fff00"])
def test_a_mark_is_one_and_in_its_place(data: str) -> None:
    with pytest.raises(WireError):
        decode(bytes.fromhex(data), is_signed=True)


def test_depth_and_size_have_limits() -> None:
    assert decode(b"\x81" * MAX_DEPTH + b"\x00")
    with pytest.raises(WireError, match="levels"):
        decode(b"\x81" * (MAX_DEPTH + 1) + b"\x00")
    with pytest.raises(WireError, match="at most"):
        decode(b"\x00" * (MAX_BYTES + 1))
    with pytest.raises(WireError, match="items"):
        decode(b"\x99\x20\x00" + b"\x00" * 8192)


@given(st.binary(max_size=300), st.text(max_size=300))
def test_strings_are_written_as_another_library_does(data: bytes, text: str) -> None:
    assert (encode_bytes(data), encode_text(text)) == (cbor2.dumps(data), cbor2.dumps(text))
