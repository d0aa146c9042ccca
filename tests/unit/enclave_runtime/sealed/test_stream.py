"""Sealing, and opening of single segments: format, keys, refusals (docs/protocol.md section 3.3)."""

from __future__ import annotations

import hashlib
import hmac
import io
import random
import struct
import tracemalloc

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_runtime.sealed.buffers import ShortReadError
from enclave_runtime.sealed.header import (
    HEADER_BYTES,
    TAG_BYTES,
    CiphertextIndex,
    CiphertextMismatchError,
    Header,
    Layout,
    SealedInfo,
)
from enclave_runtime.sealed.stream import Opener, Sealer, seal
from enclave_runtime.sealed.tree import NO_SALT, Algorithm, LeafList, TreeHasher, leaf
from enclave_runtime.wire.errors import RefusedError, WireError

KEY = bytes(range(32))
SALT = b"\x5a" * 32
SMALL = 1 << 10


def fixed(count: int) -> bytes:
    return b"\xa5" * count


def sealed(
    data: bytes, *, key: bytes = KEY, salt: bytes = SALT, segment: int = SMALL
) -> tuple[bytes, SealedInfo]:
    out = io.BytesIO()
    info = seal(io.BytesIO(data), out, len(data), key, digest_salt=salt, entropy=fixed, segment_bytes=segment)
    return out.getvalue(), info


def opener_of(stream: bytes, info: SealedInfo, key: bytes = KEY) -> Opener:
    return Opener(Header.from_bytes(stream[:HEADER_BYTES]), key, info.key_commitment)


def segment_of(stream: bytes, info: SealedInfo, segment: int) -> bytes:
    offset, length = info.layout.segment_range(segment)
    return stream[offset : offset + length]


@settings(max_examples=30, deadline=None)
@given(
    length=st.integers(0, 5 * SMALL),
    algorithm=st.sampled_from(Algorithm),
    order=st.randoms(use_true_random=False),
)
def test_opens_what_it_sealed_in_any_order(length: int, algorithm: Algorithm, order: random.Random) -> None:
    data = random.Random(length).randbytes(length)
    out = io.BytesIO()
    info = seal(
        io.BytesIO(data),
        out,
        length,
        KEY,
        digest_salt=SALT,
        entropy=fixed,
        algorithm=algorithm,
        segment_bytes=SMALL,
    )
    stream = out.getvalue()
    assert len(stream) == info.ciphertext_bytes == info.layout.total_bytes
    opener = opener_of(stream, info)
    plain = bytearray(length)
    leaves = LeafList(algorithm, SMALL, length)
    for segment in order.sample(range(info.layout.segments), info.layout.segments):
        start, size = info.layout.plaintext_range(segment)
        view = memoryview(plain)[start : start + size]
        leaves[segment] = opener.open_segment(segment, segment_of(stream, info, segment), view)
    assert bytes(plain) == data
    assert leaves.digest().content_digest(SALT) == info.content_digest


def test_content_digest_does_not_change_with_the_key() -> None:
    data = random.Random(3).randbytes(3000)
    first_stream, first = sealed(data)
    second_stream, second = sealed(data, key=b"\x01" * 32)
    assert first.content_digest == second.content_digest
    assert first_stream != second_stream
    assert first.ciphertext_digest != second.ciphertext_digest
    assert first.key_commitment != second.key_commitment


def test_format_spelled_out() -> None:
    """One stream rebuilt by hand, so that another implementation can start from this test."""
    data = random.Random(4).randbytes(SMALL + 10)
    stream, info = sealed(data)
    header = b"CLOISTER" + bytes([1, 1, 1, 10]) + struct.pack(">Q", len(data)) + fixed(32)

    def hkdf(label: bytes, length: int) -> bytes:
        extracted = hmac.digest(fixed(32), KEY, "sha256")
        return hmac.digest(extracted, label + b"\x00" + header + b"\x01", "sha256")[:length]

    cipher = AESGCM(hkdf(b"cloister:stream-key/v1", 32))
    prefix = hkdf(b"cloister:stream-nonce-prefix/v1", 7)
    first = cipher.encrypt(prefix + b"\x00\x00\x00\x00" + b"\x00", data[:SMALL], None)
    last = cipher.encrypt(prefix + b"\x00\x00\x00\x01" + b"\x01", data[SMALL:], None)
    index = leaf(Algorithm.BLAKE3, first) + leaf(Algorithm.BLAKE3, last)
    assert stream == header + first + last + index
    assert info.key_commitment == hkdf(b"cloister:stream-key-commitment/v1", 32)
    top = hashlib.sha256(b"\x01" + index).digest()
    parts = b"".join(len(part).to_bytes(8, "big") + part for part in (header, top))
    assert info.ciphertext_digest == hashlib.sha256(b"cloister:sealed-ciphertext/v1\x00" + parts).digest()


def test_golden_stream() -> None:
    """Fixed for ever: manifests carry it."""
    _, info = sealed(bytes(range(256)) * 20, salt=NO_SALT)
    assert info.content_digest.hex() == GOLDEN_CONTENT
    assert info.ciphertext_digest.hex() == GOLDEN_CIPHERTEXT


GOLDEN_CONTENT = "53f5a2844056e50d3ff808fc714ab360f3eaa1752892806c0435b39b5272099a"
GOLDEN_CIPHERTEXT = "dbd074431d0a3c27c1a162f96ca7cfc685eff0763d3c51aacea66c1317dd063c"


@pytest.mark.parametrize(
    ("change", "step"),
    [
        (lambda s: s[0][:5] + bytes([s[0][5] ^ 1]) + s[0][6:], "sealed.segment"),
        (lambda s: s[0][:-1] + bytes([s[0][-1] ^ 0x80]), "sealed.segment"),
        (lambda s: s[0][:-1], "sealed.segment"),
        (lambda s: s[0] + b"\x00", "sealed.truncated"),
        (lambda s: b"", "sealed.truncated"),
        (lambda s: s[1], "sealed.reordered"),
        (lambda s: s[2], "sealed.reordered"),
    ],
    ids=["flipped", "tag", "short", "long", "empty", "next", "last"],
)
def test_refuses_segment_and_says_why(change: object, step: str) -> None:
    stream, info = sealed(random.Random(5).randbytes(3 * SMALL))
    segments = [segment_of(stream, info, segment) for segment in range(3)]
    assert callable(change)
    with pytest.raises(RefusedError) as caught:
        opener_of(stream, info).open_segment(0, change(segments), memoryview(bytearray(SMALL)))
    assert caught.value.step == step


def test_refuses_stream_cut_at_a_segment_when_header_agrees_with_the_cut() -> None:
    """A header that is cut to match derives another key, so the commitment fails first."""
    _, info = sealed(random.Random(6).randbytes(3 * SMALL))
    shorter = Header(Algorithm.BLAKE3, SMALL, 2 * SMALL, fixed(32))
    with pytest.raises(RefusedError) as caught:
        Opener(shorter, KEY, info.key_commitment)
    assert caught.value.step == "sealed.key"


def test_says_truncated_given_a_middle_segment_sealed_as_the_last() -> None:
    data = random.Random(7).randbytes(2 * SMALL)
    stream, info = sealed(data)
    opener = opener_of(stream, info)
    keys = opener._keys
    middle_as_last = keys.cipher.encrypt(keys.nonce_as(0, last=True), data[:SMALL], None)
    with pytest.raises(RefusedError) as caught:
        opener.open_segment(0, middle_as_last, memoryview(bytearray(SMALL)))
    assert caught.value.step == "sealed.truncated"


def test_refuses_segment_spliced_from_another_archive_of_the_same_key() -> None:
    data = random.Random(8).randbytes(2 * SMALL)
    stream, info = sealed(data)
    out = io.BytesIO()
    seal(
        io.BytesIO(data),
        out,
        len(data),
        KEY,
        digest_salt=SALT,
        entropy=lambda n: b"\x77" * n,
        segment_bytes=SMALL,
    )
    spliced = segment_of(out.getvalue(), info, 0)
    with pytest.raises(RefusedError) as caught:
        opener_of(stream, info).open_segment(0, spliced, memoryview(bytearray(SMALL)))
    assert caught.value.step == "sealed.segment"


def test_refuses_wrong_key_before_anything_is_decrypted() -> None:
    stream, info = sealed(b"secret")
    with pytest.raises(RefusedError) as caught:
        opener_of(stream, info, b"\xff" * 32)
    assert caught.value.step == "sealed.key"
    assert (b"\xff" * 32).hex() not in str(caught.value)
    with pytest.raises(WireError, match="content key"):
        opener_of(stream, info, KEY[:31])


def test_key_given_as_bytearray_may_be_wiped_after_use() -> None:
    stream, info = sealed(b"secret")
    key = bytearray(KEY)
    opener = Opener(Header.from_bytes(stream[:HEADER_BYTES]), key, info.key_commitment)
    key[:] = bytes(32)
    out = memoryview(bytearray(6))
    opener.open_segment(0, segment_of(stream, info, 0), out)
    assert bytes(out) == b"secret"


@pytest.mark.parametrize("delta", [-1, 1])
def test_refuses_source_that_is_not_as_long_as_promised(delta: int) -> None:
    data = bytes(2 * SMALL)
    with pytest.raises(ShortReadError):
        seal(
            io.BytesIO(data),
            io.BytesIO(),
            len(data) + delta,
            KEY,
            digest_salt=SALT,
            entropy=fixed,
            segment_bytes=SMALL,
        )


def test_sealer_runs_once_and_knows_its_facts_at_the_end() -> None:
    sealer = Sealer(io.BytesIO(b"x"), 1, KEY, digest_salt=SALT, entropy=fixed)
    with pytest.raises(RuntimeError):
        _ = sealer.info
    assert sum(len(piece) for piece in sealer) == sealer.total_bytes
    hasher = TreeHasher()
    hasher.update(b"x")
    assert sealer.tree == hasher.finish()
    with pytest.raises(RuntimeError):
        next(iter(sealer))


@pytest.mark.parametrize(
    "at_and_value",
    [
        (0, b"X"),
        (8, b"\x02"),
        (9, b"\x02"),
        (10, b"\x00"),
        (11, b"\x09"),
        (11, b"\x17"),
        (11, b"\xff"),
        (12, b"\xff"),
    ],
)
def test_refuses_hostile_header(at_and_value: tuple[int, bytes]) -> None:
    at, value = at_and_value
    header = Header(Algorithm.BLAKE3, SMALL, 5, fixed(32)).to_bytes()
    with pytest.raises(WireError):
        Header.from_bytes(header[:at] + value + header[at + 1 :])
    with pytest.raises(WireError):
        Header.from_bytes(header + b"\x00")


@given(length=st.integers(0, 1 << 44), log2=st.integers(10, 22))
@settings(max_examples=40)
def test_layout_tiles_the_stream(length: int, log2: int) -> None:
    layout = Layout(1 << log2, length)
    for segment in {0, layout.segments // 2, layout.segments - 1}:
        offset, size = layout.segment_range(segment)
        end = layout.segment_range(segment + 1)[0] if segment + 1 < layout.segments else layout.index_offset
        assert offset + size == end
        assert size >= TAG_BYTES + (1 if length else 0)
    assert layout.total_bytes == layout.index_offset + 32 * layout.segments
    with pytest.raises(IndexError):
        layout.segment_range(layout.segments)


def test_index_finds_the_segment_that_a_host_altered_without_a_key() -> None:
    stream, info = sealed(random.Random(9).randbytes(3 * SMALL - 1))
    head, tail = stream[:HEADER_BYTES], stream[info.layout.index_offset :]
    index = CiphertextIndex(head, tail, info)
    for segment in range(3):
        index.check(segment, segment_of(stream, info, segment))
    with pytest.raises(CiphertextMismatchError) as caught:
        index.check(1, segment_of(stream, info, 0))
    assert caught.value.segment == 1
    for segment, data in ((2, b"short"), (3, b""), (-1, b"")):
        with pytest.raises(CiphertextMismatchError):
            index.check(segment, data)
    for bad_head, bad_tail in ((head[:-1], tail), (head, tail[:-1]), (head, bytes(96)), (bytes(52), tail)):
        with pytest.raises(CiphertextMismatchError):
            CiphertextIndex(bad_head, bad_tail, info)


def test_memory_is_bounded_while_sealing() -> None:
    class Zeros:
        def readinto(self, buffer: memoryview, /) -> int:
            return len(buffer)

    class Nowhere:
        def write(self, data: memoryview, /) -> int:
            return len(data)

    class Bounded(Zeros):
        rest = 64 << 20

        def readinto(self, buffer: memoryview, /) -> int:
            size = min(len(buffer), self.rest)
            self.rest -= size
            return size

    tracemalloc.start()
    try:
        seal(Bounded(), Nowhere(), 64 << 20, KEY, digest_salt=SALT, entropy=fixed)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20
