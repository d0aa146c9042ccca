"""What holds a real CVM and its engine, whoever started the platform (ADR 0010, threat model T16).

Every bomb here is bounded to 200 forks of two seconds: a limit that fails must not take the machine along.
"""

from __future__ import annotations

import errno
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from enclave_runtime.attestation.simulated.accounts import ACCOUNTS, can_step_down
from enclave_runtime.attestation.simulated.client import CvmState, PlatformClient
from enclave_runtime.attestation.simulated.groups import MOST_TASKS, Groups
from enclave_runtime.engines.limits import DEFAULT_LIMITS
from enclave_runtime.wire.identity import CvmPublic
from enclave_runtime.wire.offers import OfferKind
from enclave_runtime.wire.report import OrderReport
from tests.fakes.cvm_client import CvmClient
from tests.fakes.sealed_order import SealedOrder, seal_input
from tests.integration.cvm_kit import LOCK, ROOT, open_result, running_platform, statement_of

pytestmark = pytest.mark.integration

THREADS, FORKS = 150, 200
BOMB = f"""
import json, os, pathlib, threading, time
threading.stack_size(1 << 18)
for _ in range({THREADS}):  # tasks as good as processes, and cheaper
    threading.Thread(target=time.sleep, args=(60,)).start()
born, refused = 0, None
for _ in range({FORKS}):
    try:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
    except OSError as error:
        refused = error.errno
        break
    born += 1
pathlib.Path("/output/bomb.json").write_text(json.dumps([born, refused]))
os._exit(0)
""".encode()
CAPS = {"memory.limit_in_bytes", "memory.max", "pids.max"}
SLEEPER = b"import time\ntime.sleep(60)\n"


@pytest.fixture(scope="module")
def platform() -> Iterator[PlatformClient]:
    with running_platform() as client:
        yield client


@pytest.fixture
def launched(platform: PlatformClient) -> Iterator[CvmState]:
    with tempfile.TemporaryDirectory(prefix="cvm-") as name:
        state = platform.launch(ROOT, [LOCK], Path(name), plain_mib=64)
        try:
            yield state
        finally:
            platform.kill(state.pid)


@pytest.fixture
def cvm(launched: CvmState) -> Iterator[CvmClient]:
    with CvmClient(launched.socket) as client:
        yield client


def run(cvm: CvmClient, source: bytes) -> SealedOrder:
    order = SealedOrder((seal_input(OfferKind.ENGINE, {"main.py": source}, ("python", "main.py")),))
    cvm.open_keys(order)
    cvm.load(order)
    cvm.ok("check")
    cvm.ok("run")
    return order


def folders_of(launched: CvmState) -> set[Path]:
    """Return the CVM's control group folders on this machine."""
    names = {
        line.split(":", 2)[2].partition("/cloister-cvm-")[2].partition("/")[0]
        for line in Path(f"/proc/{launched.pid}/cgroup").read_text().splitlines()
        if "/cloister-cvm-" in line
    }
    return {path for name in names for path in Path("/sys/fs/cgroup").rglob(f"cloister-cvm-{name}")}


def engine_groups(folder: Path) -> list[Path]:
    """Return the groups below a CVM's that have an engine in them."""
    return [path for path in folder.glob("cloister-engine-*") if (path / "cgroup.procs").read_text().split()]


def first_process(launched: CvmState) -> Path:
    """Return the /proc folder of the process under bubblewrap: the runtime."""
    (pid,) = Path(f"/proc/{launched.pid}/task/{launched.pid}/children").read_text().split()
    return Path("/proc", pid)


def test_the_kernel_refuses_a_bomb_s_tasks_and_the_engine_goes_on(cvm: CvmClient, tmp_path: Path) -> None:
    public = CvmPublic.from_json(cvm.ok("identify")["public"])
    order = run(cvm, BOMB)
    cvm.await_state("SEALED")
    sealed = cvm.fetch_result()
    answer = cvm.ok("report", location="", stored=True)
    report = OrderReport.from_statement(statement_of(answer["statement"], public)[0])
    # Killed by the guard's samples, it would have no result: nothing but the kernel stopped it.
    assert (report.reason, report.exit_code) == ("ok", 0)
    open_result(order, public.cvm_id, report, answer["key_envelope"], sealed, tmp_path)
    born, refused = json.loads((tmp_path / "output" / "bomb.json").read_text())
    assert refused == errno.EAGAIN
    assert born < FORKS
    assert 1 + THREADS + born <= DEFAULT_LIMITS.processes + 1


@pytest.mark.skipif(not can_step_down(), reason="an ordinary user's CVM is that user's")
def test_nothing_of_a_cvm_is_root(cvm: CvmClient, launched: CvmState) -> None:
    status = (first_process(launched) / "status").read_text().splitlines()
    told = dict(line.split(":\t", 1) for line in status if ":\t" in line)
    assert len({int(word) for name in ("Uid", "Gid") for word in told[name].split()}) == 1
    assert int(told["Uid"].split()[0]) in ACCOUNTS
    assert {int(told[f"Cap{kind}"], 16) for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {0}
    assert (told["Groups"].strip(), told["NoNewPrivs"]) == ("", "1")
    assert launched.socket.stat().st_uid == int(told["Uid"].split()[0])


@pytest.mark.skipif(
    not can_step_down() or Groups.find() is None, reason="no control groups to give away here"
)
def test_an_engine_has_hard_caps_and_the_groups_go_with_the_cvm(
    platform: PlatformClient, launched: CvmState, cvm: CvmClient
) -> None:
    folders = folders_of(launched)
    assert folders
    mine = [folder for folder in folders if (folder / "pids.max").exists()]
    assert [int((folder / "pids.max").read_text()) for folder in mine] == [MOST_TASKS]
    run(cvm, SLEEPER)
    end = time.monotonic() + 60
    while not (engines := [group for folder in folders for group in engine_groups(folder)]):
        assert time.monotonic() < end, "no engine in a group"
        time.sleep(0.02)
    files = [path for engine in engines for path in engine.iterdir() if path.name in CAPS]
    limits = {path.name: path.read_text().strip() for path in files}
    assert limits.pop("pids.max") == str(DEFAULT_LIMITS.processes)
    assert set(limits.values()) == {str(DEFAULT_LIMITS.memory_bytes)}

    platform.kill(launched.pid)  # in the middle of it
    assert not any(folder.exists() for folder in folders)
