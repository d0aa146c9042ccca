"""Engines over a runner that only remembers: what they ask of the sandbox."""

import io
import json
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from enclave_runtime.engines.base import MAX_CONFIG_BYTES, EngineJob, threads_of
from enclave_runtime.engines.command import CommandEngine, command_line
from enclave_runtime.engines.kinds import open_engine
from enclave_runtime.engines.limits import EngineResult, Reason
from enclave_runtime.engines.training import TrainingEngine, unpack_inputs
from enclave_runtime.sealed.archive import ArchiveReader
from enclave_runtime.sealed.unpack import Quota
from enclave_runtime.wire.errors import RefusedError, WireError


class RecordingRunner:
    """A `Runner` that runs nothing and answers as it was told."""

    def __init__(self, reason: Reason = Reason.OK, output_files: int = 1) -> None:
        self.result = EngineResult(0, reason, 1.0, b"log", 0, 10 * output_files, output_files, 0.5, "as told")
        self.specs: list[object] = []

    def run(self, spec, limits, *, stop, clock):
        self.specs.append(spec)
        return self.result


def job(**changes):
    values = {
        "entry_point": ("python", "train.py"),
        "engine_dir": Path("/job/engine"),
        "inputs": (Path("/job/a"),),
        "config": b'{"threads":2}',
        "output_dir": Path("/job/out"),
        "scratch": Path("/job/scratch"),
    }
    return EngineJob(**(values | changes))


def run(engine, the_job):
    return engine.run(the_job, stop=threading.Event(), clock=time.monotonic)


def test_command_engine_passes_the_job_on():
    runner = RecordingRunner()
    assert run(CommandEngine(runner), job()) == runner.result
    (spec,) = runner.specs
    assert spec.argv == (sys.executable, "train.py")
    assert (spec.threads, spec.config, spec.inputs) == (2, b'{"threads":2}', (Path("/job/a"),))


@pytest.mark.parametrize(
    ("entry_point", "expected"),
    [
        (["python", "train.py", "--fast"], (sys.executable, "train.py", "--fast")),
        (["bin/train"], ("/engine/bin/train",)),
        (["./train", "/inputs/0"], ("/engine/train", "/inputs/0")),
    ],
)
def test_command_line(entry_point, expected):
    assert command_line(entry_point) == expected


@pytest.mark.parametrize(
    "entry_point",
    [[], [""], ["/usr/bin/bash"], ["../bash"], ["a/../../b"], ["python", "a\0b"], ["x"] * 65, ["x" * 4097]],
)
def test_refuses_entry_points(entry_point):
    with pytest.raises(WireError, match="entry point"):
        command_line(entry_point)


@pytest.mark.parametrize(("config", "expected"), [(b"{}", 1), (b'{ "threads": 4, "rate": 0.5 }', 4)])
def test_threads(config, expected):
    assert threads_of(config) == expected


@pytest.mark.parametrize(
    "config",
    [
        b"",
        b"[]",
        b"{",
        b'{"threads":0}',
        b'{"threads":true}',
        b'{"threads":"1"}',
        b'{"threads":1025}',
        b'{"a":1,"a":2}',
        b'{"b":{"a":1,"a":2}}',
        b'{"rate":NaN}',
        b'{"rate":Infinity}',
        b"\xff",
        b"[" * 100_000,
        b'{"a":"' + b"x" * MAX_CONFIG_BYTES + b'"}',
    ],
)
def test_refuses_configurations(config):
    with pytest.raises(WireError, match="engine config"):
        threads_of(config)


def test_training_that_leaves_no_file_is_not_ok():
    result = run(TrainingEngine(RecordingRunner(output_files=0)), job())
    assert (result.ok, result.reason) == (False, Reason.OUTPUT)


def test_training_keeps_another_reason():
    result = run(TrainingEngine(RecordingRunner(Reason.MEMORY, output_files=0)), job())
    assert result.reason is Reason.MEMORY


def test_training_passes_a_good_result_on():
    runner = RecordingRunner()
    assert run(open_engine("training", runner), job()) == runner.result


def test_refuses_an_unknown_kind():
    with pytest.raises(WireError, match="command, training"):
        open_engine("mining", RecordingRunner())


def test_unpacks_archives_in_order(tmp_path):
    archives = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data.csv").write_text(name)
        archives.append(ArchiveReader(tmp_path / name))
    folders = unpack_inputs(archives, tmp_path / "plain", Quota(content_bytes=100))
    assert [(folder / "data.csv").read_text() for folder in folders] == ["a", "b"]
    assert [folder.name for folder in folders] == ["0", "1"]


def test_refuses_an_archive_that_nobody_of_ours_packed(tmp_path):
    with pytest.raises(RefusedError, match="archive"):
        unpack_inputs([io.BytesIO(b"x" * 2048)], tmp_path / "plain", Quota(content_bytes=100))
    assert not os.listdir(tmp_path / "plain" / "0")


def test_the_example_configuration_is_canonical():
    path = Path(__file__).parents[4] / "examples" / "breast_cancer" / "config.json"
    data = path.read_bytes()
    assert json.dumps(json.loads(data), sort_keys=True, separators=(",", ":")).encode() == data
    assert threads_of(data) == 1
