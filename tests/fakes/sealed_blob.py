"""A sealed stream in memory, small segments, with all that opens it."""

from __future__ import annotations

import io
import os
import random
from dataclasses import dataclass

from enclave_runtime.sealed.header import SealedInfo
from enclave_runtime.sealed.stream import Sealer

__all__ = ["SealedBlob", "sealed_blob"]

_PIECE = 16 << 20
"""`randbytes` makes at most 256 MiB at once."""


@dataclass(frozen=True)
class SealedBlob:
    """Ciphertext, plaintext, and what opens one to the other."""

    info: SealedInfo
    stream: bytes
    plaintext: bytes
    key: bytes
    salt: bytes


def sealed_blob(length: int, segment_bytes: int = 64 << 10, seed: int = 0) -> SealedBlob:
    """Return a sealed stream of `length` bytes of plaintext."""
    chosen = random.Random(seed)
    plaintext = b"".join(chosen.randbytes(min(_PIECE, length - at)) for at in range(0, length, _PIECE))
    key, salt = os.urandom(32), os.urandom(32)
    source = io.BytesIO(plaintext)
    sealer = Sealer(source, length, key, digest_salt=salt, entropy=os.urandom, segment_bytes=segment_bytes)
    stream = b"".join(bytes(chunk) for chunk in sealer)
    return SealedBlob(sealer.info, stream, plaintext, key, salt)
