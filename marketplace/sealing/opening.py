"""Sealed streams opened outside: a client's result, an owner's own check (protocol sections 3.5, 7(8)).

The same segments and digests as in the CVM. A folder gets its files only after every digest was compared.
"""

from __future__ import annotations

import os
from pathlib import Path

from enclave_runtime.sealed.buffers import Octets, Progress
from enclave_runtime.sealed.header import SealedInfo
from enclave_runtime.sealed.onepass import open_folder
from enclave_runtime.sealed.sink import Sink
from enclave_runtime.sealed.unpack import Quota, Unpacked
from enclave_runtime.sealed.unseal import Source, Unsealer, VerifiedContent, unseal
from marketplace.sealing.folders import Blobs
from marketplace.sealing.newfolder import filling

__all__ = ["BlobSource", "open_blob", "open_source", "open_to_folder"]


class BlobSource:
    """A sealed stream in a blob store, read by ranges."""

    def __init__(self, store: Blobs, uri: str) -> None:
        """Ask the store for the size.

        Raises:
            StorageError: the blob is not there.
        """
        self._store = store
        self._uri = uri
        self._size = store.size(uri)

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset` on; less only where the blob ends."""
        wanted = max(0, min(len(buffer), self._size - offset))
        filled = 0
        if wanted:
            for piece in self._store.open(self._uri, offset=offset, length=wanted):
                buffer[filled : filled + len(piece)] = piece
                filled += len(piece)
        return filled


def open_blob(
    store: Blobs,
    uri: str,
    info: SealedInfo,
    content_key: Octets,
    salt: bytes,
    sink: Sink,
    *,
    workers: int = 2,
    progress: Progress | None = None,
) -> VerifiedContent:
    """Download, authenticate, decrypt and compare in one pass into `sink`, emptied again if anything fails.

    Args:
        info: from a manifest or an order report that was verified.
    Raises:
        CiphertextMismatchError: the store gave other bytes; try another location.
        RefusedError: steps `sealed.*`: what was sealed is at fault, or the key or salt is another one.
        StorageError: the blob is missing or cannot be read.
    """
    return _open(BlobSource(store, uri), info, content_key, salt, sink, workers, progress)


def _open(
    source: Source,
    info: SealedInfo,
    content_key: Octets,
    salt: bytes,
    sink: Sink,
    workers: int,
    progress: Progress | None,
) -> VerifiedContent:
    unsealer = Unsealer(info, content_key, salt, sink)
    try:
        return unseal(source, unsealer, workers=workers, progress=progress)
    except BaseException:
        unsealer.abort()
        raise


def open_to_folder(
    store: Blobs,
    uri: str,
    info: SealedInfo,
    content_key: Octets,
    salt: bytes,
    folder: str | os.PathLike[str],
    *,
    quota: Quota | None = None,
    workers: int = 2,
    progress: Progress | None = None,
) -> Unpacked:
    """Open a sealed archive out of a store into `folder`; see `open_source`.

    Raises:
        StorageError: the blob is missing or cannot be read.
    """
    source = BlobSource(store, uri)
    return open_source(
        source, info, content_key, salt, folder, quota=quota, workers=workers, progress=progress
    )


def open_source(
    source: Source,
    info: SealedInfo,
    content_key: Octets,
    salt: bytes,
    folder: str | os.PathLike[str],
    *,
    quota: Quota | None = None,
    workers: int = 2,
    progress: Progress | None = None,
) -> Unpacked:
    """Open a sealed archive into `folder`, made here or empty; nothing is left in it if anything fails.

    One pass: files are written to a folder inside it, and move up when every digest was compared (`filling`).

    Args:
        quota: what may be written; the size of the plaintext unless said.
    Raises:
        CiphertextMismatchError, RefusedError: as `open_blob`; steps `archive.*` too.
        BadInputError: the folder is not empty, or another process fills it.
        OSError: the folder cannot be made or written.
    """
    with filling(Path(folder)) as part:
        descriptor = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            limit = quota or Quota(info.plaintext_bytes)
            return open_folder(
                source, info, content_key, salt, descriptor, limit, workers=workers, progress=progress
            )
        finally:
            os.close(descriptor)
