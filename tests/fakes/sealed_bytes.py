"""Small sealed streams, and the ways in which a host or an owner spoils them."""

from __future__ import annotations

import dataclasses
import io
import random
from collections.abc import Callable

from enclave_runtime.sealed.header import HEADER_BYTES, SealedInfo, ciphertext_digest
from enclave_runtime.sealed.stream import seal
from enclave_runtime.sealed.tree import Algorithm, LeafList, leaf

__all__ = ["KEY", "SALT", "SMALL", "Flaky", "bytes_of", "resealed", "sealed_stream"]

KEY = bytes(range(32))
SALT = b"\x5a" * 32
SMALL = 1 << 10


def bytes_of(length: int, seed: int = 1) -> bytes:
    """Return the same `length` bytes at every call."""
    return random.Random(seed).randbytes(length)


def sealed_stream(
    data: bytes,
    *,
    entropy: int = 1,
    key: bytes = KEY,
    segment_bytes: int = SMALL,
    algorithm: Algorithm = Algorithm.BLAKE3,
    workers: int = 2,
) -> tuple[bytes, SealedInfo]:
    """Return a stream and what its manifest would say of it."""
    out = io.BytesIO()
    info = seal(
        io.BytesIO(data),
        out,
        len(data),
        key,
        digest_salt=SALT,
        entropy=lambda count: bytes([entropy]) * count,
        algorithm=algorithm,
        segment_bytes=segment_bytes,
        workers=workers,
    )
    return out.getvalue(), info


def resealed(
    stream: bytes, info: SealedInfo, change: Callable[[bytearray], None]
) -> tuple[bytes, SealedInfo]:
    """Return the owner's own fault: altered segments under an index and a digest made after that."""
    altered = bytearray(stream)
    change(altered)
    leaves = LeafList(info.algorithm, info.segment_bytes, info.plaintext_bytes)
    for segment in range(info.layout.segments):
        offset, length = info.layout.segment_range(segment)
        leaves[segment] = leaf(info.algorithm, bytes(altered[offset : offset + length]))
    altered[info.layout.index_offset :] = leaves.to_bytes()
    digest = ciphertext_digest(bytes(altered[:HEADER_BYTES]), leaves)
    return bytes(altered), dataclasses.replace(info, ciphertext_digest=digest)


class Flaky:
    """A source that counts what it gives, and spoils what `spoil` says."""

    def __init__(
        self, data: bytes, spoil: Callable[[int, int], bool] = lambda _offset, _length: False
    ) -> None:
        self.data = data
        self.spoil = spoil
        self.reads: list[tuple[int, int]] = []

    @property
    def size(self) -> int:
        """Length of the stream."""
        return len(self.data)

    def read_into(self, offset: int, view: memoryview) -> int:
        """Copy bytes out, the first of them altered where it is to be spoiled."""
        self.reads.append((offset, len(view)))
        piece = self.data[offset : offset + len(view)]
        view[: len(piece)] = piece
        if piece and self.spoil(offset, len(view)):
            view[0] ^= 1
        return len(piece)
