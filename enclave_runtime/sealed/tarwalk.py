"""The entries of an archive in order, each judged before anything is done with it (protocol section 3.1).

Unpacking and random access read an archive through this one place, so both refuse the same. Refusals name the
number of the entry, never its name: the host reads refusals, and names may be data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from enclave_runtime.sealed.tarformat import (
    BLOCK_BYTES,
    Entry,
    Kind,
    decode_header,
    is_extended,
    link_fault,
    name_fault,
    padding,
    pax_bytes,
    sort_key,
)
from enclave_runtime.wire.errors import RefusedError, WireError

__all__ = ["MAX_ENTRIES", "Quota", "Unpacked", "Walk"]

MAX_ENTRIES: Final = 100_000
"""Files, directories and links of one archive at most, for whoever writes it and for whoever reads it."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What an archive may take at most.

    Attributes:
        content_bytes: sum of the sizes of all files.
        entries: files, directories and links together.
    """

    content_bytes: int
    entries: int = MAX_ENTRIES


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What an archive took."""

    content_bytes: int
    entries: int


class Walk:
    """Reads header after header; whoever walks deals with the content of each file before the next."""

    def __init__(self, read: Callable[[int], bytes], quota: Quota) -> None:
        """Args:
        read: gives exactly that many bytes of the archive, or refuses.
        """
        self._read = read
        self._quota = quota
        self._folders: list[str] = [""]
        self._last: tuple[bytes, ...] = ()
        self._entries = 0
        self._content = 0

    @property
    def used(self) -> Unpacked:
        """What the entries so far take."""
        return Unpacked(self._content, self._entries)

    def next(self) -> Entry | None:
        """Return the next entry, or None at the first block of the end.

        Raises:
            RefusedError: steps `archive.` `format`, `name`, `link`, `order` and `quota`.
        """
        block = self._read(BLOCK_BYTES)
        if not any(block):
            return None
        self._entries += 1
        if self._entries > self._quota.entries:
            raise self.refuse("quota", f"more than {self._quota.entries} entries", "at most that many")
        entry = self._decode(block)
        self._check(entry)
        return entry

    def refuse(self, what: str, got: object, expected: object) -> RefusedError:
        """Return a refusal that says at which entry it happened."""
        return RefusedError(f"archive.{what}", f"{got} (entry {self._entries})", expected)

    def _decode(self, block: bytes) -> Entry:
        try:
            pax = b""
            if is_extended(block):
                size = pax_bytes(block)
                pax = block + self._read(size + padding(size))
                block = self._read(BLOCK_BYTES)
            return decode_header(pax, block)
        except WireError as error:
            raise self.refuse("format", error, "a header as the archive's writer makes it") from None

    def _check(self, entry: Entry) -> None:
        if fault := name_fault(entry.name):
            raise self.refuse("name", fault, "a plain relative name")
        if entry.kind is Kind.SYMLINK and (fault := link_fault(entry.name, entry.target)):
            raise self.refuse("link", fault, "a link inside the root")
        key = sort_key(entry.name)
        if key <= self._last:
            raise self.refuse("order", "a name that is not above the one before", "sorted names, each once")
        self._last = key
        self._content += entry.size
        if self._content > self._quota.content_bytes:
            limit = self._quota.content_bytes
            raise self.refuse("quota", f"{self._content} bytes of content", f"at most {limit}")
        folder = entry.name.rpartition("/")[0]
        while self._folders[-1] != folder:
            if len(self._folders) == 1:
                raise self.refuse(
                    "order", "an entry whose directory did not come before it", "directories first"
                )
            self._folders.pop()
        if entry.kind is Kind.DIRECTORY:
            self._folders.append(entry.name)
