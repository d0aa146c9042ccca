"""Memory to memory: what opening costs beside the cryptography alone, and beside a plain read.

`crypto_limit` is the serial limit of these cores: as many threads as `open` uses, each decrypting and hashing
segment after segment, from touched memory as long as the content into other such memory: the same bytes, no
file, no protocol. `crypto_limit_cached` does so in buffers of one segment that never leave the core's cache:
a limit that nothing reaches that has to bring content from anywhere.

`load_ratio` is a sealed model opened into reused memory, beside Python's own `read()` of the same model
unsealed, which takes new memory each time. `load_to_touched_read` is the same beside reading into touched
memory, by one thread, with nothing decrypted; what the cryptography alone takes of that is
`limit_to_touched_read`. `open_ratio_cpu` is `open_ratio` in seconds of CPU: steadier on a busy machine.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from enclave_runtime.sealed.header import TAG_BYTES, SealedInfo
from enclave_runtime.sealed.ranges import FileSource, MemorySource
from enclave_runtime.sealed.sink import MemorySink
from enclave_runtime.sealed.stream import seal
from enclave_runtime.sealed.tensors import SealedTensors
from enclave_runtime.sealed.tree import NO_SALT, SEGMENT_BYTES, Algorithm, leaf
from enclave_runtime.sealed.unseal import Unsealer, unseal
from enclave_runtime.sealed.workers import in_threads, private_buffer
from scripts.bench.sealedlib.contents import KEY, model_file, seal_file
from scripts.bench.sealedlib.rounds import Options, check, interleave
from scripts.bench.sealedlib.tools import Tool, absent

__all__ = ["measure"]

THREADS = 2
B3SUM = Tool("b3sum", "b3sum")


class Touched:
    """Memory for one whole content, every page written before anything is measured."""

    def __init__(self, size: int) -> None:
        self.sink = MemorySink(size)
        self.view = self.sink.view()
        touch(self.view)


def touch(view: memoryview) -> None:
    """Write each page."""
    zeros = bytes(1 << 20)
    for start in range(0, len(view), len(zeros)):
        part = view[start : start + len(zeros)]
        part[:] = zeros[: len(part)]


def measure(options: Options) -> dict[str, Any]:
    """Return speeds, and the ratios `open_ratio` and `load_ratio`."""
    plain = model_file(options.folder / "model.safetensors", options.mib)
    sealed = options.folder / "model.sealed"
    info = seal_file(plain, sealed)
    fips = options.folder / "model.fips"
    fips_info = seal_file(plain, fips, Algorithm.SHA256)
    size = info.plaintext_bytes
    target, source = Touched(size), private_buffer(info.ciphertext_bytes)
    with sealed.open("rb", buffering=0) as file:
        read_all(file.fileno(), source)
    figures = interleave(cases(plain, sealed, info, fips, fips_info, target, source), options)
    speeds = {name: figures.gb_s(name, size) for name in figures.seconds}
    fips.unlink()
    return {
        "gb_s": speeds,
        "ratios": {
            "open_ratio_cpu": figures.cpu_ratio("crypto_limit", "open"),
            "open_to_memory_copy": figures.ratio("memory_copy", "open"),
            "open_to_cached_limit": figures.ratio("crypto_limit_cached", "open"),
            "open_to_limit_one_thread": figures.ratio("crypto_limit_one", "open_one"),
            "open_fips_to_open": figures.ratio("open", "open_fips"),
            "seal_to_memory_copy": figures.ratio("memory_copy", "seal"),
            "load_to_touched_read": figures.ratio("load", "touched_read"),
            "limit_to_touched_read": figures.ratio("crypto_limit", "touched_read"),
            "load_fresh_to_plain_read": figures.ratio("load_fresh", "plain_read"),
        },
        "threads": THREADS,
        "touched": True,
        "absent": absent(B3SUM),
        "goals": {
            "open_ratio": check(figures.ratio("crypto_limit", "open"), at_least=0.80),
            "load_ratio": check(figures.ratio("load", "plain_read"), at_most=1.15),
        },
    }


def cases(
    plain: Path,
    sealed: Path,
    info: SealedInfo,
    fips: Path,
    fips_info: SealedInfo,
    target: Touched,
    source: memoryview,
) -> dict[str, Callable[[], None]]:
    """Return what is run in each round."""
    found: dict[str, Callable[[], None]] = {
        "memory_copy": lambda: copy(source[: len(target.view)], target.view),
        "gcm_loop": lambda: crypto(source, target.view, 1, hashed=False),
        "crypto_limit": lambda: crypto(source, target.view, THREADS),
        "crypto_limit_one": lambda: crypto(source, target.view, 1),
        "crypto_limit_cached": lambda: cached(len(target.view), THREADS),
        "open": lambda: open_sealed(sealed, info, target, THREADS),
        "open_one": lambda: open_sealed(sealed, info, target, 1),
        "open_fips": lambda: open_sealed(fips, fips_info, target, THREADS),
        "seal": lambda: seal_plain(plain, info.plaintext_bytes),
        "plain_read": lambda: plain_read(plain),
        "touched_read": lambda: touched_read(plain, target.view),
        "load": lambda: load(sealed, info, target.sink),
        "load_fresh": lambda: load(sealed, info, MemorySink(info.plaintext_bytes)),
    }
    if B3SUM.path:
        found["b3sum"] = lambda: hash_file(plain)
    return found


def hash_file(path: Path) -> None:
    """Hash a file by the program of BLAKE3's authors."""
    B3SUM.run("--num-threads", str(THREADS), str(path))


def copy(source: memoryview, target: memoryview) -> None:
    """Copy by memmove."""
    target[:] = source


def crypto(source: memoryview, target: memoryview, threads: int, *, hashed: bool = True) -> None:
    """Decrypt and hash every segment with nothing else done; tags are those of a real stream, keys are not.

    The sealed file's own segments stand in `source`; they are encrypted anew there once, see `prepared`.
    """
    cipher = prepared(source, len(target))
    todo = iter(range(-(-len(target) // SEGMENT_BYTES)))
    lock = threading.Lock()

    def work(_stopped: threading.Event) -> None:
        while True:
            with lock:
                segment = next(todo, None)
            if segment is None:
                return
            part = target[segment * SEGMENT_BYTES : (segment + 1) * SEGMENT_BYTES]
            start = segment * (SEGMENT_BYTES + TAG_BYTES)
            cipher.decrypt_into(_nonce(segment), source[start : start + len(part) + TAG_BYTES], None, part)
            if hashed:
                leaf(Algorithm.BLAKE3, part)

    in_threads(work, threads)


_PREPARED: dict[int, AESGCM] = {}


def prepared(source: memoryview, size: int) -> AESGCM:
    """Fill `source` with segments under one key, at the first call."""
    key = id(source.obj)
    if key not in _PREPARED:
        cipher = _PREPARED[key] = AESGCM(KEY)
        block = os.urandom(SEGMENT_BYTES)
        for segment in range(-(-size // SEGMENT_BYTES)):
            length = min(SEGMENT_BYTES, size - segment * SEGMENT_BYTES)
            start = segment * (SEGMENT_BYTES + TAG_BYTES)
            cipher.encrypt_into(
                _nonce(segment), block[:length], None, source[start : start + length + TAG_BYTES]
            )
    return _PREPARED[key]


def cached(size: int, threads: int) -> None:
    """Decrypt and hash one segment again and again, in each thread its own."""
    cipher = AESGCM(KEY)
    ciphertext = cipher.encrypt(_nonce(0), bytes(SEGMENT_BYTES), None)
    todo = iter(range(size // SEGMENT_BYTES))
    lock = threading.Lock()

    def work(_stopped: threading.Event) -> None:
        source = private_buffer(len(ciphertext))
        source[:] = ciphertext
        target = private_buffer(SEGMENT_BYTES)
        while True:
            with lock:
                segment = next(todo, None)
            if segment is None:
                return
            cipher.decrypt_into(_nonce(0), source, None, target)
            leaf(Algorithm.BLAKE3, target)

    in_threads(work, threads)


def _nonce(segment: int) -> bytes:
    return segment.to_bytes(12, "big")


def open_sealed(path: Path, info: SealedInfo, target: Touched, threads: int) -> None:
    """Open a sealed file whole, as the loader does: every check, from opening the file to the last digest."""
    with path.open("rb", buffering=0) as file:
        unseal(FileSource(file.fileno()), Unsealer(info, KEY, NO_SALT, target.sink), workers=threads)


def load(path: Path, info: SealedInfo, sink: MemorySink) -> None:
    """Open a sealed model whole and find its tensors: what a serving engine waits for."""
    with path.open("rb", buffering=0) as file:
        source = FileSource(file.fileno())
        unseal(source, Unsealer(info, KEY, NO_SALT, sink), workers=THREADS)
        assert all(tensor.size for tensor in SealedTensors(Opened(sink.view())))


class Opened:
    """Content that was opened whole, in memory."""

    def __init__(self, view: memoryview) -> None:
        self.size = len(view)
        self._source = MemorySource(view)

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Copy bytes out."""
        return self._source.read_at(offset, buffer)


def plain_read(path: Path) -> None:
    """Read the same model unsealed as Python does, into memory that is new."""
    with path.open("rb") as file:
        assert file.read()


def touched_read(path: Path, view: memoryview) -> None:
    """Read it into touched memory, in one thread."""
    with path.open("rb", buffering=0) as file:
        read_all(file.fileno(), view)


def read_all(fd: int, view: memoryview) -> None:
    """Fill `view` from the beginning of a file."""
    offset = 0
    while offset < len(view):
        offset += os.preadv(fd, [view[offset:]], offset)


class Nowhere:
    """Takes everything, keeps nothing."""

    def write(self, data: memoryview, /) -> int:
        """Take `data`."""
        return len(data)


def seal_plain(path: Path, size: int) -> None:
    """Seal a file; what is written goes nowhere."""
    with path.open("rb", buffering=0) as file:
        seal(file, Nowhere(), size, KEY, digest_salt=NO_SALT, entropy=os.urandom, workers=THREADS)
