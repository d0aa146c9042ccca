"""Every way to spoil a small container: refused with our error, nothing left (protocol section 10)."""

from __future__ import annotations

import dataclasses
import itertools
import os
import struct
import tempfile
import tracemalloc
from collections.abc import Iterator

import pytest

from enclave_runtime.sealed.header import (
    HEADER_BYTES,
    CiphertextMismatchError,
    Header,
    Layout,
    SealedInfo,
)
from enclave_runtime.sealed.onepass import open_folder
from enclave_runtime.sealed.ranges import MemorySource
from enclave_runtime.sealed.reader import SealedReader
from enclave_runtime.sealed.sink import FileSink, MemorySink
from enclave_runtime.sealed.tarformat import Entry, Kind, encode
from enclave_runtime.sealed.tree import Algorithm
from enclave_runtime.sealed.unpack import Quota
from enclave_runtime.sealed.unseal import Unsealer, unseal
from enclave_runtime.wire.errors import RefusedError, WireError
from tests.fakes.sealed_bytes import KEY, SALT, SMALL, bytes_of, resealed, sealed_stream

ARCHIVE = encode(Entry("f", Kind.FILE, 3 * SMALL - 100)) + bytes_of(3 * SMALL - 100) + bytes(100 + 1024)
STREAM, INFO = sealed_stream(ARCHIVE)
SEGMENTS = range(INFO.layout.segments)
TINY_ARCHIVE = encode(Entry("f", Kind.FILE, 1)) + b"x" + bytes(511 + 1024)
TINY, TINY_INFO = sealed_stream(TINY_ARCHIVE)
"""Two segments, as small as they can be: every one of its bytes, and every length, has its turn."""


@pytest.fixture(scope="module")
def disk() -> Iterator[int]:
    """A descriptor of an empty folder that must stay empty."""
    with tempfile.TemporaryDirectory() as name:
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
        yield descriptor
        os.close(descriptor)


def unseal_in_memory(stream: bytes, info: SealedInfo = INFO) -> bytes:
    """Open, and see that nothing is left where that fails and is given up."""
    sink = MemorySink(info.plaintext_bytes)
    unsealer = Unsealer(info, KEY, SALT, sink)
    try:
        unseal(MemorySource(stream), unsealer, workers=1)
    except BaseException:
        unsealer.abort()
        assert not any(sink.view())
        raise
    return bytes(sink.view())


def flipped(position: int, bit: int = 1, stream: bytes = STREAM) -> bytes:
    bad = bytearray(stream)
    bad[position] ^= bit
    return bytes(bad)


def part(segment: int, stream: bytes = STREAM) -> bytes:
    offset, length = INFO.layout.segment_range(segment)
    return stream[offset : offset + length]


def with_parts(parts: list[bytes], stream: bytes = STREAM) -> bytes:
    return stream[:HEADER_BYTES] + b"".join(parts) + stream[INFO.layout.index_offset :]


def test_every_byte_flipped_in_turn_by_the_host() -> None:
    for position in range(len(TINY)):
        with pytest.raises(CiphertextMismatchError):
            unseal_in_memory(flipped(position, 1 << (position % 8), TINY), TINY_INFO)


def test_every_byte_flipped_in_turn_by_the_owner() -> None:
    """The index and the manifest's digest go with the change, so it is the owner's fault."""
    for position in range(TINY_INFO.layout.index_offset):
        stream, info = resealed(flipped(position, 1, TINY), TINY_INFO, lambda _stream: None)
        with pytest.raises(RefusedError) as caught:
            unseal_in_memory(stream, info)
        expected = ("sealed.header", "sealed.key") if position < HEADER_BYTES else ("sealed.segment",)
        assert caught.value.step in expected, position


def test_every_byte_flipped_in_turn_reads_as_mismatch_or_as_it_was() -> None:
    """A reader opens one segment alone: what was changed elsewhere does not matter to it."""
    first, length = INFO.layout.segment_range(1)
    buffer = memoryview(bytearray(10))
    for position in range(0, len(STREAM), 7):
        harmless = (
            HEADER_BYTES <= position < INFO.layout.index_offset and not first <= position < first + length
        )
        try:
            with SealedReader(MemorySource(flipped(position)), INFO, KEY, workers=1) as reader:
                reader.read_at(SMALL + 5, buffer)
            assert harmless, position
            assert bytes(buffer) == ARCHIVE[SMALL + 5 :][:10]
        except CiphertextMismatchError:
            assert not harmless, position


def test_folder_stays_empty_whatever_byte_is_flipped(disk: int) -> None:
    for position in range(0, len(STREAM), 41):
        with pytest.raises(CiphertextMismatchError):
            open_folder(MemorySource(flipped(position)), INFO, KEY, SALT, disk, Quota(len(ARCHIVE)))
        assert os.listdir(disk) == []


def test_every_truncation_and_some_more_bytes() -> None:
    for length in range(len(TINY)):
        with pytest.raises(CiphertextMismatchError):
            unseal_in_memory(TINY[:length], TINY_INFO)
    # What stands after the end is no part of the stream, and changes nothing.
    assert unseal_in_memory(STREAM + b"\x00" * 9) == ARCHIVE


def test_every_truncation_that_the_manifest_agrees_to() -> None:
    """The owner says another length: the key is derived under all of the header, so none opens."""
    for length in (0, 1, SMALL, 2 * SMALL, len(ARCHIVE) - 1, len(ARCHIVE) + 1):
        info = dataclasses.replace(INFO, plaintext_bytes=length)
        head = Header(INFO.algorithm, SMALL, length, STREAM[20:HEADER_BYTES]).to_bytes()
        body = STREAM[HEADER_BYTES : info.layout.index_offset].ljust(
            info.layout.index_offset - HEADER_BYTES, b"\x00"
        )
        stream, info = resealed(head + body + bytes(info.layout.index_bytes), info, lambda _stream: None)
        with pytest.raises(RefusedError, match=r"sealed\.key"):
            unseal_in_memory(stream, info)


def test_every_pair_of_segments_swapped() -> None:
    for one, other in itertools.combinations(SEGMENTS, 2):
        parts = [part(segment) for segment in SEGMENTS]
        parts[one], parts[other] = parts[other], parts[one]
        stream = with_parts(parts)
        with pytest.raises(CiphertextMismatchError):
            unseal_in_memory(stream)
        if len(parts[one]) != len(parts[other]):
            continue  # the last one is shorter: what follows has moved, as above
        bad, info = resealed(stream, INFO, lambda _stream: None)
        with pytest.raises(RefusedError, match=r"sealed\.(reordered|truncated)"):
            unseal_in_memory(bad, info)


def test_every_segment_repeated_or_dropped() -> None:
    for segment in SEGMENTS:
        parts = [part(number) for number in SEGMENTS]
        for changed in (parts[:segment] + parts[segment + 1 :], parts[: segment + 1] + parts[segment:]):
            with pytest.raises(CiphertextMismatchError):
                unseal_in_memory(with_parts(changed))


@pytest.mark.parametrize(
    ("other", "step"),
    [
        ({"entropy": 2}, "sealed.segment"),
        ({"key": b"\x07" * 32}, "sealed.segment"),
        ({"algorithm": Algorithm.SHA256}, "sealed.segment"),
    ],
    ids=["salt", "key", "hash"],
)
def test_containers_spliced(other: dict[str, object], step: str) -> None:
    stream, other_info = sealed_stream(ARCHIVE, **other)  # type: ignore[arg-type]
    for cut in (HEADER_BYTES, *(INFO.layout.segment_range(segment)[0] for segment in SEGMENTS[1:])):
        for mixed in {STREAM[:cut] + stream[cut:], stream[:cut] + STREAM[cut:]} - {STREAM}:
            with pytest.raises(CiphertextMismatchError):
                unseal_in_memory(mixed)
    for segment in SEGMENTS:
        parts = [part(number, stream if number == segment else STREAM) for number in SEGMENTS]
        with pytest.raises(CiphertextMismatchError):
            unseal_in_memory(with_parts(parts))
        bad, info = resealed(with_parts(parts), INFO, lambda _stream: None)
        with pytest.raises(RefusedError) as caught:
            unseal_in_memory(bad, info)
        assert caught.value.step == step
    with pytest.raises((CiphertextMismatchError, RefusedError)):
        unseal_in_memory(STREAM, other_info)


HUGE = [0, 1, (1 << 44) + 1, 1 << 63, (1 << 64) - 1]


def test_hostile_headers_take_no_memory() -> None:
    tracemalloc.start()
    try:
        for log2, length in itertools.product([0, 1, 9, 23, 63, 64, 255], HUGE):
            data = b"CLOISTER" + struct.pack(">BBBBQ", 1, 1, 1, log2, length) + bytes(32)
            with pytest.raises(WireError):
                Header.from_bytes(data)
        for segment_bytes, length in itertools.product([0, 1, -1, 1 << 63, 1000], HUGE):
            with pytest.raises(WireError):
                Layout(segment_bytes, length)
            with pytest.raises(WireError):
                SealedInfo(Algorithm.BLAKE3, segment_bytes, length, bytes(32), bytes(32), bytes(32))
        for length in HUGE[2:]:
            with pytest.raises(WireError):
                Layout(SMALL, length)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


def test_file_is_empty_after_a_refusal_and_after_giving_up() -> None:
    with tempfile.TemporaryFile() as file:
        unsealer = Unsealer(INFO, KEY, SALT, FileSink(file.fileno()))
        with pytest.raises(CiphertextMismatchError):
            unseal(MemorySource(flipped(INFO.layout.segment_range(2)[0])), unsealer, workers=1)
        assert os.fstat(file.fileno()).st_size == 2 * SMALL  # proven segments wait for the other source
        unsealer.abort()
        assert os.fstat(file.fileno()).st_size == 0
        stream, info = resealed(flipped(INFO.layout.segment_range(2)[0]), INFO, lambda _stream: None)
        with pytest.raises(RefusedError):
            unseal(MemorySource(stream), Unsealer(info, KEY, SALT, FileSink(file.fileno())))
        assert os.fstat(file.fileno()).st_size == 0
