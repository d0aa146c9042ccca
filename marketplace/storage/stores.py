"""All stores of one party as one: a URI's scheme says which of them is asked (protocol section 10)."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from marketplace.errors import BadInputError
from marketplace.storage.base import BlobStore, Chunk, Progress, Run, scheme_of
from marketplace.storage.registry import WRITABLE, StorageConfig, store_for

__all__ = ["Stores"]


class Stores:
    """A `BlobStore` of every scheme; stores are opened when they are first asked. Safe for threads."""

    def __init__(self, config: StorageConfig) -> None:
        """Take where the stores are.

        Raises:
            BadInputError: new blobs would go to a scheme that cannot be written.
        """
        if config.put_scheme not in WRITABLE:
            raise BadInputError("storage: put", repr(config.put_scheme), f"one of {', '.join(WRITABLE)}")
        self._config = config
        self._open: dict[str, BlobStore] = {}
        self._lock = threading.Lock()

    @property
    def config(self) -> StorageConfig:
        """Where the stores are."""
        return self._config

    @property
    def scheme(self) -> str:
        """The scheme of new blobs."""
        return self._config.put_scheme

    def store_of(self, uri: str) -> BlobStore:
        """Return the store that serves `uri`; raises as `registry.store_for`."""
        scheme = scheme_of(uri)
        with self._lock:
            found = self._open.get(scheme)
            if found is None:
                found = self._open[scheme] = store_for(uri, self._config)
            return found

    def put(self, chunks: Iterable[Chunk]) -> str:
        """Store the concatenation of `chunks` where new blobs go; see `BlobStore.put`."""
        return self._home().put(chunks)

    def push(self, path: Path, *, verify: bool = False, progress: Progress | None = None) -> str:
        """Store a file where new blobs go; see `BlobStore.push`."""
        return self._home().push(path, verify=verify, progress=progress)

    def open(self, uri: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Return a blob or a part of it; see `BlobStore.open`."""
        return self.store_of(uri).open(uri, offset=offset, length=length)

    def run(self, uri: str, offset: int, length: int) -> Run:
        """Return a part of a blob; see `BlobStore.run`."""
        return self.store_of(uri).run(uri, offset, length)

    def size(self, uri: str) -> int:
        """Return a blob's length in bytes; see `BlobStore.size`."""
        return self.store_of(uri).size(uri)

    def holds(self, uri: str, path: Path, *, verify: bool = False, progress: Progress | None = None) -> bool:
        """Return whether the store of its scheme has what a file has; see `BlobStore.holds`."""
        return self.store_of(uri).holds(uri, path, verify=verify, progress=progress)

    def exists(self, uri: str) -> bool:
        """Return whether the store of its scheme has a blob."""
        return self.store_of(uri).exists(uri)

    def _home(self) -> BlobStore:
        return self.store_of(f"{self._config.put_scheme}:new")
