"""What goes into a simulated measurement, what does not, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from enclave_runtime.attestation.dcap.rtmr import parse_log, replay
from enclave_runtime.attestation.simulated import launch
from enclave_runtime.attestation.simulated.accounts import ACCOUNTS
from enclave_runtime.attestation.simulated.groups import CvmGroup
from enclave_runtime.attestation.simulated.issuer import SimulatedVendor
from enclave_runtime.attestation.simulated.measure import (
    locked_requirements,
    measure,
    measure_runtime,
    read_requirements,
    read_runtime,
)
from enclave_runtime.wire import canonical
from enclave_runtime.wire.errors import EnclaveError, WireError

RUNTIME = (("enclave_runtime/__init__.py", b""), ("enclave_runtime/__main__.py", b"run()\n"))
LOCK = (("runtime.txt", b"x==1\n"),)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name, content in RUNTIME:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "runtime.txt").write_bytes(LOCK[0][1])
    return tmp_path


def test_files_and_bytes_give_the_same_registers(checkout):
    measured = measure_runtime(checkout, locked_requirements(checkout), b"base")
    assert measured == measure(RUNTIME, LOCK, b"base")
    registers = measured.registers
    assert replay(parse_log(measured.event_log))[:3] == (registers.rtmr0, registers.rtmr1, registers.rtmr2)


def test_only_python_files_of_the_package_are_measured(checkout):
    before = read_runtime(checkout)
    (checkout / "enclave_runtime" / "__pycache__").mkdir()
    (checkout / "enclave_runtime" / "__pycache__" / "x.py").write_text("x")
    (checkout / "enclave_runtime" / "notes.txt").write_text("x")
    (checkout / "elsewhere.py").write_text("x")
    assert read_runtime(checkout) == before
    (checkout / "enclave_runtime" / "new.py").write_text("")
    assert read_runtime(checkout) != before


@pytest.mark.parametrize(
    ("runtime", "lock", "base", "debug", "changed"),
    [
        ((("enclave_runtime/__init__.py", b"#"), RUNTIME[1]), LOCK, b"base", False, {"mrtd"}),
        ((RUNTIME[0], ("enclave_runtime/__main_.py", b"run()\n")), LOCK, b"base", False, {"mrtd"}),
        (RUNTIME, (("runtime.txt", b"x==2\n"),), b"base", False, {"rtmr2"}),
        (RUNTIME, (*LOCK, ("more.txt", b"")), b"base", False, {"rtmr2"}),
        (RUNTIME, LOCK, b"other", False, {"rtmr2"}),
        (RUNTIME, LOCK, b"base", True, {"td_attributes"}),
    ],
)
def test_each_change_shows_in_its_register(runtime, lock, base, debug, changed):
    first, second = (
        measure(RUNTIME, LOCK, b"base").registers,
        measure(runtime, lock, base, debug=debug).registers,
    )
    differing = {name for name, value in first.to_json().items() if second.to_json()[name] != value}
    assert differing == changed and first.measurement() != second.measurement()


def test_links_and_large_files_are_refused(checkout, tmp_path):
    link = checkout / "enclave_runtime" / "linked.py"
    link.symlink_to(checkout / "enclave_runtime" / "__main__.py")
    with pytest.raises(WireError, match="link"):
        read_runtime(checkout)
    link.unlink()
    link.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(WireError, match="more than"):
        read_runtime(checkout)
    lock = checkout / "requirements" / "runtime.txt"
    with pytest.raises(WireError, match="one name"):
        read_requirements([lock, lock])


def test_the_launcher_register_covers_boot_stub_and_isolation(monkeypatch):
    before = measure(RUNTIME, LOCK, b"base").registers
    monkeypatch.setattr(launch, "BOOT", launch.BOOT + b"#")
    after = measure(RUNTIME, LOCK, b"base").registers
    assert before.rtmr1 != after.rtmr1 and before.mrtd == after.mrtd


def test_the_launcher_register_covers_every_part_of_the_command_lines(tmp_path, monkeypatch):
    """Whoever adds an option to a CVM's command line changes RTMR1, or this test."""
    monkeypatch.setattr(launch, "_system", lambda: iter(()))
    monkeypatch.setattr(launch, "_python_binds", lambda interpreter: iter(()))
    description = launch.launcher_description().decode()
    group = CvmGroup(1, {"/sys/fs/cgroup/pids": tmp_path})
    for account, given in ((None, None), (ACCOUNTS[0], group)):
        argv = launch.cvm_argv(
            "bwrap", launch.Interpreter.current(), image=Path("image"), socket_dir=Path("socket"), quote_fd=3,
            plain_bytes=1, account=account, group=given,
        )  # fmt: skip
        here = {
            "/bin/sh",
            "-c",
            "join",
            "--",
            "bwrap",
            str(tmp_path / "cgroup.procs"),
            str(tmp_path),
            sys.executable,
        }
        ours = {"/sys", "/sys/fs", "/sys/fs/cgroup", "/sys/fs/cgroup/pids", "--reuid", "--regid", "1"}
        runtime = {"--socket", launch.CVM_SOCKET, "--quote-fd", "3", "--scratch"}
        for part in set(argv) - here - ours - runtime:
            assert canonical.dump(part).decode() in description, part


def test_a_missing_program_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(EnclaveError, match="apt-get install bubblewrap"):
        launch.find_tool("bwrap", "bubblewrap")


def test_a_vendor_state_of_another_shape_is_refused():
    for data in (b"", b"{}", b'{"root": 1}', b"[]"):
        with pytest.raises(WireError, match="state file"):
            SimulatedVendor.from_state(data)


def test_certificates_say_what_they_are(vendor):
    chain = vendor.collateral(1_790_000_000).need("intel").tcb_info_issuer_chain
    assert chain.count("BEGIN CERTIFICATE") == 2
    for identity in vendor._of.values():
        name = identity.cert.subject.rfc4514_string()
        assert "DEV SIMULATED TEE - NOT INTEL" in name and "CN=DEV SIMULATED" in name
