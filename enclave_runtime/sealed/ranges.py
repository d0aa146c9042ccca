"""Sealed streams that can be read at any place: a file here, a store's blob elsewhere (protocol section 3.3).

What a source gives is copied into memory of the one who asks, so the bytes that were checked are the bytes
that are used; a source is never mapped, and never trusted.
"""

from __future__ import annotations

import os
from typing import Protocol, runtime_checkable

from enclave_runtime.sealed.buffers import Octets

__all__ = ["FileSource", "MemorySource", "RangeAdapter", "RangeSource", "Source", "as_source"]


@runtime_checkable
class Source(Protocol):
    """A sealed stream that can be read at any place, from several threads."""

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset` on and return how much; less only where the stream ends."""


class RangeSource(Protocol):
    """A blob whose size is known before its first byte, read by ranges, from several threads."""

    @property
    def size(self) -> int:
        """Length of the blob in bytes."""

    def read_into(self, offset: int, view: memoryview) -> int:
        """Fill `view` from `offset` on and return how much; less only where the blob ends."""


class FileSource:
    """A stream in an open file, read with `pread`; both kinds of source. The caller closes the file."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @property
    def size(self) -> int:
        """Length of the file in bytes, now."""
        return os.fstat(self._fd).st_size

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Copy bytes of the file into private memory."""
        filled = os.preadv(self._fd, [buffer], offset)
        while 0 < filled < len(buffer):
            got = os.preadv(self._fd, [buffer[filled:]], offset + filled)
            if not got:
                break
            filled += got
        return filled

    read_into = read_at


class MemorySource:
    """A stream in memory; both kinds of source."""

    def __init__(self, data: Octets) -> None:
        self._data = memoryview(data)

    @property
    def size(self) -> int:
        """Length in bytes."""
        return len(self._data)

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Copy bytes out."""
        piece = self._data[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)

    read_into = read_at


class RangeAdapter:
    """A range source as a source."""

    def __init__(self, ranges: RangeSource) -> None:
        self._ranges = ranges

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset` on, in as many pieces as the source gives."""
        filled = 0
        while filled < len(buffer):
            got = self._ranges.read_into(offset + filled, buffer[filled:])
            if not got:
                break
            filled += got
        return filled


def as_source(source: Source | RangeSource) -> Source:
    """Return `source` as one that has `read_at`."""
    if isinstance(source, Source):
        return source
    return RangeAdapter(source)
