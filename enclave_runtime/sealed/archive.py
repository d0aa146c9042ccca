"""A folder as one deterministic tar, read as a stream (docs/protocol.md section 3.1).

The owner's side. Entries come depth first, each directory sorted by the bytes of its names, so that memory
holds one directory at a time and no temporary copy is made. Refused, with the name: hard links, symbolic
links that leave the root, devices, pipes, sockets, names that another system could read differently.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final

from enclave_runtime.sealed.tarformat import (
    END_BYTES,
    Entry,
    Kind,
    encode,
    link_fault,
    name_fault,
    padding,
)
from enclave_runtime.sealed.tarwalk import MAX_ENTRIES
from enclave_runtime.wire.errors import RefusedError

__all__ = ["ArchiveReader"]

_EXPECTED: Final = "a plain file, a directory or a link inside the root"
_KINDS: Final = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}


class ArchiveReader:
    """The archive of a folder as a `Readable`: `length` is known first, then bytes are made as they are read.

    The folder must not change meanwhile: a file that grew, shrank or went away is refused by name.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Walk the folder once to know the length.

        Raises:
            RefusedError: steps `archive.type`, `archive.link`, `archive.name`; the name is in it. Step
                `archive.entries`: more of them than an archive may have to be opened again.
            OSError: the folder cannot be read.
        """
        self._root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._body: int | None = None
        self._rest = 0
        self._pending = memoryview(b"")
        try:
            self.entries = 0
            self.length = END_BYTES
            for entry, _ in _walk_folder(self._root):
                self.entries += 1
                if self.entries > MAX_ENTRIES:
                    raise RefusedError("archive.entries", f"more than {MAX_ENTRIES}", "at most that many")
                self.length += len(encode(entry)) + entry.size + padding(entry.size)
        except BaseException:
            os.close(self._root)
            raise
        self._walk = self._pieces()

    def __enter__(self) -> ArchiveReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every descriptor. May be called twice."""
        self._walk.close()
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill `buffer` with the next bytes of the archive and return how many; 0 at its end.

        Raises:
            RefusedError: as the constructor, and `archive.changed`.
        """
        filled = 0
        while filled < len(buffer):
            if self._pending:
                taken = min(len(self._pending), len(buffer) - filled)
                buffer[filled : filled + taken] = self._pending[:taken]
                self._pending = self._pending[taken:]
                filled += taken
            elif self._body is not None and self._rest:
                got = os.readv(self._body, [buffer[filled : filled + self._rest]])
                if not got:
                    next(self._walk)  # refuses: the file is shorter than it was
                self._rest -= got
                filled += got
            elif not next(self._walk, False):
                break
        return filled

    def _pieces(self) -> Generator[bool, None, None]:
        """Set up one piece after the other (`_pending` or `_body`), each when the one before is used up."""
        left = self.length - END_BYTES
        for entry, folder in _walk_folder(self._root):
            header = encode(entry)
            left -= len(header) + entry.size + padding(entry.size)
            if left < 0:
                raise _changed(entry)
            self._pending = memoryview(header)
            yield True
            if entry.kind is Kind.FILE:
                yield from self._file(entry, folder)
        if left:
            raise RefusedError(
                "archive.changed", f"{left} bytes less than at first", "no change while reading"
            )
        self._pending = memoryview(bytes(END_BYTES))
        yield True

    def _file(self, entry: Entry, folder: int) -> Generator[bool, None, None]:
        with _open_entry(entry, folder) as self._body:
            self._rest = entry.size
            yield True
            if self._rest or os.fstat(self._body).st_size != entry.size:
                raise _changed(entry)
        self._body = None
        self._pending = memoryview(bytes(padding(entry.size)))
        yield True


def _walk_folder(folder: int, prefix: str = "") -> Iterator[tuple[Entry, int]]:
    """Give each entry below `folder` with a descriptor of the directory that holds it, open until the next.

    Raises:
        RefusedError: steps `archive.type`, `archive.link`, `archive.name`; the name is in it.
        OSError: the folder cannot be read.
    """
    for name in sorted(os.listdir(folder), key=os.fsencode):
        path = prefix + name
        if fault := name_fault(path):
            raise RefusedError("archive.name", f"{fault}: {path!r}", "a plain relative name")
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        entry = _entry(path, name, folder, found)
        yield entry, folder
        if entry.kind is Kind.DIRECTORY:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            child = os.open(name, flags, dir_fd=folder)
            try:
                yield from _walk_folder(child, path + "/")
            finally:
                os.close(child)


def _entry(path: str, name: str, folder: int, found: os.stat_result) -> Entry:
    if stat.S_ISDIR(found.st_mode):
        return Entry(path, Kind.DIRECTORY)
    if stat.S_ISLNK(found.st_mode):
        target = os.readlink(name, dir_fd=folder)
        if fault := link_fault(path, target):
            raise RefusedError("archive.link", f"{fault}: {path!r} -> {target!r}", _EXPECTED)
        return Entry(path, Kind.SYMLINK, target=target)
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "an unknown kind of file")
        raise RefusedError("archive.type", f"{kind}: {path!r}", _EXPECTED)
    if found.st_nlink > 1:
        raise RefusedError(
            "archive.link", f"a hard link ({found.st_nlink} names): {path!r}", "a copy of its own"
        )
    return Entry(path, Kind.FILE, found.st_size, bool(found.st_mode & stat.S_IXUSR))


@contextmanager
def _open_entry(entry: Entry, folder: int) -> Iterator[int]:
    """Give a descriptor of a file that `_walk_folder` found, closed at the end of the block.

    Raises:
        RefusedError: step `archive.changed`: it is another kind of file by now, or another size.
    """
    # Non-blocking: should a pipe have taken the file's place, opening it must not wait for a writer.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    body = os.open(entry.name.rpartition("/")[2], flags, dir_fd=folder)
    try:
        found = os.fstat(body)
        if not stat.S_ISREG(found.st_mode) or found.st_size != entry.size:
            raise _changed(entry)
        yield body
    finally:
        os.close(body)


def _changed(entry: Entry) -> RefusedError:
    """Return the refusal of a folder that changed while it was read."""
    return RefusedError(
        "archive.changed", f"more, less or another kind: {entry.name!r}", "no change while reading"
    )
