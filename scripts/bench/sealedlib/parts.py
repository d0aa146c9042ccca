"""What opening from file to file takes at least: its four parts, each alone in one thread, by processor time.

Every byte is read into private memory, decrypted, hashed and written once, whoever does it. A machine that
did nothing else, on every core all of the time, would need the sum of the parts divided by its cores; no
program that does these four things with these libraries and this kernel takes less.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from enclave_runtime.sealed.header import TAG_BYTES
from enclave_runtime.sealed.tree import SEGMENT_BYTES, Algorithm, leaf
from enclave_runtime.sealed.workers import private_buffer
from scripts.bench.sealedlib.contents import KEY
from scripts.bench.sealedlib.rounds import Figures, median

__all__ = ["PARTS", "floor", "parts"]

PARTS = ("read", "decrypt", "hash", "write")
_NONCE = bytes(12)


def parts(sealed: Path, out: Path, size: int) -> dict[str, Callable[[], None]]:
    """Return what does each part for `size` bytes, by segments in buffers that stay in a core's cache."""
    cipher = AESGCM(KEY)
    ciphertext, plain = private_buffer(SEGMENT_BYTES + TAG_BYTES), private_buffer(SEGMENT_BYTES)
    count = size // SEGMENT_BYTES

    def read() -> None:
        with sealed.open("rb", buffering=0) as file:
            for segment in range(count):
                os.preadv(file.fileno(), [ciphertext], segment * len(ciphertext))

    def decrypt() -> None:
        cipher.encrypt_into(_NONCE, plain, None, ciphertext)
        for _ in range(count):
            cipher.decrypt_into(_NONCE, ciphertext, None, plain)

    def hashes() -> None:
        for _ in range(count):
            leaf(Algorithm.BLAKE3, plain)

    def write() -> None:
        with out.open("wb", buffering=0) as file:
            for segment in range(count):
                os.pwrite(file.fileno(), plain, segment * SEGMENT_BYTES)

    return dict(zip(PARTS, (read, decrypt, hashes, write), strict=True))


def floor(figures: Figures, peer: str) -> dict[str, Any]:
    """Return processor time by part, the least seconds on every core, and `peer` in terms of those."""
    seconds = {name: median(figures.cpu[name]) for name in PARTS}
    least = sum(seconds.values()) / (os.cpu_count() or 1)
    found: dict[str, Any] = {"cpu_s": {name: round(value, 3) for name, value in seconds.items()}}
    found["least_s"] = round(least, 3)
    if peer in figures.seconds:
        found[f"{peer}_to_least"] = round(median(figures.seconds[peer]) / least, 2)
    return found
