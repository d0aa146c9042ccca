"""Engines that are a command: they read /inputs and /config.json, write /output and end (section 7(7))."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

from enclave_runtime.engines.base import EngineJob, threads_of
from enclave_runtime.engines.limits import EngineResult
from enclave_runtime.engines.sandbox import Clock, Runner
from enclave_runtime.engines.spec import SandboxSpec
from enclave_runtime.wire.errors import WireError

__all__ = ["CommandEngine", "command_line"]

_MAX_WORDS: Final = 64
_MAX_WORD_CHARS: Final = 4096


def command_line(entry_point: Sequence[str]) -> tuple[str, ...]:
    """Return the command that an engine's manifest asks for.

    `python` is the interpreter of the measured image; another name is a program of the engine's own folder,
    never one of the image: the digest of the engine then covers all that it brings.

    Raises:
        WireError: empty, oversize, with a NUL, or a program outside of the engine's folder.
    """
    words = tuple(entry_point)
    if not 1 <= len(words) <= _MAX_WORDS or any(
        not word or len(word) > _MAX_WORD_CHARS or "\0" in word for word in words
    ):
        raise WireError(f"entry point: got {len(words)} words or one that is empty or too long")
    program, *arguments = words
    if program == "python":
        return (sys.executable, *arguments)
    path = PurePosixPath(program)
    if path.is_absolute() or ".." in path.parts:
        raise WireError("entry point: got a program outside of the engine's folder")
    return (str(PurePosixPath("/engine") / path), *arguments)


class CommandEngine:
    """Runs one command in a sandbox; what the exit code means is the engine's business."""

    def __init__(self, runner: Runner) -> None:
        """Take a runner; `selftest.open_runner` gives one whose limits were seen to hold."""
        self._runner = runner

    def run(self, job: EngineJob, *, stop: threading.Event, clock: Clock) -> EngineResult:
        """Run `job`; see `base.Engine`."""
        spec = SandboxSpec(
            argv=command_line(job.entry_point),
            engine_dir=job.engine_dir,
            inputs=job.inputs,
            config=job.config,
            output_dir=job.output_dir,
            scratch=job.scratch,
            threads=threads_of(job.config),
            take=job.take,
        )
        return self._runner.run(spec, job.limits, stop=stop, clock=clock)
