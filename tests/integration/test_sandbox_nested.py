"""The sandbox inside the sandbox that a simulated CVM is (docs/adr/0010-sandbox.md).

The outer command is written here as the platform writes it, in the variants that were found to differ.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from enclave_runtime.engines.spec import python_roots
from tests.integration.sandbox_kit import REPOSITORY, sandbox

pytestmark = pytest.mark.integration

# User 0 of the outer sandbox can be mapped again only with a capability: another number, and none is needed.
OTHER_USER = ("--cap-drop", "ALL", "--uid", "1000", "--gid", "1000")
INSIDE = """
import json, pathlib, sys, threading, time
from enclave_runtime.engines import selftest
from enclave_runtime.engines.limits import SandboxLimits
from enclave_runtime.engines.sandbox import Sandbox
from enclave_runtime.engines.spec import SandboxSpec
plain = pathlib.Path("/plain")
box = Sandbox.detect()
found = selftest.check(box, scratch=plain)
(plain / "secret").write_text("another owner's rows")
(plain / "engine").mkdir()
bomb = "import os" + chr(10) + "while True:" + chr(10) + " try: os.fork()" + chr(10) + " except OSError: pass"
spec = SandboxSpec((sys.executable, "-S", "-c", bomb), plain / "engine", (), b"{}", plain / "o", plain / "s")
result = box.run(spec, SandboxLimits(processes=16, wall_s=1), stop=threading.Event())
look = "import os; print(os.path.exists('/plain'), os.listdir('/output'))"
spec = SandboxSpec((sys.executable, "-S", "-c", look), plain / "engine", (), b"{}", plain / "p", plain / "s")
seen = box.run(spec, SandboxLimits(), stop=threading.Event())
print(json.dumps({"checks": len(found), "bomb": result.reason.value, "bomb_s": result.seconds,
                  "seen": seen.log.decode(), "mount_proc": box.mount_proc}))
"""


def outer(*options: str) -> list[str]:
    args = ["bwrap", "--unshare-user", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    args += [
        "--die-with-parent",
        "--clearenv",
        "--setenv",
        "PATH",
        "/usr/bin:/bin",
        "--ro-bind",
        "/usr",
        "/usr",
    ]
    for name in ("bin", "sbin", "lib", "lib64"):
        path = Path("/", name)
        if path.is_symlink():
            args += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            args += ["--ro-bind", str(path), str(path)]
    args += ["--tmpfs", "/tmp"]  # before what may lie under it
    for root in python_roots():
        args += ["--ro-bind", str(root), str(root)]
    args += ["--ro-bind", str(REPOSITORY / "enclave_runtime"), "/opt/cvm/enclave_runtime"]
    args += ["--dev", "/dev", "--tmpfs", "/plain", *options, "--remount-ro", "/"]
    return [*args, "--setenv", "PYTHONPATH", "/opt/cvm", "--", sys.executable, "-B", "-c", INSIDE]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param((*OTHER_USER, "--bind", "/proc", "/proc"), id="as the platform does"),
        pytest.param((*OTHER_USER, "--proc", "/proc"), id="proc partly covered"),
        pytest.param(("--bind", "/proc", "/proc"), id="same user with capabilities"),
    ],
)
def test_holds_inside_a_cvm_process(options):
    sandbox()
    done = subprocess.run(outer(*options), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["checks"] >= 26
    assert answer["bomb"] in {"processes", "timeout"}
    assert answer["bomb_s"] < 10
    assert answer["seen"] == "False []\n"
