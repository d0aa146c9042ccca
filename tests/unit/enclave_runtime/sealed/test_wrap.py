"""Secrets sealed to a key, for one purpose (docs/protocol.md section 5.1)."""

from __future__ import annotations

import random
import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_runtime.sealed.wrap import (
    MAX_INFO_BYTES,
    MAX_SECRET_BYTES,
    OVERHEAD_BYTES,
    PRIVATE_BYTES,
    PUBLIC_BYTES,
    PrivateKey,
    generate_keypair,
    open_with,
    public_digest,
    seal_to,
)
from enclave_runtime.wire.errors import RefusedError, WireError
from enclave_runtime.wire.hashes import sha256
from enclave_runtime.wire.identity import HPKE_PUBLIC_BYTES

KEY = generate_keypair(secrets.token_bytes)
SEALED = seal_to(KEY.public_bytes, b"content key and salt", b"conditions")


def test_opens_what_was_sealed() -> None:
    assert open_with(KEY, SEALED, b"conditions") == b"content key and salt"
    assert len(SEALED) == OVERHEAD_BYTES + len(b"content key and salt")
    assert seal_to(KEY.public_bytes, b"", b"") != seal_to(KEY.public_bytes, b"", b"")


def test_sizes_and_digest_are_those_of_the_wire() -> None:
    assert len(KEY.public_bytes) == PUBLIC_BYTES == HPKE_PUBLIC_BYTES
    assert KEY.public_digest == public_digest(KEY.public_bytes) == sha256(KEY.public_bytes)


def test_key_comes_from_entropy_alone_and_survives_storage() -> None:
    seed = random.Random(1).randbytes(PRIVATE_BYTES)
    key = generate_keypair(lambda count: seed[:count])
    assert key.to_bytes() == seed
    assert sha256(key.public_bytes).hex() == GOLDEN
    assert open_with(PrivateKey(seed), seal_to(key.public_bytes, b"s", b"i"), b"i") == b"s"


GOLDEN = "0c0d47889e28db84f16db432775dc7772f64acf004322215a45c82910a05e277"


@settings(max_examples=50, deadline=None)
@given(position=st.integers(0, len(SEALED) - 1), bit=st.integers(0, 7))
def test_refuses_any_flipped_bit(position: int, bit: int) -> None:
    bad = bytearray(SEALED)
    bad[position] ^= 1 << bit
    with pytest.raises(RefusedError) as caught:
        open_with(KEY, bytes(bad), b"conditions")
    assert caught.value.step == "sealed.hpke"


@pytest.mark.parametrize("length", [0, 1, 1120, OVERHEAD_BYTES - 1, OVERHEAD_BYTES, len(SEALED) - 1])
def test_refuses_truncated(length: int) -> None:
    with pytest.raises(RefusedError):
        open_with(KEY, SEALED[:length], b"conditions")


def test_refuses_other_key_other_info_and_oversize() -> None:
    other = generate_keypair(secrets.token_bytes)
    for key, sealed, info in (
        (other, SEALED, b"conditions"),
        (KEY, SEALED, b"condition"),
        (KEY, SEALED + bytes(MAX_SECRET_BYTES), b"conditions"),
        (KEY, bytes(len(SEALED)), b"conditions"),
    ):
        with pytest.raises(RefusedError):
            open_with(key, sealed, info)


def test_refuses_what_is_no_key_and_what_is_too_long() -> None:
    low_order = KEY.public_bytes[:-32] + bytes(32)
    for public in (b"", KEY.public_bytes[:-1], KEY.public_bytes + b"x", b"\xff" * PUBLIC_BYTES, low_order):
        with pytest.raises(WireError, match="HPKE public key"):
            seal_to(public, b"s", b"i")
    with pytest.raises(WireError, match="secret"):
        seal_to(KEY.public_bytes, bytes(MAX_SECRET_BYTES + 1), b"")
    with pytest.raises(WireError, match="info"):
        seal_to(KEY.public_bytes, b"", bytes(MAX_INFO_BYTES + 1))
    with pytest.raises(WireError, match="private key"):
        PrivateKey(bytes(PRIVATE_BYTES - 1))


def test_private_key_never_prints() -> None:
    raw = KEY.to_bytes()
    assert raw.hex()[:16] not in repr(KEY)
    assert str(raw[:8]) not in repr(KEY)
