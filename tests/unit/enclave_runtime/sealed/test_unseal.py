"""Who is at fault: the host that carried, or the owner that sealed (docs/protocol.md sections 3, 7, 10)."""

from __future__ import annotations

import dataclasses
import io
import os
import random
import tempfile
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_runtime.sealed.header import (
    HEADER_BYTES,
    CiphertextMismatchError,
    Header,
    SealedInfo,
    ciphertext_digest,
)
from enclave_runtime.sealed.sink import FileSink, MemorySink, Sink
from enclave_runtime.sealed.stream import Opener, seal
from enclave_runtime.sealed.tree import Algorithm, LeafList, leaf
from enclave_runtime.sealed.unseal import FileSource, Unsealer, unseal
from enclave_runtime.wire.errors import RefusedError

KEY = bytes(range(32))
SALT = b"\x5a" * 32
SMALL = 1 << 10
DATA = random.Random(1).randbytes(4 * SMALL + 100)


class BytesSource:
    """A stream in memory, as a host holds it."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read_at(self, offset: int, buffer: memoryview) -> int:
        piece = self.data[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)


def sealed(data: bytes = DATA, *, key: bytes = KEY, salt: int = 1) -> tuple[bytes, SealedInfo]:
    out = io.BytesIO()
    info = seal(
        io.BytesIO(data),
        out,
        len(data),
        key,
        digest_salt=SALT,
        entropy=lambda count: bytes([salt]) * count,
        segment_bytes=SMALL,
    )
    return out.getvalue(), info


STREAM, INFO = sealed()
PARTS = [INFO.layout.segment_range(segment) for segment in range(INFO.layout.segments)]
SEGMENTS = [STREAM[offset : offset + length] for offset, length in PARTS]


def begun(sink: Sink | None = None) -> Unsealer:
    unsealer = Unsealer(INFO, KEY, SALT, sink or MemorySink(INFO.plaintext_bytes))
    unsealer.begin(STREAM[:HEADER_BYTES], STREAM[INFO.layout.index_offset :])
    return unsealer


def resealed(change: Callable[[bytearray], None]) -> tuple[bytes, SealedInfo]:
    """The owner's own fault: altered segments, whose index and ciphertext digest were made after that."""
    stream = bytearray(STREAM)
    change(stream)
    leaves = LeafList(INFO.algorithm, SMALL, INFO.plaintext_bytes)
    for segment, (offset, length) in enumerate(PARTS):
        leaves[segment] = leaf(INFO.algorithm, bytes(stream[offset : offset + length]))
    stream[INFO.layout.index_offset :] = leaves.to_bytes()
    digest = ciphertext_digest(bytes(stream[:HEADER_BYTES]), leaves)
    return bytes(stream), dataclasses.replace(INFO, ciphertext_digest=digest)


@pytest.fixture
def tmp_fd() -> Iterator[int]:
    with tempfile.TemporaryFile() as file:
        yield file.fileno()


@pytest.mark.parametrize("length", [0, 1, SMALL, SMALL + 1, 3 * SMALL])
def test_opens_into_memory_and_file(length: int, tmp_fd: int) -> None:
    data = random.Random(length).randbytes(length)
    stream, info = sealed(data)
    memory = MemorySink(length)
    verified = unseal(BytesSource(stream), Unsealer(info, KEY, SALT, memory))
    assert verified.info == info
    assert bytes(memory.view()) == data
    os.pwrite(tmp_fd, b"old content that is longer" * 999, 0)
    unseal(BytesSource(stream), Unsealer(info, KEY, SALT, FileSink(tmp_fd)), workers=1)
    assert os.pread(tmp_fd, 1 << 20, 0) == data


def test_opens_from_a_file_with_progress(tmp_fd: int) -> None:
    os.pwrite(tmp_fd, STREAM, 0)
    sink = MemorySink(len(DATA))
    seen: list[tuple[int, int]] = []
    unseal(
        FileSource(tmp_fd),
        Unsealer(INFO, KEY, SALT, sink),
        workers=2,
        progress=lambda *done: seen.append(done),
    )
    assert bytes(sink.view()) == DATA
    assert len(seen) == len(SEGMENTS)
    assert max(seen) == (len(DATA), len(DATA))


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_any_change_by_the_host_is_its_own_fault_and_a_second_fetch_heals_it(data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(STREAM) - 1))
    kind = data.draw(st.sampled_from(["flip", "cut", "swap", "splice", "extend"]))
    other, _ = sealed(salt=2)
    if kind == "flip":
        bad = bytearray(STREAM)
        bad[position] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == "cut":
        bad = bytearray(STREAM[:position])
    elif kind == "swap":
        first, second = data.draw(st.permutations(range(4)))[:2]
        bad = bytearray(STREAM)
        (a, n), (b, _) = PARTS[first], PARTS[second]
        bad[a : a + n], bad[b : b + n] = bad[b : b + n], bad[a : a + n]
    elif kind == "splice":
        bad = bytearray(STREAM[:position] + other[position:])
    else:
        bad = bytearray(STREAM[:position] + b"\x00" + STREAM[position:])
    sink = MemorySink(len(DATA))
    unsealer = Unsealer(INFO, KEY, SALT, sink)
    with pytest.raises(CiphertextMismatchError):
        unseal(BytesSource(bytes(bad)), unsealer, workers=1)
    unseal(BytesSource(STREAM), unsealer)
    assert bytes(sink.view()) == DATA


def test_mismatch_names_the_segment_and_keeps_the_rest() -> None:
    unsealer = begun()
    unsealer.feed(4, SEGMENTS[4])
    with pytest.raises(CiphertextMismatchError) as caught:
        unsealer.feed(2, SEGMENTS[2][:-1] + b"\x00")
    assert caught.value.segment == 2
    assert list(unsealer.missing()) == [0, 1, 2, 3]
    unsealer.feed(4, b"not even looked at: it is already here")
    for segment in unsealer.missing():
        unsealer.feed(segment, SEGMENTS[segment])
    assert unsealer.opened_bytes == len(DATA)
    unsealer.finish()


def swap(stream: bytearray) -> None:
    (a, n), (b, _) = PARTS[0], PARTS[1]
    stream[a : a + n], stream[b : b + n] = stream[b : b + n], stream[a : a + n]


def flip(stream: bytearray) -> None:
    stream[PARTS[3][0] + 5] ^= 1


@pytest.mark.parametrize(("change", "step"), [(swap, "sealed.reordered"), (flip, "sealed.segment")])
def test_refuses_what_the_owner_sealed_badly(change: Callable[[bytearray], None], step: str) -> None:
    stream, info = resealed(change)
    sink = MemorySink(len(DATA))
    unsealer = Unsealer(info, KEY, SALT, sink)
    with pytest.raises(RefusedError) as caught:
        unseal(BytesSource(stream), unsealer)
    assert caught.value.step == step
    assert not any(sink.view())
    for call in (unsealer.finish, lambda: unsealer.feed(0, SEGMENTS[0])):
        with pytest.raises(RefusedError):
            call()


def test_refuses_wrong_key_and_wrong_commitment() -> None:
    for key, info in ((b"\x01" * 32, INFO), (KEY, dataclasses.replace(INFO, key_commitment=bytes(32)))):
        with pytest.raises(RefusedError) as caught:
            unseal(BytesSource(STREAM), Unsealer(info, key, SALT, MemorySink(len(DATA))))
        assert caught.value.step == "sealed.key"


@pytest.mark.parametrize(
    ("salt", "digest"), [(b"\x00" * 32, INFO.content_digest), (SALT, b"\x11" * 32)], ids=["salt", "digest"]
)
def test_refuses_other_content_than_the_manifest_names(salt: bytes, digest: bytes, tmp_fd: int) -> None:
    info = dataclasses.replace(INFO, content_digest=digest)
    with pytest.raises(RefusedError) as caught:
        unseal(BytesSource(STREAM), Unsealer(info, KEY, salt, FileSink(tmp_fd)))
    assert caught.value.step == "sealed.content"
    assert caught.value.expected == digest.hex()
    assert os.fstat(tmp_fd).st_size == 0


@pytest.mark.parametrize(
    "header",
    [
        Header(Algorithm.SHA256, SMALL, len(DATA), bytes(32)).to_bytes(),
        Header(Algorithm.BLAKE3, 2 * SMALL, len(DATA), bytes(32)).to_bytes(),
        Header(Algorithm.BLAKE3, SMALL, len(DATA) - 1, bytes(32)).to_bytes(),
        b"\xff" * HEADER_BYTES,
    ],
)
def test_refuses_header_that_the_owner_contradicts(header: bytes) -> None:
    def change(stream: bytearray) -> None:
        stream[:HEADER_BYTES] = header

    stream, info = resealed(change)
    with pytest.raises(RefusedError) as caught:
        unseal(BytesSource(stream), Unsealer(info, KEY, SALT, MemorySink(len(DATA))))
    assert caught.value.step == "sealed.header"


def test_host_that_has_the_key_cannot_blame_the_owner() -> None:
    """A segment that opens, but is not the owner's, is found by repeating the ciphertext."""
    opener = Opener(Header.from_bytes(STREAM[:HEADER_BYTES]), KEY, INFO.key_commitment)
    forged = bytearray(SMALL + 16)
    opener.repeat_ciphertext(1, bytes(SMALL), memoryview(forged))
    unsealer = begun()
    for segment, data in enumerate(SEGMENTS):
        unsealer.feed(segment, bytes(forged) if segment == 1 else data)
    with pytest.raises(CiphertextMismatchError) as caught:
        unsealer.finish()
    assert caught.value.segment == 1
    assert list(unsealer.missing()) == [1]
    unsealer.feed(1, SEGMENTS[1])
    unsealer.finish()


def test_order_of_calls_is_enforced() -> None:
    unsealer = Unsealer(INFO, KEY, SALT, MemorySink(len(DATA)))
    with pytest.raises(RuntimeError):
        unsealer.feed(0, SEGMENTS[0])
    unsealer = begun()
    unsealer.begin(b"", b"")
    with pytest.raises(RuntimeError, match="got 0 segments, expected 5"):
        unsealer.finish()
    with pytest.raises(CiphertextMismatchError):
        unsealer.feed(5, b"")


def test_abort_leaves_nothing_and_ends_it(tmp_fd: int) -> None:
    unsealer = begun(FileSink(tmp_fd))
    unsealer.feed(0, SEGMENTS[0])
    assert os.fstat(tmp_fd).st_size == SMALL
    unsealer.abort()
    unsealer.abort()
    assert os.fstat(tmp_fd).st_size == 0
    for call in (unsealer.finish, lambda: unsealer.feed(1, SEGMENTS[1]), lambda: unsealer.begin(b"", b"")):
        with pytest.raises(RuntimeError):
            call()


def test_thread_that_ends_after_a_refusal_leaves_nothing(tmp_fd: int) -> None:
    """The last bytes come into the sink after another thread refused and emptied it: they go too."""

    class SlowSink(FileSink):
        entered = threading.Event()
        release = threading.Event()

        def commit(self, offset: int, view: memoryview) -> None:
            self.entered.set()
            assert self.release.wait(60)
            super().commit(offset, view)

    stream, info = resealed(flip)
    sink = SlowSink(tmp_fd)
    unsealer = Unsealer(info, KEY, SALT, sink)
    unsealer.begin(stream[:HEADER_BYTES], stream[INFO.layout.index_offset :])
    ended: list[BaseException] = []

    def slow() -> None:
        try:
            unsealer.feed(0, SEGMENTS[0])
        except RefusedError as refusal:
            ended.append(refusal)

    thread = threading.Thread(target=slow)
    thread.start()
    assert sink.entered.wait(60)
    unsealer.feed(0, b"a second copy of a claimed segment is not looked at")
    offset, length = PARTS[3]
    with pytest.raises(RefusedError):
        unsealer.feed(3, stream[offset : offset + length])
    sink.release.set()
    thread.join(60)
    assert len(ended) == 1
    assert os.fstat(tmp_fd).st_size == 0
