"""`python -m enclave_runtime` refuses surroundings in which plaintext could get out."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from enclave_runtime.attestation.simulated import frames
from tests.fakes.cvm_client import CvmClient

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
ISOLATED = ("bwrap", "--dev-bind", "/", "/", "--unshare-user", "--unshare-net", "--die-with-parent")


@pytest.fixture
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="scratch-") as name:
        yield Path(name)


@pytest.fixture
def quotes() -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        frames.send(ours, {"tee": "tdx", "devices": False})  # the answer to what a CVM asks first
        yield theirs


def start(
    path: Path, scratch: Path, quote_fd: int, *more: str, wrapper: tuple[str, ...] = ISOLATED
) -> subprocess.Popen[str]:
    command = [*wrapper, sys.executable, "-m", "enclave_runtime", "--socket", str(path)]
    return subprocess.Popen(
        [*command, "--quote-fd", str(quote_fd), "--scratch", str(scratch), *more],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=(quote_fd,) if quote_fd >= 0 else (),
    )


def refusal(process: subprocess.Popen[str]) -> str:
    _, words = process.communicate(timeout=120)
    assert process.returncode == 3, words
    return words


def test_refuses_without_a_quote_descriptor(tmp_path: Path, scratch: Path) -> None:
    assert "Bad file descriptor" in refusal(start(tmp_path / "s", scratch, -1))


def test_refuses_a_quote_descriptor_that_is_no_socket(tmp_path: Path, scratch: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        assert "is no socket" in refusal(start(tmp_path / "s", scratch, file.fileno()))


def test_refuses_where_it_sees_a_network(tmp_path: Path, scratch: Path, quotes: socket.socket) -> None:
    if [name for _, name in socket.if_nameindex()] == ["lo"]:
        pytest.skip("this machine has no network interface to be seen")
    words = refusal(start(tmp_path / "s", scratch, quotes.fileno(), wrapper=()))
    assert "network: got interfaces" in words


def test_refuses_a_scratch_folder_on_a_disk(tmp_path: Path, quotes: socket.socket) -> None:
    disk = ROOT / "tests"
    assert "expected a tmpfs" in refusal(start(tmp_path / "s", disk, quotes.fileno()))


def test_refuses_a_scratch_folder_with_something_in_it(
    tmp_path: Path, scratch: Path, quotes: socket.socket
) -> None:
    (scratch / "old").write_text("x")
    assert "expected an empty one" in refusal(start(tmp_path / "s", scratch, quotes.fileno()))
    assert (scratch / "old").exists()


def test_refuses_to_run_engines_without_a_sandbox(
    tmp_path: Path, scratch: Path, quotes: socket.socket
) -> None:
    path = os.environ["PATH"]
    try:
        os.environ["PATH"] = "/nowhere"
        wrapper = (f"/usr/bin/{ISOLATED[0]}", *ISOLATED[1:])
        words = refusal(start(tmp_path / "s", scratch, quotes.fileno(), wrapper=wrapper))
    finally:
        os.environ["PATH"] = path
    assert "bubblewrap" in words


def test_a_signal_ends_it_and_its_files(tmp_path: Path, scratch: Path, quotes: socket.socket) -> None:
    process = start(tmp_path / "s", scratch, quotes.fileno(), "--idle-timeout-s", "600")
    with CvmClient(tmp_path / "s") as client:
        assert client.ok("status")["plaintext_files"] == 0
    (scratch / "plain" / "archives" / "0").write_bytes(b"plaintext")
    child = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
    os.kill(child, signal.SIGTERM)
    _, words = process.communicate(timeout=120)
    assert (process.returncode, "ended: stopped" in words) == (0, True)
    assert sum(len(files) for _, _, files in os.walk(scratch)) == 0
    assert not (tmp_path / "s").exists()


def test_ends_by_itself_when_nobody_speaks(tmp_path: Path, scratch: Path, quotes: socket.socket) -> None:
    process = start(tmp_path / "s", scratch, quotes.fileno(), "--idle-timeout-s", "0.5")
    _, words = process.communicate(timeout=120)
    assert (process.returncode, "ended: idle" in words) == (4, True)
