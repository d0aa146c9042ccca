"""The development runner: loud, and no limit but the clock's."""

import sys
import threading
import time

import pytest

from enclave_runtime.engines import selftest
from enclave_runtime.engines.limits import MIB, Reason, SandboxError, SandboxLimits
from enclave_runtime.engines.sandbox import Sandbox
from enclave_runtime.engines.spec import SandboxSpec
from enclave_runtime.engines.unisolated import DangerousNoIsolation

LIMITS = SandboxLimits(wall_s=60, output_bytes=MIB)


def run(tmp_path, source, *, limits=LIMITS, stop=None):
    (tmp_path / "engine").mkdir()
    (tmp_path / "input").mkdir()
    (tmp_path / "engine" / "main.py").write_text(source)
    spec = SandboxSpec(
        argv=(sys.executable, "-I", "-S", "main.py"),
        engine_dir=tmp_path / "engine",
        inputs=(tmp_path / "input",),
        config=b'{"a":1}',
        output_dir=tmp_path / "out",
        scratch=tmp_path / "scratch",
    )
    return DangerousNoIsolation().run(spec, limits, stop=stop or threading.Event(), clock=time.monotonic)


def test_says_so_and_runs(tmp_path, capfd):
    result = run(
        tmp_path,
        "import os\nroot = os.environ['CLOISTER_ROOT']\nprint(sorted(os.listdir(root)))\n"
        "open(root + '/output/x', 'w').write(open(root + '/config.json').read())\n",
    )
    assert (result.reason, result.output_bytes) == (Reason.OK, 7)
    assert b"'config.json', 'engine', 'inputs', 'output'" in result.log
    assert (tmp_path / "out" / "x").read_text() == '{"a":1}'
    assert "WITHOUT ANY ISOLATION" in capfd.readouterr().err
    assert "WITHOUT ISOLATION" in result.detail


def test_ends_at_the_wall_clock_with_its_children(tmp_path):
    source = "import os, time\nos.fork()\ntime.sleep(60)\n"
    result = run(tmp_path, source, limits=SandboxLimits(wall_s=0.3))
    assert result.reason is Reason.TIMEOUT
    assert result.seconds < 60, "its child sleeps on"


def test_stops(tmp_path):
    stop = threading.Event()
    stop.set()
    assert run(tmp_path, "import time\ntime.sleep(60)\n", stop=stop).reason is Reason.STOPPED


def test_reports_failure(tmp_path):
    result = run(tmp_path, "raise SystemExit(3)\n")
    assert (result.reason, result.exit_code) == (Reason.EXIT, 3)


def test_refuses_links_in_its_output(tmp_path):
    source = "import os\nos.symlink('/', os.environ['CLOISTER_ROOT'] + '/output/x')\n"
    assert run(tmp_path, source).reason is Reason.OUTPUT


def test_is_never_chosen_without_its_name_being_said(monkeypatch):
    def absent(bwrap=None):
        raise SandboxError("no bwrap here")

    monkeypatch.setattr(Sandbox, "detect", absent)
    with pytest.raises(SandboxError, match="no bwrap here"):
        selftest.open_runner()
    assert isinstance(selftest.open_runner(dangerous_run_without_isolation=True), DangerousNoIsolation)
