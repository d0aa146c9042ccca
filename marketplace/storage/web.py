"""Blobs at plain URLs, read-only: `https://host/path` (docs/protocol.md section 10).

`http:` is the same without TLS, for loopback alone and only where the settings say that word. Such a location
names a place, not bytes: whoever reads it has digests (a sealed stream's index, a manifest's digest).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from marketplace.storage.base import (
    BlobNotFoundError,
    Chunk,
    Progress,
    Run,
    StorageError,
    check_range,
    pieces,
)
from marketplace.storage.ranges import Ranges
from marketplace.storage.sizes import Sizes

__all__ = ["SCHEMES", "EmptyRun", "WebStore"]

SCHEMES: Final = ("https", "http")


class WebStore:
    """A `BlobStore` of what any web server serves by byte ranges."""

    def __init__(self, ranges: Ranges) -> None:
        """Take how URLs are read."""
        self._ranges = ranges
        self._sizes = Sizes()

    @property
    def scheme(self) -> str:
        """`https`."""
        return SCHEMES[0]

    def put(self, chunks: Iterable[Chunk]) -> str:
        """Refuse.

        Raises:
            StorageError: always; a web server is filled by other means.
        """
        raise _read_only()

    def push(self, path: Path, *, progress: Progress | None = None) -> str:
        """Refuse; errors as `put`."""
        raise _read_only()

    def open(self, uri: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Return the blob, or a part of it; see `BlobStore.open`. Not verified: a URL has no digest."""
        wanted = check_range(uri, self._sizes.known(uri, self._ranges.size), offset, length)
        return pieces(self.run(uri, offset, wanted), wanted, uri)

    def run(self, uri: str, offset: int, length: int) -> Run:
        """Return a part of the blob; see `BlobStore.run`."""
        return self._ranges.run(uri, offset, length, self._sizes.get(uri)) if length else EmptyRun()

    def size(self, uri: str) -> int:
        """Return the length in bytes; see `BlobStore.size`."""
        return self._sizes.ask(uri, self._ranges.size)

    def exists(self, uri: str) -> bool:
        """Return whether the server has something there."""
        try:
            self.size(uri)
        except BlobNotFoundError:
            return False
        return True


class EmptyRun:
    """A `Run` of no bytes."""

    def readinto(self, buffer: memoryview) -> int:
        """Return 0."""
        return 0

    def close(self) -> None:
        """Nothing is held."""


def _read_only() -> StorageError:
    return StorageError(
        "https: got a blob to store, expected one to read",
        hint="store it in file, ipfs or s3, and serve that folder or bucket over https",
    )
