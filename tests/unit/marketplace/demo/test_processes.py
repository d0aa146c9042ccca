"""Children are ended by id, politely and then not; what they said last is in the error."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from marketplace.demo.processes import Child, Processes
from marketplace.errors import MarketError

SLEEPS = [sys.executable, "-S", "-c", "import time; print('up', flush=True); time.sleep(60)"]
_DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
DEAF = [sys.executable, "-S", "-c", _DEAF + "print('up', flush=True); time.sleep(60)"]


def started(processes: Processes, name: str, argv: list[str]) -> Child:
    child = processes.start(name, argv)
    child.wait_until(lambda: "up" in child.tail(), timeout_s=60)
    return child


def test_every_child_is_ended_and_nobody_else(tmp_path: Path) -> None:
    with Processes(tmp_path / "logs") as others, Processes(tmp_path / "logs") as processes:
        stays = started(others, "stays", SLEEPS)
        children = [started(processes, name, SLEEPS) for name in ("a", "b")]
        assert processes.pids() == {child.name: child.pid for child in children}
        processes.stop()
        assert [child.process.returncode for child in children] == [-signal.SIGTERM] * 2
        assert processes.pids() == {}
        assert stays.running


def test_one_child_is_ended_and_no_longer_known(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        child = started(processes, "a", SLEEPS)
        assert processes.named("a") is child
        processes.stop_one(child, kill=True)
        assert child.process.returncode == -signal.SIGKILL
        with pytest.raises(MarketError, match="no process called a"):
            processes.named("a")


def test_a_child_that_does_not_listen_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = time.monotonic
    with Processes(tmp_path) as processes:
        child = started(processes, "deaf", DEAF)
        # The three seconds of politeness pass at once.
        times = iter([0.0, *[100.0] * 10])
        monkeypatch.setattr("marketplace.demo.processes.time.monotonic", lambda: next(times, clock()))
        processes.stop_one(child)
        monkeypatch.undo()
        assert child.process.returncode == -signal.SIGKILL


def test_a_child_that_dies_says_why(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        child = processes.start("bad", [sys.executable, "-S", "-c", "raise SystemExit('no such port')"])
        with pytest.raises(MarketError, match="bad ended with code 1: no such port"):
            child.wait_until(lambda: False, timeout_s=60)


def test_a_child_that_is_never_ready_is_given_up(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        child = started(processes, "slow", SLEEPS)
        with pytest.raises(MarketError, match="slow was not ready after 0 s: up"):
            child.wait_until(lambda: False, timeout_s=0.05)


def test_a_child_leads_a_session_of_its_own(tmp_path: Path) -> None:
    """So that Ctrl-C reaches the demo alone, which then ends them in its order."""
    with Processes(tmp_path) as processes:
        child = started(processes, "a", SLEEPS)
        assert os.getsid(child.pid) == child.pid != os.getsid(0)
