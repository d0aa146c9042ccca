"""Containers, archives and headers that somebody built to hurt, piece by piece (docs/protocol.md section 10).

Each rule is tried on a few examples in every run, on 60,000 under the `heavy` marker. Whatever comes out is
the content that was pinned, or our error with nothing left behind.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enclave_runtime.sealed.archive import ArchiveReader
from enclave_runtime.sealed.buffers import ViewReader
from enclave_runtime.sealed.header import HEADER_BYTES, CiphertextMismatchError, Header, SealedInfo
from enclave_runtime.sealed.members import members
from enclave_runtime.sealed.onepass import open_folder
from enclave_runtime.sealed.ranges import MemorySource
from enclave_runtime.sealed.reader import SealedReader
from enclave_runtime.sealed.sink import MemorySink
from enclave_runtime.sealed.tarformat import BLOCK_BYTES, Entry, Kind, decode_header, encode
from enclave_runtime.sealed.tensors import SealedTensors
from enclave_runtime.sealed.tree import Algorithm
from enclave_runtime.sealed.unpack import Quota, unpack
from enclave_runtime.sealed.unseal import Unsealer, unseal
from enclave_runtime.wire.errors import EnclaveError, RefusedError, WireError
from tests.fakes.sealed_archives import refusal_as_image
from tests.fakes.sealed_bytes import KEY, SALT, SMALL, bytes_of, resealed, sealed_stream

HEAVY = settings(
    max_examples=60_000,
    deadline=None,
    database=None,
    derandomize=False,
    suppress_health_check=list(HealthCheck),
)
HOUR = pytest.mark.timeout(3600)

ARCHIVE = encode(Entry("f", Kind.FILE, 2 * SMALL)) + bytes_of(2 * SMALL) + bytes(1024)
BASES = {algorithm: sealed_stream(ARCHIVE, algorithm=algorithm) for algorithm in Algorithm}
OTHERS = [
    sealed_stream(ARCHIVE, entropy=2)[0],
    sealed_stream(ARCHIVE, key=b"\x01" * 32)[0],
    sealed_stream(ARCHIVE, segment_bytes=2 * SMALL)[0],
    sealed_stream(bytes_of(len(ARCHIVE), 9))[0],
]
INFO = BASES[Algorithm.BLAKE3][1]
SEGMENTS = INFO.layout.segments
QUOTA = Quota(1 << 20, 50)
FOLDERS = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

places = st.one_of(
    st.integers(0, HEADER_BYTES - 1),
    st.integers(HEADER_BYTES, INFO.layout.index_offset - 1),
    st.integers(INFO.layout.index_offset, INFO.layout.total_bytes - 1),
)
segments = st.integers(0, SEGMENTS - 1)
changes = st.one_of(
    st.tuples(st.just("flip"), places, st.integers(1, 255)),
    st.tuples(st.just("swap"), segments, segments),
    st.tuples(st.just("copy"), segments, segments),
    st.tuples(st.just("drop"), segments, st.just(0)),
    st.tuples(st.just("cut"), places, st.just(0)),
    st.tuples(st.just("insert"), places, st.integers(1, 40)),
    st.tuples(st.just("splice"), places, st.integers(0, len(OTHERS) - 1)),
    st.tuples(st.just("borrow"), segments, st.integers(0, len(OTHERS) - 1)),
    st.tuples(st.just("log2"), st.integers(0, 255), st.just(0)),
    st.tuples(st.just("length"), st.integers(0, (1 << 64) - 1), st.just(0)),
)
promises = st.fixed_dictionaries(
    {},
    optional={
        "plaintext_bytes": st.one_of(st.integers(0, 5 * SMALL), st.integers(0, 1 << 44)),
        "segment_bytes": st.sampled_from([SMALL, 2 * SMALL, 1 << 20, 1 << 22]),
        "algorithm": st.sampled_from(Algorithm),
        "content_digest": st.binary(min_size=32, max_size=32),
        "key_commitment": st.binary(min_size=32, max_size=32),
    },
)


def part(stream: bytearray, segment: int) -> slice:
    offset, length = INFO.layout.segment_range(segment)
    return slice(offset, offset + length)


def spoil(stream: bytearray, change: tuple[str, int, int]) -> None:
    """Make one change, where the stream is still long enough for it."""
    word, one, other = change
    if word == "flip" and one < len(stream):
        stream[one] ^= other
    elif word == "swap":
        first, second = bytes(stream[part(stream, one)]), bytes(stream[part(stream, other)])
        stream[part(stream, one)], stream[part(stream, other)] = second, first
    elif word == "copy":
        stream[part(stream, one)] = stream[part(stream, other)]
    elif word == "drop":
        del stream[part(stream, one)]
    elif word == "cut":
        del stream[one:]
    elif word == "insert":
        stream[one:one] = bytes(other)
    elif word == "splice":
        stream[one:] = OTHERS[other][one:]
    elif word == "borrow":
        stream[part(stream, one)] = OTHERS[other][part(stream, one)]
    elif word == "log2" and len(stream) >= HEADER_BYTES:
        stream[11] = one
    elif word == "length" and len(stream) >= HEADER_BYTES:
        stream[12:20] = one.to_bytes(8, "big")


def agreed(stream: bytes, info: SealedInfo) -> tuple[bytes, SealedInfo]:
    """Return the stream with an index and ciphertext digest that agree with it: the owner's own doing."""
    if info.plaintext_bytes > 8 * SMALL:
        return stream, info
    whole = stream[: info.layout.index_offset].ljust(info.layout.total_bytes, b"\x00")
    return resealed(whole, info, lambda _stream: None)


def opens_to_what_was_pinned_or_to_nothing(
    algorithm: Algorithm,
    spoiled: list[tuple[str, int, int]],
    promised: dict[str, object],
    owner: bool,
    way: int,
) -> None:
    stream, info = BASES[algorithm]
    altered = bytearray(stream)
    for change in spoiled:
        spoil(altered, change)
    info = dataclasses.replace(info, **promised)  # type: ignore[arg-type]
    data = bytes(altered)
    if owner:
        data, info = agreed(data, info)
    (in_memory, in_folder, by_reader)[way](data, info)


def in_memory(stream: bytes, info: SealedInfo) -> None:
    sink = MemorySink(min(info.plaintext_bytes, 1 << 20))
    unsealer = Unsealer(info, KEY, SALT, sink)
    try:
        unseal(MemorySource(stream), unsealer, workers=1)
        assert bytes(sink.view()) == ARCHIVE
    except (CiphertextMismatchError, RefusedError):
        unsealer.abort()
        assert not any(sink.view())


def in_folder(stream: bytes, info: SealedInfo) -> None:
    with folder() as descriptor:
        try:
            open_folder(MemorySource(stream), info, KEY, SALT, descriptor, Quota(1 << 20), workers=1)
            assert os.listdir(descriptor) == ["f"]
        except (CiphertextMismatchError, RefusedError):
            assert os.listdir(descriptor) == []


def by_reader(stream: bytes, info: SealedInfo) -> None:
    try:
        with SealedReader(MemorySource(stream), info, KEY, workers=1) as reader:
            reader.prove(SALT)
            assert reader.readall() == ARCHIVE
    except (CiphertextMismatchError, RefusedError):
        pass


class folder:  # noqa: N801 - reads like the context manager that it is
    """An empty folder on a fast disk, as a descriptor; emptied and used again."""

    _path: Path | None = None

    def __enter__(self) -> int:
        if folder._path is None or not folder._path.exists():
            folder._path = Path(tempfile.mkdtemp(dir=FOLDERS))
        self._descriptor = os.open(folder._path, os.O_RDONLY | os.O_DIRECTORY)
        return self._descriptor

    def __exit__(self, *_error: object) -> None:
        for name in os.listdir(self._descriptor):
            path = Path(f"/proc/self/fd/{self._descriptor}") / name
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        os.close(self._descriptor)


@pytest.fixture(scope="module", autouse=True)
def no_folder_left() -> Iterator[None]:
    yield
    if folder._path is not None:
        folder._path.rmdir()
        folder._path = None


containers = given(
    algorithm=st.sampled_from(Algorithm),
    spoiled=st.lists(changes, max_size=4),
    promised=promises,
    owner=st.booleans(),
    way=st.integers(0, 2),
)
test_containers = containers(opens_to_what_was_pinned_or_to_nothing)
test_many_containers = pytest.mark.heavy(HOUR(HEAVY(containers(opens_to_what_was_pinned_or_to_nothing))))


names = st.one_of(
    st.sampled_from(
        ["a", "b", "a/b", "a/b/c", "b/c", "../x", "/x", "a/../b", ".", "", "a//b", "a\x00", "é", "e\u0301"]
    ),
    st.text(max_size=20),
    st.builds("/".join, st.lists(st.sampled_from(["a", "b", "..", ".", "z" * 255, "é" * 130]), max_size=70)),
)
entries = st.builds(
    Entry,
    names,
    st.sampled_from(Kind),
    st.one_of(st.integers(0, 2000), st.sampled_from([1 << 33, (1 << 63) - 1, 1 << 20])),
    st.booleans(),
    st.one_of(st.just(""), names),
)
blocks = st.one_of(
    st.tuples(st.just("entry"), entries, st.integers(0, 3)),
    st.tuples(st.just("zeros"), st.integers(1, 3), st.just(0)),
    st.tuples(st.just("raw"), st.binary(min_size=1, max_size=600), st.just(0)),
    st.tuples(st.just("type"), entries, st.sampled_from(list(b"\x0013467gLKSVNx"))),
)


def laid_out(pieces: list[tuple[str, object, int]]) -> bytes:
    """Return the archive that the pieces make, with what an honest writer would never put into it."""
    out = bytearray()
    for word, value, more in pieces:
        if word == "zeros":
            out += bytes(BLOCK_BYTES * int(str(value)))
        elif word == "raw" and isinstance(value, bytes):
            out += value
        elif isinstance(value, Entry):
            try:
                header = bytearray(encode(value))
            except (UnicodeEncodeError, ValueError):
                continue
            if word == "type":
                header[-BLOCK_BYTES + 156] = more
                checksum(header)
            out += header
            size = min(value.size, 4096) if more else value.size % 4096
            out += b"x" * size + bytes(-size % BLOCK_BYTES)
    return bytes(out)


def checksum(header: bytearray) -> None:
    block = header[-BLOCK_BYTES:]
    block[148:156] = b" " * 8
    header[-BLOCK_BYTES + 148 : -BLOCK_BYTES + 156] = b"%06o\x00 " % sum(block)


def unpacks_to_what_it_was_or_to_nothing(pieces: list[tuple[str, object, int]], ended: bool) -> None:
    data = laid_out(pieces) + (bytes(2 * BLOCK_BYTES) if ended else b"")
    with folder() as descriptor:
        try:
            unpack(ViewReader(data), descriptor, QUOTA)
        except RefusedError as refusal:
            assert refusal.step.startswith("archive.") and refusal_as_image(data, QUOTA) == refusal.step
            assert os.listdir(descriptor) == []
            return
        assert refusal_as_image(data, QUOTA) is None
        again = bytearray()
        buffer = memoryview(bytearray(4096))
        with ArchiveReader(f"/proc/self/fd/{descriptor}") as reader:
            while got := reader.readinto(buffer):
                again += buffer[:got]
        assert again == data
        found = members(Plain(data))
        assert all(name in again.decode(errors="replace") or not name.isascii() for name in found)


class Plain:
    """Content that is not sealed."""

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self._source = MemorySource(data)

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Copy bytes out."""
        return self._source.read_at(offset, buffer)


archives = given(pieces=st.lists(blocks, max_size=6), ended=st.booleans())
test_archives = archives(unpacks_to_what_it_was_or_to_nothing)
test_many_archives = pytest.mark.heavy(HOUR(HEAVY(archives(unpacks_to_what_it_was_or_to_nothing))))


def header_is_another_entry_or_refused(entry: Entry, at: int, value: int, pax: bytes) -> None:
    try:
        original = encode(entry)
    except UnicodeEncodeError:
        return
    data = bytearray(original)
    data[at % len(data)] = value
    data[BLOCK_BYTES : BLOCK_BYTES + min(len(pax), len(data) - BLOCK_BYTES)] = pax[
        : max(0, len(data) - BLOCK_BYTES)
    ]
    try:
        found = decode_header(bytes(data[:-BLOCK_BYTES]), bytes(data[-BLOCK_BYTES:]))
    except WireError:
        return
    assert encode(found) == data


tar_headers = given(
    entry=entries, at=st.integers(0, 1 << 16), value=st.integers(0, 255), pax=st.binary(max_size=100)
)
test_tar_headers = tar_headers(header_is_another_entry_or_refused)
test_many_tar_headers = pytest.mark.heavy(HOUR(HEAVY(tar_headers(header_is_another_entry_or_refused))))


def stream_header_is_itself_or_refused(data: bytes) -> None:
    try:
        header = Header.from_bytes(data)
    except WireError:
        return
    assert header.to_bytes() == data


fields = st.tuples(
    st.one_of(st.just(b"CLOISTER"), st.binary(min_size=8, max_size=8)),
    *(st.integers(0, 3) for _ in range(3)),
    st.integers(0, 255),
    st.one_of(st.integers(0, (1 << 64) - 1), st.integers(0, 1 << 44)),
    st.binary(min_size=32, max_size=32),
).map(lambda f: f[0] + bytes(f[1:5]) + f[5].to_bytes(8, "big") + f[6])
stream_headers = given(data=st.one_of(fields, fields.map(lambda data: data[:-1]), st.binary(max_size=60)))
test_stream_headers = stream_headers(stream_header_is_itself_or_refused)
test_many_stream_headers = pytest.mark.heavy(HOUR(HEAVY(stream_headers(stream_header_is_itself_or_refused))))


sizes = st.one_of(
    st.integers(0, 20), st.integers(-5, 1 << 70), st.booleans(), st.floats(), st.text(max_size=3)
)
descriptions = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.one_of(st.sampled_from(["U8", "BF16", "F4", "F64"]), st.text(max_size=4), st.integers()),
        "shape": st.one_of(st.lists(sizes, max_size=4), sizes),
        "data_offsets": st.one_of(st.lists(sizes, max_size=3), sizes),
        "more": st.none(),
    },
)


def tensors_lie_in_the_file_or_are_refused(header: dict[str, object], skew: int, data: bytes) -> None:
    text = json.dumps(header).encode()
    content = max(0, len(text) + skew).to_bytes(8, "little") + text + data
    try:
        tensors = SealedTensors(Plain(content))
    except WireError:
        return
    assert sum(tensor.size for tensor in tensors) <= len(content)
    for tensor in tensors:
        assert len(tensors.read(tensor.name)) == tensor.size


tensor_files = given(
    header=st.dictionaries(st.sampled_from(["a", "b", "__metadata__"]), descriptions, max_size=3),
    skew=st.sampled_from([0, 0, 0, 1, -1, 1 << 62]),
    data=st.binary(max_size=40),
)
test_tensor_files = tensor_files(tensors_lie_in_the_file_or_are_refused)
test_many_tensor_files = pytest.mark.heavy(HOUR(HEAVY(tensor_files(tensors_lie_in_the_file_or_are_refused))))


@pytest.mark.heavy
@HOUR
def test_hundred_thousand_entries_and_one_more() -> None:
    """The limit is exact; beyond it nothing is left of the first hundred thousand."""

    def archive(count: int) -> bytes:
        headers = b"".join(encode(Entry(f"{number:06}", Kind.FILE)) for number in range(count))
        return headers + bytes(2 * BLOCK_BYTES)

    with folder() as descriptor:
        assert unpack(ViewReader(archive(100_000)), descriptor, Quota(0)).entries == 100_000
    with folder() as descriptor:
        with pytest.raises(RefusedError, match="more than 100000 entries"):
            unpack(ViewReader(archive(100_001)), descriptor, Quota(0))
        assert os.listdir(descriptor) == []
    with pytest.raises(EnclaveError, match="more than 100000 entries"):
        members(Plain(archive(100_001)))
