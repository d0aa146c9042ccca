"""New files of a person's own: whole under their name, or not there at all (docs/protocol.md section 3.5).

What is on its way lies in NAME.part, which one run at a time holds locked; a run that fails removes it, and
one that was killed leaves it to the next, which replaces it. Nothing is written through a link, and nothing
that has the name already is replaced.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from marketplace.errors import BadInputError
from marketplace.sealing.disk import disk_error
from marketplace.sealing.privatefile import NO_LINKS, sync_folder

__all__ = ["NewFile", "check_new", "check_outside", "new_file", "part_of", "try_lock", "was_interrupted"]

_WHAT: Final = "file to write"
_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_TRIES: Final = 16


def part_of(path: Path) -> Path:
    """Return where a file lies until it is whole."""
    return path.with_name(path.name + ".part")


def check_new(out: Path) -> None:
    """Refuse a name that is taken, or in no folder.

    Raises:
        BadInputError: says which.
    """
    if os.path.lexists(out):
        raise BadInputError(_WHAT, f"{out}, which exists", "a new name", hint=f"move {out.name} away first")
    if not out.parent.is_dir():
        raise BadInputError(_WHAT, str(out), "a name in a folder that exists")


def check_outside(folder: Path, out: Path) -> None:
    """Refuse to write into the folder that is being read: what is written would become a part of it.

    Raises:
        BadInputError: `out` lies in `folder`, or below.
    """
    top, where = folder.stat(), Path(os.path.realpath(out.parent))
    for place in (where, *where.parents):
        with suppress(OSError):
            if os.path.samestat(place.stat(), top):
                raise BadInputError(
                    _WHAT,
                    f"{out}, inside of the folder that is sealed",
                    f"a name outside of {folder}",
                    hint="name one with --out",
                )


def was_interrupted(out: Path) -> bool:
    """Return whether a run that was killed left a part of `out`; False where another run is writing it."""
    try:
        descriptor = os.open(part_of(out), _LOOK)
    except OSError:
        return False
    try:
        return stat.S_ISREG(os.fstat(descriptor).st_mode) and try_lock(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def new_file(out: Path, *, private: bool = False, room: int = 0) -> Iterator[NewFile]:
    """Give the new file `out`, to be written and published in the block; else nothing of it is left.

    Args:
        private: for its owner's eyes only, whatever the umask says.
        room: bytes that will be written, where that is known, for the words of errors.
    Raises:
        BadInputError: it exists, another run is writing it, or something else lies at its `.part`.
        DiskError: it cannot be made.
    """
    file = NewFile(out, private=private, room=room)
    try:
        yield file
    finally:
        file.close()


class NewFile:
    """A file on its way; a `Writable`."""

    def __init__(self, out: Path, *, private: bool, room: int) -> None:
        """Use `new_file`."""
        check_new(out)
        self._out = out
        self._part = part_of(out)
        self._room = room
        try:
            self._fd = _claim(self._part, 0o600 if private else 0o666)
        except OSError as error:
            raise self._error(error) from error
        try:
            check_new(out)  # another run may have published while this one claimed
        except BaseException:
            self.close()
            raise

    def write(self, data: memoryview | bytes, /) -> int:
        """Take up to `len(data)` bytes and return how many.

        Raises:
            DiskError: no room, or another fault of the disk.
        """
        try:
            return os.write(self._fd, data)
        except OSError as error:
            raise self._error(error) from error

    def sync(self) -> None:
        """Bring what was written to the disk; raises as `write`."""
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise self._error(error) from error

    def publish(self) -> None:
        """Give the file its name, on the disk too.

        Raises:
            BadInputError: something has this name by now.
            DiskError: a fault of the disk.
        """
        self.sync()
        try:
            self._name()
            sync_folder(self._out.parent)
        except OSError as error:
            raise self._error(error) from error

    def close(self) -> None:
        """Close it, and remove what was not published. May be called twice."""
        if self._fd >= 0:
            if _is_at(self._fd, self._part):
                with suppress(OSError):
                    self._part.unlink()
            os.close(self._fd)
            self._fd = -1

    def _name(self) -> None:
        try:
            os.link(self._part, self._out)  # unlike a rename, it replaces nothing
        except FileExistsError:
            check_new(self._out)
            raise
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            check_new(self._out)
            os.rename(self._part, self._out)
        else:
            self._part.unlink()

    def _error(self, error: OSError) -> Exception:
        todo = f"make room on the disk of {self._out.parent}, or name a file on another with --out"
        return disk_error(error, f"write {self._part}", room=self._room, todo=todo)


def _claim(part: Path, mode: int) -> int:
    """Return a descriptor of the new file `part`, locked; what a killed run left there is removed first."""
    for _ in range(_TRIES):
        try:
            descriptor = os.open(part, _NEW, mode)
        except FileExistsError:
            _remove_left(part)
            continue
        try:
            if try_lock(descriptor) and _is_at(descriptor, part):
                return descriptor
        except BaseException:  # such as a disk without locks
            part.unlink(missing_ok=True)
            os.close(descriptor)
            raise
        os.close(descriptor)  # another run looked at it between its birth and its lock
    raise _busy(part)


def _remove_left(part: Path) -> None:
    try:
        descriptor = os.open(part, _LOOK)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise _foreign(part) from None
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _foreign(part)
        if not try_lock(descriptor):
            raise _busy(part)
        if _is_at(descriptor, part):
            part.unlink()
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Lock an open file or folder for this run alone; return False where another one has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _busy(part: Path) -> BadInputError:
    return BadInputError(
        _WHAT,
        f"{part}, which another run is writing",
        "a name that no other run writes",
        hint="wait until it has ended, or name another with --out",
    )


def _foreign(part: Path) -> BadInputError:
    return BadInputError(
        _WHAT,
        f"{part}, a link or no plain file",
        "nothing there",
        hint=f"look at it, and move {part.name} away",
    )
