"""Runs the engine in a thread of its own and seals what it leaves (docs/protocol.md section 7(7) and 7(8)).

The result archive holds `output/` (the engine's files), `logs/engine.txt` (its stdout and stderr, one stream)
and `result.json`; where the engine published checkpoints also `checkpoints.json`, and below `checkpoints/`
those that did not fit (`host/checkpoints.py`). All of it is plaintext derived from the inputs: sealed to the
client, never shown to the host; what leaves here in the clear is a reason and numbers.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from enclave_runtime.engines.base import EngineJob
from enclave_runtime.engines.kinds import open_engine
from enclave_runtime.engines.limits import MIB, EngineResult, SandboxError, SandboxLimits
from enclave_runtime.engines.sandbox import Clock, Runner
from enclave_runtime.host.checkpoints import Checkpoints
from enclave_runtime.host.scratch import Scratch
from enclave_runtime.host.sealing import seal_folder
from enclave_runtime.loader.effects import EngineEnd, EngineTask
from enclave_runtime.sealed.header import SealedInfo
from enclave_runtime.sealed.published import LIST_NAME, PublishedOne
from enclave_runtime.wire.canonical import dump
from enclave_runtime.wire.errors import EnclaveError, RefusedError, WireError

__all__ = ["EngineRoom"]

_LOG_NAME: Final = "engine.txt"
_SUMMARY_NAME: Final = "result.json"
_BESIDE_OUTPUT: Final = 32 * MIB
"""Room for logs, and for the headers and last pages of as many small files as an engine may leave."""


class EngineRoom:
    """One engine, once."""

    def __init__(
        self,
        scratch: Scratch,
        runner: Runner,
        limits: SandboxLimits,
        clock: Clock,
        ended: Callable[[EngineEnd], None],
    ) -> None:
        """Args:
        runner: a sandbox whose limits were seen to hold.
        limits: of every run; the wall clock comes from the order.
        clock: seconds that only grow.
        ended: called in the engine's thread, when the result is sealed.
        """
        self._scratch = scratch
        self._runner = runner
        self._limits = limits
        self._clock = clock
        self._ended = ended
        self._stop = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self.checkpoints: Checkpoints | None = None

    def start(self, task: EngineTask) -> None:
        """Start the thread and come back."""
        self._idle.clear()
        threading.Thread(target=self._work, args=(task,), name="engine", daemon=True).start()

    def stop(self) -> None:
        """Tell the engine to end; `ended` follows."""
        self._stop.set()

    def published(self, index: int) -> PublishedOne:
        """Return what is known of a checkpoint that the engine published.

        Raises:
            IndexError: there is none.
        """
        if self.checkpoints is None:
            raise IndexError(index)
        return self.checkpoints.one(index)

    def released(self, index: int) -> None:
        """Let the ciphertext of a published checkpoint go; raises as `published`."""
        if self.checkpoints is None:
            raise IndexError(index)
        self.checkpoints.stored(index)

    def quiet(self) -> None:
        """End the engine and wait until nothing of it is left."""
        self._stop.set()
        self._idle.wait()

    def _work(self, task: EngineTask) -> None:
        try:
            end = self._run(task)
        except Exception as error:
            # An order must not hang on it; the message could hold plaintext, the name cannot.
            end = EngineEnd("sandbox", None, f"the runtime failed ({type(error).__name__})", 0, None)
        finally:
            self._idle.set()
        self._ended(end)

    def _run(self, task: EngineTask) -> EngineEnd:
        reason, code, detail, milliseconds = "config", None, "", 0
        log = b""
        files: dict[str, int] = {}
        self._scratch.result_dir.mkdir(mode=0o700)
        try:
            result = open_engine(task.kind, self._runner).run(
                self._job(task), stop=self._stop, clock=self._clock
            )
        except WireError as error:
            log = f"{error}\n".encode()  # speaks of the configuration: for the client alone
            detail = "the configuration or entry point is malformed"
        except SandboxError as error:
            return EngineEnd("sandbox", None, str(error), 0, None)
        else:
            reason, code, log = result.reason.value, result.exit_code, result.log
            detail, milliseconds = result.detail, round(result.seconds * 1000)
            files = _counts(result)
        if reason == "sandbox":
            return EngineEnd(reason, code, detail, milliseconds, None)
        words = {"exit_code": code, "reason": reason, "detail": detail, "engine_ms": milliseconds, **files}
        try:
            return EngineEnd(reason, code, detail, milliseconds, self._seal(task, log, words))
        except (OSError, RefusedError) as error:
            return EngineEnd("seal", None, f"the result was not sealed ({_plain(error)})", milliseconds, None)

    def _job(self, task: EngineTask) -> EngineJob:
        folders = sorted(self._scratch.input_dir(0).parent.iterdir(), key=lambda path: int(path.name))
        wall_s = max(task.wall_s, 0.001)
        room = self._room_for_files()
        limits = replace(
            self._limits,
            wall_s=wall_s,
            cpu_s=wall_s * (os.cpu_count() or 1),
            output_bytes=max(1, min(self._limits.output_bytes, room * 2 // 5)),
        )
        self.checkpoints = Checkpoints(self._scratch, task, limits, room - 2 * limits.output_bytes)
        return EngineJob(
            entry_point=task.entry_point,
            engine_dir=folders[0],
            inputs=tuple(folders[1:]),
            config=task.config,
            output_dir=self._scratch.result_dir / "output",
            scratch=self._scratch.run_dir,
            limits=limits,
            take=self.checkpoints.take,
        )

    def _room_for_files(self) -> int:
        """Return the room for what an engine leaves: its output twice, as files and sealed, and checkpoints.

        Output beyond its share is the engine's failure; a checkpoint beyond its own is in the output.
        """
        free = self._scratch.capacity_bytes
        return max(free - _BESIDE_OUTPUT, free // 2)

    def _seal(self, task: EngineTask, log: bytes, words: Mapping[str, object]) -> SealedInfo:
        folder = self._scratch.result_dir
        (folder / "output").mkdir(exist_ok=True)
        (folder / "logs").mkdir(exist_ok=True)
        (folder / "logs" / _LOG_NAME).write_bytes(log)
        outcome = "COMPLETED" if words["reason"] == "ok" else "FAILED"
        (folder / _SUMMARY_NAME).write_bytes(dump({"outcome": outcome, **words}))
        if self.checkpoints is not None and self.checkpoints.count:
            (folder / LIST_NAME).write_bytes(self.checkpoints.listed().to_bytes())
        return seal_folder(folder, self._scratch.result_file, task)


def _counts(result: EngineResult) -> dict[str, int]:
    return {
        "log_dropped": result.log_dropped,
        "output_bytes": result.output_bytes,
        "output_files": result.output_files,
    }


def _plain(error: OSError | EnclaveError) -> str:
    """Return what may be said of an error to the host: file names may be data."""
    return f"errno {error.errno}" if isinstance(error, OSError) else type(error).__name__
