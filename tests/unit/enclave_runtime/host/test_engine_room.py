"""However an engine ends, its end is told, its output and log are sealed, and no error shows plaintext."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from enclave_runtime.engines.limits import DEFAULT_LIMITS, EngineResult, Reason, SandboxError, SandboxLimits
from enclave_runtime.engines.sandbox import Clock
from enclave_runtime.engines.spec import SandboxSpec
from enclave_runtime.host.engine_room import EngineRoom
from enclave_runtime.host.scratch import Scratch
from enclave_runtime.loader.effects import EngineEnd, EngineTask
from enclave_runtime.sealed.sink import MemorySink
from enclave_runtime.sealed.tree import Algorithm
from enclave_runtime.sealed.unpack import Quota, unpack
from enclave_runtime.sealed.unseal import FileSource, Unsealer, unseal
from enclave_runtime.wire.canonical import parse_object


@dataclass
class FakeRunner:
    """A `Runner` whose engine is a function of the test."""

    engine: Callable[[SandboxSpec, threading.Event], Reason]
    seen: list[tuple[SandboxSpec, SandboxLimits]] = field(default_factory=list)

    def run(
        self, spec: SandboxSpec, limits: SandboxLimits, *, stop: threading.Event, clock: Clock
    ) -> EngineResult:
        self.seen.append((spec, limits))
        spec.output_dir.mkdir()
        reason = self.engine(spec, stop)
        files = len(list(spec.output_dir.iterdir()))
        code = {Reason.OK: 0, Reason.EXIT: 3}.get(reason)
        return EngineResult(code, reason, 1.5, b"log line", 0, 5 * files, files, 0.1, "a sentence")


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    scratch = Scratch(tmp_path)
    for index in range(3):
        scratch.input_dir(index).mkdir()
    return scratch


def task(
    config: bytes = b"{}", kind: str = "training", algorithm: Algorithm = Algorithm.BLAKE3
) -> EngineTask:
    key, salt = bytearray(b"\x11" * 32), b"\x22" * 32
    return EngineTask(kind, ("python", "main.py"), config, 60.0, key, salt, algorithm)


def run(scratch: Scratch, runner: FakeRunner, what: EngineTask) -> EngineEnd:
    ended: list[EngineEnd] = []
    done = threading.Event()

    def end(value: EngineEnd) -> None:
        ended.append(value)
        done.set()

    EngineRoom(scratch, runner, DEFAULT_LIMITS, time.monotonic, end).start(what)
    assert done.wait(60)
    return ended[0]


def opened(scratch: Scratch, end: EngineEnd, folder: Path) -> Path:
    assert end.sealed is not None
    sink = MemorySink(end.sealed.plaintext_bytes)
    with scratch.result_file.open("rb") as file:
        unseal(FileSource(file.fileno()), Unsealer(end.sealed, b"\x11" * 32, b"\x22" * 32, sink))
    folder.mkdir()
    descriptor = os.open(folder, os.O_RDONLY)
    unpack(io.BytesIO(sink.view()), descriptor, Quota(1 << 20))
    os.close(descriptor)
    return folder


def leave_a_file(spec: SandboxSpec, stop: threading.Event) -> Reason:
    (spec.output_dir / "model").write_bytes(b"model")
    return Reason.OK


@pytest.mark.parametrize("algorithm", Algorithm)
def test_outcome_is_sealed_under_the_hash_of_its_task(
    scratch: Scratch, tmp_path: Path, algorithm: Algorithm
) -> None:
    end = run(scratch, FakeRunner(leave_a_file), task(algorithm=algorithm))
    assert end.sealed is not None and end.sealed.algorithm is algorithm
    assert (opened(scratch, end, tmp_path / "opened") / "output" / "model").read_bytes() == b"model"


def test_output_log_and_words_are_sealed_to_the_given_key(scratch: Scratch, tmp_path: Path) -> None:
    runner = FakeRunner(leave_a_file)
    end = run(scratch, runner, task(b'{"threads":3}'))
    assert (end.reason, end.exit_code, end.milliseconds) == ("ok", 0, 1500)
    folder = opened(scratch, end, tmp_path / "opened")
    assert (folder / "output" / "model").read_bytes() == b"model"
    assert (folder / "logs" / "engine.txt").read_bytes() == b"log line"
    words = parse_object((folder / "result.json").read_bytes())
    assert (words["outcome"], words["reason"], words["engine_ms"]) == ("COMPLETED", "ok", 1500)
    spec, limits = runner.seen[0]
    assert (spec.engine_dir, spec.inputs) == (scratch.input_dir(0), tuple(map(scratch.input_dir, (1, 2))))
    assert (spec.threads, limits.wall_s) == (3, 60.0)


@pytest.mark.parametrize("reason", [Reason.EXIT, Reason.MEMORY, Reason.STOPPED, Reason.OUTPUT])
def test_failed_engines_leave_a_sealed_log_too(scratch: Scratch, tmp_path: Path, reason: Reason) -> None:
    end = run(scratch, FakeRunner(lambda spec, stop: reason), task())
    assert end.reason == reason.value
    folder = opened(scratch, end, tmp_path / "opened")
    assert parse_object((folder / "result.json").read_bytes())["outcome"] == "FAILED"
    assert (folder / "logs" / "engine.txt").read_bytes() == b"log line"


def test_a_training_that_leaves_no_file_failed(scratch: Scratch) -> None:
    assert run(scratch, FakeRunner(lambda spec, stop: Reason.OK), task()).reason == "output"


@pytest.mark.parametrize("config", [b"", b"[]", b'{"threads":0}', b'{"threads":true}', b'{"a":1,"a":2}'])
def test_malformed_configuration_is_the_client_s_fault_and_told_to_the_client(
    scratch: Scratch, tmp_path: Path, config: bytes
) -> None:
    runner = FakeRunner(leave_a_file)
    end = run(scratch, runner, task(config))
    assert (end.reason, end.exit_code, runner.seen) == ("config", None, [])
    folder = opened(scratch, end, tmp_path / "opened")
    assert b"engine config" in (folder / "logs" / "engine.txt").read_bytes()


def test_sandbox_that_fails_is_the_host_s_fault(scratch: Scratch) -> None:
    def broken(spec: SandboxSpec, stop: threading.Event) -> Reason:
        raise SandboxError("sandbox: no namespaces")

    end = run(scratch, FakeRunner(broken), task())
    assert (end.reason, end.sealed) == ("sandbox", None)


def test_errors_of_ours_end_the_run_and_show_no_message(scratch: Scratch) -> None:
    def broken(spec: SandboxSpec, stop: threading.Event) -> Reason:
        raise KeyError("plaintext of a patient")

    end = run(scratch, FakeRunner(broken), task())
    assert (end.reason, end.sealed) == ("sandbox", None)
    assert "patient" not in end.detail
    assert "KeyError" in end.detail


def test_result_that_cannot_be_written_is_the_host_s_fault(scratch: Scratch) -> None:
    scratch.result_file.mkdir()
    end = run(scratch, FakeRunner(leave_a_file), task())
    assert (end.reason, end.sealed) == ("seal", None)
    assert str(scratch.result_file) not in end.detail


def test_quiet_waits_until_nothing_of_the_engine_is_left(scratch: Scratch) -> None:
    stopped = threading.Event()

    def slow(spec: SandboxSpec, stop: threading.Event) -> Reason:
        stop.wait(60)
        time.sleep(0.1)
        stopped.set()
        return Reason.STOPPED

    room = EngineRoom(scratch, FakeRunner(slow), DEFAULT_LIMITS, time.monotonic, lambda end: None)
    room.quiet()  # nothing runs: nothing to wait for
    room = EngineRoom(scratch, FakeRunner(slow), DEFAULT_LIMITS, time.monotonic, lambda end: None)
    room.start(task())
    room.quiet()
    assert stopped.is_set()
