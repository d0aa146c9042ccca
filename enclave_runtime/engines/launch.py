"""Starting one engine under bubblewrap: held at the gate until every limit is on it.

Inside the finished sandbox a shell waits for one line on its standard input and then becomes the engine. Only
in that pause are limits set, the control group entered and /output opened. If this process dies before it
writes the line, the shell reads the end of the file instead and the sandbox ends by itself. (bubblewrap's own
`--block-fd` goes on at the end of the file, and an engine would run with no limits and nobody to end it.)
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from enclave_runtime.engines.cgroups import Cgroup
from enclave_runtime.engines.limits import SandboxError, SandboxLimits

__all__ = ["Launched", "launch"]

_SETUP_TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.0001
_FILES: Final = 1024
_LOCKED_BYTES: Final = 64 << 10
_INIT_TASKS: Final = 2  # bubblewrap's reaper, and its brief second self
_READ_CHUNK: Final = 1 << 16
_GATE: Final = ("/bin/sh", "-c", 'read -r go && exec "$@" </dev/null', "gate")
_NAMESPACES: Final = ("ipc", "mnt", "net", "pid", "uts")


@dataclass(slots=True)
class Launched:
    """A sandbox that stands. The engine waits for `release`; `close` leaves nothing of it behind."""

    monitor: subprocess.Popen[bytes]
    log_fd: int
    status_fd: int
    gate_fd: int
    reaper: int = 0
    first: int = 0
    monitor_fd: int = -1
    reaper_fd: int = -1
    output_fd: int = -1
    tmp_fds: list[int] = field(default_factory=list)
    status: bytearray = field(default_factory=bytearray)

    def release(self) -> None:
        """Let the engine run.

        Raises:
            SandboxError: bubblewrap died at the gate.
        """
        try:
            os.write(self.gate_fd, b"go\n")
        except OSError as error:
            raise SandboxError("sandbox: it ended before the engine started") from error
        self._shut("gate_fd")

    def kill(self) -> None:
        """Kill every process in the sandbox and wait until the last is gone.

        The reaper's end takes all others with it, but a fork bomb can keep it from the processor for many
        seconds. A signal to the process group is one stroke that no fork outruns, and the seccomp filter lets
        nothing leave that group.
        """
        if self.reaper_fd >= 0 and not select.select([self.reaper_fd], [], [], 0)[0]:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.reaper, signal.SIGKILL)
        for pidfd in (self.reaper_fd, self.monitor_fd):
            if pidfd >= 0:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        if self.reaper_fd >= 0:
            select.select([self.reaper_fd], [], [])  # a namespace's reaper ends after all its members
        if self.monitor_fd < 0:
            self.monitor.kill()
        self.monitor.wait()

    def exit_code(self) -> int | None:
        """Return the exit code that bubblewrap reported, None when it was killed before it could."""
        while chunk := os.read(self.status_fd, _READ_CHUNK):
            self.status += chunk
        for line in bytes(self.status).splitlines():
            with contextlib.suppress(ValueError):
                code = json.loads(line).get("exit-code")
                if isinstance(code, int):
                    return code
        return None

    def close(self) -> None:
        """Kill what is left and close every descriptor."""
        self.kill()
        for name in ("log_fd", "status_fd", "gate_fd", "monitor_fd", "reaper_fd", "output_fd"):
            self._shut(name)
        while self.tmp_fds:
            os.close(self.tmp_fds.pop())

    def _shut(self, name: str) -> None:
        if getattr(self, name) >= 0:
            os.close(getattr(self, name))
            setattr(self, name, -1)


def launch(
    command: Sequence[str], argv: Sequence[str], filter_: bytes, limits: SandboxLimits, *, config: Path,
    cgroup: Cgroup | None,
) -> Launched:  # fmt: skip
    """Start `argv` behind `command` (bubblewrap and its arguments) and stop it at the gate.

    Args:
        filter_: seccomp program.
        config: a file that the sandbox shows as /config.json; seeing it there tells that the sandbox stands.
        cgroup: the group to enter, or None for resource limits alone.
    Raises:
        SandboxError: bubblewrap could not build the sandbox; its own words are in the message.
    """
    launched = _spawn(command, argv, filter_)
    try:
        launched.monitor_fd = os.pidfd_open(launched.monitor.pid)
        _await_reaper(launched)
        _await_root(launched, config)
        _bound(launched.first, limits, cgroup)
    except BaseException:
        launched.close()
        raise
    return launched


def _spawn(command: Sequence[str], argv: Sequence[str], filter_: bytes) -> Launched:
    log_read, log_write = os.pipe2(os.O_CLOEXEC)
    status_read, status_write = os.pipe2(os.O_CLOEXEC)
    gate_read, gate_write = os.pipe2(os.O_CLOEXEC)
    filter_fd = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    given = (status_write, filter_fd)
    try:
        os.write(filter_fd, filter_)
        os.lseek(filter_fd, 0, os.SEEK_SET)
        options = ["--json-status-fd", status_write, "--seccomp", filter_fd]
        monitor = subprocess.Popen(
            [*command, *map(str, options), "--", *_GATE, *argv],
            stdin=gate_read,
            stdout=log_write,
            stderr=log_write,
            env={},
            pass_fds=given,
            cwd="/",
        )
    except OSError as error:
        for descriptor in (log_read, status_read, gate_write):
            os.close(descriptor)
        raise SandboxError(f"sandbox: bubblewrap did not start (errno {error.errno})") from error
    finally:
        for descriptor in (*given, gate_read, log_write):
            os.close(descriptor)
    os.set_blocking(log_read, False)
    return Launched(monitor, log_read, status_read, gate_write)


def _await_reaper(launched: Launched) -> None:
    """Read the process id and the namespaces that bubblewrap reports, and hold both to what we asked for."""
    deadline = time.monotonic() + _SETUP_TIMEOUT_S
    while not launched.status.endswith(b"\n"):  # written in pieces
        ready, _, _ = select.select([launched.status_fd], [], [], max(0.0, deadline - time.monotonic()))
        chunk = os.read(launched.status_fd, _READ_CHUNK) if ready else b""
        if not chunk:
            raise _setup_error(launched)
        launched.status += chunk
    try:
        report = json.loads(bytes(launched.status))
        launched.reaper = int(report["child-pid"])
        launched.reaper_fd = os.pidfd_open(launched.reaper)
    except (ValueError, KeyError, TypeError, OSError):
        raise _setup_error(launched) from None
    for name in _NAMESPACES:
        if report.get(f"{name}-namespace") in (None, os.stat(f"/proc/self/ns/{name}").st_ino):
            raise SandboxError(f"sandbox: got our own {name} namespace, expected a new one")


def _await_root(launched: Launched, config: Path) -> None:
    """Wait until the shell stands at the gate of the finished sandbox, then open its writable folders.

    bubblewrap switches to the finished root after the last mount and then starts the shell. Its first process
    sleeps once it has tied its life to bubblewrap's, and so to ours.
    """
    root = Path("/proc", str(launched.reaper), "root")
    ours = config.stat()
    deadline = time.monotonic() + _SETUP_TIMEOUT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(root / "config.json"), ours) and _at_gate(launched):
                break
        if select.select([launched.reaper_fd], [], [], _POLL_S)[0]:
            raise _setup_error(launched)
    else:
        raise SandboxError(f"sandbox: not complete after {_SETUP_TIMEOUT_S:.0f} s")
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        launched.output_fd = os.open(root / "output", flags)
        launched.tmp_fds += [os.open(root / name, flags) for name in ("tmp", "dev/shm")]
    except OSError as error:
        raise SandboxError(f"sandbox: got errno {error.errno}, expected to open its output folder") from error


def _at_gate(launched: Launched) -> bool:
    """Return whether the reaper has its child and waits for it; remember the child."""
    folder = Path("/proc", str(launched.reaper))
    children = (folder / "task" / str(launched.reaper) / "children").read_text().split()
    if len(children) != 1 or (folder / "stat").read_bytes().rpartition(b")")[2].split()[0] != b"S":
        return False
    launched.first = int(children[0])
    return True


def _bound(pid: int, limits: SandboxLimits, cgroup: Cgroup | None) -> None:
    """Put every limit on the process that becomes the engine; all others inherit them."""
    cpu_s = math.ceil(limits.cpu_s)
    bounds = {
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_NOFILE: (_FILES, _FILES),
        resource.RLIMIT_FSIZE: (limits.file_bytes, limits.file_bytes),
        resource.RLIMIT_MEMLOCK: (_LOCKED_BYTES, _LOCKED_BYTES),
        resource.RLIMIT_CPU: (cpu_s, cpu_s + 1),  # of each process; the sum is watched
        resource.RLIMIT_NPROC: (limits.processes + _INIT_TASKS,) * 2,  # void where root started us
    }
    if cgroup is None:
        bounds[resource.RLIMIT_DATA] = (limits.memory_bytes, limits.memory_bytes)
    try:
        for kind, (soft, hard) in bounds.items():
            most = resource.prlimit(pid, kind)[1]
            cap = hard if most == resource.RLIM_INFINITY else min(hard, most)
            resource.prlimit(pid, kind, (min(soft, cap), cap))
    except (OSError, ValueError) as error:
        raise SandboxError("sandbox: a resource limit was refused") from error
    if cgroup is not None:
        cgroup.attach(pid)


def _setup_error(launched: Launched) -> SandboxError:
    """Return what bubblewrap said; the engine has not run, so these words are its own."""
    launched.kill()
    with contextlib.suppress(BlockingIOError):
        words = os.read(launched.log_fd, 1024).decode(errors="replace").strip()
        return SandboxError(f"sandbox: could not be built: {words or 'bubblewrap said nothing'}")
    return SandboxError("sandbox: could not be built: bubblewrap said nothing")
