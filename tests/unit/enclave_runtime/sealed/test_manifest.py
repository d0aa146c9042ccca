"""Manifests: one encoding, valid or refused (docs/protocol.md section 3.4)."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from enclave_runtime.sealed.header import SealedInfo
from enclave_runtime.sealed.manifest import (
    MAX_MANIFEST_BYTES,
    MEDIA_TYPE_TAR,
    Manifest,
    Release,
    manifest_digest,
)
from enclave_runtime.sealed.tree import SEGMENT_BYTES, Algorithm
from enclave_runtime.wire.canonical import dump
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.offers import OfferKind

SEALED = SealedInfo(Algorithm.BLAKE3, SEGMENT_BYTES, 5_000_000, b"\x01" * 32, b"\x02" * 32, b"\x03" * 32)
ENGINE = Manifest(
    kind=OfferKind.ENGINE,
    media_type=MEDIA_TYPE_TAR,
    sealed=SEALED,
    entry_point=("python", "train.py", "--epochs=3"),
    locations=("file:sha256/" + "ab" * 32,),
    release=Release("https://broker.example:8443", b"\x04" * 20),
)
DATASET = dataclasses.replace(ENGINE, kind=OfferKind.DATASET, entry_point=())


def changed(**members: Any) -> bytes:
    return dump({**json.loads(ENGINE.to_bytes()), **members})


@pytest.mark.parametrize(
    "manifest",
    [ENGINE, DATASET, dataclasses.replace(DATASET, release=Release(None, b"\x05" * 20), locations=())],
)
def test_reads_what_it_wrote(manifest: Manifest) -> None:
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest
    assert manifest.digest() == manifest_digest(manifest.to_bytes())


def test_golden_manifest() -> None:
    """Fixed for ever: offers on chain carry this digest. The members are those of section 3.4."""
    assert ENGINE.digest().hex() == GOLDEN
    value = json.loads(ENGINE.to_bytes())
    assert set(value) == {
        *(
            "version",
            "kind",
            "media_type",
            "sealed",
            "ciphertext_bytes",
            "entry_point",
            "locations",
            "release",
        )
    }
    assert value["sealed"]["content_digest"] == "0x" + "01" * 32
    assert value["ciphertext_bytes"] == 52 + 5_000_000 + 5 * (16 + 32)


GOLDEN = "34314ce47171bc8abb8a9fc7220e58db5459b128c2c180fe4ee35ed87f34f5e9"


def test_every_member_is_bound_by_the_digest() -> None:
    changes: list[dict[str, Any]] = [
        {"media_type": "application/octet-stream"},
        {"sealed": dataclasses.replace(SEALED, plaintext_bytes=5_000_001)},
        {"sealed": dataclasses.replace(SEALED, algorithm=Algorithm.SHA256)},
        {"sealed": dataclasses.replace(SEALED, key_commitment=bytes(32))},
        {"entry_point": ("python", "train.py")},
        {"locations": ()},
        {"release": Release(None, b"\x04" * 20)},
    ]
    others = [dataclasses.replace(ENGINE, **change) for change in changes]
    assert len({manifest.digest() for manifest in (ENGINE, DATASET, *others)}) == 9


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        ENGINE.to_bytes() + b"\n",
        b" " + ENGINE.to_bytes(),
        ENGINE.to_bytes()[:-1],
        ENGINE.to_bytes().replace(b'"kind":', b'"kind":"MODEL","kind":'),
        b'{"a":' * 50 + b"1" + b"}" * 50,
        b" " * (MAX_MANIFEST_BYTES + 1),
        changed(version=2),
        changed(version=True),
        changed(version="1"),
        changed(more=1),
        changed(kind="COMPUTE"),
        changed(kind="NONE"),
        changed(kind="engine"),
        changed(kind="DATASET"),
        changed(kind=1),
        changed(media_type=""),
        changed(media_type="text plain"),
        changed(entry_point=[]),
        changed(entry_point=["../evil"]),
        changed(entry_point=["/bin/sh", "-c", "x"]),
        changed(entry_point=["python", ""]),
        changed(entry_point=["python", "a\x00b"]),
        changed(entry_point=["python"] * 65),
        changed(entry_point="python"),
        changed(locations=["file:x y"]),
        changed(locations=["file:x"] * 17),
        changed(locations=["a" * 2049]),
        changed(release={"url": "ftp://x", "grant_key": "0x" + "04" * 20}),
        changed(release={"url": "http://x\n", "grant_key": "0x" + "04" * 20}),
        changed(release={"url": "http://10.0.0.1/secrets?", "grant_key": "0x" + "04" * 20}),
        changed(release={"url": "http://10.0.0.1/secrets#", "grant_key": "0x" + "04" * 20}),
        changed(release={"url": None, "grant_key": "0x" + "04" * 19}),
        changed(release={"url": None, "grant_key": "0x" + "AB" * 20}),
        changed(release=None),
        changed(ciphertext_bytes=1),
        changed(ciphertext_bytes=None),
        changed(ciphertext_bytes=True),
        changed(sealed={}),
    ],
    ids=str,
)
def test_refuses_anything_else(data: bytes) -> None:
    with pytest.raises(WireError):
        Manifest.from_bytes(data)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("segment_bytes", 0),
        ("segment_bytes", 1000),
        ("segment_bytes", 1 << 52),
        ("plaintext_bytes", -1),
        ("plaintext_bytes", 1 << 45),
        ("plaintext_bytes", "5000000"),
        ("content_digest", "0x"),
        ("key_commitment", None),
        ("algorithm", "MD5"),
    ],
)
def test_refuses_hostile_sizes_and_digests(member: str, value: object) -> None:
    sealed = {**json.loads(ENGINE.to_bytes())["sealed"], member: value}
    with pytest.raises(WireError):
        Manifest.from_bytes(changed(sealed=sealed))


def test_refuses_to_write_what_it_would_not_read() -> None:
    long = dataclasses.replace(ENGINE, entry_point=("python", *["x" * 4000] * 20))
    with pytest.raises(WireError, match="expected at most 65536"):
        long.to_bytes()
    with pytest.raises(WireError):
        dataclasses.replace(ENGINE, locations=("file:x",) * 17).to_bytes()
