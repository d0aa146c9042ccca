"""A blob store as the agent reads it: whole ranges at once (`provider.job.Blobs`)."""

from __future__ import annotations

from collections.abc import Iterator

from marketplace.storage.base import BlobStore

__all__ = ["AgentBlobs"]


class AgentBlobs:
    """Ranges of blobs in one store."""

    def __init__(self, store: BlobStore) -> None:
        """Take a store."""
        self._store = store

    def size(self, uri: str) -> int:
        """Return a blob's length, bytes."""
        return self._store.size(uri)

    def read(self, uri: str, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, or fewer at the end."""
        wanted = max(0, min(length, self._store.size(uri) - offset))
        return b"".join(self._store.open(uri, offset=offset, length=wanted)) if wanted else b""

    def put(self, chunks: Iterator[bytes]) -> str:
        """Store a blob and return its URI."""
        return self._store.put(chunks)
