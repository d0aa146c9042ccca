"""The simulated platform as the process that it is: measures, starts, quotes, ends (protocol section 4.4)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import enclave_runtime
from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.devices import judge_devices
from enclave_runtime.attestation.errors import AttestationError
from enclave_runtime.attestation.model import Evidence, TeeKind, VerifiedEvidence
from enclave_runtime.attestation.policy import AppraisalPolicy, UnsafeAcceptSimulated
from enclave_runtime.attestation.registry import verifier_for
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.attestation.rules import GpuRules
from enclave_runtime.attestation.simulated.accounts import ACCOUNTS, can_step_down
from enclave_runtime.attestation.simulated.client import PlatformClient, PlatformError
from enclave_runtime.attestation.simulated.launch import sandbox_base
from enclave_runtime.attestation.simulated.machine import measurement_of
from enclave_runtime.attestation.simulated.measure import measure_runtime
from tests.fakes.platform_keys import put_amd_keys

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed"),
]

NOW = 1_790_000_000
PACKAGE = Path(enclave_runtime.__file__).parent
PROBE = Path(__file__).with_name("probe_main.py")


class Running:
    """A platform process and the files around it."""

    def __init__(self, root: Path, *options: str) -> None:
        self.root, self.state = root, root / "state"
        if "sev-snp" in options and not self.state.exists():
            put_amd_keys(self.state)
        command = [sys.executable, "-m", "enclave_runtime.attestation.simulated", "--state", str(self.state)]
        command += ["--socket", str(root / "p.sock"), "--now", str(NOW), *options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=PACKAGE.parent, text=True
        )
        assert self.process.stdout is not None
        self.ready = json.loads(self.process.stdout.readline())
        self.client = PlatformClient(root / "p.sock")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
        return code


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def begin(*options: str) -> Running:
        started.append(Running(tmp_path, *options))
        return started[-1]

    yield begin
    for running in started:
        if running.process.poll() is None:
            running.stop()


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """A runtime with all our code and the probe as its entry."""
    shutil.copytree(PACKAGE, tmp_path / "rt" / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROBE, tmp_path / "rt" / PACKAGE.name / "__main__.py")
    return tmp_path / "rt"


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "runtime.txt"
    path.write_text("blake3==1.0.11\n")
    return path


def wait_for(path: Path, timeout_s: float = 120.0) -> dict[str, object]:
    end = time.monotonic() + timeout_s
    while not path.exists():
        assert time.monotonic() < end, f"{path.name} did not appear"
        time.sleep(0.02)
    return json.loads(path.read_text())


def launch(running: Running, runtime: Path, lock: Path, name: str = "cvm"):
    directory = running.root / name
    directory.mkdir()
    state = running.client.launch(runtime, [lock], directory, plain_mib=32)
    return state, directory / "report.json"


def judge(running: Running, seen: dict[str, object], measurement: bytes) -> VerifiedEvidence:
    roots = RootSet.dev((running.state / "public" / "root.der").read_bytes())
    tee = TeeKind(str(seen["tee"]))
    log = seen["event_log"]
    evidence = Evidence(tee, bytes.fromhex(str(seen["quote"])), bytes.fromhex(str(log)) if log else None)
    policy = AppraisalPolicy(
        frozenset({roots.id}), frozenset({measurement}), simulated=UnsafeAcceptSimulated(roots.id)
    )
    return verifier_for(tee).verify(
        evidence,
        Collateral.from_bytes((running.state / "public" / "collateral.json").read_bytes()),
        roots=roots,
        policy=policy,
        expected_report_data=b"\x2a" * 64,
        now=NOW,
    )


def members(session: int) -> list[str]:
    """Return the processes of a session: a CVM leads one of its own."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(path.parent.name)
    return found


def test_quotes_only_what_it_measured_and_isolates_the_cvm(start, runtime, lock):
    running = start()
    cvm, report = launch(running, runtime, lock)
    seen = wait_for(report)
    reference = measure_runtime(runtime, [lock], sandbox_base())
    assert cvm.measurement == reference.registers.measurement()
    verdict = judge(running, seen, cvm.measurement)
    assert verdict.simulated and verdict.trust_class.startswith("SIMULATED")
    assert running.ready["simulated"] is True and running.client.root_set() == verdict.root_set

    assert seen["environment"] == ["LANG", "PATH", "PWD"]
    assert seen["uid"] in ACCOUNTS if can_step_down() else seen["uid"] == 1000
    for refused in ("network", "write_image", "write_root", "sysctl", "signal_to_root"):
        assert str(seen[refused]).startswith("refused"), refused
    assert seen["scratch"] == 1 and seen["plain_bytes"] == 32 << 20
    assert seen["module"] == "/opt/cvm/enclave_runtime/__init__.py"
    assert seen["nested"]["stdout"] == "1001\n", seen["nested"]


def test_one_flipped_byte_of_the_runtime_is_another_measurement(start, runtime, lock):
    running = start()
    first, _ = launch(running, runtime, lock, "one")
    path = runtime / PACKAGE.name / "wire" / "hashes.py"
    content = bytearray(path.read_bytes())
    content[10] ^= 1
    path.write_bytes(content)
    second, _ = launch(running, runtime, lock, "two")
    lock.write_text("blake3==1.0.12\n")
    third, _ = launch(running, runtime, lock, "three")
    assert first.registers["mrtd"] != second.registers["mrtd"] == third.registers["mrtd"]
    assert first.registers["rtmr2"] == second.registers["rtmr2"] != third.registers["rtmr2"]
    assert len({first.measurement, second.measurement, third.measurement}) == 3


def test_cvm_runs_the_bytes_that_were_measured_when_the_files_change_afterwards(start, runtime, lock):
    running = start()
    cvm, report = launch(running, runtime, lock)
    (runtime / PACKAGE.name / "__main__.py").write_text("raise SystemExit(7)\n")
    assert judge(running, wait_for(report), cvm.measurement).measurement == cvm.measurement


def test_cvms_end_when_told_and_with_the_platform(start, runtime, lock):
    running = start()
    first, report = launch(running, runtime, lock, "one")
    second, other = launch(running, runtime, lock, "two")
    wait_for(report), wait_for(other)
    assert [cvm.running for cvm in running.client.list()] == [True, True]
    assert len(members(first.pid)) == 2
    assert running.client.kill(first.pid).exit_code == -signal.SIGKILL
    assert members(first.pid) == []
    assert [cvm.running for cvm in running.client.list()] == [False, True]
    with pytest.raises(PlatformError, match="expected a CVM of this platform"):
        running.client.kill(os.getpid())
    assert running.stop() == 0
    assert members(second.pid) == []
    assert list((running.state / "images").iterdir()) == []


def test_cvm_dies_with_a_platform_that_is_killed(start, runtime, lock):
    running = start()
    cvm, report = launch(running, runtime, lock)
    wait_for(report)
    running.process.kill()
    running.process.wait(60)
    end = time.monotonic() + 60
    while members(cvm.pid) and time.monotonic() < end:
        time.sleep(0.02)
    assert members(cvm.pid) == []
    start()  # the next platform removes the control groups that this one could not
    assert not list(Path("/sys/fs/cgroup").rglob(f"cloister-cvm-{running.process.pid}-*"))


def test_platform_keeps_its_root_over_a_restart_and_its_keys_private(start):
    running = start()
    root = running.ready["root_set"]
    assert (running.state / "private").stat().st_mode & 0o077 == 0
    assert (running.state / "private" / "vendor.json").stat().st_mode & 0o077 == 0
    assert running.stop() == 0
    again = start()
    assert again.ready["root_set"] == root == (again.state / "public" / "root_set").read_text()
    later = again.client.collateral(NOW + 365 * 86400)
    assert "2027" in later.need("intel").tcb_info


def test_an_snp_platform_puts_the_same_bytes_into_its_own_registers(start, runtime, lock):
    running = start("--tee", "sev-snp")
    cvm, report = launch(running, runtime, lock)
    verdict = judge(running, wait_for(report), cvm.measurement)
    assert (verdict.tee, verdict.tcb_status, verdict.simulated) == (TeeKind.SEV_SNP, "UpToDate", True)
    reference = measure_runtime(runtime, [lock], sandbox_base())
    assert cvm.measurement == measurement_of(TeeKind.SEV_SNP, reference)
    assert cvm.measurement != measurement_of(TeeKind.TDX, reference)
    assert set(cvm.registers) == {"measurement", "host_data", "policy"}
    facts = running.client.describe()
    assert (facts.tee, facts.root_set, facts.gpus) == (TeeKind.SEV_SNP, verdict.root_set, 0)
    path = runtime / PACKAGE.name / "wire" / "hashes.py"
    path.write_bytes(path.read_bytes() + b"#")
    other, _ = launch(running, runtime, lock, "two")
    assert other.measurement != cvm.measurement
    assert running.stop() == 0
    assert start("--tee", "sev-snp").ready["root_set"] == verdict.root_set  # keys are kept over a restart


def test_gpus_of_a_platform_answer_their_cvms_nonce_and_verify_under_roots_of_their_own(start, runtime, lock):
    running = start("--gpus", "2")
    cvm, report = launch(running, runtime, lock)
    seen = wait_for(report)
    facts = running.client.describe()
    assert facts.gpus == 2 and facts.gpu_root_set is not None != facts.root_set
    assert (running.state / "public" / "gpu_root_set").read_text() == facts.gpu_root_set
    rules = GpuRules(2, frozenset({facts.gpu_root_set}), simulated=UnsafeAcceptSimulated(facts.gpu_root_set))
    judged = {
        "evidence": bytes.fromhex(str(seen["devices"])),
        "collateral": running.client.collateral(NOW),
        "on_simulated_cpu": True,
        "now": NOW,
    }
    _, devices = judge_devices(rules=rules, nonce=b"\x2b" * 32, **judged)
    assert [device.kind for device in devices] == ["gpu", "gpu"]
    for wrong in (
        {"nonce": b"\x2c" * 32},
        {"rules": replace(rules, count=1)},
        {"rules": replace(rules, count=3)},
    ):
        with pytest.raises(AttestationError, match=r"evidence\.9"):
            judge_devices(**{"rules": rules, "nonce": b"\x2b" * 32, **judged, **wrong})
    assert judge(running, seen, cvm.measurement).simulated


@pytest.mark.parametrize(
    ("options", "step"),
    [
        (["--tee", "sev-snp", "--dangerous-tcb-status", "OutOfDate"], "evidence.4.tcb"),
        (["--tee", "sev-snp", "--dangerous-debug"], "evidence.5.debug"),
        (["--tee", "sev-snp", "--dangerous-expired-collateral"], "evidence.1.chain"),
        (["--tee", "sev-snp", "--dangerous-revoked-pck"], "evidence.2.revocation"),
        (["--dangerous-tcb-status", "OutOfDate"], "evidence.4.tcb"),
        (["--dangerous-debug"], "evidence.5.debug"),
        (["--dangerous-expired-collateral"], "evidence.2.revocation"),
        (["--dangerous-revoked-pck"], "evidence.2.revocation"),
    ],
)
def test_bad_worlds_are_refused(start, runtime, lock, options, step):
    running = start(*options)
    cvm, report = launch(running, runtime, lock)
    with pytest.raises(AttestationError) as refused:
        judge(running, wait_for(report), cvm.measurement)
    assert refused.value.step == step


@pytest.mark.parametrize("path", ["no-runtime-here", "rt/enclave_runtime"])
def test_launch_refuses_a_directory_without_a_runtime(start, runtime, lock, path):
    running = start()
    directory = running.root / "cvm"
    directory.mkdir()
    with pytest.raises(PlatformError, match="expected a directory with enclave_runtime"):
        running.client.launch(running.root / path, [lock], directory)
    with pytest.raises(PlatformError, match="expected an existing directory"):
        running.client.launch(runtime, [lock], running.root / "nowhere")
