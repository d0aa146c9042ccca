"""Sealed streams brought into a file, segment by segment; needs no key (docs/protocol.md sections 3.3, 3.5).

What was fetched before an interruption lies in NAME.part and is used again: each segment is compared with the
stream's index, so nothing need be written down beside it, and nothing in it is believed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from enclave_runtime.sealed.buffers import Progress
from enclave_runtime.sealed.header import (
    HEADER_BYTES,
    TAG_BYTES,
    CiphertextIndex,
    CiphertextMismatchError,
    SealedInfo,
)
from marketplace.errors import BadInputError
from marketplace.sealing.containers import part_of
from marketplace.sealing.folders import Blobs
from marketplace.sealing.opening import BlobSource

__all__ = ["Fetched", "fetch_stream"]

_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class Fetched:
    """A stream that is whole in a file.

    Attributes:
        size: of the stream, in bytes.
        kept: bytes that an interrupted run had fetched already.
    """

    size: int
    kept: int


def fetch_stream(
    store: Blobs, uri: str, info: SealedInfo, target: Path, *, progress: Progress | None = None
) -> Fetched:
    """Fetch a stream into the new file `target`; nothing unproven is kept, and `target` appears when whole.

    Args:
        info: from a manifest or an order report that was verified.
        progress: called with bytes that are there, and in all.
    Raises:
        CiphertextMismatchError: the store gave other bytes; call again with another location, it goes on.
        StorageError: the blob is missing or cannot be read.
        BadInputError: `target` exists.
    """
    if target.exists():
        raise BadInputError("file to write", f"{target}, which exists", "a new name")
    layout, source = info.layout, BlobSource(store, uri)
    head, tail = memoryview(bytearray(HEADER_BYTES)), memoryview(bytearray(layout.index_bytes))
    got = source.read_at(0, head), source.read_at(layout.index_offset, tail)
    index = CiphertextIndex(head[: got[0]], tail[: got[1]], info)
    descriptor = os.open(part_of(target), _NEW, 0o600)
    try:
        run = _Run(store, uri, index, info, descriptor, progress)
        kept = run.look()
        for first, last in run.gaps():
            run.fetch(first, last)
        _write(descriptor, 0, head)
        _write(descriptor, layout.index_offset, tail)
        os.ftruncate(descriptor, layout.total_bytes)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(part_of(target), target)
    return Fetched(layout.total_bytes, kept)


class _Run:
    """One attempt at one location."""

    def __init__(
        self,
        store: Blobs,
        uri: str,
        index: CiphertextIndex,
        info: SealedInfo,
        descriptor: int,
        progress: Progress | None,
    ) -> None:
        self._store, self._uri = store, uri
        self._index, self._layout = index, info.layout
        self._fd = descriptor
        self._progress = progress
        self._there = bytearray(self._layout.segments)
        self._done = 0
        whole = min(self._layout.segment_bytes, self._layout.plaintext_bytes) + TAG_BYTES
        self._buffer = memoryview(bytearray(whole))

    def look(self) -> int:
        """Find the segments that the file has already; return their bytes."""
        size = os.fstat(self._fd).st_size
        for segment in range(self._layout.segments):
            offset, length = self._layout.segment_range(segment)
            if offset + length > size:
                break
            got = os.preadv(self._fd, [self._buffer[:length]], offset)
            try:
                self._index.check(segment, self._buffer[:got])
            except CiphertextMismatchError:
                continue
            self._took(segment, length)
        return self._done

    def gaps(self) -> Iterator[tuple[int, int]]:
        """Give the runs of segments that are missing: first, and one after the last."""
        at, count = 0, self._layout.segments
        while (first := self._there.find(0, at)) >= 0:
            after = self._there.find(1, first)
            at = count if after < 0 else after
            yield first, at

    def fetch(self, first: int, after: int) -> None:
        """Fetch a run of segments in one request, each compared before it is written."""
        start = self._layout.segment_range(first)[0]
        offset, length = self._layout.segment_range(after - 1)
        segment, filled = first, 0
        for piece in self._store.open(self._uri, offset=start, length=offset + length - start):
            rest = memoryview(piece)
            while rest:
                place, size = self._layout.segment_range(segment)
                taken = min(len(rest), size - filled)
                self._buffer[filled : filled + taken] = rest[:taken]
                rest, filled = rest[taken:], filled + taken
                if filled == size:
                    self._index.check(segment, self._buffer[:size])
                    _write(self._fd, place, self._buffer[:size])
                    self._took(segment, size)
                    segment, filled = segment + 1, 0
        if segment < after:
            got = f"{filled} bytes"
            raise CiphertextMismatchError("segment", got, "a whole one", segment=segment)

    def _took(self, segment: int, length: int) -> None:
        self._there[segment] = 1
        self._done += length
        if self._progress is not None:
            self._progress(self._done, self._layout.index_offset - HEADER_BYTES)


def _write(descriptor: int, offset: int, data: memoryview) -> None:
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written
