"""Contents to measure with: a model of tensors, sealed."""

from __future__ import annotations

import json
import os
from pathlib import Path

from enclave_runtime.sealed.archive import ArchiveReader
from enclave_runtime.sealed.header import SealedInfo
from enclave_runtime.sealed.stream import seal
from enclave_runtime.sealed.tree import NO_SALT, Algorithm

__all__ = ["KEY", "TENSOR_BYTES", "model_file", "seal_file", "seal_tree"]

KEY = bytes(range(32))
TENSOR_BYTES = 16 << 20


def model_file(path: Path, mib: int) -> Path:
    """Write a safetensors file of tensors of 16 MiB, `mib` in all, unless it is there; random bytes.

    No tensor is like another: of equal ones, a store that names blocks by digest would move one alone.
    """
    if path.exists():
        return path
    count = max(1, (mib << 20) // TENSOR_BYTES)
    header = {
        f"layer.{number}.weight": {
            "dtype": "BF16",
            "shape": [4096, 2048],
            "data_offsets": [number * TENSOR_BYTES, (number + 1) * TENSOR_BYTES],
        }
        for number in range(count)
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _ in range(count):
            file.write(os.urandom(TENSOR_BYTES))
    return path


def seal_file(plain: Path, sealed: Path, algorithm: Algorithm = Algorithm.BLAKE3) -> SealedInfo:
    """Seal one file as it is, with no archive around it."""
    with plain.open("rb", buffering=0) as source, sealed.open("wb") as out:
        size = plain.stat().st_size
        return seal(source, out, size, KEY, digest_salt=NO_SALT, entropy=os.urandom, algorithm=algorithm)


def seal_tree(folder: Path, sealed: Path) -> SealedInfo:
    """Seal a folder as its archive."""
    with ArchiveReader(folder) as source, sealed.open("wb") as out:
        return seal(source, out, source.length, KEY, digest_salt=NO_SALT, entropy=os.urandom)
