"""A reader who holds a stream's key describes it as its sealer did (docs/protocol.md section 3.3)."""

import io
import os

import pytest

from enclave_runtime.sealed.commitment import describe_stream, key_commitment
from enclave_runtime.sealed.header import HEADER_BYTES, Header
from enclave_runtime.sealed.stream import Sealer
from enclave_runtime.wire.errors import WireError

KEY, SALT = bytes(range(32)), bytes(reversed(range(32)))


def sealed(plaintext: bytes) -> tuple[bytes, Sealer]:
    sealer = Sealer(io.BytesIO(plaintext), len(plaintext), KEY, digest_salt=SALT, entropy=os.urandom)
    return b"".join(bytes(piece) for piece in sealer), sealer


def test_description_is_the_sealers_own_given_the_same_key() -> None:
    stream, sealer = sealed(b"a model" * 1000)
    info = sealer.info
    described = describe_stream(
        stream[:HEADER_BYTES],
        KEY,
        content_digest=info.content_digest,
        ciphertext_digest=info.ciphertext_digest,
    )
    assert described == info


def test_commitment_differs_given_another_key() -> None:
    stream, sealer = sealed(b"")
    header = Header.from_bytes(stream[:HEADER_BYTES])
    assert key_commitment(SALT, header) != sealer.info.key_commitment


def test_refuses_a_short_key_and_a_short_header() -> None:
    stream, _ = sealed(b"x")
    with pytest.raises(WireError, match="content key"):
        key_commitment(b"short", Header.from_bytes(stream[:HEADER_BYTES]))
    with pytest.raises(WireError, match="stream header"):
        describe_stream(stream[:10], KEY, content_digest=bytes(32), ciphertext_digest=bytes(32))
