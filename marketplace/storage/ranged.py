"""What stores read by byte ranges over HTTP have in common: https and S3."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Final

from marketplace.storage.base import BlobNotFoundError, Run, check_range, pieces
from marketplace.storage.ranges import Ranges

__all__ = ["RangedStore"]

_MOST_SIZES: Final = 4096


class RangedStore(ABC):
    """The reading half of a `BlobStore`. Sizes are remembered: blobs do not change, and a question costs."""

    def __init__(self, ranges: Ranges) -> None:
        """Take how URLs are read."""
        self._ranges = ranges
        self._sizes: dict[str, int] = {}
        self._sizes_lock = threading.Lock()

    def open(self, uri: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Return the blob, or a part of it, not verified; see `BlobStore.open`."""
        wanted = check_range(uri, self._known_size(uri), offset, length)
        return pieces(self.run(uri, offset, wanted), wanted, uri)

    def run(self, uri: str, offset: int, length: int) -> Run:
        """Return a part of the blob; see `BlobStore.run`."""
        if not length:
            return _EmptyRun()
        shown = uri.partition("?")[0]
        return self._ranges.run(self._url_of(uri), offset, length, self._sizes.get(uri), shown)

    def size(self, uri: str) -> int:
        """Return the length in bytes, asked for now; see `BlobStore.size`."""
        size = self._ask_size(uri)
        with self._sizes_lock:
            if len(self._sizes) >= _MOST_SIZES:
                self._sizes.clear()
            self._sizes[uri] = size
        return size

    def exists(self, uri: str) -> bool:
        """Return whether the server has this blob."""
        try:
            self.size(uri)
        except BlobNotFoundError:
            return False
        return True

    def _forget_size(self, uri: str) -> None:
        """Ask again when it is needed: somebody has replaced the blob, or may have."""
        with self._sizes_lock:
            self._sizes.pop(uri, None)

    def _known_size(self, uri: str) -> int:
        known = self._sizes.get(uri)
        return self.size(uri) if known is None else known

    @abstractmethod
    def _ask_size(self, uri: str) -> int:
        """Ask the server for the length in bytes."""

    @abstractmethod
    def _url_of(self, uri: str) -> str:
        """Return where the bytes are."""


class _EmptyRun:
    """A `Run` of no bytes, for which HTTP has no range."""

    def readinto(self, buffer: memoryview) -> int:
        """Return 0."""
        return 0

    def close(self) -> None:
        """Nothing is held."""
