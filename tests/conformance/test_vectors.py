"""The committed cases are what the Python twins make, and other implementations read them the same way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import eth_abi
import pytest
from eth_utils import keccak

from enclave_runtime.wire.cvm import CvmKeys, cvm_id
from enclave_runtime.wire.hashes import keccak256
from enclave_runtime.wire.offers import OfferTerms, terms_hash
from enclave_runtime.wire.orders import InputRef, OrderTerms, inputs_root, order_book_domain, order_id
from marketplace.chain.abicodec import decode, encode, list_of, struct_type, tuple_type
from marketplace.chain.artifacts import from_abi

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "conformance" / "vectors"
LONE = ("names", "certifiers")
"""Lists that are no column of their table."""
OFFER = (
    "(uint8,address,(uint128,uint128,uint32,uint32,uint128,uint16),(address,uint16)[],"
    "bytes32,bytes32,address,uint16,bytes32,bytes32)"
)


def table(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text())
    return data


def raw(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def structs(name: str, cls: type[Any]) -> list[Any]:
    kind = tuple_type((struct_type(cls),))
    return [from_abi(cls, decode(kind, raw(text))[0]) for text in table(name)["abi"]]


def test_committed_vectors_are_what_the_generator_writes() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "generate_conformance_vectors.py", "--check"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_terms_hashes_and_ids_from_the_encoded_inputs() -> None:
    assert [terms_hash(item) for item in structs("offers", OfferTerms)] == [
        *map(raw, table("offers")["hash"])
    ]
    assert [cvm_id(item) for item in structs("cvms", CvmKeys)] == [*map(raw, table("cvms")["hash"])]
    orders = table("orders")
    for terms, chain, book, digest in zip(
        structs("orders", OrderTerms), orders["chain_id"], orders["contract"], orders["digest"], strict=True
    ):
        assert order_id(order_book_domain(int(chain), raw(book)), terms) == raw(digest)


def test_eth_abi_reads_the_same_bytes_the_same_way() -> None:
    for text in table("offers")["abi"]:
        ours = decode(tuple_type((struct_type(OfferTerms),)), raw(text))
        (theirs,) = eth_abi.decode([OFFER], raw(text))
        assert eth_abi.encode([OFFER], [theirs]) == raw(text)
        assert encode(tuple_type((struct_type(OfferTerms),)), ours) == raw(text)


def test_inputs_root_is_keccak_of_the_plain_encoding() -> None:
    inputs = table("inputs")
    for text, root in zip(inputs["abi"], inputs["hash"], strict=True):
        (values,) = decode(tuple_type((list_of(struct_type(InputRef)),)), raw(text))
        assert keccak(raw(text)) == keccak256(raw(text)) == raw(root)
        assert inputs_root(tuple(from_abi(InputRef, item) for item in values)) == raw(root)


@pytest.mark.parametrize("name", sorted(path.stem for path in VECTORS.glob("*.json")))
def test_tables_are_whole_and_small(name: str) -> None:
    data = table(name)
    columns = {key: len(value) for key, value in data.items() if isinstance(value, list) and key not in LONE}
    assert len(set(columns.values())) == 1 and min(columns.values()) > 0, columns
    assert (VECTORS / f"{name}.json").stat().st_size < 256 << 10
