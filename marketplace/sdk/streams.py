"""The ciphertext digest of a sealed stream, from its bytes alone: no key, no manifest (section 3.3)."""

from __future__ import annotations

import os
from pathlib import Path

from enclave_runtime.sealed.buffers import Progress
from enclave_runtime.sealed.header import HEADER_BYTES, TAG_BYTES, Header, ciphertext_digest
from enclave_runtime.sealed.tree import LeafList, leaf
from enclave_runtime.sealed.unseal import FileSource, Source
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.errors import RefusedError
from marketplace.sealing.disk import regular
from marketplace.sealing.folders import Blobs
from marketplace.sealing.opening import BlobSource

__all__ = ["file_digest", "stream_digest"]


def stream_digest(store: Blobs, uri: str, *, progress: Progress | None = None) -> bytes:
    """Return the ciphertext digest of a stored stream, 32 bytes; its own index is not believed.

    Raises:
        RefusedError: step `stream.size`: it is longer or shorter than its header says.
        WireError: it has no header of a sealed stream.
        StorageError: it cannot be read.
    """
    return _digest(BlobSource(store, uri), store.size(uri), progress)


def file_digest(path: Path, *, progress: Progress | None = None) -> bytes:
    """Return the ciphertext digest of a stream in a file of one's own; see `stream_digest`.

    Raises:
        RefusedError, WireError: as `stream_digest`. Step `stream.digest`: its index is of other segments, so
            nobody could open it.
        OSError: it cannot be read.
    """
    with regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        return _digest(FileSource(file.fileno()), size, progress, compared=True)


def _digest(source: Source, size: int, progress: Progress | None, *, compared: bool = False) -> bytes:
    """Return the digest of the segments; `compared` with that of the index."""
    head = memoryview(bytearray(HEADER_BYTES))
    data = bytes(head[: source.read_at(0, head)])
    header = Header.from_bytes(data)
    layout = header.layout
    if size != layout.total_bytes:
        raise RefusedError("stream.size", f"{size} bytes", f"{layout.total_bytes} bytes, as its header says")
    leaves = LeafList(header.algorithm, header.segment_bytes, header.plaintext_bytes)
    buffer = memoryview(bytearray(min(header.segment_bytes, header.plaintext_bytes) + TAG_BYTES))
    for segment in range(layout.segments):
        offset, length = layout.segment_range(segment)
        got = source.read_at(offset, buffer[:length])
        leaves[segment] = leaf(header.algorithm, buffer[:got])
        if progress is not None:
            progress(min(offset + length, size), size)
    made = ciphertext_digest(data, leaves)
    if compared:
        index = memoryview(bytearray(layout.index_bytes))
        leaves.load(index[: source.read_at(layout.index_offset, index)])
        named = ciphertext_digest(data, leaves)
        if named != made:
            raise RefusedError(
                "stream.digest", f"{hex_of(made)} by its segments", f"{hex_of(named)} by its index"
            )
    return made
