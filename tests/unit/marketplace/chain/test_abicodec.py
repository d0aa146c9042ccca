"""Our ABI codec against eth_abi, and what it refuses."""

from __future__ import annotations

from typing import Any

import eth_abi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enclave_runtime.wire.codec import to_abi
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.offers import OfferTerms
from enclave_runtime.wire.orders import OrderPreimage, OrderTerms
from marketplace.chain.abicodec import MAX_ELEMENTS, decode, encode, parse_type, struct_type, tuple_of
from marketplace.chain.artifacts import contract, from_abi
from tests.conformance.strategies import preimages

LEAVES: dict[str, st.SearchStrategy[Any]] = {
    "uint8": st.integers(0, 255),
    "uint40": st.integers(0, 2**40 - 1),
    "uint256": st.integers(0, 2**256 - 1),
    "int24": st.integers(-(2**23), 2**23 - 1),
    "int256": st.integers(-(2**255), 2**255 - 1),
    "bool": st.booleans(),
    "address": st.binary(min_size=20, max_size=20),
    "bytes4": st.binary(min_size=4, max_size=4),
    "bytes32": st.binary(min_size=32, max_size=32),
    "bytes": st.binary(max_size=70),
    "string": st.text(max_size=40),
}


@st.composite
def typed_values(draw: st.DrawFn, depth: int = 2) -> tuple[dict[str, Any], str, Any]:
    """Return an ABI entry, its name for eth_abi, and a value of it."""
    kind = draw(st.sampled_from([*LEAVES, *(["tuple", "array", "fixed"] if depth else [])]))
    if kind == "tuple":
        parts = draw(st.lists(typed_values(depth - 1), min_size=1, max_size=4))
        entry = {"type": "tuple", "components": [part[0] for part in parts]}
        return entry, f"({','.join(part[1] for part in parts)})", tuple(part[2] for part in parts)
    if kind in ("array", "fixed"):
        entry, name, _ = draw(typed_values(depth - 1))
        count = draw(st.integers(0 if kind == "array" else 1, 3))
        suffix = "[]" if kind == "array" else f"[{count}]"
        again = st.just(entry).flatmap(lambda one: _values(one))
        values = [draw(again) for _ in range(count)]
        return entry | {"type": entry["type"] + suffix}, name + suffix, values
    return {"type": kind}, kind, draw(LEAVES[kind])


def _values(entry: dict[str, Any]) -> st.SearchStrategy[Any]:
    kind = entry["type"]
    if kind.endswith("]"):
        inner, _, size = kind.rpartition("[")
        least, most = (int(size[:-1]),) * 2 if size != "]" else (0, 2)
        return st.lists(_values(entry | {"type": inner}), min_size=least, max_size=most)
    if kind == "tuple":
        return st.tuples(*[_values(item) for item in entry["components"]])
    return LEAVES[kind]


def _plain(value: Any) -> Any:
    """Addresses are text in eth_abi; lists and tuples are both tuples there."""
    if isinstance(value, (list, tuple)):
        return tuple(_plain(item) for item in value)
    if isinstance(value, str) and len(value) == 42 and value.startswith("0x"):
        return bytes.fromhex(value[2:])
    return value


@given(st.lists(typed_values(), min_size=1, max_size=4))
def test_encodes_and_decodes_as_eth_abi_does(parts: list[tuple[dict[str, Any], str, Any]]) -> None:
    kind = tuple_of([part[0] for part in parts])
    values = tuple(part[2] for part in parts)
    encoded = encode(kind, values)
    assert encoded == eth_abi.encode([part[1] for part in parts], values)
    assert _plain(decode(kind, encoded)) == _plain(values)


@given(preimages())
def test_structs_round_trip_and_agree_with_the_contracts_abi(preimage: OrderPreimage) -> None:
    decoded = contract("OrderBook").functions["decodeOrder"].outputs.members[0]
    hashed = contract("OfferRegistry").functions["hashTerms"].inputs.members[0]
    assert (decoded, hashed) == (struct_type(OrderTerms), struct_type(OfferTerms))
    for kind, cls, value in (
        (decoded, OrderTerms, preimage.terms),
        (hashed, OfferTerms, preimage.compute),
        (struct_type(OrderPreimage), OrderPreimage, preimage),
    ):
        assert from_abi(cls, decode(kind, encode(kind, to_abi(value)))) == value


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint8", 256), ("uint8", -1), ("uint8", True), ("uint8", "1"), ("int8", 128), ("bool", 1),
        ("address", b"\x01" * 19), ("address", "0x" + "00" * 20), ("bytes4", b"\x01" * 5), ("string", b""),
        ("bytes", "x"), ("uint8[2]", [1]), ("uint8[]", 1),
    ],
)  # fmt: skip
def test_refuses_values_outside_their_type(kind: str, value: Any) -> None:
    with pytest.raises(WireError):
        encode(parse_type({"type": kind}), value)


WORD = 32


def word(number: int) -> bytes:
    return number.to_bytes(WORD, "big")


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("uint8", word(256)),
        ("uint8", b"\x01" * 31),
        ("bool", word(2)),
        ("address", b"\x01" * 32),
        ("bytes4", b"\x01" * 32),
        ("int8", word(128)),
    ],
)
def test_refuses_dirty_or_short_words(kind: str, data: bytes) -> None:
    with pytest.raises(WireError):
        decode(parse_type({"type": kind}), data)


def test_refuses_bombs_and_offsets_outside() -> None:
    many = tuple_of([{"type": "uint8[]"}])
    with pytest.raises(WireError, match="at most"):
        decode(many, word(32) + word(MAX_ELEMENTS + 1))
    with pytest.raises(WireError, match="at least"):
        decode(many, word(2**255) + word(0))
    with pytest.raises(WireError, match="at least"):
        decode(tuple_of([{"type": "bytes"}]), word(32) + word(2**40))
    with pytest.raises(WireError, match="no contract of ours"):
        parse_type({"type": "function"})
