"""Engines as images that are mounted instead of unpacked (docs/protocol.md section 3.1, ADR 0024).

`ImageReader` makes the image of a folder as a stream, as `archive.ArchiveReader` makes its archive, and
refuses the same. `check_image` reads one back and compares it, all but the content of files, with what the
writer would have made; the same tree as an archive, with its digest, comes out of it, too.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from types import TracebackType
from typing import Final

from enclave_runtime.sealed.archive import changed, open_entry, walk_folder
from enclave_runtime.sealed.buffers import Readable
from enclave_runtime.sealed.erofs import (
    BLOCK_BYTES,
    INODE_BYTES,
    ROOT_OFFSET,
    child_names,
    inode_fields,
    plan,
)
from enclave_runtime.sealed.members import Content
from enclave_runtime.sealed.tarformat import (
    END_BYTES,
    MAX_DEPTH,
    MAX_NAME_BYTES,
    Entry,
    Kind,
    encode,
    link_fault,
    name_fault,
    padding,
    sort_key,
)
from enclave_runtime.sealed.tarwalk import Quota
from enclave_runtime.wire.errors import RefusedError, WireError

__all__ = ["Image", "ImageReader", "check_image"]

_PIECE: Final = 1 << 20
_ZEROS: Final = bytes(BLOCK_BYTES)
_MODE_KIND: Final = {
    0o100644: (Kind.FILE, False),
    0o100755: (Kind.FILE, True),
    0o040755: (Kind.DIRECTORY, False),
    0o120777: (Kind.SYMLINK, False),
}
_STEP: Final = "archive.image"


class ImageReader:
    """The image of a folder as a `Readable`: `length` is known first, then bytes are made as they are read.

    The folder must not change meanwhile. Memory is some hundred bytes for each entry.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Walk the folder once.

        Raises:
            RefusedError: as `archive.ArchiveReader`.
            OSError: the folder cannot be read.
        """
        self._root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            listed = [entry for entry, _ in walk_folder(self._root)]
            self._plan = plan(listed)
        except BaseException:
            os.close(self._root)
            raise
        self.entries = len(listed)
        self.length = self._plan.length
        self._pieces = _Pieces(self._run())

    def __enter__(self) -> ImageReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every descriptor. May be called twice."""
        self._pieces.close()
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill `buffer` with the next bytes of the image and return how many; 0 at its end.

        Raises:
            RefusedError: steps `archive.changed` and as the constructor.
        """
        return self._pieces.readinto(buffer)

    def _run(self) -> Generator[memoryview, None, None]:
        yield memoryview(self._plan.metadata)
        scratch = memoryview(bytearray(_PIECE))
        planned = iter(self._plan.files)
        for entry, folder in walk_folder(self._root):
            if entry.kind is not Kind.FILE:
                continue
            if entry != next(planned, (None, 0))[0]:
                raise changed(entry)
            left = entry.size
            with open_entry(entry, folder) as file:
                while left:
                    got = os.readv(file, [scratch[: min(left, _PIECE)]])
                    if not got:
                        raise changed(entry)
                    left -= got
                    yield scratch[:got]
            yield memoryview(bytes(-entry.size % BLOCK_BYTES))
        if next(planned, None) is not None:
            raise RefusedError("archive.changed", "fewer files than at first", "no change while reading")


class _Pieces:
    """Pieces that a generator makes, as a `Readable`; each is used up before the next is asked for."""

    def __init__(self, pieces: Generator[memoryview, None, None]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readinto(self, buffer: memoryview, /) -> int:
        filled = 0
        while filled < len(buffer):
            if not self._rest:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._rest = piece
            taken = min(len(self._rest), len(buffer) - filled)
            buffer[filled : filled + taken] = self._rest[:taken]
            self._rest = self._rest[taken:]
            filled += taken
        return filled

    def close(self) -> None:
        self._pieces.close()


class Image:
    """An image that was compared; only `check_image` makes one."""

    def __init__(self, content: Content, entries: list[Entry], starts: dict[str, int]) -> None:
        self._content = content
        self._starts = starts
        self.entries = tuple(entries)

    def archive_length(self) -> int:
        """Return the length of the archive of the same tree."""
        return END_BYTES + sum(len(encode(one)) + one.size + padding(one.size) for one in self.entries)

    def archive(self) -> Readable:
        """Return the archive of the same tree: for its digest, or to unpack it."""
        return _Pieces(self._archive())

    def _archive(self) -> Generator[memoryview, None, None]:
        scratch = memoryview(bytearray(_PIECE))
        for entry in self.entries:
            yield memoryview(encode(entry))
            for offset in range(0, entry.size, _PIECE):
                piece = scratch[: min(_PIECE, entry.size - offset)]
                _read(self._content, self._starts[entry.name] + offset, piece)
                yield piece
            yield memoryview(bytes(padding(entry.size)))
        yield memoryview(bytes(END_BYTES))


def check_image(content: Content, quota: Quota) -> Image:
    """Read an image's structure and compare it with what the writer makes of the same tree.

    Args:
        content: the whole image: a file on the CVM's own disk, or a `SealedReader`.
    Raises:
        RefusedError: steps `archive.image`, `archive.name`, `archive.link` and `archive.quota`; they name the
            number of the entry, never its name.
    """
    try:
        entries = _Tree(content, quota).all()
        made = plan(entries)
    except WireError as error:
        raise RefusedError(_STEP, error, "an image as this project's writer makes it") from None
    if made.length != content.size:
        raise RefusedError(_STEP, f"{content.size} bytes", f"{made.length} bytes")
    buffer = memoryview(bytearray(_PIECE))
    for start in range(0, len(made.metadata), _PIECE):
        expected = made.metadata[start : start + _PIECE]
        _read(content, start, buffer[: len(expected)])
        if buffer[: len(expected)] != expected:
            raise RefusedError(_STEP, "other structures", "an image as this project's writer makes it")
    for entry, start in made.files:
        tail = buffer[: -entry.size % BLOCK_BYTES]
        _read(content, start + entry.size, tail)
        if tail != _ZEROS[: len(tail)]:
            raise RefusedError(_STEP, "bytes after a file's end", "zeros")
    return Image(content, entries, {entry.name: start for entry, start in made.files})


class _Tree:
    """Reads names and inodes in the writer's order: each inode is the next one, so none comes twice."""

    def __init__(self, content: Content, quota: Quota) -> None:
        self._content = content
        self._quota = quota
        self._entries: list[Entry] = []
        self._last: tuple[bytes, ...] = ()
        self._bytes = 0

    def all(self) -> list[Entry]:
        self._folder(0, "", 0)
        return self._entries

    def _folder(self, number: int, prefix: str, depth: int) -> None:
        mode, size, start = self._inode(number)
        if mode != 0o040755 or not 0 < size <= self._content.size or depth > MAX_DEPTH:
            raise WireError(f"image: got a folder of mode {mode:o} and {size} bytes (entry {number})")
        for offset in range(0, size, BLOCK_BYTES):
            for name, child in child_names(self._some(start + offset, min(BLOCK_BYTES, size - offset))):
                if name in (b".", b".."):
                    continue
                if child != len(self._entries) + 1:
                    raise WireError(f"image: got inode {child}, expected {len(self._entries) + 1}")
                self._entry(child, prefix, name, depth)

    def _entry(self, number: int, prefix: str, name: bytes, depth: int) -> None:
        if number > self._quota.entries:
            raise RefusedError(
                "archive.quota", f"more than {self._quota.entries} entries", "at most that many"
            )
        mode, size, start = self._inode(number)
        if mode not in _MODE_KIND:
            raise WireError(f"image: got mode {mode:o} (entry {number})")
        kind, executable = _MODE_KIND[mode]
        path = prefix + name.decode("utf-8", "surrogateescape")
        if fault := name_fault(path):
            raise RefusedError("archive.name", f"{fault} (entry {number})", "a plain relative name")
        key = sort_key(path)
        if key <= self._last:
            raise WireError(f"image: got a name that is not above the one before (entry {number})")
        self._last = key
        target = ""
        if kind is Kind.SYMLINK:
            if size > MAX_NAME_BYTES:
                raise WireError(f"image: got a link of {size} bytes (entry {number})")
            target = self._some(start, size).decode("utf-8", "surrogateescape")
            if fault := link_fault(path, target):
                raise RefusedError("archive.link", f"{fault} (entry {number})", "a link inside the root")
        self._bytes += size if kind is Kind.FILE else 0
        if self._bytes > self._quota.content_bytes:
            limit = self._quota.content_bytes
            raise RefusedError("archive.quota", f"{self._bytes} bytes (entry {number})", f"at most {limit}")
        self._entries.append(Entry(path, kind, size if kind is Kind.FILE else 0, executable, target))
        if kind is Kind.DIRECTORY:
            self._folder(number, path + "/", depth + 1)

    def _inode(self, number: int) -> tuple[int, int, int]:
        return inode_fields(self._some(ROOT_OFFSET + INODE_BYTES * number, INODE_BYTES))

    def _some(self, offset: int, size: int) -> bytes:
        piece = memoryview(bytearray(size))
        _read(self._content, offset, piece)
        return bytes(piece)


def _read(content: Content, offset: int, view: memoryview) -> None:
    if view and content.read_at(offset, view) != len(view):
        raise RefusedError(_STEP, f"the end at {content.size}", f"{len(view)} bytes at {offset}")
