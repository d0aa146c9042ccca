"""Every attack of examples/attacks, contained with control groups and without (protocol.md 10)."""

import dataclasses
import json
import socket

import pytest

from enclave_runtime.engines.limits import MIB, Reason
from tests.integration.sandbox_kit import MODES, REPOSITORY, TIGHT, run, sandbox

pytestmark = pytest.mark.integration
ATTACKS = REPOSITORY / "examples" / "attacks"


@pytest.fixture(params=MODES)
def box(request):
    return sandbox(request.param)


def test_phones_home(box, tmp_path):
    result = run(box, tmp_path, ATTACKS / "phones_home")
    assert (result.reason, result.exit_code) == (Reason.EXIT, 1)
    assert result.log.count(b": refused (") == 9
    assert b"ESCAPED" not in result.log


def test_phones_home_to_a_listening_socket(box, tmp_path):
    """There is somebody to answer, on this machine's loopback and on an abstract name; neither is reached."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
        name = f"cloister-test-{server.getsockname()[1]}"
        local.bind("\0" + name)
        local.listen()
        source = (
            "import socket\n"
            f"for family, address in ((2, ('127.0.0.1', {server.getsockname()[1]})), (1, '\\0{name}')):\n"
            "    try: socket.socket(family).connect(address); print('ESCAPED')\n"
            "    except OSError as error: print('refused', error.errno)\n"
        )
        result = run(box, tmp_path, source)
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.accept()
    assert result.log.count(b"refused") == 2


def test_reads_outside(box, tmp_path):
    (tmp_path / "secret").write_text("another owner's rows")
    own = [str(tmp_path / "secret"), str(tmp_path), str(REPOSITORY / "pyproject.toml"), "/proc/1/environ"]
    config = json.dumps({"targets": own}).encode()
    result = run(box, tmp_path, ATTACKS / "reads_outside", config=config)
    assert (result.reason, result.exit_code) == (Reason.EXIT, 1)
    assert b"ESCAPED" not in result.log


def test_fork_bomb(box, tmp_path):
    result = run(box, tmp_path, ATTACKS / "fork_bomb", limits=dataclasses.replace(TIGHT, wall_s=1))
    assert result.reason in {Reason.PROCESSES, Reason.TIMEOUT}
    assert result.seconds < 10  # and not the 14 s that the reaper alone would need


def test_memory_hog(box, tmp_path):
    result = run(box, tmp_path, ATTACKS / "memory_hog")
    held = [int(line.split()[1]) for line in result.log.splitlines() if line.startswith(b"holding")]
    assert not result.ok
    assert max(held, default=0) * MIB <= 2 * TIGHT.memory_bytes
    if box.cgroups:
        assert result.reason is Reason.MEMORY


def test_shared_memory_hog(box, tmp_path):
    """Shared pages count in no process's data limit; control group or sampling has to see them."""
    source = (
        "import mmap\n"
        "held = []\n"
        "for number in range(100):\n"
        "    held.append(mmap.mmap(-1, 16 << 20))\n"
        "    for at in range(0, 16 << 20, 4096): held[-1][at] = 1\n"
        "import time; time.sleep(60)\n"  # whoever samples may be late
    )
    assert run(box, tmp_path, source).reason is Reason.MEMORY


def test_memory_of_many_processes_is_one_sum(box, tmp_path):
    """Each child stays far below the limit."""
    source = (
        "import os, time\n"
        "for _ in range(10):\n"
        "    if os.fork() == 0:\n"
        "        held = bytearray(b'x') * (40 << 20)\n"
        "        time.sleep(60)\n"
        "while True: os.wait()\n"
    )
    result = run(box, tmp_path, source, limits=dataclasses.replace(TIGHT, wall_s=10))
    # The kernel may kill one child only; the guard then ends the rest.
    assert result.reason is Reason.MEMORY


def test_disk_filler(box, tmp_path):
    result = run(box, tmp_path, ATTACKS / "disk_filler")
    assert result.reason in {Reason.OUTPUT, Reason.MEMORY}
    assert result.output_bytes <= TIGHT.output_bytes


def test_log_flood(box, tmp_path):
    result = run(box, tmp_path, ATTACKS / "log_flood")
    assert result.reason is Reason.OK
    assert len(result.log) < 2 * TIGHT.log_bytes
    assert result.log_dropped > 16 * MIB
    assert result.log.startswith(b"0 nothing")
    assert result.log.endswith(b"the last words\n")


def test_symlink_escape(box, tmp_path):
    result = run(box, tmp_path, ATTACKS / "symlink_escape")
    assert (result.reason, result.exit_code, result.output_files) == (Reason.OUTPUT, 0, 0)
    assert "link" in result.detail
    assert not (tmp_path / "output").exists()
