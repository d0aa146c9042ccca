"""A folder that gets its files all at once, or stays as it was.

What was opened is plaintext, and nothing of it may be left where opening failed or was killed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from marketplace.errors import BadInputError
from marketplace.sealing.newfile import try_lock

__all__ = ["check_free", "filling"]

_PART = ".part-"
_TODO = "name another; or, where it holds what a killed command left, remove it and run the command again"


def check_free(folder: Path) -> None:
    """Refuse a folder that cannot be filled.

    Raises:
        BadInputError: it is no folder, or has entries beside what a killed filling left in it.
    """
    if not folder.exists():
        return
    if not folder.is_dir() or any(not name.startswith(_PART) for name in os.listdir(folder)):
        raise BadInputError("folder", f"{folder}, which is not empty", "an empty or a new one", hint=_TODO)


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """Give an empty folder inside `folder`, which is made here for its owner alone, or empty.

    What is in it at the end moves up into `folder`. After an error nothing is left, nor the folders made for
    it; what a killed process left is removed by the next filling.

    Raises:
        BadInputError: the folder cannot be filled, or another process fills it now.
        OSError: it cannot be made or written.
    """
    check_free(folder)
    made = _make(folder)
    try:
        with _locked(folder):
            for name in os.listdir(folder):
                shutil.rmtree(folder / name)
            part = Path(tempfile.mkdtemp(prefix=_PART, dir=folder))
            try:
                yield part
                for name in os.listdir(part):
                    os.rename(part / name, folder / name)
            finally:
                shutil.rmtree(part)
    except BaseException:
        for one in made:
            one.rmdir()
        raise


def _make(folder: Path) -> list[Path]:
    """Make a folder and those above it that are not there; return the new ones, the innermost first."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700)
    return missing


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder; look again whether it is free, since another process may have filled it meanwhile."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not try_lock(descriptor):
            got, hint = f"{folder}, which another process fills now", "wait, or name another"
            raise BadInputError("folder", got, "one that nobody writes to", hint=hint)
        check_free(folder)
        yield
    finally:
        os.close(descriptor)
