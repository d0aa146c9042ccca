"""What the simulated platform measures at launch: the bytes that will run, read once (docs/protocol.md 4.4).

MRTD holds the runtime's Python files, RTMR0 the platform's kind, RTMR1 how a CVM is started, RTMR2 the locked
requirements and the sandbox base. The event log names each part, so that two measurements can be compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from enclave_runtime.attestation.dcap.layout import TdBody
from enclave_runtime.attestation.dcap.registers import TdxRegisters
from enclave_runtime.attestation.dcap.rtmr import ZERO_REGISTER, Event, encode_log, replay
from enclave_runtime.attestation.simulated import launch
from enclave_runtime.attestation.simulated.statements import TEE_TCB_SVN
from enclave_runtime.wire.errors import WireError

__all__ = [
    "RUNTIME_PACKAGE",
    "Files",
    "Measured",
    "locked_requirements",
    "measure",
    "measure_runtime",
    "read_requirements",
    "read_runtime",
]

RUNTIME_PACKAGE = "enclave_runtime"

Files = tuple[tuple[str, bytes], ...]
"""(relative path, content), sorted by path."""

_MAX_FILES, _MAX_FILE_BYTES = 2000, 1 << 20
_PLATFORM = b"DEV SIMULATED TDX platform, version 1"
_TD_ATTRIBUTES = (1 << 28).to_bytes(8, "little")  # SEPT_VE_DISABLE and nothing else
_TD_ATTRIBUTES_DEBUG = (1 << 28 | 1).to_bytes(8, "little")
_XFAM = bytes.fromhex("e702060000000000")


@dataclass(frozen=True, slots=True)
class Measured:
    """Registers of one launch and the events that explain them."""

    registers: TdxRegisters
    events: tuple[Event, ...]

    @property
    def event_log(self) -> bytes:
        """Return the log as a guest would hand it out."""
        return encode_log(self.events)

    def body(self, report_data: bytes) -> TdBody:
        """Return the TD report over `report_data`, 64 bytes."""
        now = self.registers
        return TdBody(
            tee_tcb_svn=TEE_TCB_SVN,
            mr_seam=ZERO_REGISTER,
            mrsigner_seam=ZERO_REGISTER,
            seam_attributes=bytes(8),
            td_attributes=now.td_attributes,
            xfam=now.xfam,
            mrtd=now.mrtd,
            mr_config_id=now.mr_config_id,
            mr_owner=now.mr_owner,
            mr_owner_config=now.mr_owner_config,
            rtmr0=now.rtmr0,
            rtmr1=now.rtmr1,
            rtmr2=now.rtmr2,
            rtmr3=ZERO_REGISTER,
            report_data=report_data,
        )


def locked_requirements(runtime_dir: Path) -> tuple[Path, ...]:
    """Return the requirement files that this project's checkout locks its runtime with."""
    return (runtime_dir / "requirements" / "runtime.txt",)


def measure_runtime(runtime_dir: Path, requirement_files: Iterable[Path], sandbox_base: bytes) -> Measured:
    """Return the registers of a CVM started from these files: the reference measurement.

    Args:
        runtime_dir: directory that contains the package `enclave_runtime`.
        requirement_files: the locked requirements of the runtime.
        sandbox_base: `launch.sandbox_base()` of the machine that will run it.
    Raises:
        WireError: no runtime there, a link inside it, a file too large.
        OSError: a file that cannot be read.
    """
    return measure(read_runtime(runtime_dir), read_requirements(requirement_files), sandbox_base)


def measure(runtime: Files, requirements: Files, sandbox_base: bytes, *, debug: bool = False) -> Measured:
    """Return the registers for bytes that were read already; see `measure_runtime`."""
    events = (
        Event.runtime(0, "platform", _PLATFORM),
        Event.runtime(1, "launcher", hashlib.sha384(launch.launcher_description()).digest()),
        Event.runtime(2, "requirements", _digest(requirements)),
        Event.runtime(2, "sandbox-base", sandbox_base),
    )
    rtmr0, rtmr1, rtmr2, _ = replay(events)
    registers = TdxRegisters(
        mrtd=_digest(runtime),
        rtmr0=rtmr0,
        rtmr1=rtmr1,
        rtmr2=rtmr2,
        mr_config_id=ZERO_REGISTER,
        mr_owner=ZERO_REGISTER,
        mr_owner_config=ZERO_REGISTER,
        td_attributes=_TD_ATTRIBUTES_DEBUG if debug else _TD_ATTRIBUTES,
        xfam=_XFAM,
    )
    return Measured(registers, events)


def read_runtime(runtime_dir: Path) -> Files:
    """Return every Python file of the runtime in `runtime_dir`; only these ever reach a CVM.

    Raises:
        WireError: no runtime there, a link inside it, too many files or one too large.
    """
    package = runtime_dir / RUNTIME_PACKAGE
    if package.is_symlink() or not (package / "__main__.py").is_file():
        raise WireError(
            f"runtime: got {runtime_dir}, expected a directory with {RUNTIME_PACKAGE}/__main__.py"
        )
    paths = sorted(path for path in package.rglob("*.py") if "__pycache__" not in path.parts)
    if len(paths) > _MAX_FILES:
        raise WireError(f"runtime: got {len(paths)} files, expected at most {_MAX_FILES}")
    return _sorted((path.relative_to(runtime_dir).as_posix(), _read(path, package)) for path in paths)


def read_requirements(paths: Iterable[Path]) -> Files:
    """Return the locked requirements by file name.

    Raises:
        WireError: two files of one name, or one too large.
    """
    return _sorted((path.name, _read(path, path.parent)) for path in paths)


def _sorted(items: Iterable[tuple[str, bytes]]) -> Files:
    files = tuple(sorted(items))
    if len({name for name, _ in files}) != len(files):
        raise WireError("measurement: got two files of one name")
    return files


def _read(path: Path, root: Path) -> bytes:
    for part in (path, *path.parents):
        if part == root:
            break
        if part.is_symlink():
            raise WireError(f"runtime: got the link {part}, expected plain files")
    with path.open("rb") as file:
        content = file.read(_MAX_FILE_BYTES + 1)
    if len(content) > _MAX_FILE_BYTES:
        raise WireError(f"measurement: got more than {_MAX_FILE_BYTES} bytes in {path.name}")
    return content


def _digest(files: Sequence[tuple[str, bytes]]) -> bytes:
    """Return SHA-384 over the files, each by length-prefixed path and the SHA-384 of its content."""
    digest = hashlib.sha384(b"cloister:simulated-files/v1\x00")
    for name, content in files:
        path = name.encode()
        digest.update(len(path).to_bytes(4, "big") + path + hashlib.sha384(content).digest())
    return digest.digest()
