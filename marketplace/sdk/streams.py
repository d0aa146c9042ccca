"""The ciphertext digest of a sealed stream, from its bytes alone: no key, no manifest (section 3.3)."""

from __future__ import annotations

from enclave_runtime.sealed.buffers import Progress
from enclave_runtime.sealed.header import HEADER_BYTES, Header, ciphertext_digest
from enclave_runtime.sealed.tree import LeafList, leaf
from enclave_runtime.wire.errors import RefusedError
from marketplace.sealing.folders import Blobs

__all__ = ["stream_digest"]


def stream_digest(store: Blobs, uri: str, *, progress: Progress | None = None) -> bytes:
    """Return the ciphertext digest of a stored stream, 32 bytes; its own index is not believed.

    Raises:
        RefusedError: step `stream.size`: it is longer or shorter than its header says.
        WireError: it has no header of a sealed stream.
        StorageError: it cannot be read.
    """
    size = store.size(uri)
    data = b"".join(store.open(uri, length=min(HEADER_BYTES, size)))
    header = Header.from_bytes(data)
    layout = header.layout
    if size != layout.total_bytes:
        raise RefusedError("stream.size", f"{size} bytes", f"{layout.total_bytes} bytes, as its header says")
    leaves = LeafList(header.algorithm, header.segment_bytes, header.plaintext_bytes)
    for segment in range(layout.segments):
        offset, length = layout.segment_range(segment)
        leaves[segment] = leaf(header.algorithm, b"".join(store.open(uri, offset=offset, length=length)))
        if progress is not None:
            progress(min(offset + length, size), size)
    return ciphertext_digest(data, leaves)
