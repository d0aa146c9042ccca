"""The theft: an engine leaves an output that cannot be sealed, and its whole run is nobody's to pay for.

An output that only our own archive refuses, or that fills the CVM's memory while it is sealed, ended with
outcome HOST: compute and inputs unpaid. It is the engine's doing, hence FAILED, which is paid.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from enclave_runtime.engines.limits import DEFAULT_LIMITS, MIB, EngineResult, Reason, SandboxLimits
from enclave_runtime.engines.outputs import OutputRefusedError, collect
from enclave_runtime.engines.sandbox import Clock
from enclave_runtime.engines.spec import SandboxSpec
from enclave_runtime.host.engine_room import EngineRoom
from enclave_runtime.host.scratch import Scratch
from enclave_runtime.loader.effects import EngineEnd, EngineTask
from enclave_runtime.sealed.archive import ArchiveReader
from enclave_runtime.sealed.tree import Algorithm

_DEEP = "/".join(["d" * 200] * 6)


@pytest.mark.parametrize(
    "name", ["new\nline", "e\u0301", "zero\u200bwidth", _DEEP], ids=["control", "nfd", "invisible", "long"]
)
def test_names_that_no_archive_takes_are_the_engines_fault(tmp_path: Path, name: str) -> None:
    made = tmp_path / "made"
    (made / name).parent.mkdir(parents=True)
    (made / name).write_bytes(b"x")
    folder = os.open(made, os.O_RDONLY)
    try:
        with pytest.raises(OutputRefusedError) as refusal:
            collect(folder, tmp_path / "result" / "output", DEFAULT_LIMITS)
    finally:
        os.close(folder)
    assert name not in str(refusal.value)


def test_every_output_that_is_taken_over_can_be_archived(tmp_path: Path) -> None:
    made = tmp_path / "made"
    for name in ("model.safetensors", "d/" * 7 + "deep", "é ü", "x" * 255, ".hidden"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_bytes(b"x")
    folder = os.open(made, os.O_RDONLY)
    taken = collect(folder, tmp_path / "result" / "output", DEFAULT_LIMITS)
    os.close(folder)
    assert taken.files == 5
    with ArchiveReader(tmp_path / "result") as archive:
        assert archive.length > 5 * 1024


class _SeesLimits:
    """A runner that runs nothing and remembers what an engine would have been held to."""

    def __init__(self) -> None:
        self.limits = DEFAULT_LIMITS

    def run(
        self, spec: SandboxSpec, limits: SandboxLimits, *, stop: threading.Event, clock: Clock
    ) -> EngineResult:
        self.limits = limits
        return EngineResult(0, Reason.OK, 0.1, b"", 0, 0, 0, 0.0, "")


def test_an_output_fits_twice_into_the_memory_that_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = Scratch(tmp_path)
    for index in range(2):
        scratch.input_dir(index).mkdir()
    monkeypatch.setattr(Scratch, "capacity_bytes", property(lambda self: 512 * MIB))
    runner, ended = _SeesLimits(), threading.Event()

    def end(_: EngineEnd) -> None:
        ended.set()

    task = EngineTask("training", ("python", "x"), b"{}", 60.0, bytearray(32), bytes(32), Algorithm.BLAKE3)
    EngineRoom(scratch, runner, DEFAULT_LIMITS, time.monotonic, end).start(task)
    assert ended.wait(60)
    # As files, and once more sealed, beside headers and logs.
    assert 128 * MIB <= runner.limits.output_bytes <= 250 * MIB
    assert runner.limits.file_bytes <= DEFAULT_LIMITS.file_bytes
