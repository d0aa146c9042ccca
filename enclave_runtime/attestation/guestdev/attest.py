"""Evidence from Linux's older device files, /dev/sev-guest and /dev/tdx_guest (docs/protocol.md section 4).

For kernels without configfs-tsm. Layouts as in the kernel's uapi headers linux/sev-guest.h and
linux/tdx-guest.h. /dev/tdx_guest gives a report for this machine alone: the host's quoting service (QGS),
asked over vsock, turns it into a quote.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import struct
from pathlib import Path
from typing import Final, Protocol

from enclave_runtime.attestation.dcap.ccel import MAX_TABLE_BYTES, log_in_table
from enclave_runtime.attestation.dcap.layout import strip_zero_padding
from enclave_runtime.attestation.model import MAX_QUOTE_BYTES, Evidence, TeeKind
from enclave_runtime.wire.errors import EnclaveError, WireError

__all__ = [
    "SEV_GUEST",
    "SNP_GET_REPORT",
    "TDX_GET_REPORT",
    "TDX_GUEST",
    "Device",
    "LinuxDevice",
    "QuotingService",
    "SevGuestAttester",
    "TdxGuestAttester",
    "ask_host",
]

SEV_GUEST: Final = Path("/dev/sev-guest")
TDX_GUEST: Final = Path("/dev/tdx_guest")
SNP_GET_REPORT: Final = 0xC020_5300
"""_IOWR('S', 0, struct snp_guest_request_ioctl), 32 bytes."""
TDX_GET_REPORT: Final = 0xC440_5401
"""_IOWR('T', 1, struct tdx_report_req), 64 + 1024 bytes."""

_REPORT_DATA: Final = 64
_ATTEMPTS: Final = 5
_BUSY: Final = frozenset({errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.ETIMEDOUT})
_SNP_REQUEST: Final = struct.Struct("<B7xQQQ")
_SNP_ASKED: Final = struct.Struct("<64sI28x")
_SNP_ANSWER: Final = struct.Struct("<II24x")
_SNP_ANSWER_BYTES: Final = 4000
_SNP_REPORT_BYTES: Final = 0x4A0
_SNP_REPORT_DATA_AT: Final = 0x50
_VMPL: Final = 0
_TD_REPORT_BYTES: Final = 1024
_TD_REPORT_DATA_AT: Final = 128
_QGS_HEADER: Final = struct.Struct("<HHIII")
_QGS_SIZES: Final = struct.Struct("<II")
_QGS_GET_QUOTE, _QGS_QUOTE = 0, 1
_QGS_PORT: Final = 4050
_QGS_SECONDS: Final = 30.0
_MAX_QGS_BYTES: Final = 1 << 16
_CCEL: Final = Path("/sys/firmware/acpi/tables/data/CCEL")


class Device(Protocol):
    """One device file."""

    def ioctl(self, number: int, buffer: bytearray) -> None:
        """Make a call that reads and writes `buffer`. Raises OSError as the kernel does."""
        ...


class QuotingService(Protocol):
    """The host's service that turns TD reports into quotes."""

    def __call__(self, message: bytes) -> bytes:
        """Return the answer to one message. Raises OSError."""
        ...


class LinuxDevice:
    """A real device file, opened for each call."""

    def __init__(self, path: Path) -> None:
        """Take its path.

        Raises:
            EnclaveError: there is none.
        """
        if not path.is_char_device():
            raise EnclaveError(f"{path}: there is no such device")
        self._path = path

    def ioctl(self, number: int, buffer: bytearray) -> None:
        """Make the call."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.ioctl(descriptor, number, buffer, True)
        finally:
            os.close(descriptor)


class SevGuestAttester:
    """An `Attester` by SNP_GET_REPORT, at VMPL 0."""

    tee = TeeKind.SEV_SNP

    def __init__(self, device: Device | None = None) -> None:
        """Take the device, or the machine's.

        Raises:
            EnclaveError: there is none.
        """
        self._device = LinuxDevice(SEV_GUEST) if device is None else device

    def evidence(self, report_data: bytes) -> Evidence:
        """Return a report over `report_data` (64 bytes).

        Raises:
            WireError: `report_data` is not 64 bytes, or the answer is no report over it.
            EnclaveError: the kernel or the firmware gave none; says what they said.
        """
        asked = ctypes.create_string_buffer(_SNP_ASKED.pack(_checked(report_data), _VMPL), _SNP_ASKED.size)
        answer = ctypes.create_string_buffer(_SNP_ANSWER_BYTES)
        addresses = ctypes.addressof(asked), ctypes.addressof(answer)
        _call(
            self._device, "sev-guest", SNP_GET_REPORT, lambda: bytearray(_SNP_REQUEST.pack(1, *addresses, 0))
        )
        status, size = _SNP_ANSWER.unpack_from(answer.raw)
        if status:
            raise EnclaveError(f"sev-guest: the firmware refused with status {status:#x}")
        if size != _SNP_REPORT_BYTES:
            raise WireError(f"sev-guest: got a report of {size} bytes, expected {_SNP_REPORT_BYTES}")
        report = answer.raw[_SNP_ANSWER.size : _SNP_ANSWER.size + size]
        _check_bound(report, _SNP_REPORT_DATA_AT, report_data, "sev-guest")
        return Evidence(self.tee, report)


class TdxGuestAttester:
    """An `Attester` by TDX_CMD_GET_REPORT0 and the host's quoting service."""

    tee = TeeKind.TDX

    def __init__(
        self, device: Device | None = None, service: QuotingService | None = None, ccel: Path = _CCEL
    ) -> None:
        """Take device and service, or the machine's.

        Raises:
            EnclaveError: there is no such device.
        """
        self._device = LinuxDevice(TDX_GUEST) if device is None else device
        self._service = ask_host if service is None else service
        self._ccel = ccel

    def evidence(self, report_data: bytes) -> Evidence:
        """Return a quote over `report_data` (64 bytes), and the boot log where there is one.

        Raises:
            WireError: `report_data` is not 64 bytes, or an answer that is no quote.
            EnclaveError: the kernel or the host gave none; says what they said.
        """
        start = _checked(report_data) + bytes(_TD_REPORT_BYTES)
        filled = _call(self._device, "tdx_guest", TDX_GET_REPORT, lambda: bytearray(start))
        report = bytes(filled[_REPORT_DATA:])
        _check_bound(report, _TD_REPORT_DATA_AT, report_data, "tdx_guest")
        try:
            quote = _quote_in(self._service(_quote_request(report)))
        except OSError as error:
            raise EnclaveError(
                f"quoting service: {error.strerror or error}: does the host run one?"
            ) from error
        return Evidence(self.tee, quote, self._boot_log())

    def _boot_log(self) -> bytes | None:
        try:
            with self._ccel.open("rb") as file:
                table = file.read(MAX_TABLE_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise EnclaveError(f"boot log: {error.strerror}") from error
        return log_in_table(table)


def ask_host(message: bytes) -> bytes:
    """Return the answer of the quoting service on the host's vsock, to a message with its length in front.

    Raises:
        OSError: no such service, or it does not answer in half a minute.
        WireError: an answer beyond all sizes.
    """
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as line:
        line.settimeout(_QGS_SECONDS)
        line.connect((socket.VMADDR_CID_HOST, _QGS_PORT))
        line.sendall(len(message).to_bytes(4, "big") + message)
        size = int.from_bytes(_exactly(line, 4), "big")
        if size > _MAX_QGS_BYTES:
            raise WireError(f"quoting service: got {size} bytes, expected at most {_MAX_QGS_BYTES}")
        return _exactly(line, size)


def _exactly(line: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = line.recv(size - len(data))
        if not part:
            raise OSError(errno.ECONNRESET, "the quoting service hung up")
        data += part
    return bytes(data)


def _quote_request(report: bytes) -> bytes:
    body = _QGS_SIZES.pack(len(report), 0) + report
    return _QGS_HEADER.pack(1, 0, _QGS_GET_QUOTE, _QGS_HEADER.size + len(body), 0) + body


def _quote_in(answer: bytes) -> bytes:
    at = _QGS_HEADER.size + _QGS_SIZES.size
    if len(answer) < _QGS_HEADER.size:
        raise WireError(f"quoting service: got {len(answer)} bytes, expected a message")
    major, _, kind, size, code = _QGS_HEADER.unpack_from(answer)
    if (major, kind, size) != (1, _QGS_QUOTE, len(answer)):
        raise WireError(f"quoting service: got message {kind} of version {major} and {size} bytes")
    if code:
        raise EnclaveError(f"quoting service: it refused with error {code:#x}")
    if len(answer) < at:
        raise WireError("quoting service: got a message without sizes")
    chosen, quote_size = _QGS_SIZES.unpack_from(answer, _QGS_HEADER.size)
    if at + chosen + quote_size != len(answer) or not 0 < quote_size <= MAX_QUOTE_BYTES:
        raise WireError(f"quoting service: got a quote of {quote_size} bytes in {len(answer)}")
    return strip_zero_padding(answer[at + chosen :])


class _Filler(Protocol):
    def __call__(self) -> bytearray: ...


def _call(device: Device, name: str, number: int, fresh: _Filler) -> bytearray:
    """Make a call, again while the device is busy; return the buffer that the kernel filled."""
    reason = ""
    for _ in range(_ATTEMPTS):
        buffer = fresh()
        try:
            device.ioctl(number, buffer)
        except OSError as error:
            reason = _words(error, buffer if number == SNP_GET_REPORT else None)
            if error.errno in _BUSY:
                continue
            raise EnclaveError(f"{name}: {reason}") from None
        return buffer
    raise EnclaveError(f"{name}: {reason}, {_ATTEMPTS} times")


def _words(error: OSError, request: bytearray | None) -> str:
    why = {
        errno.ENOENT: "no such device",
        errno.ENXIO: "no TEE behind the device",
        errno.ENOTTY: "another device, or a kernel that does not know the call",
        errno.EACCES: "no right to open it: only root may",
        errno.EPERM: "no right to open it: only root may",
    }
    words = why.get(error.errno or 0, os.strerror(error.errno or 0))
    code = _SNP_REQUEST.unpack(request)[3] if request is not None else 0
    return f"{words} (firmware {code & 0xFFFFFFFF:#x}, host {code >> 32:#x})" if code else words


def _checked(report_data: bytes) -> bytes:
    if len(report_data) != _REPORT_DATA:
        raise WireError(f"quote: got {len(report_data)} bytes of report_data, expected {_REPORT_DATA}")
    return report_data


def _check_bound(report: bytes, at: int, report_data: bytes, name: str) -> None:
    if report[at : at + _REPORT_DATA] != report_data:
        raise WireError(f"{name}: got a report over other bytes than asked for")
