"""The archive back into a folder, inside the CVM or at a client (docs/protocol.md sections 3.1 and 10).

Refuses whatever `archive` would not have written, entry by entry, before anything of that entry is written.
Refusals name the number of the entry, never its name: the host reads refusals, and names may be data.
Nothing is ever followed: the parent of each entry is a directory that this run made and still holds open.
"""

from __future__ import annotations

import os
import shutil
import stat
from typing import Final

from enclave_runtime.sealed.buffers import Readable, read_full
from enclave_runtime.sealed.tarformat import BLOCK_BYTES, Entry, Kind, padding
from enclave_runtime.sealed.tarwalk import Quota, Unpacked, Walk

__all__ = ["Quota", "Unpacked", "unpack"]

_BUFFER_BYTES: Final = 1 << 20


def unpack(source: Readable, folder: int, quota: Quota) -> Unpacked:
    """Write the archive into an empty directory.

    Args:
        source: gives exactly one archive.
        folder: descriptor of an empty directory; stays open. It is emptied again if anything fails.
    Raises:
        RefusedError: steps `archive.` `format`, `name`, `link`, `order` and `quota`.
        OSError: the directory cannot be written, or is full.
        ValueError: the directory is not empty.
    """
    if os.listdir(folder):
        raise ValueError("unpack: got a directory with entries, expected an empty one")
    run = _Run(source, folder, quota)
    try:
        return run.all()
    except BaseException:
        run.close()
        _clear(folder)
        raise
    finally:
        run.close()


class _Run:
    """One unpacking: the chain of open directories."""

    def __init__(self, source: Readable, folder: int, quota: Quota) -> None:
        self._source = source
        self._walk = Walk(self._read, quota)
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._open: list[tuple[str, int]] = [("", os.dup(folder))]

    def all(self) -> Unpacked:
        while (entry := self._walk.next()) is not None:
            self._write(entry, self._parent(entry))
        if any(self._read(BLOCK_BYTES)) or read_full(self._source, self._buffer[:1]):
            raise self._walk.refuse("format", "bytes after the end", "two zero blocks and nothing more")
        return self._walk.used

    def close(self) -> None:
        while self._open:
            self._leave()

    def _parent(self, entry: Entry) -> int:
        """Return the descriptor of the directory that holds `entry`; the walk made sure that there is one."""
        path = entry.name.rpartition("/")[0]
        while self._open[-1][0] != path:
            self._leave()
        return self._open[-1][1]

    def _write(self, entry: Entry, parent: int) -> None:
        name = entry.name.rpartition("/")[2]
        if entry.kind is Kind.SYMLINK:
            os.symlink(entry.target, name, dir_fd=parent)
        elif entry.kind is Kind.DIRECTORY:
            os.mkdir(name, 0o700, dir_fd=parent)
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            self._open.append((entry.name, os.open(name, flags, dir_fd=parent)))
        else:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            target = os.open(name, flags, 0o600, dir_fd=parent)
            try:
                self._copy(entry.size, target)
                _settle(target, entry.mode)
            finally:
                os.close(target)

    def _copy(self, size: int, target: int) -> None:
        rest = size
        while rest:
            piece = self._buffer[: min(rest, _BUFFER_BYTES)]
            if read_full(self._source, piece) != len(piece):
                raise self._walk.refuse("format", "the end within a file", f"{rest} more bytes")
            rest -= len(piece)
            while piece:
                piece = piece[os.write(target, piece) :]
        if self._read(padding(size)).strip(b"\x00"):
            raise self._walk.refuse("format", "padding that is not zero", "zeros")

    def _leave(self) -> None:
        path, folder = self._open.pop()
        try:
            if path:
                _settle(folder, 0o755)
        finally:
            os.close(folder)

    def _read(self, size: int) -> bytes:
        piece = self._buffer[:size]
        if read_full(self._source, piece) != size:
            raise self._walk.refuse("format", "the end of the archive", f"{size} more bytes")
        return bytes(piece)


def _settle(descriptor: int, mode: int) -> None:
    """Fix what a umask or a clock would decide."""
    os.fchmod(descriptor, mode)
    os.utime(descriptor, (0, 0))


def _clear(folder: int) -> None:
    for name in os.listdir(folder):
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            shutil.rmtree(name, dir_fd=folder)
        else:
            os.unlink(name, dir_fd=folder)
