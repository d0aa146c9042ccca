"""Engines that train: commands whose purpose is the files they leave (docs/protocol.md section 7(7))."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from enclave_runtime.engines.base import EngineJob
from enclave_runtime.engines.command import CommandEngine
from enclave_runtime.engines.limits import EngineResult, Reason
from enclave_runtime.engines.sandbox import Clock, Runner
from enclave_runtime.sealed.buffers import Readable
from enclave_runtime.sealed.unpack import Quota, unpack

__all__ = ["TrainingEngine", "unpack_inputs"]


def unpack_inputs(archives: Sequence[Readable], folder: Path, quota: Quota) -> tuple[Path, ...]:
    """Unpack each archive into its own folder, named by its place, and return the folders in order.

    Args:
        archives: plaintext archives whose digests were compared before (section 7(5)).
        folder: absent or empty; on memory that goes with the CVM.
        quota: for each archive.
    Raises:
        RefusedError: an archive that our own packer would not have written.
        OSError: the folder cannot be written.
    """
    folders: list[Path] = []
    for index, archive in enumerate(archives):
        path = folder / str(index)
        path.mkdir(mode=0o700, parents=True)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            unpack(archive, descriptor, quota)
        finally:
            os.close(descriptor)
        folders.append(path)
    return tuple(folders)


class TrainingEngine:
    """A command that must leave at least one file: a training that leaves none did not train."""

    def __init__(self, runner: Runner) -> None:
        """Take a runner; see `CommandEngine`."""
        self._command = CommandEngine(runner)

    def run(self, job: EngineJob, *, stop: threading.Event, clock: Clock) -> EngineResult:
        """Run `job`; see `base.Engine`."""
        result = self._command.run(job, stop=stop, clock=clock)
        if result.ok and not result.output_files:
            return dataclasses.replace(result, reason=Reason.OUTPUT, detail="ended well but left no file")
        return result
