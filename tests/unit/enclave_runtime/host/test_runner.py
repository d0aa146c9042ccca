"""One message at a time, but for `status`; and how the process comes to its end."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from enclave_runtime.attestation.model import Evidence, TeeKind
from enclave_runtime.engines.limits import DEFAULT_LIMITS
from enclave_runtime.engines.unisolated import DangerousNoIsolation
from enclave_runtime.host import runner as shell
from enclave_runtime.host.effects import Surroundings
from enclave_runtime.host.engine_room import EngineRoom
from enclave_runtime.host.runner import Host, boottime_ns, boottime_s
from enclave_runtime.host.scratch import Scratch
from enclave_runtime.host.transport import Limits, Server
from enclave_runtime.loader.session import Session
from enclave_runtime.loader.trust import PlatformFacts
from enclave_runtime.wire.codec import hex_of
from tests.fakes.cvm_client import CvmClient


class SlowAttester:
    """An `Attester` that waits until it is let go."""

    tee = TeeKind.TDX

    def __init__(self) -> None:
        self.go = threading.Event()
        self.failure: Exception | None = None

    def evidence(self, report_data: bytes) -> Evidence:
        self.go.wait(60)
        if self.failure is not None:
            raise self.failure
        return Evidence(TeeKind.TDX, report_data)


class Shell:
    """A host on a socket, run in a thread."""

    def __init__(self, folder: Path, idle_s: float | None) -> None:
        (folder / "scratch").mkdir()
        scratch = Scratch(folder / "scratch")
        facts = PlatformFacts(TeeKind.TDX, simulated=True)
        session = Session(facts, plaintext_bytes=1 << 20, entropy=os.urandom, now_ns=boottime_ns())
        self.attester = SlowAttester()
        self.host = Host(session)
        room = EngineRoom(scratch, DangerousNoIsolation(), DEFAULT_LIMITS, boottime_s, self.host.engine_ended)
        self.host.connect(Surroundings(self.attester, scratch, room))
        self.path = folder / "s"
        self.stopped = threading.Event()
        self.why: list[str] = []
        self._server = Server(self.path, self.host.answer, Limits(frame_s=60))
        self._thread = threading.Thread(target=self._run, args=(idle_s,), daemon=True)
        self._thread.start()

    def _run(self, idle_s: float | None) -> None:
        self.why.append(self.host.run(self._server, idle_s=idle_s, stopped=self.stopped))

    def join(self, timeout_s: float = 60.0) -> str:
        self._thread.join(timeout_s)
        return self.why[0]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="host-") as name:
        yield Path(name)


@pytest.fixture
def running(folder: Path) -> Iterator[Shell]:
    made = Shell(folder, idle_s=None)
    yield made
    made.attester.go.set()
    made.stopped.set()
    made.join()


EVIDENCE: dict[str, Any] = {"purpose": "certify", "operator": hex_of(b"\x01" * 20)}


def test_status_does_not_wait_for_a_slow_message(running: Shell) -> None:
    with CvmClient(running.path, 60) as slow, CvmClient(running.path, 60) as quick:
        slow.send("evidence", b"", challenge=hex_of(b"\x01" * 32), **EVIDENCE)
        assert quick.ok("status")["state"] == "AWAIT_ORDER"
        quick.send("identify")  # waits for its turn
        running.attester.go.set()
        assert slow.receive()[0]["ok"] is True
        assert quick.receive()[0]["ok"] is True


def test_platform_that_is_gone_is_the_host_s_fault(running: Shell) -> None:
    running.attester.go.set()
    for failure, step in ((OSError(32, "broken pipe"), "io"), (KeyError("secret"), "internal")):
        running.attester.failure = failure
        with CvmClient(running.path, 60) as client:
            error = client.error("evidence", challenge=hex_of(b"\x02" * 32), **EVIDENCE)
        assert (error["kind"], error["step"]) == ("host", step)
        assert "secret" not in error["got"]
    running.attester.failure = None
    with CvmClient(running.path, 60) as client:
        client.ok("evidence", challenge=hex_of(b"\x02" * 32), **EVIDENCE)


def test_ends_when_nobody_speaks(folder: Path) -> None:
    made = Shell(folder, idle_s=2.0)
    with CvmClient(made.path, 60) as client:
        client.ok("status")
        assert made.join() == "idle"
    assert not made.path.exists()


def test_ends_after_wiped_was_seen(folder: Path) -> None:
    made = Shell(folder, idle_s=None)
    with CvmClient(made.path, 60) as client:
        answer = client.ok("abandon")
        client.reconnect()
        assert client.ok("abandon") == answer
        time.sleep(0.3)
        assert not made.why
        assert client.ok("status")["state"] == "WIPED"
    assert made.join() == "wiped"


def test_ends_after_wiped_even_if_nobody_looks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "_LINGER_S", 0.2)
    made = Shell(folder, idle_s=None)
    with CvmClient(made.path, 60) as client:
        client.ok("abandon")
    assert made.join() == "wiped"


def test_ends_when_told_to(folder: Path) -> None:
    made = Shell(folder, idle_s=None)
    made.stopped.set()
    assert made.join() == "stopped"


def test_clock_only_grows() -> None:
    first = boottime_ns()
    assert boottime_ns() >= first
    assert abs(boottime_s() - first / 1e9) < 60
