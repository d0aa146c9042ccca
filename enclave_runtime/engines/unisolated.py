"""Running an engine with no isolation at all, for a developer's machine without bubblewrap.

Never for other people's data: the engine sees every file and the whole network. It has to be asked for by a
setting whose name says so, and says so on stderr at every run. No release profile has a way to it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from enclave_runtime.engines.limits import EngineResult, Reason, SandboxError, SandboxLimits
from enclave_runtime.engines.logs import LogBuffer
from enclave_runtime.engines.outputs import Collected, OutputRefusedError, collect
from enclave_runtime.engines.publishing import Publishing
from enclave_runtime.engines.sandbox import Clock
from enclave_runtime.engines.spec import SandboxSpec, environment

__all__ = ["DangerousNoIsolation"]

_WARNING: Final = (
    "DANGEROUS: running an engine WITHOUT ANY ISOLATION (dangerous_run_without_isolation=True): "
    "it can read every file and reach the network\n"
)
_INTERVAL_S: Final = 0.05
_READER_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class DangerousNoIsolation:
    """A `Runner` that isolates nothing; it knows only the wall clock, the log's cap and the output's cap."""

    def run(
        self,
        spec: SandboxSpec,
        limits: SandboxLimits,
        *,
        stop: threading.Event,
        clock: Clock = time.monotonic,
    ) -> EngineResult:
        """Run `spec` as a plain process, with the sandbox's paths below a folder named by CLOISTER_ROOT."""
        sys.stderr.write(_WARNING)
        sys.stderr.flush()
        root = _lay_out(spec)
        started = clock()
        try:
            process = subprocess.Popen(
                [word.replace("/engine/", f"{root}/engine/", 1) for word in spec.argv],
                cwd=root / "engine",
                env=environment(spec.threads, root=str(root)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise SandboxError(f"no isolation: the engine did not start (errno {error.errno})") from error
        log = LogBuffer(limits.log_bytes)
        reader = threading.Thread(target=_read, args=(process.stdout, log), daemon=True)
        reader.start()
        folder = os.open(root / "output", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with Publishing(folder, spec.take):
                reason = _attend(process, limits, stop, clock, started)
        finally:
            os.close(folder)
        reader.join(_READER_S)  # a process that left the session may hold the other end for ever
        return _result(process.returncode, reason, clock() - started, log, root, spec, limits)


def _lay_out(spec: SandboxSpec) -> Path:
    root = spec.scratch.absolute() / "root"
    (root / "inputs").mkdir(parents=True)
    (root / "output").mkdir()
    (root / "engine").symlink_to(spec.engine_dir.absolute())
    (root / "config.json").write_bytes(spec.config)
    for index, path in enumerate(spec.inputs):
        (root / "inputs" / str(index)).symlink_to(path.absolute())
    return root


def _read(stream: IO[bytes] | None, log: LogBuffer) -> None:
    assert stream is not None
    while chunk := os.read(stream.fileno(), 1 << 16):
        log.write(chunk)
    stream.close()


def _attend(
    process: subprocess.Popen[bytes],
    limits: SandboxLimits,
    stop: threading.Event,
    clock: Clock,
    started: float,
) -> Reason | None:
    reason: Reason | None = None
    # Not reaped before the signal: until then the number is sure to name this session.
    while reason is None and os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if stop.is_set():
            reason = Reason.STOPPED
        elif clock() - started > limits.wall_s:
            reason = Reason.TIMEOUT
        else:
            time.sleep(_INTERVAL_S)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return reason


def _result(
    code: int, reason: Reason | None, seconds: float, log: LogBuffer, root: Path, spec: SandboxSpec,
    limits: SandboxLimits,
) -> EngineResult:  # fmt: skip
    ended = None
    if reason is None:
        ended = code if code >= 0 else 128 - code
        reason = Reason.OK if code == 0 else Reason.EXIT if code > 0 else Reason.SIGNAL
    taken = Collected()
    folder = os.open(root / "output", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        taken = collect(folder, spec.output_dir, limits)
    except OutputRefusedError:
        reason = Reason.OUTPUT if reason is Reason.OK else reason
    finally:
        os.close(folder)
    return EngineResult(
        exit_code=ended,
        reason=reason,
        seconds=seconds,
        log=log.value(),
        log_dropped=log.dropped,
        output_bytes=taken.bytes,
        output_files=taken.files,
        cpu_s=0.0,
        detail="ran WITHOUT ISOLATION",
    )
