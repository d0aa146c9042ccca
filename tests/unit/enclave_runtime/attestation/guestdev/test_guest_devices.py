"""/dev/sev-guest and /dev/tdx_guest: what the kernel's calls do, good and bad, played at their addresses."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from enclave_runtime.attestation.guestdev.attest import (
    SNP_GET_REPORT,
    TDX_GET_REPORT,
    LinuxDevice,
    SevGuestAttester,
    TdxGuestAttester,
    ask_host,
)
from enclave_runtime.attestation.model import MAX_QUOTE_BYTES, TeeKind
from enclave_runtime.wire.errors import EnclaveError, WireError
from tests.evidence.snp_case import SnpCase
from tests.evidence.test_intel_eventlog import ccel
from tests.fakes.td_quotes import td_quote

DATA = bytes(range(64))
REPORT = SnpCase().report or b""


@dataclass
class Kernel:
    """One device file; SEV's call writes where the request points, as the kernel does.

    Attributes:
        errors: what the next calls raise.
        exit_info: what the firmware and the host say in a failed request.
        status, size: of the firmware's answer.
        other: bytes that some other request had signed.
    """

    errors: list[int] = field(default_factory=list)
    exit_info: int = 0
    status: int = 0
    size: int = len(REPORT)
    other: bytes | None = None
    calls: int = 0

    def ioctl(self, number: int, buffer: bytearray) -> None:
        self.calls += 1
        assert number >> 16 & 0x3FFF == len(buffer), "the size is part of the number: else ENOTTY"
        if self.errors:
            code = self.errors.pop(0)
            if number == SNP_GET_REPORT:
                struct.pack_into("<Q", buffer, 24, self.exit_info)
            raise OSError(code, os.strerror(code))
        if number == SNP_GET_REPORT:
            self._sev(buffer)
        else:
            assert number == TDX_GET_REPORT
            report = bytearray(1024)
            report[128:192] = self.other or buffer[:64]
            buffer[64:] = report

    def _sev(self, buffer: bytearray) -> None:
        version, asked_at, answer_at, _ = struct.unpack("<B7xQQQ", buffer)
        asked = ctypes.string_at(asked_at, 96)
        assert version == 1 and asked[64:] == bytes(32), "VMPL 0, the rest zero"
        report = bytearray(REPORT)
        report[0x50:0x90] = self.other or asked[:64]
        answer = struct.pack("<II24x", self.status, self.size) + report
        ctypes.memmove(answer_at, answer, len(answer))


QUOTE = td_quote(DATA)


def quote_answer(quote: bytes = QUOTE, *, code: int = 0, kind: int = 1, chosen: bytes = b"") -> bytes:
    body = struct.pack("<II", len(chosen), len(quote)) + chosen + quote
    return struct.pack("<HHIII", 1, 0, kind, 16 + len(body), code) + body


def tdx(kernel: Kernel, answer: Callable[[bytes], bytes], ccel: Path) -> TdxGuestAttester:
    return TdxGuestAttester(kernel, answer, ccel)


def test_a_report_comes_from_where_the_request_points() -> None:
    evidence = SevGuestAttester(Kernel()).evidence(DATA)
    assert evidence.tee is TeeKind.SEV_SNP and evidence.event_log is None
    assert evidence.quote == REPORT[:0x50] + DATA + REPORT[0x90:]


def test_a_td_report_becomes_a_quote_at_the_host(tmp_path: Path) -> None:
    asked: list[bytes] = []

    def service(message: bytes) -> bytes:
        asked.append(message)
        return quote_answer(td_quote(message[24 + 128 : 24 + 192]), chosen=b"id")

    log = ccel((1, 4, b"\0\0\0\0"))
    (tmp_path / "log").write_bytes(log + b"\xff" * 1000)
    evidence = tdx(Kernel(), service, tmp_path / "log").evidence(DATA)
    assert (evidence.tee, evidence.quote, evidence.event_log) == (
        TeeKind.TDX,
        td_quote(DATA),
        log,
    )
    assert struct.unpack("<HHIIIII", asked[0][:24]) == (1, 0, 0, 24 + 1024, 0, 1024, 0)
    assert tdx(Kernel(), service, tmp_path / "none").evidence(DATA).event_log is None
    with pytest.raises(EnclaveError, match="boot log"):
        tdx(Kernel(), service, tmp_path).evidence(DATA)


@pytest.mark.parametrize("code", [errno.EBUSY, errno.EAGAIN, errno.EINTR, errno.ETIMEDOUT])
def test_a_busy_device_is_asked_again_and_not_for_ever(tmp_path: Path, code: int) -> None:
    makers: list[Callable[[Kernel], SevGuestAttester | TdxGuestAttester]] = [
        SevGuestAttester, lambda kernel: tdx(kernel, lambda _: quote_answer(), tmp_path / "none"),
    ]  # fmt: skip
    for make in makers:
        assert make(Kernel([code] * 4)).evidence(DATA)
        kernel = Kernel([code] * 99)
        with pytest.raises(EnclaveError, match="5 times"):
            make(kernel).evidence(DATA)
        assert kernel.calls == 5


@pytest.mark.parametrize(("code", "words"), [
    (errno.EACCES, "only root"), (errno.EPERM, "only root"), (errno.ENOTTY, "another device"),
    (errno.ENXIO, "no TEE"), (errno.ENOENT, "no such device"), (errno.EIO, r"firmware 0x16, host 0x2"),
])  # fmt: skip
def test_errors_say_what_the_kernel_said(code: int, words: str) -> None:
    kernel = Kernel([code], exit_info=0x2_0000_0016)
    with pytest.raises(EnclaveError, match=words):
        SevGuestAttester(kernel).evidence(DATA)
    assert kernel.calls == 1


def test_answers_that_are_no_report_over_the_bytes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EnclaveError, match="status 0x16"):
        SevGuestAttester(Kernel(status=0x16)).evidence(DATA)
    for size in (0, len(REPORT) - 1, 4000):
        with pytest.raises(WireError, match="expected 1184"):
            SevGuestAttester(Kernel(size=size)).evidence(DATA)
    with pytest.raises(WireError, match="other bytes"):
        SevGuestAttester(Kernel(other=bytes(64))).evidence(DATA)
    with pytest.raises(WireError, match="other bytes"):
        tdx(Kernel(other=bytes(64)), lambda _: quote_answer(), tmp_path).evidence(DATA)
    for attester in (SevGuestAttester(Kernel()), tdx(Kernel(), lambda _: b"", tmp_path)):
        with pytest.raises(WireError, match="63 bytes"):
            attester.evidence(DATA[:-1])


@pytest.mark.parametrize("answer", [
    b"", quote_answer()[:-1], quote_answer() + b"x", quote_answer(b""), quote_answer(kind=0),
    quote_answer(bytes(MAX_QUOTE_BYTES + 1)), quote_answer(code=0x12001),
    struct.pack("<HHIII", 1, 0, 1, 16, 0),
])  # fmt: skip
def test_what_a_host_answers_instead_of_a_quote_is_refused(tmp_path: Path, answer: bytes) -> None:
    with pytest.raises(EnclaveError, match="quoting service"):
        tdx(Kernel(), lambda _: answer, tmp_path / "none").evidence(DATA)


def test_a_host_without_the_service_and_a_machine_without_the_device(tmp_path: Path) -> None:
    def absent(_: bytes) -> bytes:
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")

    with pytest.raises(EnclaveError, match="does the host run one"):
        tdx(Kernel(), absent, tmp_path / "none").evidence(DATA)
    with pytest.raises(EnclaveError, match="no such device"):
        LinuxDevice(tmp_path / "sev-guest")
    with pytest.raises(OSError, match=r".*"):
        LinuxDevice(Path("/dev/null")).ioctl(SNP_GET_REPORT, bytearray(32))


class Line:
    """A vsock connection whose answer comes in parts."""

    def __init__(self, answer: bytes) -> None:
        self.answer, self.sent = answer, b""

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def settimeout(self, seconds: float) -> None:
        assert seconds > 0

    def connect(self, address: tuple[int, int]) -> None:
        assert address == (2, 4050)

    def sendall(self, data: bytes) -> None:
        self.sent += data

    def recv(self, size: int) -> bytes:
        part, self.answer = self.answer[: min(size, 3)], self.answer[min(size, 3) :]
        return part


def test_the_hosts_answer_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(b"\x00\x00\x00\x05hello")
    monkeypatch.setattr("socket.socket", lambda *_: line)
    assert ask_host(b"ask") == b"hello"
    assert line.sent == b"\x00\x00\x00\x03ask"
    for answer, words in ((b"\x00\x00\x00\x05he", "hung up"), (b"\xff\xff\xff\xff", "at most")):
        line.answer = answer
        with pytest.raises((OSError, WireError), match=words):
            ask_host(b"ask")
