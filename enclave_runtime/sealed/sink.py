"""Where decrypted bytes wait until every digest was compared (docs/protocol.md sections 3.3 and 7).

A sink belongs to whoever opens; nobody else may read it before `Unsealer.finish` returned, and it can be
emptied at once. Inside the CVM a file sink is a file on its tmpfs.
"""

from __future__ import annotations

import mmap
import os
import threading
from typing import Final, Protocol

from enclave_runtime.sealed.buffers import ViewReader, empty_file, write_full_at
from enclave_runtime.sealed.workers import private_buffer, wipe_buffer

__all__ = ["FileSink", "MemorySink", "Sink"]

_HUGE_PAGE: Final = 2 << 20


class Sink(Protocol):
    """Random access destination for plaintext; every method may be called from several threads."""

    def reserve(self, offset: int, length: int) -> memoryview:
        """Return `length` writable bytes for the content at `offset`; the thread's own until `commit`."""

    def commit(self, offset: int, view: memoryview) -> None:
        """Keep the bytes in `view`, which `reserve` gave for `offset`."""

    def read_at(self, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` with content that was committed at `offset`."""

    def discard(self) -> None:
        """Forget everything: nothing decrypted is left. May be called twice."""


class MemorySink:
    """Plaintext in private memory, decrypted in place without a copy."""

    def __init__(self, length: int) -> None:
        """Reserve address space for `length` bytes; pages are taken as they are written."""
        self._map = mmap.mmap(-1, max(1, length), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if length >= _HUGE_PAGE:
            self._map.madvise(mmap.MADV_HUGEPAGE)  # first touch costs more than decryption, page by page
        self._view = memoryview(self._map)[:length]

    def reserve(self, offset: int, length: int) -> memoryview:
        """Return the place itself."""
        return self._view[offset : offset + length]

    def commit(self, offset: int, view: memoryview) -> None:
        """Nothing to do: the bytes are in place."""

    def read_at(self, offset: int, buffer: memoryview) -> None:
        """Copy content out."""
        buffer[:] = self._view[offset : offset + len(buffer)]

    def discard(self) -> None:
        """Give the pages back to the kernel, which hands them out zeroed."""
        self._map.madvise(mmap.MADV_DONTNEED)

    def view(self) -> memoryview:
        """Return the whole content; for use after `Unsealer.finish`."""
        return self._view

    def reader(self) -> ViewReader:
        """Return a reader over the whole content; for use after `Unsealer.finish`."""
        return ViewReader(self._view)


class FileSink:
    """Plaintext in a file that the caller opened for reading and writing, and closes."""

    def __init__(self, fd: int) -> None:
        """Empty the file, so that nothing old stands after the content."""
        empty_file(fd)
        self._fd = fd
        self._lock = threading.Lock()
        self._free: list[memoryview] = []
        self._taken: dict[int, memoryview] = {}

    def reserve(self, offset: int, length: int) -> memoryview:
        """Return a buffer that is used again after `commit`, on pages of its own."""
        with self._lock:
            buffer = self._taken.pop(offset, None) or (self._free.pop() if self._free else None)
            if buffer is None or len(buffer) < length:
                buffer = private_buffer(length)
            self._taken[offset] = buffer
        return buffer[:length]

    def commit(self, offset: int, view: memoryview) -> None:
        """Write the bytes at their place."""
        write_full_at(self._fd, view, offset)
        with self._lock:
            self._free.append(self._taken.pop(offset))

    def read_at(self, offset: int, buffer: memoryview) -> None:
        """Read content back.

        Raises:
            OSError: the file was cut by somebody.
        """
        while buffer:
            got = os.preadv(self._fd, [buffer], offset)
            if not got:
                raise OSError("sink file: ended before the content did")
            buffer, offset = buffer[got:], offset + got

    def discard(self) -> None:
        """Cut the file to nothing and wipe every buffer."""
        os.ftruncate(self._fd, 0)
        with self._lock:
            for buffer in (*self._free, *self._taken.values()):
                wipe_buffer(buffer)
