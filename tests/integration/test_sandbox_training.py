"""The example engine as an order runs it: in the sandbox, with the bits of the same run outside."""

import json
import subprocess
import sys
import threading
import time

import pytest

from enclave_runtime.engines.base import EngineJob
from enclave_runtime.engines.kinds import open_engine
from enclave_runtime.engines.limits import SandboxLimits
from enclave_runtime.engines.spec import environment
from tests.integration.sandbox_kit import MODES, REPOSITORY, sandbox

pytestmark = pytest.mark.integration
EXAMPLE = REPOSITORY / "examples" / "breast_cancer"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    subprocess.run([sys.executable, str(EXAMPLE / "prepare.py"), str(folder)], check=True, timeout=60)
    return folder


@pytest.fixture(scope="module")
def outside(data, tmp_path_factory):
    """The files of a run without a sandbox."""
    folder = tmp_path_factory.mktemp("outside")
    inputs = [str(data / name) for name in ("hospital_a", "hospital_b")]
    config = str(EXAMPLE / "config.json")
    subprocess.run(
        [sys.executable, "train.py", "--inputs", *inputs, "--config", config, "--output", str(folder)],
        cwd=EXAMPLE / "engine",
        env=environment(1),
        check=True,
        timeout=120,
    )
    return folder


@pytest.mark.parametrize("mode", MODES)
def test_gives_the_same_bits_inside_and_outside(mode, data, outside, tmp_path):
    job = EngineJob(
        entry_point=("python", "train.py"),
        engine_dir=EXAMPLE / "engine",
        inputs=(data / "hospital_a", data / "hospital_b"),
        config=(EXAMPLE / "config.json").read_bytes(),
        output_dir=tmp_path / "output",
        scratch=tmp_path / "scratch",
        limits=SandboxLimits(wall_s=120),
    )
    result = open_engine("training", sandbox(mode)).run(job, stop=threading.Event(), clock=time.monotonic)
    assert result.ok, result.log
    for name in ("model.safetensors", "metrics.json", "roc.png"):
        assert (tmp_path / "output" / name).read_bytes() == (outside / name).read_bytes()
    metrics = json.loads((tmp_path / "output" / "metrics.json").read_bytes())
    assert metrics["accuracy"] >= 0.95
    assert result.log.decode().startswith(f"held-out accuracy {metrics['accuracy']:.4f}, ROC-AUC")


def test_a_bad_table_fails_the_order_and_shows_no_value(data, tmp_path):
    (tmp_path / "bad").mkdir()
    text = (data / "hospital_a" / "data.csv").read_text()
    (tmp_path / "bad" / "data.csv").write_text(text.replace("\n17.99,", "\nsecret,", 1))
    job = EngineJob(
        entry_point=("python", "train.py"),
        engine_dir=EXAMPLE / "engine",
        inputs=(tmp_path / "bad",),
        config=(EXAMPLE / "config.json").read_bytes(),
        output_dir=tmp_path / "output",
        scratch=tmp_path / "scratch",
    )
    result = open_engine("training", sandbox()).run(job, stop=threading.Event(), clock=time.monotonic)
    assert (result.exit_code, result.output_files) == (2, 0)
    assert b"input 0, row 1, column 'mean radius'" in result.log
    assert b"secret" not in result.log
