"""A party's stores as the agent reads them: whole ranges at once, and sealed streams out of a cache.

The agent's side of `provider.job.Blobs`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from enclave_runtime.sealed.header import SealedInfo
from marketplace.errors import MarketError
from marketplace.storage.base import BlobStore, scheme_of
from marketplace.storage.cache import CiphertextCache

__all__ = ["AgentBlobs"]

_LOCAL = "file"


class AgentBlobs:
    """Ranges of blobs, and a cache of what lies far away."""

    def __init__(self, store: BlobStore, cache: CiphertextCache | None = None) -> None:
        """Take a store, and the cache that spares its network."""
        self._store = store
        self._cache = cache

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

    def hold(self, order_id: bytes, info: SealedInfo, locations: Sequence[str]) -> bool:
        """Have a sealed stream in the cache; see `Blobs.hold`. What lies on this machine needs no copy.

        Raises:
            NoLocationError, CacheFullError: it cannot be had, or not kept.
        """
        if self._cache is None or self._is_here(info, locations):
            return False
        self._cache.hold(order_id, info, locations)
        return True

    def holds(self, info: SealedInfo) -> bool:
        """Return whether the cache has a sealed stream."""
        return self._cache is not None and self._cache.has(info)

    def read_sealed(self, info: SealedInfo, uri: str, offset: int, length: int) -> bytes:
        """As `read`, out of the cache where that has it."""
        if self._cache is None or not self._cache.has(info):
            return self.read(uri, offset, length)
        descriptor = os.open(self._cache.path(info), os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(descriptor, length, offset)
        finally:
            os.close(descriptor)

    def doubt(self, info: SealedInfo) -> None:
        """Drop a sealed stream from the cache."""
        if self._cache is not None:
            self._cache.forget(info)

    def let_go(self, order_id: bytes) -> None:
        """Let the cache drop what an order held."""
        if self._cache is not None:
            self._cache.let_go(order_id)

    def _is_here(self, info: SealedInfo, locations: Sequence[str]) -> bool:
        if self._cache is not None and self._cache.has(info):
            return False
        try:
            return any(
                scheme_of(uri) == _LOCAL and self._store.size(uri) == info.ciphertext_bytes
                for uri in locations[:1]
            )
        except MarketError:  # not here, not readable, or a stranger's word that is no location at all
            return False
