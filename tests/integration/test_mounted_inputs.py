"""One order with its inputs mounted where they lie, and unpacked: one digest, one result, nothing left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from enclave_runtime.attestation.model import Evidence, TeeKind
from enclave_runtime.engines.limits import DEFAULT_LIMITS
from enclave_runtime.host.effects import Surroundings
from enclave_runtime.host.engine_room import EngineRoom
from enclave_runtime.host.runner import Host, boottime_ns, boottime_s
from enclave_runtime.host.scratch import Scratch
from enclave_runtime.host.transport import Server
from enclave_runtime.loader.session import Session
from enclave_runtime.loader.trust import PlatformFacts
from enclave_runtime.sealed.mount import can_mount
from enclave_runtime.wire.identity import CvmPublic
from enclave_runtime.wire.offers import OfferKind
from enclave_runtime.wire.report import IntegrityReport, OrderReport, Wiped
from tests.fakes.cvm_client import CvmClient
from tests.fakes.sealed_order import SealedOrder, engine_and_data, seal_bytes
from tests.integration.cvm_kit import ROOT, open_result, statement_of
from tests.integration.sandbox_kit import sandbox

pytestmark = pytest.mark.integration

MEMORY = Path("/dev/shm")
"""A tmpfs, as in a CVM: images on it need a loop device."""


class PlainAttester:
    """An `Attester` without a platform: this test is of what comes after the keys."""

    tee = TeeKind.TDX

    def evidence(self, report_data: bytes) -> Evidence:
        """Return the report data itself."""
        return Evidence(TeeKind.TDX, report_data)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mounted-", dir=MEMORY) as name:
        yield Path(name)


@contextmanager
def serving(folder: Path, *, mounts: bool) -> Iterator[CvmClient]:
    """Give a client of the runtime's own parts, put together as its `main` does."""
    (folder / "scratch").mkdir(parents=True)
    scratch = Scratch(folder / "scratch", mounts=mounts)
    facts = PlatformFacts(TeeKind.TDX, simulated=True)
    host = Host(Session(facts, plaintext_bytes=1 << 28, entropy=os.urandom, now_ns=boottime_ns()))
    room = EngineRoom(scratch, sandbox(), DEFAULT_LIMITS, boottime_s, host.engine_ended)
    host.connect(Surroundings(PlainAttester(), scratch, room))
    server, stopped = Server(folder / "s", host.answer), threading.Event()
    thread = threading.Thread(target=lambda: host.run(server, idle_s=None, stopped=stopped))
    thread.start()
    try:
        with CvmClient(folder / "s") as client:
            yield client
    finally:
        stopped.set()
        thread.join(60)
        room.quiet()
        scratch.remove_all(keep_result=False)


def mounts_below(path: Path) -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [line for line in lines if line.split()[1].startswith(str(path))]


def await_no_loops(path: Path) -> None:
    """Wait until no loop device holds a file below `path`: they let go a moment after the mount."""
    deadline = time.monotonic() + 60
    while any(str(path) in file.read_text() for file in Path("/sys/block").glob("loop*/loop/backing_file")):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def result_of(order: SealedOrder, folder: Path, *, mounts: bool) -> tuple[dict[str, bytes], IntegrityReport]:
    """Run an order to its end; return the files of its result, and what was said of its inputs."""
    (folder / "result").mkdir(parents=True)
    with serving(folder, mounts=mounts) as cvm:
        public = CvmPublic.from_json(cvm.ok("identify")["public"])
        cvm.open_keys(order)
        cvm.load(order)
        integrity = IntegrityReport.from_statement(statement_of(cvm.ok("check")["statement"], public)[0])
        assert len(mounts_below(folder)) == (len(order.inputs) if mounts else 0)
        cvm.ok("run")
        status = cvm.await_state("SEALED")
        assert (status["plaintext_files"], mounts_below(folder)) == (0, [])
        sealed = cvm.fetch_result()
        answer = cvm.ok("report", location="", stored=True)
        report = OrderReport.from_statement(statement_of(answer["statement"], public)[0])
        open_result(order, public.cvm_id, report, answer["key_envelope"], sealed, folder / "result")
        wiped = Wiped.from_statement(statement_of(cvm.ok("wipe")["statement"], public)[0])
        assert wiped.plaintext_files == 0
        await_no_loops(folder)
    found = [path for path in (folder / "result").rglob("*") if path.is_file()]
    return {str(path.relative_to(folder / "result")): path.read_bytes() for path in found}, integrity


def test_mounted_and_unpacked_inputs_are_one_order(folder: Path) -> None:
    if not can_mount(folder):
        pytest.skip("this process may not mount EROFS images: the other tests unpack")
    order = engine_and_data()
    mounted, checked = result_of(order, folder / "mounted", mounts=True)
    unpacked, other = result_of(order, folder / "unpacked", mounts=False)
    assert mounted.pop("result.json") and unpacked.pop("result.json")  # how long it took
    assert mounted == unpacked
    assert mounted["output/sum.txt"] == str(sum(range(3000))).encode()
    # One content digest whichever way: the order's own.
    assert checked.inputs == other.inputs
    assert [line.content_digest for line in checked.inputs] == [
        item.terms.content_digest for item in order.inputs
    ]


@pytest.mark.parametrize("mounts", [True, False], ids=["mounted", "unpacked"])
def test_archive_that_no_packer_writes_is_refused_and_nothing_is_left(folder: Path, mounts: bool) -> None:
    if mounts and not can_mount(folder):
        pytest.skip("this process may not mount EROFS images")
    # The superblock of a file system, where an image would have it, and no archive.
    image = bytes(1024) + (0xE0F5E1E2).to_bytes(4, "little") + bytes(7164)
    order = engine_and_data()
    hostile = replace(order, inputs=(order.inputs[0], seal_bytes(OfferKind.DATASET, image)))
    with serving(folder, mounts=mounts) as cvm:
        cvm.open_keys(hostile)
        cvm.load(hostile)
        error = cvm.error("check")
        assert (error["step"], error["final"], error["input_index"]) == ("archive.format", True, 1)
        status = cvm.ok("status")
        assert (status["state"], status["plaintext_files"]) == ("REFUSED", 0)
        assert mounts_below(folder) == []


_KILLED = """
import sys, time
from pathlib import Path
from enclave_runtime.host.harden import private_mounts
from enclave_runtime.host.scratch import Scratch
from enclave_runtime.sealed.tarformat import END_BYTES
assert private_mounts()
scratch = Scratch(Path(sys.argv[1]), mounts=True)
sink = scratch.open_sink(0)
view = sink.reserve(0, END_BYTES)
view[:] = bytes(END_BYTES)
sink.commit(0, view)
scratch.unpack((END_BYTES,))
print(sum(sys.argv[1] in line for line in open("/proc/self/mounts")), flush=True)
time.sleep(60)
"""


def test_mounts_go_with_a_runtime_that_is_killed(folder: Path) -> None:
    if not can_mount(folder):
        pytest.skip("this process may not mount EROFS images")
    (folder / "scratch").mkdir()
    command = [sys.executable, "-c", _KILLED, str(folder / "scratch")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        assert mounts_below(folder) == []  # seen by that process alone
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    await_no_loops(folder)
