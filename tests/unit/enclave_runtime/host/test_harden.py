"""What the process does to itself, tried in processes of their own."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from enclave_runtime.host import harden

ROOT = Path(__file__).parents[4]


def run(code: str, *wrapper: str) -> str:
    done = subprocess.run(
        [*wrapper, sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout.strip()


def test_memory_and_files_are_kept_from_others() -> None:
    code = """
import ctypes, os, resource
from enclave_runtime.host.harden import lock_down
missed = lock_down()
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE), oct(os.umask(0)))
print([line for line in missed if line != "memory is not locked against swap"])
"""
    assert run(code).splitlines() == ["0 (0, 0) 0o77", "[]"]


def test_process_without_rights_gets_no_mounts_of_its_own() -> None:
    code = "from enclave_runtime.host.harden import private_mounts as p; print(p())"
    assert run(code, "bwrap", "--dev-bind", "/", "/", "--unshare-user", "--cap-drop", "ALL") == "False"


def test_sees_no_network_in_a_namespace_of_its_own_and_sees_one_outside() -> None:
    code = "from enclave_runtime.host.harden import visible_interfaces as v; print(v())"
    inside = run(code, "bwrap", "--dev-bind", "/", "/", "--unshare-user", "--unshare-net")
    assert inside == "[]"


def test_sees_interfaces_besides_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["lo", "eth0", "tunl0", "sit0", "veth9"]
    monkeypatch.setattr(socket, "if_nameindex", lambda: list(enumerate(names)))
    monkeypatch.setattr(harden, "_is_up", lambda probe, name: name == "sit0")
    assert harden.visible_interfaces() == ["eth0", "sit0", "veth9"]


def test_knows_a_tmpfs(tmp_path: Path) -> None:
    assert harden.is_tmpfs(Path("/dev/shm"))
    assert not harden.is_tmpfs(Path("/proc"))
    with pytest.raises(OSError, match="statfs"):
        harden.is_tmpfs(tmp_path / "nowhere")
