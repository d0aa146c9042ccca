"""Random access to sealed content: only what is asked for is opened (docs/protocol.md section 3.3)."""

from __future__ import annotations

import dataclasses
import io
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enclave_runtime.sealed import header
from enclave_runtime.sealed.cache import SegmentCache
from enclave_runtime.sealed.header import HEADER_BYTES, CiphertextMismatchError, Header
from enclave_runtime.sealed.ranges import FileSource, MemorySource
from enclave_runtime.sealed.reader import SealedReader
from enclave_runtime.sealed.stream import Opener
from enclave_runtime.sealed.tree import PAGE_LEAVES, Algorithm
from enclave_runtime.wire.errors import RefusedError
from tests.fakes.sealed_bytes import KEY, SALT, SMALL, Flaky, bytes_of, resealed, sealed_stream

DATA = bytes_of(20 * SMALL + 100)
STREAM, INFO = sealed_stream(DATA)


def reader(**options: int) -> SealedReader:
    return SealedReader(MemorySource(STREAM), INFO, KEY, **options)


@given(
    places=st.lists(st.tuples(st.integers(0, len(DATA) + 5), st.integers(0, 5 * SMALL)), max_size=8),
    workers=st.integers(1, 3),
    cache=st.sampled_from([0, 4 * SMALL]),
)
def test_reads_any_part(places: list[tuple[int, int]], workers: int, cache: int) -> None:
    with reader(workers=workers, cache_bytes=cache) as opened:
        for offset, length in places:
            buffer = memoryview(bytearray(length))
            got = opened.read_at(offset, buffer)
            assert bytes(buffer[:got]) == DATA[offset : offset + length]


@pytest.mark.parametrize("algorithm", Algorithm)
@pytest.mark.parametrize("length", [0, 1, SMALL, 3 * SMALL + 1])
def test_is_a_file(algorithm: Algorithm, length: int) -> None:
    data = bytes_of(length)
    stream, info = sealed_stream(data, algorithm=algorithm)
    with SealedReader(Flaky(stream), info, KEY) as opened:
        assert opened.readable() and opened.seekable() and not opened.writable()
        assert opened.size == length
        assert opened.read() == data
        assert opened.tell() == length
        assert opened.read(1) == b""
        assert opened.seek(-length, os.SEEK_END) == 0
        opened.prove(SALT)
        assert io.BufferedReader(opened, 100).read() == data


def test_position_is_kept_like_a_files() -> None:
    with reader() as opened:
        assert opened.seek(10) == 10
        assert opened.read(5) == DATA[10:15]
        assert opened.seek(3, os.SEEK_CUR) == 18
        assert opened.seek(len(DATA) + 9) == len(DATA) + 9
        assert opened.read(5) == b""
        for offset, whence in ((-1, os.SEEK_SET), (-1 - len(DATA), os.SEEK_END), (0, 9)):
            with pytest.raises(ValueError, match="expected a place inside"):
                opened.seek(offset, whence)
        with pytest.raises(ValueError, match="none below 0"):
            opened.read_at(-1, memoryview(bytearray(1)))


def test_opens_only_the_segments_that_are_asked_for() -> None:
    source = Flaky(STREAM)
    with SealedReader(source, INFO, KEY, read_ahead=0) as opened:
        source.reads.clear()
        buffer = memoryview(bytearray(2 * SMALL))
        opened.read_at(5 * SMALL + 10, buffer)
        opened.read_at(6 * SMALL + 10, buffer[:5])
        assert bytes(buffer[:5]) == DATA[6 * SMALL + 10 :][:5]
        opened.read_at(7 * SMALL, buffer[:SMALL])  # kept
    assert sorted(offset for offset, _ in source.reads) == [
        *(INFO.layout.segment_range(segment)[0] for segment in (5, 6, 6, 7)),
    ]


def test_reads_ahead_of_small_reads() -> None:
    source = Flaky(STREAM)
    with SealedReader(source, INFO, KEY, read_ahead=2, cache_bytes=4 * SMALL) as opened:
        for offset in range(0, len(DATA), 100):
            buffer = memoryview(bytearray(100))
            got = opened.read_at(offset, buffer)
            assert bytes(buffer[:got]) == DATA[offset : offset + 100]
    segments = [
        read for read in source.reads if read[0] >= HEADER_BYTES and read[0] < INFO.layout.index_offset
    ]
    assert len(segments) == len(set(segments)) == INFO.layout.segments


def test_many_threads_share_one(tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "stream")
    with open(path, "wb+") as file:
        file.write(STREAM)
        file.flush()
        wrong: list[int] = []
        with SealedReader(FileSource(file.fileno()), INFO, KEY, cache_bytes=2 * SMALL) as opened:

            def work(seed: int) -> None:
                for step in range(60):
                    offset = (seed * 7919 + step * 1237) % len(DATA)
                    buffer = memoryview(bytearray(1 + (step * 331) % (3 * SMALL)))
                    got = opened.read_at(offset, buffer)
                    if bytes(buffer[:got]) != DATA[offset : offset + len(buffer)]:
                        wrong.append(offset)

            threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
        assert not wrong


@pytest.mark.parametrize("at", ["index", "header"])
def test_refuses_another_index_or_header_before_anything_is_opened(at: str) -> None:
    bad = bytearray(STREAM)
    bad[INFO.layout.index_offset + 3 if at == "index" else 20] ^= 1
    with pytest.raises(CiphertextMismatchError):
        SealedReader(MemorySource(bytes(bad)), INFO, KEY)


def test_refuses_another_key_and_a_cut_stream() -> None:
    with pytest.raises(RefusedError, match=r"sealed\.key"):
        SealedReader(MemorySource(STREAM), INFO, bytes(32))
    for cut in (10, HEADER_BYTES, len(STREAM) - 1):
        with pytest.raises(CiphertextMismatchError):
            SealedReader(MemorySource(STREAM[:cut]), INFO, KEY)


def test_host_that_alters_a_segment_is_found_and_may_mend_it() -> None:
    bad = True
    target = INFO.layout.segment_range(4)[0]
    source = Flaky(STREAM, lambda offset, _length: bad and offset == target)
    with SealedReader(source, INFO, KEY) as opened:
        for size in (10, SMALL, 3 * SMALL):
            with pytest.raises(CiphertextMismatchError) as caught:
                opened.read_at(4 * SMALL, memoryview(bytearray(size)))
            assert caught.value.segment == 4
        bad = False
        buffer = memoryview(bytearray(3 * SMALL))
        assert opened.read_at(4 * SMALL, buffer) == 3 * SMALL
        assert bytes(buffer) == DATA[4 * SMALL : 7 * SMALL]


def test_host_with_the_key_cannot_put_another_segment_in_place() -> None:
    """A segment that opens, but is not the owner's, is found by the index."""
    opener = Opener(Header.from_bytes(STREAM[:HEADER_BYTES]), KEY, INFO.key_commitment)
    offset, length = INFO.layout.segment_range(1)
    forged = bytearray(length)
    opener.repeat_ciphertext(1, bytes(SMALL), memoryview(forged))
    stream = STREAM[:offset] + bytes(forged) + STREAM[offset + length :]
    with SealedReader(MemorySource(stream), INFO, KEY) as opened, pytest.raises(CiphertextMismatchError):
        opened.read_at(SMALL, memoryview(bytearray(10)))


def test_owners_bad_segment_is_final() -> None:
    def flip(stream: bytearray) -> None:
        stream[INFO.layout.segment_range(3)[0] + 5] ^= 1

    stream, info = resealed(STREAM, INFO, flip)
    with SealedReader(MemorySource(stream), info, KEY) as opened:
        assert opened.read(10) == DATA[:10]
        with pytest.raises(RefusedError, match=r"sealed\.segment"):
            opened.read_at(3 * SMALL, memoryview(bytearray(4 * SMALL)))
        with pytest.raises(RefusedError):
            opened.read_at(0, memoryview(bytearray(1)))


def test_proof_of_the_whole() -> None:
    seen: list[tuple[int, int]] = []
    with reader() as opened:
        opened.prove(SALT, progress=lambda *done: seen.append(done))
        assert max(seen) == (len(DATA), len(DATA))
    with SealedReader(
        MemorySource(STREAM), dataclasses.replace(INFO, content_digest=bytes(32)), KEY
    ) as opened:
        opened.read(5)
        with pytest.raises(RefusedError, match=r"sealed\.content"):
            opened.prove(SALT)
        with pytest.raises(RefusedError, match=r"sealed\.content"):
            opened.read(5)


def test_closed_reader_gives_nothing() -> None:
    opened = reader()
    opened.read(100)
    opened.close()
    opened.close()
    with pytest.raises(ValueError, match="closed"):
        opened.read_at(0, memoryview(bytearray(1)))


def test_index_that_changes_later_is_the_hosts_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of the index beyond those that are kept are read again, and proven again."""
    monkeypatch.setattr(header, "_KEPT_PAGES", 1)
    data = bytes_of(3 * PAGE_LEAVES * SMALL)
    stream, info = sealed_stream(data)
    source = Flaky(stream)
    with SealedReader(source, info, KEY, read_ahead=0) as opened:
        buffer = memoryview(bytearray(10))
        for page in (0, 2, 1):
            opened.read_at(page * PAGE_LEAVES * SMALL, buffer)
            assert bytes(buffer) == data[page * PAGE_LEAVES * SMALL :][:10]
        source.spoil = lambda offset, _length: offset >= info.layout.index_offset
        opened.read_at((PAGE_LEAVES + 5) * SMALL, buffer)  # its page is the one that is kept
        with pytest.raises(CiphertextMismatchError, match="another index than before"):
            opened.read_at(5 * SMALL, buffer)


def test_cache_gives_an_error_to_all_who_wait_and_loads_again() -> None:
    entered, release = threading.Event(), threading.Event()
    broken = True

    def load(segment: int, view: memoryview) -> None:
        entered.set()
        assert release.wait(60)
        if broken:
            raise CiphertextMismatchError("segment", "a", "b", segment=segment)
        view[:] = bytes([segment]) * len(view)

    cache = SegmentCache(2, 4, load)
    errors: list[BaseException] = []

    def hold() -> None:
        try:
            with cache.held(7):
                pass
        except CiphertextMismatchError as error:
            errors.append(error)

    threads = [threading.Thread(target=hold) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert entered.wait(60)
    release.set()
    for thread in threads:
        thread.join(60)
    assert len(errors) == 3
    broken = False
    with cache.held(7) as view:
        assert bytes(view) == b"\x07" * 4
    cache.prefetch(8)
    cache.prefetch(8)
    with cache.held(8) as view, cache.held(7):
        cache.prefetch(9)  # no room: nothing is waited for
        assert 9 not in cache
        assert bytes(view) == b"\x08" * 4
    cache.wipe()
    assert 7 not in cache
