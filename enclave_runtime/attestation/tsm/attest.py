"""Evidence from Linux's one interface for all TEEs: configfs-tsm (docs/protocol.md section 4; kernel 6.7 and
later).

A folder made below /sys/kernel/config/tsm/report has the files `inblob` (64 bytes in), `outblob` (the
quote or report), `provider` (which TEE) and `generation` (counts writes). Entries are named at random and
removed after use. A count other than the one write that was ours means that somebody else wrote to the
entry: it is made anew.

See Documentation/ABI/testing/configfs-tsm-report. A TD's boot log lies beside it in the CCEL table's data.
"""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path
from typing import Final, Protocol

from enclave_runtime.attestation.dcap.ccel import MAX_TABLE_BYTES, log_in_table
from enclave_runtime.attestation.dcap.layout import strip_zero_padding
from enclave_runtime.attestation.model import MAX_QUOTE_BYTES, Evidence, TeeKind
from enclave_runtime.wire.errors import EnclaveError, WireError

__all__ = ["CCEL", "PROVIDERS", "REPORTS", "Kernel", "LinuxKernel", "TsmAttester"]

REPORTS: Final = Path("/sys/kernel/config/tsm/report")
CCEL: Final = Path("/sys/firmware/acpi/tables/data/CCEL")
PROVIDERS: Final = {"tdx_guest": TeeKind.TDX, "sev_guest": TeeKind.SEV_SNP, "arm_cca_guest": TeeKind.CCA}
"""What `provider` says -> kind of TEE."""

_REPORT_DATA: Final = 64
_ATTEMPTS: Final = 5
_WORD: Final = 128
_BUSY: Final = frozenset({errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.ETIMEDOUT})


class Kernel(Protocol):
    """What is asked of the machine. Every method raises OSError as the kernel's files do."""

    def make(self, name: str) -> None:
        """Make an entry."""
        ...

    def remove(self, name: str) -> None:
        """Remove an entry."""
        ...

    def write(self, name: str, attribute: str, data: bytes) -> None:
        """Write all of `data` to an entry's file, in one call."""
        ...

    def read(self, name: str, attribute: str, limit: int) -> bytes:
        """Return an entry's file to its end, or its first `limit` bytes."""
        ...

    def boot_log(self, limit: int) -> bytes | None:
        """Return the first `limit` bytes of the firmware's boot log, or None where there is none."""
        ...


class LinuxKernel:
    """The real files; `reports` and `boot_log` may lie elsewhere."""

    def __init__(self, reports: Path = REPORTS, ccel: Path = CCEL) -> None:
        self._reports = reports
        self._ccel = ccel

    def make(self, name: str) -> None:
        """Make an entry."""
        (self._reports / name).mkdir(mode=0o700)

    def remove(self, name: str) -> None:
        """Remove an entry."""
        (self._reports / name).rmdir()

    def write(self, name: str, attribute: str, data: bytes) -> None:
        """Write all of `data` in one call: a second call would count as a second value."""
        descriptor = os.open(self._reports / name / attribute, os.O_WRONLY | os.O_CLOEXEC)
        try:
            written = os.write(descriptor, data)
        finally:
            os.close(descriptor)
        if written != len(data):
            raise OSError(errno.EIO, f"got {written} of {len(data)} bytes written")

    def read(self, name: str, attribute: str, limit: int) -> bytes:
        """Return the file to its end; the kernel may give it in parts."""
        return _read_to_end(self._reports / name / attribute, limit)

    def boot_log(self, limit: int) -> bytes | None:
        """Return the data of the CCEL table."""
        try:
            return _read_to_end(self._ccel, limit)
        except FileNotFoundError:
            return None


class TsmAttester:
    """An `Attester` on a machine whose kernel has the interface."""

    def __init__(self, kernel: Kernel | None = None) -> None:
        """Ask the kernel which TEE this is.

        Raises:
            EnclaveError: no such interface, no TEE, no right to use it, or a TEE that nobody knows.
        """
        self._kernel: Kernel = LinuxKernel() if kernel is None else kernel
        self.tee = self._known_tee()

    def evidence(self, report_data: bytes) -> Evidence:
        """Return quote and, of a TD, boot log over `report_data` (64 bytes).

        Raises:
            WireError: `report_data` is not 64 bytes, or the kernel's answer is no evidence.
            EnclaveError: the kernel gave none; says what it said.
        """
        if len(report_data) != _REPORT_DATA:
            raise WireError(f"quote: got {len(report_data)} bytes of report_data, expected {_REPORT_DATA}")
        quote = self._asked(report_data)
        if self.tee is not TeeKind.TDX:
            return Evidence(self.tee, quote, None)
        return Evidence(self.tee, strip_zero_padding(quote), self._boot_log())

    def _asked(self, report_data: bytes) -> bytes:
        reason = "somebody else's writes to the entry"
        for _ in range(_ATTEMPTS):
            try:
                quote = self._once(report_data)
            except OSError as error:
                if error.errno not in _BUSY:
                    raise _failed(error) from None
                reason = os.strerror(error.errno)
                continue
            if quote is not None:
                return quote
        raise EnclaveError(f"tsm report: got {reason}, {_ATTEMPTS} times, expected a quote")

    def _once(self, report_data: bytes) -> bytes | None:
        """Return a quote, or None where another writer was there between."""
        name = self._entry()
        try:
            before = self._generation(name)
            self._kernel.write(name, "inblob", report_data)
            quote = self._kernel.read(name, "outblob", MAX_QUOTE_BYTES + 1)
            ours = self._generation(name) == before + 1
        finally:
            self._kernel.remove(name)
        if len(quote) > MAX_QUOTE_BYTES:
            raise WireError(f"tsm report: got more than {MAX_QUOTE_BYTES} bytes of quote")
        return quote if ours else None

    def _generation(self, name: str) -> int:
        text = self._kernel.read(name, "generation", _WORD).strip()
        if not text.isdigit():
            raise WireError(f"tsm report: got generation {text[:20]!r}, expected a number")
        return int(text)

    def _known_tee(self) -> TeeKind:
        try:
            name = self._entry()
            try:
                provider = self._kernel.read(name, "provider", _WORD).strip().decode("ascii", "replace")
            finally:
                self._kernel.remove(name)
        except OSError as error:
            raise _failed(error) from None
        if provider not in PROVIDERS:
            raise EnclaveError(f"tsm report: got provider {provider!r}, expected one of {sorted(PROVIDERS)}")
        return PROVIDERS[provider]

    def _entry(self) -> str:
        name = f"cloister-{secrets.token_hex(8)}"
        self._kernel.make(name)
        return name

    def _boot_log(self) -> bytes | None:
        try:
            table = self._kernel.boot_log(MAX_TABLE_BYTES + 1)
        except OSError as error:
            raise _failed(error) from None
        return log_in_table(table or b"")


def _failed(error: OSError) -> EnclaveError:
    why = {
        errno.ENOENT: "no such interface: not a confidential VM, or a kernel before 6.7",
        errno.ENXIO: "no TEE behind the interface",
        errno.EACCES: "no right to make an entry: only root may",
        errno.EPERM: "no right to make an entry: only root may",
    }
    return EnclaveError(f"tsm report: {why.get(error.errno or 0, os.strerror(error.errno or 0))}")


def _read_to_end(path: Path, limit: int) -> bytes:
    data = bytearray()
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while len(data) < limit and (part := os.read(descriptor, limit - len(data))):
            data += part
    finally:
        os.close(descriptor)
    return bytes(data)
