"""Child processes of the demo: started in sessions of their own, logged to files, ended by id.

Whatever happens, `Processes.stop` ends what was started here and nothing else, last started first.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from marketplace.errors import MarketError

__all__ = ["Child", "Processes"]

_POLL_S = 0.02


@dataclass(slots=True)
class Child:
    """One process: its name, the log that it writes, and how to wait for it."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """Return the process id, which is also its session's."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Return whether it has not ended."""
        return self.process.poll() is None

    def wait_until(self, ready: Callable[[], bool], *, timeout_s: float) -> None:
        """Wait until `ready()`.

        Raises:
            MarketError: it ended first, or the time is over; the message ends with its last log lines.
        """
        until = time.monotonic() + timeout_s
        while not ready():
            if not self.running:
                raise MarketError(f"{self.name} ended with code {self.process.returncode}: {self.tail()}")
            if time.monotonic() > until:
                raise MarketError(f"{self.name} was not ready after {timeout_s:.0f} s: {self.tail()}")
            time.sleep(_POLL_S)

    def tail(self, lines: int = 12) -> str:
        """Return the last lines of its log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class Processes:
    """Starts and ends children; a context manager."""

    def __init__(self, log_dir: Path) -> None:
        self._log_dir = log_dir
        self._children: list[Child] = []
        log_dir.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Processes:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End every child."""
        self.stop()

    def start(self, name: str, argv: Sequence[str], *, env: dict[str, str] | None = None) -> Child:
        """Start `argv` with its output in `<log_dir>/<name>.log`."""
        log = self._log_dir / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=env if env is not None else dict(os.environ),
            )
        child = Child(name, process, log)
        self._children.append(child)
        return child

    def stop_one(self, child: Child, *, kill: bool = False) -> None:
        """End one child: politely unless `kill`, and its session after three seconds."""
        _end([child], signal.SIGKILL if kill else signal.SIGTERM)
        self._children = [one for one in self._children if one is not child]

    def named(self, name: str) -> Child:
        """Return the running child called `name`."""
        for child in self._children:
            if child.name == name:
                return child
        raise MarketError(f"no process called {name}")

    def stop(self) -> None:
        """End every child, last started first."""
        children, self._children = list(reversed(self._children)), []
        _end(children, signal.SIGTERM)

    def pids(self) -> dict[str, int]:
        """Return the ids of what runs, by name."""
        return {child.name: child.pid for child in self._children if child.running}


def _end(children: Sequence[Child], how: signal.Signals) -> None:
    for child in children:
        if child.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, how)
    until = time.monotonic() + 3
    for child in children:
        try:
            child.process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.process.wait()
