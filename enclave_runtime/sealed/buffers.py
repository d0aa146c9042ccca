"""The narrow shapes in which bytes come in and go out, and the loops that respect short reads and writes."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol, TypeAlias

from enclave_runtime.wire.errors import EnclaveError

__all__ = [
    "Entropy",
    "Octets",
    "Progress",
    "Readable",
    "ShortReadError",
    "ViewReader",
    "Writable",
    "empty_file",
    "read_full",
    "write_full",
    "write_full_at",
]

Octets: TypeAlias = bytes | bytearray | memoryview

Entropy: TypeAlias = Callable[[int], bytes]
"""Returns that many unpredictable bytes (`secrets.token_bytes` in a shell)."""

Progress: TypeAlias = Callable[[int, int], None]
"""Called with bytes done and bytes in all; from any thread, never with content."""


class Readable(Protocol):
    """A source read forwards, once: a binary file, an archive being packed, a view."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill up to `len(buffer)` bytes and return how many; 0 only at the end."""


class Writable(Protocol):
    """A destination written forwards, once."""

    def write(self, data: memoryview, /) -> int | None:
        """Take up to `len(data)` bytes and return how many; None means all."""


class ShortReadError(EnclaveError):
    """A source ended before it gave what was promised, or went on after it."""


class ViewReader:
    """A `Readable` over memory, without a copy."""

    def __init__(self, data: Octets) -> None:
        self._rest = memoryview(data)

    def readinto(self, buffer: memoryview, /) -> int:
        """Copy the next bytes into `buffer`."""
        taken = min(len(buffer), len(self._rest))
        buffer[:taken] = self._rest[:taken]
        self._rest = self._rest[taken:]
        return taken


def read_full(reader: Readable, buffer: memoryview) -> int:
    """Fill `buffer` as far as `reader` goes; return the number of bytes read."""
    filled = 0
    while filled < len(buffer):
        got = reader.readinto(buffer[filled:])
        if not got:
            break
        filled += got
    return filled


def write_full(writer: Writable, data: memoryview) -> None:
    """Write all of `data`, whatever pieces `writer` takes."""
    while data:
        taken = writer.write(data)
        if taken is None:
            return
        data = data[taken:]


def empty_file(fd: int) -> None:
    """Let nothing old stand in a file that is about to be written.

    One that is empty is left alone: ext4 takes a cut to nothing for a rewrite, and writes all out at `close`.
    """
    if os.fstat(fd).st_size:
        os.ftruncate(fd, 0)


def write_full_at(fd: int, data: memoryview, offset: int) -> None:
    """Write all of `data` into a file from `offset` on.

    Raises:
        OSError: no room.
    """
    while data:
        written = os.pwrite(fd, data, offset)
        data, offset = data[written:], offset + written
