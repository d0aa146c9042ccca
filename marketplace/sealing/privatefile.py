"""Files for their owner's eyes, replaced whole or not at all (docs/protocol.md section 5.3)."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from marketplace.errors import MarketError
from marketplace.sealing.disk import disk_error

__all__ = [
    "NO_LINKS",
    "PrivateFileError",
    "create_private",
    "hold_lock",
    "read_private",
    "replace_private",
    "sync_folder",
]

NO_LINKS: Final = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
"""How a disk says that it has no hard links."""
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class PrivateFileError(MarketError):
    """A file that cannot be read, is no file, or that others may read or write."""


def read_private(path: Path, limit: int) -> bytes:
    """Return at most `limit` + 1 bytes of a file that nobody but this user can read or write.

    Raises:
        PrivateFileError: a link, no file, of another user, or open to group or world; names the chmod.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise PrivateFileError(
            f"{path}: {error.strerror}", hint="check the path, and whose file it is"
        ) from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise PrivateFileError(
                f"{path}: got mode {stat.filemode(found.st_mode)} of user {found.st_uid}, "
                f"expected a file of user {os.geteuid()} that nobody else may read",
                hint=f"chmod 600 {path}",
            )
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(limit + 1)
    finally:
        os.close(descriptor)


def replace_private(path: Path, data: bytes) -> None:
    """Write a file aside, sync it, and let it take the old one's place at once: after a crash, old or new.

    Raises:
        DiskError: it cannot be written; the old one is there, and nothing aside.
    """
    with _aside(path, data) as aside:
        os.rename(aside, path)
        sync_folder(path.parent)


def create_private(path: Path, data: bytes) -> None:
    """Write a new file, whole or not at all; on a disk without hard links a crash may leave a part of it.

    Raises:
        PrivateFileError: there is one already.
        DiskError: it cannot be written; nothing is left of it.
    """
    with _aside(path, data) as aside:
        try:
            os.link(aside, path)  # unlike a rename, it replaces nothing
        except FileExistsError:
            raise _exists(path) from None
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            _write_new(path, data)
        sync_folder(path.parent)


@contextmanager
def _aside(path: Path, data: bytes) -> Iterator[Path]:
    """Give a synced file with `data` beside `path`; it is gone after the block, and after any error."""
    aside = path.with_name(path.name + ".new")
    try:
        aside.unlink(missing_ok=True)
        try:
            _write(aside, data)
            yield aside
        finally:
            with suppress(OSError):
                aside.unlink(missing_ok=True)
    except OSError as error:
        todo = f"make room on the disk of {path.parent}, and run it again: what was there is as it was"
        raise disk_error(error, f"write {path}", room=len(data), todo=todo) from error


def _write_new(path: Path, data: bytes) -> None:
    try:
        _write(path, data)
    except FileExistsError:
        raise _exists(path) from None
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _exists(path: Path) -> PrivateFileError:
    return PrivateFileError(f"{path}: got a file, expected none", hint="name a new file")


@contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Hold the lock of a file that every write replaces: a file of its own, beside it.

    Raises:
        DiskError: it cannot be made.
    """
    lock = path.with_name(path.name + ".lock")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise disk_error(error, f"lock {lock}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, _NEW, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk.

    Raises:
        OSError: a fault of the disk.
    """
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
