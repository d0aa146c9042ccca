"""What an engine published while it runs, each sealed as a container of its own (protocol section 7(8)).

All are sealed with the result's key, which leaves with the OrderReport and never before; the list of them is
in the result, so the report covers it. The host fetches ciphertext early, and learns sizes and times.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from dataclasses import replace
from typing import Final

from enclave_runtime.engines.limits import SandboxLimits
from enclave_runtime.engines.outputs import OutputRefusedError, collect
from enclave_runtime.engines.publishing import FOLDER_NAME, measure
from enclave_runtime.host.scratch import Scratch
from enclave_runtime.host.sealing import seal_folder
from enclave_runtime.loader.effects import EngineTask
from enclave_runtime.sealed.header import SealedInfo
from enclave_runtime.sealed.published import MAX_PUBLISHED, PublishedList, PublishedOne
from enclave_runtime.wire.errors import RefusedError

__all__ = ["Checkpoints"]

_HEADERS: Final = 1 << 12
"""Bytes of an archive for each entry, at most, besides its content."""


class Checkpoints:
    """The containers of one run. `take` is for the engine's side, all else for the session's."""

    def __init__(self, scratch: Scratch, task: EngineTask, limits: SandboxLimits, room_bytes: int) -> None:
        """Args:
        room_bytes: of the scratch folder, for plaintext and ciphertext that the host has not fetched yet.
        """
        self._scratch = scratch
        self._task = task
        self._limits = limits
        self._room = room_bytes
        self._lines: list[PublishedOne] = []
        self._waiting: dict[int, int] = {}
        self._unsealed = 0
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """Return how many containers there are."""
        return len(self._lines)

    def one(self, index: int) -> PublishedOne:
        """Return what is known of one container.

        Raises:
            IndexError: there is none.
        """
        return self._lines[index]

    def stored(self, index: int) -> None:
        """Forget the ciphertext of a container: the host has it. May be called twice.

        Raises:
            IndexError: there is none.
        """
        with self._lock:
            self._lines[index]
            self._scratch.published_file(index).unlink(missing_ok=True)
            self._waiting.pop(index, None)

    def listed(self) -> PublishedList:
        """Return the list for the result."""
        return PublishedList(tuple(self._lines))

    def take(self, folder: int, name: str) -> bool:
        """Take a checkpoint over, seal it, and return whether there was room for it.

        Raises:
            OutputRefusedError: what is never read.
            OSError: it changed meanwhile, or the scratch folder failed.
        """
        if self.count >= MAX_PUBLISHED or not any(self._task.content_key):
            return False
        size, entries = measure(folder, self._limits.output_files)
        needed = 2 * (size + entries * _HEADERS)
        if needed > self._room - self._unsealed - sum(self._waiting.values()):
            return False
        target = self._scratch.result_dir / FOLDER_NAME / name
        try:
            collect(folder, target, replace(self._limits, output_bytes=max(1, size)))
        except OutputRefusedError:
            shutil.rmtree(target, ignore_errors=True)
            raise
        try:
            self._publish(name, seal_folder(target, self._scratch.published_file(self.count), self._task))
        except (OSError, RefusedError):
            self._unsealed += needed  # no room after all: its files stay where the result will have them
            return True
        shutil.rmtree(target, ignore_errors=True)
        with contextlib.suppress(OSError):
            target.parent.rmdir()  # if none is left that was not sealed
        return True

    def _publish(self, name: str, info: SealedInfo) -> None:
        with self._lock:
            self._waiting[self.count] = info.ciphertext_bytes
            self._lines.append(PublishedOne(name, info))
