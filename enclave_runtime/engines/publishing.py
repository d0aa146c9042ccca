"""Checkpoints that an engine leaves while it still runs (docs/protocol.md section 7(8)).

An engine declares one with a rename, which is atomic: it writes a folder below /output/checkpoints under any
name that is no number, then renames it to a number, such as /output/checkpoints/12. The folder is taken away
from /output; a number is taken once. What cannot be taken, or not yet, stays and is in the result.

The engine is alive and may be hostile: every name is opened from the descriptor of its folder, no link is
followed, and whatever is not plain files and folders is left for the end, where it fails the engine.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, TypeAlias

from enclave_runtime.engines.outputs import MAX_DEPTH, OutputRefusedError

__all__ = ["FOLDER_NAME", "Publishing", "Take", "measure"]

Take: TypeAlias = Callable[[int, str], bool]
"""Gets an open folder and its name; returns whether it was taken, or should be asked about again later.
Raises OutputRefusedError or OSError for what is never taken."""

FOLDER_NAME: Final = "checkpoints"
_NAME: Final = re.compile(r"0|[1-9][0-9]{0,8}")
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_INTERVAL_S: Final = 0.2


class Publishing:
    """Looks into an engine's output while the block lasts, in a thread of its own."""

    def __init__(self, output: int, take: Take | None) -> None:
        """Args:
        output: open descriptor of the engine's /output; stays the caller's.
        take: None looks at nothing.
        """
        self._output = output
        self._take = take
        self._over: set[str] = set()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Publishing:
        if self._take is not None:
            self._thread = threading.Thread(target=self._run, args=(self._take,), name="publishing")
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, take: Take) -> None:
        while not self._stopped.wait(_INTERVAL_S):
            with contextlib.suppress(OSError):
                self._look(take)

    def _look(self, take: Take) -> None:
        folder = os.open(FOLDER_NAME, _FOLDER, dir_fd=self._output)
        try:
            names = {name for name in os.listdir(folder) if _NAME.fullmatch(name)}
            for name in sorted(names - self._over, key=int):
                if self._stopped.is_set():
                    return
                if self._offer(take, folder, name):
                    self._over.add(name)
        finally:
            os.close(folder)

    def _offer(self, take: Take, folder: int, name: str) -> bool:
        """Return whether there is nothing more to do about a checkpoint before the end."""
        try:
            descriptor = os.open(name, _FOLDER, dir_fd=folder)
            try:
                taken = take(descriptor, name)
            finally:
                os.close(descriptor)
        except (OutputRefusedError, OSError):
            return True
        if taken:
            shutil.rmtree(name, ignore_errors=True, dir_fd=folder)
        return taken


def measure(folder: int, most_entries: int, depth: int = 1) -> tuple[int, int]:
    """Return the bytes and the entries below an open folder.

    Raises:
        OutputRefusedError: deeper or with more entries than is ever read, or something else than plain files
            and folders.
        OSError: it changed meanwhile.
    """
    if depth > MAX_DEPTH:
        raise OutputRefusedError(f"output holds folders deeper than {MAX_DEPTH}")
    size = entries = 0
    for name in os.listdir(folder):
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        entries += 1
        if stat.S_ISDIR(found.st_mode):
            inner = os.open(name, _FOLDER, dir_fd=folder)
            try:
                more, below = measure(inner, most_entries - entries, depth + 1)
            finally:
                os.close(inner)
            size, entries = size + more, entries + below
        elif stat.S_ISREG(found.st_mode):
            size += found.st_size
        else:
            raise OutputRefusedError("output holds something else than files and folders, such as a link")
        if entries > most_entries:
            raise OutputRefusedError(f"output holds more than {most_entries} files and folders")
    return size, entries
