"""A sealed stream on its way into a file: what is there proves itself, so a kill costs a segment a thread.

No journal says which segments are in: after a kill, or a power cut, whatever the file holds is compared with
the index, which is compared with the ciphertext digest. Holes cost nothing to look at.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from enclave_runtime.sealed.buffers import empty_file, write_full_at
from enclave_runtime.sealed.header import HEADER_BYTES, CiphertextIndex, CiphertextMismatchError, SealedInfo
from marketplace.storage.base import BlobTooLargeError, StorageError
from marketplace.storage.pushing import open_locked

__all__ = ["PartialFile", "check_index_size"]

_MAX_INDEX_BYTES: Final = 512 << 20
"""Enough for the longest stream of segments of 1 MiB."""


class PartialFile:
    """A `SegmentSink` that keeps ciphertext; one process at a time has it, and another one waits."""

    def __init__(self, path: Path, info: SealedInfo) -> None:
        """Open or make the file, and find out what an earlier attempt left in it.

        Raises:
            BlobTooLargeError: as `check_index_size`.
            OSError: it cannot be made or read.
        """
        check_index_size(info)
        self._path = path
        self._info = info
        self._layout = info.layout
        self._index: CiphertextIndex | None = None
        self._have = bytearray(self._layout.segments)
        self._lock = threading.Lock()
        self._fd = open_locked(path)
        try:
            if os.fstat(self._fd).st_size == self._layout.total_bytes:
                self._look()
            else:
                empty_file(self._fd)
                os.ftruncate(self._fd, self._layout.total_bytes)
        except BaseException:
            os.close(self._fd)
            raise

    @property
    def has_head(self) -> bool:
        """Whether header and index are in."""
        return self._index is not None

    @property
    def held_bytes(self) -> int:
        """How many bytes of segments are in."""
        return sum(self._layout.segment_range(number)[1] for number, have in enumerate(self._have) if have)

    def begin(self, header: memoryview, index: memoryview) -> None:
        """Take header and index; see `SegmentSink.begin`."""
        if self._index is None:
            checked = CiphertextIndex(header, index, self._info)
            write_full_at(self._fd, header, 0)
            write_full_at(self._fd, index, self._layout.index_offset)
            self._index = checked

    def feed(self, segment: int, ciphertext: memoryview) -> None:
        """Compare a segment with the index and keep it; see `SegmentSink.feed`."""
        if self._index is None:
            raise RuntimeError("the header and index of the stream were not fed yet")
        self._index.check(segment, ciphertext)
        write_full_at(self._fd, ciphertext, self._layout.segment_range(segment)[0])
        self._have[segment] = 1

    def missing(self) -> Iterator[int]:
        """Give the segments that are not in, in order."""
        return (number for number, have in enumerate(self._have) if not have)

    def finish(self, final: Path) -> None:
        """Give the file its name, once every segment is in, and close it.

        Raises:
            StorageError: segments are missing.
        """
        absent = self._have.count(0)
        if absent or self._index is None:
            raise StorageError(f"{final.name}: got all but {absent} segments, expected every one")
        os.fchmod(self._fd, 0o444)
        os.fsync(self._fd)
        os.rename(self._path, final)
        self.close()
        folder = os.open(final.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def close(self) -> None:
        """Close the file; what is in it stays for the next attempt. Twice does no harm."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def _look(self) -> None:
        """Believe of the file what proves itself."""
        header = os.pread(self._fd, HEADER_BYTES, 0)
        index = os.pread(self._fd, self._layout.index_bytes, self._layout.index_offset)
        try:
            self._index = CiphertextIndex(header, index, self._info)
        except CiphertextMismatchError:
            return
        for segment in self._written():
            offset, length = self._layout.segment_range(segment)
            try:
                self._index.check(segment, os.pread(self._fd, length, offset))
            except CiphertextMismatchError:
                continue
            self._have[segment] = 1

    def _written(self) -> Iterator[int]:
        """Give the segments that are not all hole."""
        for segment in range(self._layout.segments):
            offset, length = self._layout.segment_range(segment)
            try:
                if os.lseek(self._fd, offset, os.SEEK_DATA) < offset + length:
                    yield segment
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                return


def check_index_size(info: SealedInfo) -> None:
    """Refuse a stream whose index would not fit into memory: short segments of a long content.

    Raises:
        BlobTooLargeError: as said; nothing was allocated.
    """
    if info.layout.index_bytes > _MAX_INDEX_BYTES:
        raise BlobTooLargeError(
            f"index: got {info.layout.index_bytes} bytes, expected at most {_MAX_INDEX_BYTES}",
            hint="its owner has to seal it in longer segments",
        )
