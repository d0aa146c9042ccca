"""The sandbox inside the sandbox that a simulated CVM is (docs/adr/0010-sandbox.md).

Started by the platform's own command lines, and by two others that were found to differ.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from enclave_runtime.attestation.simulated import launch
from enclave_runtime.attestation.simulated.accounts import ACCOUNTS, can_step_down, hand_over
from enclave_runtime.attestation.simulated.groups import Groups
from enclave_runtime.engines.spec import python_roots
from tests.integration.sandbox_kit import REPOSITORY, sandbox

pytestmark = pytest.mark.integration

# Never more than 60 forks, of a second each: a limit that fails must not take the machine along.
INSIDE = """
import json, pathlib, sys, threading, time
sys.path.insert(0, "/opt/cvm")
from enclave_runtime.engines import selftest
from enclave_runtime.engines.limits import SandboxLimits
from enclave_runtime.engines.sandbox import Sandbox
from enclave_runtime.engines.spec import SandboxSpec
plain = pathlib.Path("/plain")
box = Sandbox.detect()
found = selftest.check(box, scratch=plain)
(plain / "secret").write_text("another owner's rows")
(plain / "engine").mkdir()
bomb = '''
import os, time
born = 0
for _ in range(60):
    try:
        if os.fork() == 0:
            time.sleep(1)
            os._exit(0)
        born += 1
    except OSError:
        time.sleep(0.01)
print(born)
time.sleep(1)
'''
spec = SandboxSpec((sys.executable, "-S", "-c", bomb), plain / "engine", (), b"{}", plain / "o", plain / "s")
result = box.run(spec, SandboxLimits(processes=16, wall_s=60), stop=threading.Event())
look = "import os; print(os.path.exists('/plain'), os.listdir('/output'))"
spec = SandboxSpec((sys.executable, "-S", "-c", look), plain / "engine", (), b"{}", plain / "p", plain / "s")
seen = box.run(spec, SandboxLimits(), stop=threading.Event())
print(json.dumps({"checks": len(found), "bomb": result.reason.value, "born": result.log.decode(),
                  "seen": seen.log.decode(), "mount_proc": box.mount_proc, "groups": bool(box.cgroups)}))
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
    return [*args, "--", sys.executable, "-B", "-c", INSIDE]


def answer_of(command: list[str]) -> dict[str, object]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["checks"] >= 26
    assert answer["seen"] == "False []\n"
    return answer


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("--cap-drop", "ALL", "--uid", "1000", "--proc", "/proc"), id="proc partly covered"),
        pytest.param(("--bind", "/proc", "/proc"), id="same user with capabilities"),
    ],
)
def test_holds_inside_another_sandbox(options):
    sandbox()
    # The guard's samples where root started it, the kernel's refusals else.
    assert answer_of(outer(*options))["bomb"] in {"processes", "ok"}


@pytest.mark.parametrize("by_root", [False, True])
@pytest.mark.parametrize("with_groups", [False, True])
def test_holds_inside_a_cvm_process(tmp_path, by_root, with_groups):
    sandbox()
    if by_root and not can_step_down():
        pytest.skip("only root starts CVMs as root does")
    groups = Groups.find() if with_groups and by_root else None
    if with_groups and groups is None:
        pytest.skip("no control groups to give away (needs root and the memory and pids controllers)")
    shutil.copytree(REPOSITORY / "enclave_runtime", tmp_path / "image" / "enclave_runtime")
    (tmp_path / "image" / "__main__.py").write_text(INSIDE)
    (tmp_path / "socket").mkdir()
    account = ACCOUNTS[-1] if by_root else None
    if account is not None:
        hand_over(tmp_path / "socket", account)
    group = groups.create(ACCOUNTS[-1]) if groups else None
    command = launch.cvm_argv(
        launch.find_tool("bwrap", "bubblewrap"), launch.Interpreter.current(), image=tmp_path / "image",
        socket_dir=tmp_path / "socket", quote_fd=3, plain_bytes=64 << 20, account=account, group=group,
    )  # fmt: skip
    try:
        answer = answer_of(command)
    finally:
        if group is not None:
            group.kill()
            assert group.remove()
    assert (answer["mount_proc"], answer["groups"]) == (True, with_groups)
    if (
        by_root or os.geteuid() != 0
    ):  # neither is root outside: the kernel itself refuses, with groups or without
        assert answer["bomb"] == "ok"
        assert (
            0 < int(answer["born"]) <= 2 * 17
        )  # each lives longer than all the attempts take; twice for noise
