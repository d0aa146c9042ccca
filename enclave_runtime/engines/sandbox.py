"""Runs an untrusted engine so that its limits, not its manners, bound what it does (protocol.md 7(7), 10).

bubblewrap gives new user, mount, PID, network, IPC and UTS namespaces, no capabilities, a read-only root and
a seccomp filter; control groups or, where there are none, resource limits and sampling bound what it uses.
What was tried and what lost: docs/adr/0010-sandbox.md. What is never assumed: `selftest`.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from enclave_runtime.engines import seccomp
from enclave_runtime.engines.cgroups import Cgroup, Cgroups
from enclave_runtime.engines.launch import Launched, launch
from enclave_runtime.engines.limits import EngineResult, Reason, SandboxError, SandboxLimits
from enclave_runtime.engines.logs import LogBuffer
from enclave_runtime.engines.outputs import Collected, OutputRefusedError, collect
from enclave_runtime.engines.publishing import Publishing
from enclave_runtime.engines.spec import SandboxSpec, bwrap_arguments
from enclave_runtime.engines.watch import Watch

__all__ = ["Clock", "Runner", "Sandbox"]

Clock = Callable[[], float]

_CHUNK: Final = 1 << 16
_PROBE_TIMEOUT_S: Final = 10
_NOT_EXECUTED: Final = (126, 127)  # the shell's codes
_NOT_FOUND: Final = (
    "sandbox: got no bwrap on PATH, expected the Debian package bubblewrap (engines run isolated)"
)
_DETAILS: Final = {
    Reason.OK: "ended by itself",
    Reason.TIMEOUT: "ran longer than its limit of elapsed time",
    Reason.CPU: "used more than its limit of processor time",
    Reason.MEMORY: "used more than its limit of memory",
    Reason.PROCESSES: "started more than its limit of processes and threads",
    Reason.OUTPUT: "wrote more, larger or more numerous files than its limits",
    Reason.STOPPED: "was told to stop",
}


class Runner(Protocol):
    """Whatever runs a spec within limits. `Sandbox` is the one for real orders."""

    def run(
        self, spec: SandboxSpec, limits: SandboxLimits, *, stop: threading.Event, clock: Clock
    ) -> EngineResult:
        """Run to the end, whatever the end is."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A way to isolate that was found on this machine; `selftest.check` proves that it holds."""

    bwrap: Path
    mount_proc: bool
    cgroups: Cgroups | None

    @classmethod
    def detect(cls, bwrap: Path | None = None) -> Sandbox:
        """Find bubblewrap, whether it may mount /proc, and writable control groups.

        Raises:
            SandboxError: no bubblewrap, or it cannot make a sandbox here; says what an administrator can do.
        """
        found = bwrap or shutil.which("bwrap")
        if found is None:
            raise SandboxError(_NOT_FOUND)
        path = Path(found)
        mount_proc = _probe(path, "--proc", "/proc") is None
        if not mount_proc and (words := _probe(path)):
            raise SandboxError(f"sandbox: unprivileged user namespaces do not work here: {words}")
        return cls(path, mount_proc, Cgroups.find())

    def run(
        self,
        spec: SandboxSpec,
        limits: SandboxLimits,
        *,
        stop: threading.Event,
        clock: Clock = time.monotonic,
    ) -> EngineResult:
        """Run `spec` within `limits` until it ends, breaks a limit, or `stop` is set.

        The calling thread must live as long as the engine: the kernel ties the one to the other.

        Args:
            clock: seconds that only grow; the sandbox reads no other clock for its limits.
        Raises:
            SandboxError: the sandbox could not be set up; no line of the engine ran.
        """
        spec.scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        spec.config_path.write_bytes(spec.config)
        arguments = bwrap_arguments(spec, limits, mount_proc=self.mount_proc)
        with contextlib.ExitStack() as stack:
            cgroup = self.cgroups.create(limits) if self.cgroups else None
            if cgroup:
                stack.callback(cgroup.close)
            launched = launch(
                [str(self.bwrap), *arguments],
                spec.argv,
                seccomp.program(),
                limits,
                config=spec.config_path,
                cgroup=cgroup,
            )
            stack.callback(launched.close)
            log = LogBuffer(limits.log_bytes)
            watch = Watch(launched, limits, cgroup, stop, clock)
            with Publishing(launched.output_fd, spec.take):
                launched.release()
                reason = _attend(launched, watch, log)
                seconds = watch.elapsed_s()  # not the time that a last checkpoint takes to be sealed
            return _finish(launched, spec, limits, cgroup, watch, log, reason, seconds)


def _probe(bwrap: Path, *extra: str) -> str | None:
    """Return None if a small sandbox works, else bubblewrap's complaint."""
    links = [part for name in ("lib", "lib64", "bin") for part in ("--ro-bind-try", f"/{name}", f"/{name}")]
    command = [str(bwrap), "--unshare-user", "--unshare-pid", "--unshare-net", "--ro-bind", "/usr", "/usr"]
    try:
        done = subprocess.run(
            [*command, *links, *extra, "--die-with-parent", "--", "/usr/bin/true"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={},
            cwd="/",
            timeout=_PROBE_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return type(error).__name__
    return None if done.returncode == 0 else done.stderr.decode(errors="replace").strip() or "no reason given"


def _attend(launched: Launched, watch: Watch, log: LogBuffer) -> Reason | None:
    """Drain the log and sample until the engine ends (None) or must end; nothing of it is left afterwards."""
    reason: Reason | None = None
    with selectors.DefaultSelector() as selector:
        selector.register(launched.log_fd, selectors.EVENT_READ)
        selector.register(launched.monitor_fd, selectors.EVENT_READ)
        due = time.monotonic()
        while reason is None:
            ready = {key.fd for key, _ in selector.select(max(0.0, due - time.monotonic()))}
            if launched.log_fd in ready and not _drain(launched.log_fd, log):
                selector.unregister(launched.log_fd)
            if launched.monitor_fd in ready:
                break
            if time.monotonic() >= due:  # a log flood must not keep the guard from its samples
                reason = watch.verdict()
                due = time.monotonic() + watch.interval_s
    launched.kill()
    while _drain(launched.log_fd, log):
        pass
    return reason


def _drain(descriptor: int, log: LogBuffer) -> bool:
    """Read one chunk; False when there is nothing left to read."""
    try:
        chunk = os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return False
    log.write(chunk)
    return bool(chunk)


def _finish(
    launched: Launched, spec: SandboxSpec, limits: SandboxLimits, cgroup: Cgroup | None, watch: Watch,
    log: LogBuffer, reason: Reason | None, seconds: float,
) -> EngineResult:  # fmt: skip
    # Of what the sandbox ended, bubblewrap may have reported the kill before it was ended itself, or not.
    code = launched.exit_code() if reason is None else None
    detail = ""
    if reason is None:
        if code is None and not (cgroup and cgroup.out_of_memory()):
            raise SandboxError(f"sandbox: bubblewrap ended with {launched.monitor.returncode} and no report")
        reason, detail = _judge(code, launched, cgroup)
    taken = Collected()
    try:
        taken = collect(launched.output_fd, spec.output_dir, limits)
    except OutputRefusedError as error:
        shutil.rmtree(spec.output_dir)
        if reason is Reason.OK:
            reason, detail = Reason.OUTPUT, str(error)
    except OSError as error:
        raise SandboxError(f"sandbox: output could not be taken over (errno {error.errno})") from error
    return EngineResult(
        exit_code=code,
        reason=reason,
        seconds=seconds,
        log=log.value(),
        log_dropped=log.dropped,
        output_bytes=taken.bytes,
        output_files=taken.files,
        cpu_s=max(watch.cpu_s, (cgroup.cpu_s() or 0.0) if cgroup else 0.0),
        detail=detail or _DETAILS[reason],
    )


def _judge(code: int | None, launched: Launched, cgroup: Cgroup | None) -> tuple[Reason, str]:
    """Return why an engine that ended by itself did, and a sentence about it."""
    usage = os.fstatvfs(launched.output_fd)
    full = usage.f_bavail == 0
    if cgroup and cgroup.out_of_memory():
        return Reason.MEMORY, ""
    if full:  # even with exit code 0: what it could not write is missing
        return Reason.OUTPUT, "filled its output folder to the limit"
    if code is None or code == 0:
        return Reason.OK, ""
    if code in _NOT_EXECUTED:
        return Reason.EXIT, "its command could not be executed, or says so by its exit code"
    if code == 128 + signal.SIGXCPU:
        return Reason.CPU, ""
    if code == 128 + signal.SIGXFSZ:
        return Reason.OUTPUT, "wrote a file larger than its limit"
    if cgroup and cgroup.out_of_tasks():
        return Reason.PROCESSES, ""
    if code > 128:
        return Reason.SIGNAL, f"was ended by signal {code - 128}"
    return Reason.EXIT, f"exited with code {code}"
