"""What opening from file to file is made of: its four parts, each by all cores at once, one after the other.

Every byte is read into private memory, decrypted, hashed and written once, whoever does it. Each thread has
buffers and an output of its own, so that none ever waits for another, and nothing of Python's start is in it.
Processor time of one thread alone, divided by the cores, would promise too much: two of a virtual machine's
cores may be two threads of one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from enclave_runtime.sealed.header import TAG_BYTES
from enclave_runtime.sealed.tree import SEGMENT_BYTES, Algorithm, leaf
from enclave_runtime.sealed.workers import in_threads, private_buffer
from scripts.bench.sealedlib.contents import KEY
from scripts.bench.sealedlib.rounds import Figures, median

__all__ = ["PARTS", "floor", "parts"]

PARTS = ("read", "decrypt", "hash", "write")
_NONCE = bytes(12)


def parts(sealed: Path, out: Path, size: int) -> dict[str, Callable[[], None]]:
    """Return what does each part for `size` bytes, by segments in buffers that stay in a core's cache."""
    cipher, cores = AESGCM(KEY), os.cpu_count() or 1
    step, share = SEGMENT_BYTES + TAG_BYTES, size // SEGMENT_BYTES // cores
    buffers = [(private_buffer(step), private_buffer(SEGMENT_BYTES)) for _ in range(cores)]

    def read(core: int) -> None:
        with sealed.open("rb", buffering=0) as file:
            for segment in range(core * share, (core + 1) * share):
                os.preadv(file.fileno(), [buffers[core][0]], segment * step)

    def decrypt(core: int) -> None:
        ciphertext, plain = buffers[core]
        cipher.encrypt_into(_NONCE, plain, None, ciphertext)
        for _ in range(share):
            cipher.decrypt_into(_NONCE, ciphertext, None, plain)

    def hashes(core: int) -> None:
        for _ in range(share):
            leaf(Algorithm.BLAKE3, buffers[core][1])

    def write(core: int) -> None:
        with out.with_name(f"{out.name}.{core}").open("wb", buffering=0) as file:
            for segment in range(share):
                os.pwrite(file.fileno(), buffers[core][1], segment * SEGMENT_BYTES)

    def by_all(work: Callable[[int], None]) -> Callable[[], None]:
        def run() -> None:
            numbers = iter(range(cores))
            in_threads(lambda _: work(next(numbers)), cores)

        return run

    return dict(zip(PARTS, map(by_all, (read, decrypt, hashes, write)), strict=True))


def floor(figures: Figures, peer: str) -> dict[str, Any]:
    """Return the seconds of each part, their sum, and `peer` in terms of that."""
    seconds = {name: median(figures.seconds[name]) for name in PARTS}
    least = sum(seconds.values())
    found: dict[str, Any] = {"parts_s": {name: round(value, 3) for name, value in seconds.items()}}
    found["least_s"] = round(least, 3)
    if peer in figures.seconds:
        found[f"{peer}_to_least"] = round(median(figures.seconds[peer]) / least, 2)
    return found
