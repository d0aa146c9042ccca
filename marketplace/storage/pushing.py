"""A file copied into the local store, so that a kill costs what was not written yet."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from io import FileIO
from pathlib import Path
from typing import Final

from enclave_runtime.sealed.buffers import write_full_at
from marketplace.storage.base import CHUNK_BYTES, Progress, StorageError

__all__ = ["PUSHED", "copy_file", "file_sha256", "is_fresh", "open_locked"]

PUSHED: Final = "push-"
"""Begins the names of files that another push may go on with."""
_KEPT_S: Final = 7 * 86_400


def is_fresh(path: Path) -> bool:
    """Whether an unfinished push was worked on within a week."""
    try:
        return time.time() - path.stat().st_mtime < _KEPT_S
    except FileNotFoundError:
        return False


def file_sha256(source: FileIO, size: int, progress: Progress | None) -> str:
    """Return the SHA-256 of a whole file in hex; `progress` hears of the bytes read, out of `size`."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(CHUNK_BYTES))
    source.seek(0)
    done = 0
    while got := source.readinto(buffer):
        digest.update(buffer[:got])
        done += got
        if progress is not None:
            progress(done, size)
    return digest.hexdigest()


def copy_file(
    source: FileIO, aside: Path, final: Path, name: str, size: int, progress: Progress | None
) -> None:
    """Copy `source` to `aside`, from where an earlier copy stopped, and rename it to `final`.

    Args:
        name: SHA-256 of the source in hex: what lands under `final` has it, or nothing lands there.
    Raises:
        StorageError: the source changed while it was read.
    """
    descriptor = open_locked(aside)
    with FileIO(descriptor, "r+"):
        digest = hashlib.sha256()
        buffer, there = memoryview(bytearray(CHUNK_BYTES)), memoryview(bytearray(CHUNK_BYTES))
        source.seek(0)
        done = 0
        while got := source.readinto(buffer):
            piece = buffer[:got]
            digest.update(piece)
            if os.preadv(descriptor, [there[:got]], done) != got or there[:got] != piece:
                write_full_at(descriptor, piece, done)
            done += got
            if progress is not None:
                progress(done, size)
        os.ftruncate(descriptor, done)
        if digest.hexdigest() != name:
            aside.unlink(missing_ok=True)
            raise StorageError(
                f"{name[:16]}: got other bytes on the second reading, expected a file that nobody writes",
                hint="push it again when it is finished",
            )
        os.fchmod(descriptor, 0o444)
        os.fsync(descriptor)
        os.rename(aside, final)


def open_locked(path: Path) -> int:
    """Return a descriptor of the file at `path`, made where it is missing, which nobody else has locked.

    Never one that was renamed meanwhile: what has its last name is not written to.
    """
    while True:
        descriptor = _open_writable(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # finished or removed by another process between its opening and its lock


def _open_writable(path: Path) -> int:
    flags = os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | flags, 0o600)
    except PermissionError:
        # Killed after it was made read-only, before it had its last name.
        descriptor = os.open(path, os.O_RDONLY | flags)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
    return os.open(path, os.O_RDWR | os.O_CREAT | flags, 0o600)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
