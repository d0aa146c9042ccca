"""What a disk or a file refuses, in words that a person can act on: which file, what was got, what to do."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Final

from marketplace.errors import BadInputError, MarketError

__all__ = ["DiskError", "disk_error", "regular", "told"]

_AGAIN: Final = "make room there, and run it again"
_MODE: Final = "check whose it is, and its mode"
_WORDS: Final = {
    errno.ENOSPC: ("a full disk", "room on it", _AGAIN),
    errno.EDQUOT: ("a full quota", "room in it", _AGAIN),
    errno.EFBIG: (
        "a file longer than this disk, or the limits of this shell, take",
        "one that takes it",
        "use another disk, or see `ulimit -f`",
    ),
    errno.EROFS: ("a disk that cannot be written", "one that can", "use another disk"),
    errno.EACCES: ("no right to it", "a right to it", _MODE),
    errno.EPERM: ("no right to it", "a right to it", _MODE),
    errno.EIO: ("a fault of the disk", "none", "look at the disk, and use another one"),
    errno.ENAMETOOLONG: ("a name that this disk does not take", "a shorter one", "give it another name"),
    errno.ENOENT: ("nothing there", "a file", "check the path, and that nothing moves it meanwhile"),
    errno.EEXIST: ("something there already", "a new name", "name another place, or move it away"),
    errno.EISDIR: ("a folder", "a file", "name the file itself"),
    errno.ENOTDIR: ("a file where a folder must be", "a folder", "check the path"),
    errno.ELOOP: ("a link", "a file or a folder itself", "name what the link leads to"),
    errno.EMFILE: ("too many open files", "fewer", "see `ulimit -n`"),
}
"""got, expected, what to do."""


class DiskError(MarketError):
    """A file could not be read or written.

    Attributes:
        errno: as the system said.
    """

    def __init__(self, message: str, errno: int | None, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.errno = errno


def disk_error(error: OSError, what: str, *, room: int = 0, todo: str = "") -> DiskError:
    """Return the error that says of `what`, such as "write /x", what the system said.

    Args:
        room: bytes that were to be written in all, where that is known.
        todo: what to do where the disk is full, instead of the general advice.
    """
    got, expected, hint = _WORDS.get(
        error.errno or 0, (error.strerror or str(error), "no error of the system", "")
    )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        expected = f"room for {room} bytes" if room else expected
        hint = todo or hint
    return DiskError(f"{what}: got {got}, expected {expected}", error.errno, hint=hint)


def regular(path: Path | str | os.PathLike[str]) -> FileIO:
    """Open a regular file to read. A pipe without a writer would be waited for; it is refused.

    Raises:
        BadInputError: it is something else.
        OSError: it cannot be opened.
    """
    file = FileIO(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "r")
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise BadInputError(
        os.fspath(path), "no regular file", "a file", hint="write what it gives into a file first"
    )


@contextmanager
def told(what: str, path: str | os.PathLike[str], *, todo: str = "") -> Iterator[None]:
    """Turn errors of the system in the block into `DiskError`: of the file they name, or else of `path`.

    A full disk that names no file is of what is written, or of the folder for temporary files.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, MarketError):  # such as a time-out, which has its own words
            raise
        named = error.filename if isinstance(error.filename, str | os.PathLike) else None
        place = Path(path)
        if named is not None:  # relative names are of the folder that is being read
            place = place / Path(named)
        elif error.errno == errno.ENOSPC and not todo:
            todo = f"make room there and in {tempfile.gettempdir()}, and run it again"
        raise disk_error(error, f"{what} {place}", todo=todo) from error
