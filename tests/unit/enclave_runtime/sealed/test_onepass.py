"""Sealed archive to folder in one pass: whose fault it is, nothing left (protocol sections 3.5 and 10)."""

from __future__ import annotations

import dataclasses
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from enclave_runtime.sealed.archive import ArchiveReader
from enclave_runtime.sealed.header import HEADER_BYTES, CiphertextMismatchError, Header, SealedInfo
from enclave_runtime.sealed.members import member, members
from enclave_runtime.sealed.onepass import open_folder
from enclave_runtime.sealed.ranges import MemorySource
from enclave_runtime.sealed.reader import SealedReader
from enclave_runtime.sealed.sink import MemorySink
from enclave_runtime.sealed.stream import Opener, Sealer
from enclave_runtime.sealed.tarformat import Entry, Kind, encode
from enclave_runtime.sealed.unpack import Quota, Unpacked
from enclave_runtime.sealed.unseal import Unsealer, unseal
from enclave_runtime.sealed.workers import Conveyor, in_threads, private_buffer
from enclave_runtime.wire.errors import RefusedError
from tests.fakes.sealed_bytes import KEY, SALT, SMALL, Flaky, bytes_of, resealed, sealed_stream

FILES = {"a/model.safetensors": bytes_of(9 * SMALL + 7), "a/z": b"", "notes": bytes_of(100, 2)}


def packed(folder: Path) -> bytes:
    for name, data in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "link").symlink_to("a/z")
    out = io.BytesIO()
    buffer = memoryview(bytearray(1 << 16))
    with ArchiveReader(folder) as reader:
        while got := reader.readinto(buffer):
            out.write(buffer[:got])
    return out.getvalue()


@pytest.fixture
def archive(tmp_path: Path) -> bytes:
    (tmp_path / "in").mkdir()
    return packed(tmp_path / "in")


@pytest.fixture
def out(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "out").mkdir()
    descriptor = os.open(tmp_path / "out", os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def open_to(out: int, source: object, info: SealedInfo, salt: bytes = SALT) -> Unpacked:
    assert isinstance(source, MemorySource | Flaky)
    return open_folder(source, info, KEY, salt, out, Quota(info.plaintext_bytes))


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_folder_in_one_pass(archive: bytes, out: int, workers: int, tmp_path: Path) -> None:
    stream, info = sealed_stream(archive)
    seen: list[tuple[int, int]] = []
    source = Flaky(stream)
    took = open_folder(
        source,
        info,
        KEY,
        SALT,
        out,
        Quota(len(archive)),
        workers=workers,
        progress=lambda *done: seen.append(done),
    )
    assert took == Unpacked(sum(map(len, FILES.values())), 5)
    for name, data in FILES.items():
        assert (tmp_path / "out" / name).read_bytes() == data
    assert seen[-1] == (len(archive), len(archive))
    assert sum(length for _, length in source.reads) == len(stream)
    with pytest.raises(ValueError, match="empty"):
        open_to(out, source, info)


def test_host_and_owner_are_told_apart_and_nothing_is_left(archive: bytes, out: int) -> None:
    stream, info = sealed_stream(archive)
    at = info.layout.segment_range(6)[0]

    def flip(data: bytearray) -> None:
        data[at] ^= 1

    with pytest.raises(CiphertextMismatchError) as mismatch:
        open_to(out, Flaky(stream, lambda offset, _length: offset == at), info)
    assert mismatch.value.segment == 6
    assert os.listdir(out) == []
    bad, bad_info = resealed(stream, info, flip)
    with pytest.raises(RefusedError, match=r"sealed\.segment"):
        open_to(out, MemorySource(bad), bad_info)
    assert os.listdir(out) == []
    for wrong in (dataclasses.replace(info, content_digest=bytes(32)), info):
        with pytest.raises(RefusedError, match=r"sealed\.content"):
            open_to(out, MemorySource(stream), wrong, SALT if wrong is not info else bytes(32))
        assert os.listdir(out) == []


@pytest.mark.parametrize("segment", [0, 5])
def test_host_that_has_the_key_cannot_blame_the_owner(archive: bytes, out: int, segment: int) -> None:
    """Whether the forged segment breaks the archive (0) or a file's content alone (5)."""
    stream, info = sealed_stream(archive)
    opener = Opener(Header.from_bytes(stream[:HEADER_BYTES]), KEY, info.key_commitment)
    offset, length = info.layout.segment_range(segment)
    forged = bytearray(length)
    opener.repeat_ciphertext(segment, b"\x01" * SMALL, memoryview(forged))
    with pytest.raises(CiphertextMismatchError) as caught:
        open_to(out, MemorySource(stream[:offset] + bytes(forged) + stream[offset + length :]), info)
    assert caught.value.segment == segment
    assert os.listdir(out) == []


def test_owners_hostile_archive_is_refused(out: int) -> None:
    data = encode(Entry("../x", Kind.FILE)) + bytes(1024)
    stream, info = sealed_stream(data)
    with pytest.raises(RefusedError, match=r"archive\.name"):
        open_to(out, MemorySource(stream), info)
    assert os.listdir(out) == []


def test_single_files_without_unpacking(archive: bytes) -> None:
    stream, info = sealed_stream(archive)
    with SealedReader(MemorySource(stream), info, KEY) as reader:
        found = members(reader)
        assert found.keys() == FILES.keys()
        buffer = memoryview(bytearray(20))
        for name, data in FILES.items():
            assert found[name].size == len(data)
            whole = memoryview(bytearray(len(data) + 5))
            assert found[name].read_at(0, whole) == len(data)
            assert bytes(whole[: len(data)]) == data
            assert found[name].read_at(len(data) + 1, buffer) == 0
        assert found["notes"].read_at(90, buffer) == 10
        with pytest.raises(ValueError, match="below 0"):
            found["notes"].read_at(-1, buffer)
        with pytest.raises(RefusedError, match=r"archive\.quota"):
            members(reader, entries=4)
        assert member(reader, "a/z") == found["a/z"]
        with pytest.raises(KeyError):
            member(reader, "link")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        encode(Entry("a", Kind.FILE, 100)) + b"x" * 50,
        encode(Entry("a", Kind.FILE, 1)) + b"xx" + bytes(510 + 1024),
        bytes(1025),
        bytes(512) + b"\x01" + bytes(511),
        encode(Entry("a", Kind.FILE)) * 2 + bytes(1024),
        encode(Entry("a", Kind.FILE, 1 << 30)) + bytes(1024),
    ],
)
def test_members_of_another_archive_are_refused(data: bytes) -> None:
    stream, info = sealed_stream(data)
    with (
        SealedReader(MemorySource(stream), info, KEY) as reader,
        pytest.raises(RefusedError, match="archive"),
    ):
        members(reader)


def test_sealing_that_is_given_up_ends_its_threads() -> None:
    before = set(threading.enumerate())
    sealer = Sealer(
        io.BytesIO(bytes_of(50 * SMALL)),
        50 * SMALL,
        KEY,
        digest_salt=SALT,
        entropy=lambda count: bytes(count),
        segment_bytes=SMALL,
        workers=3,
    )
    pieces = iter(sealer)
    for _ in range(5):
        next(pieces)
    del pieces
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_sealing_does_not_depend_on_threads(workers: int) -> None:
    data = bytes_of(30 * SMALL + 5)
    assert sealed_stream(data, workers=workers) == sealed_stream(data, workers=2)


def test_conveyor_keeps_order_and_stops_at_an_error() -> None:
    assert list(Conveyor(3, 5).run(50, lambda _job, _slot: None, lambda job, _slot: job)) == list(range(50))
    taken: list[int] = []

    def work(job: int, _slot: int) -> int:
        if job == 9:
            raise OSError("nine")
        return job

    with pytest.raises(OSError, match="nine"):
        for result in Conveyor(2, 4).run(50, lambda job, _slot: taken.append(job), work):
            assert result < 9
    assert len(taken) < 16
    with pytest.raises(ValueError, match="more slots"):
        Conveyor(2, 2)


def test_first_error_of_any_thread_ends_all() -> None:
    def work(stopped: threading.Event) -> None:
        if threading.current_thread() is threading.main_thread():
            assert stopped.wait(60)
            return
        raise OSError("the other")

    with pytest.raises(OSError, match="the other"):
        in_threads(work, 2)


def test_private_buffers_are_apart_and_zero() -> None:
    one, other = private_buffer(3 << 20), private_buffer(0)
    assert len(one) == 3 << 20
    assert len(other) == 0
    one[:] = b"x" * len(one)
    assert not any(private_buffer(100))


@pytest.mark.parametrize(("batch", "workers"), [(1, 1), (3, 1), (4, 3), (99, 2)])
def test_batches_resume_from_another_source_and_fetch_nothing_twice(batch: int, workers: int) -> None:
    data = bytes_of(20 * SMALL + 3)
    stream, info = sealed_stream(data)
    bad = info.layout.segment_range(7)[0]
    sink = MemorySink(len(data))
    unsealer = Unsealer(info, KEY, SALT, sink)
    first, second = Spoiled(stream, bad), Flaky(stream)
    with pytest.raises(CiphertextMismatchError) as caught:
        unseal(first, unsealer, workers=workers, batch=batch)
    assert caught.value.segment == 7
    left = list(unsealer.missing())
    assert 7 in left
    unseal(second, unsealer, workers=workers, batch=batch)
    assert bytes(sink.view()) == data
    fetched = sum(
        length for offset, length in second.reads if HEADER_BYTES <= offset < info.layout.index_offset
    )
    assert fetched == sum(info.layout.segment_range(segment)[1] for segment in left)
    assert len(second.reads) >= len(left) // batch


class Spoiled(Flaky):
    """Alters one byte of the stream, whichever range it is read in."""

    def __init__(self, data: bytes, at: int) -> None:
        super().__init__(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


def test_source_that_fails_leaves_its_segments_missing() -> None:
    data = bytes_of(5 * SMALL)
    stream, info = sealed_stream(data)
    sink = MemorySink(len(data))
    unsealer = Unsealer(info, KEY, SALT, sink)

    class Broken(Flaky):
        def read_into(self, offset: int, view: memoryview) -> int:
            if offset == info.layout.segment_range(2)[0]:
                raise OSError("the line is cut")
            return super().read_into(offset, view)

    assert list(unsealer.missing()) == [0, 1, 2, 3, 4]
    with pytest.raises(OSError, match="cut"):
        unseal(Broken(stream), unsealer, workers=1)
    assert list(unsealer.missing()) == [2, 3, 4]
    unseal(MemorySource(stream), unsealer)
    assert bytes(sink.view()) == data
