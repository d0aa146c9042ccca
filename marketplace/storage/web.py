"""Blobs at plain URLs, read-only: `https://host/path` (docs/protocol.md section 10).

`http:` is the same without TLS, for loopback alone and only where the settings say that word. Such a location
names a place, not bytes: whoever reads it has digests (a sealed stream's index, a manifest's digest).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from marketplace.storage.base import BlobNotFoundError, Chunk, Progress, StorageError
from marketplace.storage.ranged import RangedStore

__all__ = ["SCHEMES", "WebStore"]

SCHEMES: Final = ("https", "http")


class WebStore(RangedStore):
    """A `BlobStore` of what any web server serves by byte ranges; not verified: a URL has no digest."""

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

    def push(self, path: Path, *, verify: bool = False, progress: Progress | None = None) -> str:
        """Refuse; errors as `put`."""
        raise _read_only()

    def holds(self, uri: str, path: Path, *, verify: bool = False, progress: Progress | None = None) -> bool:
        """Whether the server has a blob as long as the file; a URL has no digest to compare with."""
        try:
            return self.size(uri) == path.stat().st_size
        except BlobNotFoundError:
            return False

    def _ask_size(self, uri: str) -> int:
        return self._ranges.size(uri)

    def _url_of(self, uri: str) -> str:
        return uri


def _read_only() -> StorageError:
    return StorageError(
        "https: got a blob to store, expected one to read",
        hint="store it in file, ipfs or s3, and serve that folder or bucket over https",
    )
