"""Which guests may say that their clock is no matter of the host's (enclave_runtime.host.clock)."""

from __future__ import annotations

from pathlib import Path

import pytest

from enclave_runtime.attestation.model import TeeKind
from enclave_runtime.host.clock import SECURE_TSC, SEV_STATUS, is_clock_protected
from enclave_runtime.loader.trust import PlatformFacts

SNP_ACTIVE = 0b111


@pytest.fixture
def guest(tmp_path: Path) -> Path:
    source = tmp_path / "sys/devices/system/clocksource/clocksource0/current_clocksource"
    source.parent.mkdir(parents=True)
    source.write_text("tsc\n")
    (tmp_path / "dev/cpu/0").mkdir(parents=True)
    return tmp_path


def clock_source(guest: Path, text: bytes) -> None:
    (guest / "sys/devices/system/clocksource/clocksource0/current_clocksource").write_bytes(text)


def sev_status(guest: Path, value: bytes) -> None:
    """Play /dev/cpu/0/msr: a read at a register's number gives its eight bytes."""
    with (guest / "dev/cpu/0/msr").open("wb") as file:
        file.seek(SEV_STATUS)
        file.write(value)


def test_a_td_that_reads_its_counter_is_protected(guest: Path) -> None:
    assert is_clock_protected(TeeKind.TDX, guest)
    assert PlatformFacts(TeeKind.TDX, simulated=False, protected_clock=True).clock == "protected"


@pytest.mark.parametrize("tee", [TeeKind.TDX, TeeKind.SEV_SNP])
@pytest.mark.parametrize("source", [b"kvm-clock\n", b"hpet\n", b"", b"tsc-early\n", b"\xff\n"])
def test_a_clock_that_the_host_writes_is_the_hosts(guest: Path, tee: TeeKind, source: bytes) -> None:
    sev_status(guest, (SNP_ACTIVE | SECURE_TSC).to_bytes(8, "little"))
    assert is_clock_protected(tee, guest)
    clock_source(guest, source)
    assert not is_clock_protected(tee, guest)


def test_an_snp_guest_needs_secure_tsc(guest: Path) -> None:
    assert not is_clock_protected(TeeKind.SEV_SNP, guest), "no registers to read"
    sev_status(guest, SNP_ACTIVE.to_bytes(8, "little"))
    assert not is_clock_protected(TeeKind.SEV_SNP, guest)
    sev_status(guest, (SNP_ACTIVE | SECURE_TSC).to_bytes(8, "little"))
    assert is_clock_protected(TeeKind.SEV_SNP, guest)
    sev_status(guest, (SNP_ACTIVE | SECURE_TSC).to_bytes(8, "little")[:7])
    assert not is_clock_protected(TeeKind.SEV_SNP, guest), "a register that is cut short"


@pytest.mark.parametrize("tee", [TeeKind.CCA, TeeKind.NITRO, TeeKind.SGX])
def test_of_other_tees_nothing_is_said(guest: Path, tee: TeeKind) -> None:
    sev_status(guest, (SNP_ACTIVE | SECURE_TSC).to_bytes(8, "little"))
    assert not is_clock_protected(tee, guest)


def test_what_cannot_be_read_is_the_hosts(tmp_path: Path) -> None:
    assert not is_clock_protected(TeeKind.TDX, tmp_path)
