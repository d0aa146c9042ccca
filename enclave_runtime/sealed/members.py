"""Single files of a sealed archive, without unpacking it (docs/protocol.md sections 3.1 and 3.3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from enclave_runtime.sealed.tarformat import BLOCK_BYTES, END_BYTES, Entry, Kind, padding
from enclave_runtime.sealed.tarwalk import Quota, Walk

_WINDOW: Final = 8 * BLOCK_BYTES
"""Read at once: all headers of an entry, and what small files follow it."""

__all__ = ["Content", "Member", "entries_of", "member", "members"]


class Content(Protocol):
    """Plaintext that can be read at any place: `SealedReader`, or a file of one."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset` on and return how much; less only at the end."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive; itself a `Content`.

    Attributes:
        name: relative path in the archive.
        offset: where its bytes begin in the archive.
    """

    content: Content
    name: str
    offset: int
    size: int

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` with the file's bytes from `offset` on; errors as the content's own."""
        if offset < 0:
            raise ValueError(f"member: got offset {offset}, expected none below 0")
        wanted = max(0, min(len(buffer), self.size - offset))
        return self.content.read_at(self.offset + offset, buffer[:wanted]) if wanted else 0


def members(archive: Content, *, entries: int = 100_000) -> dict[str, Member]:
    """Return the files of an archive by name, having read its headers alone; links are left out.

    Args:
        archive: a whole archive as `archive.ArchiveReader` makes it.
        entries: files, directories and links at most.
    Raises:
        RefusedError: steps `archive.*`, as `unpack`; or as the content's own.
    """
    return {found.name: found for found in _files(archive, entries)}


def member(archive: Content, name: str, *, entries: int = 100_000) -> Member:
    """Return one file of an archive, having read the headers up to its own; errors as `members`.

    Raises:
        KeyError: there is none of this name.
    """
    for found in _files(archive, entries):
        if found.name == name:
            return found
    raise KeyError(name)


def entries_of(archive: Content, quota: Quota) -> Iterator[tuple[Entry, int]]:
    """Give each entry of an archive, and where its content begins, having read the headers alone.

    Raises:
        RefusedError: steps `archive.*`, as `unpack`; or as the content's own.
    """
    position = 0
    window = memoryview(bytearray(_WINDOW))
    start = end = 0

    def read(size: int) -> bytes:
        nonlocal position, start, end
        if not start <= position <= position + size <= end:
            start, end = position, position + archive.read_at(position, window)
            if end - start < size:
                raise walk.refuse("format", "the end of the archive", f"{size} more bytes")
        position += size
        return bytes(window[position - size - start : position - start])

    walk = Walk(read, quota)
    while (entry := walk.next()) is not None:
        yield entry, position
        position += entry.size
        if (rest := padding(entry.size)) and any(read(rest)):
            raise walk.refuse("format", "padding that is not zero", "zeros")
    if any(read(END_BYTES - BLOCK_BYTES)) or position != archive.size:
        raise walk.refuse("format", "bytes after the end", "two zero blocks and nothing more")


def _files(archive: Content, entries: int) -> Iterator[Member]:
    for entry, position in entries_of(archive, Quota(archive.size, entries)):
        if entry.kind is Kind.FILE:
            yield Member(archive, entry.name, position, entry.size)
