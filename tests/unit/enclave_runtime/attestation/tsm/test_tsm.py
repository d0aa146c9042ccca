"""configfs-tsm: what the kernel's files do, good and bad, played by a machine of the test (protocol section
4)."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from enclave_runtime.attestation.dcap.ccel import MAX_TABLE_BYTES
from enclave_runtime.attestation.model import MAX_QUOTE_BYTES, TeeKind
from enclave_runtime.attestation.tsm.attest import LinuxKernel, TsmAttester
from enclave_runtime.wire.errors import EnclaveError, WireError
from tests.evidence.test_intel_eventlog import ccel
from tests.fakes.td_quotes import td_quote

DATA = bytes(range(64))
LOG = ccel((1, 4, b"\0\0\0\0"), (2, 0x80000001, b"name"))


@dataclass
class Machine:
    """The kernel's side: entries, generations, and whatever goes wrong.

    Attributes:
        quote: what is signed over the bytes asked for.
        padding: zero bytes that the host's quoting service appends.
        intruders: how many times somebody else writes to the entry after ours.
        errors: errno by operation, and how often it is raised before things go well.
    """

    provider: bytes = b"tdx_guest\n"
    quote: Callable[[bytes], bytes] = td_quote
    padding: int = 0
    log: bytes | None = LOG
    intruders: int = 0
    errors: dict[str, tuple[int, int]] = field(default_factory=dict)
    entries: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    made: int = 0

    def _fail(self, operation: str) -> None:
        code, times = self.errors.get(operation, (0, 0))
        if times:
            self.errors[operation] = code, times - 1
            raise OSError(code, os.strerror(code))

    def make(self, name: str) -> None:
        self._fail("make")
        assert name not in self.entries
        self.made += 1
        self.entries[name] = 0, b""

    def remove(self, name: str) -> None:
        del self.entries[name]

    def write(self, name: str, attribute: str, data: bytes) -> None:
        self._fail("write")
        assert attribute == "inblob" and len(data) == 64
        generation, _ = self.entries[name]
        self.entries[name] = generation + 1, data

    def read(self, name: str, attribute: str, limit: int) -> bytes:
        self._fail(attribute)
        generation, inblob = self.entries[name]
        if attribute == "generation":
            return b"%d\n" % generation
        if attribute == "provider":
            return self.provider
        assert attribute == "outblob"
        if not inblob:
            raise OSError(errno.EINVAL, "no inblob yet")
        if self.intruders:
            self.intruders -= 1
            self.entries[name] = generation + 1, bytes(64)
            inblob = bytes(64)
        return (self.quote(inblob) + bytes(self.padding))[:limit]

    def boot_log(self, limit: int) -> bytes | None:
        self._fail("boot_log")
        return None if self.log is None else self.log[:limit]


@pytest.mark.parametrize(
    ("provider", "tee"),
    [(b"tdx_guest\n", TeeKind.TDX), (b"sev_guest\n", TeeKind.SEV_SNP), (b"arm_cca_guest", TeeKind.CCA)],
)
def test_asks_the_kernel_which_tee_and_for_a_quote(provider: bytes, tee: TeeKind) -> None:
    machine = Machine(provider)
    attester = TsmAttester(machine)
    evidence = attester.evidence(DATA)
    assert attester.tee is evidence.tee is tee
    assert evidence.quote == td_quote(DATA)
    assert evidence.event_log == (LOG if tee is TeeKind.TDX else None)
    assert machine.entries == {}  # nothing is left behind


def test_a_quote_over_somebody_else_s_bytes_is_not_taken() -> None:
    machine = Machine(intruders=2)
    assert TsmAttester(machine).evidence(DATA).quote == td_quote(DATA)
    assert machine.made == 4  # the provider, two that were disturbed, one that was not
    with pytest.raises(EnclaveError, match="somebody else"):
        TsmAttester(Machine(intruders=99)).evidence(DATA)


@pytest.mark.parametrize("operation", ["make", "write", "outblob", "generation"])
@pytest.mark.parametrize("code", [errno.EBUSY, errno.EWOULDBLOCK, errno.EINTR, errno.ETIMEDOUT])
def test_a_busy_kernel_is_asked_again_and_not_for_ever(operation: str, code: int) -> None:
    machine = Machine()
    attester = TsmAttester(machine)
    machine.errors = {operation: (code, 2)}
    assert attester.evidence(DATA).quote == td_quote(DATA)
    machine.errors = {operation: (code, 99)}
    with pytest.raises(EnclaveError, match="5 times"):
        attester.evidence(DATA)
    assert machine.entries == {}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOENT, "not a confidential VM"),
        (errno.ENXIO, "no TEE"),
        (errno.EACCES, "only root"),
        (errno.EPERM, "only root"),
        (errno.EIO, "Input/output"),
    ],
)
def test_says_why_there_is_none(code: int, words: str) -> None:
    with pytest.raises(EnclaveError, match=words):
        TsmAttester(Machine(errors={"make": (code, 1)}))
    machine = Machine()
    attester = TsmAttester(machine)
    machine.errors = {"outblob": (code, 1)}
    with pytest.raises(EnclaveError, match=words):
        attester.evidence(DATA)
    assert machine.entries == {}


def test_refuses_a_provider_that_nobody_knows_and_answers_without_end() -> None:
    with pytest.raises(EnclaveError, match="abacus"):
        TsmAttester(Machine(b"abacus\n"))
    with pytest.raises(WireError, match="more than"):
        TsmAttester(Machine(quote=lambda _: bytes(MAX_QUOTE_BYTES + 1))).evidence(DATA)
    with pytest.raises(WireError, match="boot log"):
        TsmAttester(Machine(log=bytes(MAX_TABLE_BYTES + 1))).evidence(DATA)
    with pytest.raises(WireError, match="boot log"):
        TsmAttester(Machine(log=ccel(*[(1, 4, bytes(1 << 15))] * 5))).evidence(DATA)
    with pytest.raises(WireError, match="report_data"):
        TsmAttester(Machine()).evidence(DATA[:63])
    with pytest.raises(WireError):
        TsmAttester(Machine()).evidence(b"")


def test_the_room_behind_the_log_is_left_out() -> None:
    table = LOG + b"\xff" * (MAX_TABLE_BYTES - len(LOG))
    assert TsmAttester(Machine(log=table)).evidence(DATA).event_log == LOG


def test_a_td_without_a_boot_log_has_none() -> None:
    assert TsmAttester(Machine(log=None)).evidence(DATA).event_log is None
    assert TsmAttester(Machine(log=b"")).evidence(DATA).event_log is None


def test_the_real_files_are_read_to_their_end_and_written_in_one_call(tmp_path: Path) -> None:
    kernel = LinuxKernel(tmp_path, tmp_path / "CCEL")
    assert kernel.boot_log(10) is None
    (tmp_path / "CCEL").write_bytes(b"0123456789abc")
    assert kernel.boot_log(10) == b"0123456789"
    kernel.make("entry")
    with pytest.raises(FileExistsError):
        kernel.make("entry")
    (tmp_path / "entry" / "inblob").touch()
    kernel.write("entry", "inblob", DATA)
    assert kernel.read("entry", "inblob", 100) == DATA
    (tmp_path / "entry" / "inblob").unlink()
    kernel.remove("entry")
    with pytest.raises(FileNotFoundError):
        kernel.read("entry", "outblob", 100)


def test_a_file_that_comes_in_parts_is_whole(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"first ")
    os.write(writer, b"second")
    os.close(writer)
    (tmp_path / "entry").mkdir()
    (tmp_path / "entry" / "outblob").symlink_to(f"/proc/self/fd/{reader}")
    assert LinuxKernel(tmp_path).read("entry", "outblob", 100) == b"first second"
    os.close(reader)


def test_here_there_is_no_such_interface(tmp_path: Path) -> None:
    with pytest.raises(EnclaveError, match="not a confidential VM"):
        TsmAttester(LinuxKernel(tmp_path / "none"))
