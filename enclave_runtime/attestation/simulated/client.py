"""The host's side of the simulated platform's socket. Blocking; one connection per call."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.model import TeeKind
from enclave_runtime.attestation.simulated import frames
from enclave_runtime.wire import canonical
from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.errors import EnclaveError, WireError

__all__ = ["CvmState", "PlatformClient", "PlatformError", "PlatformState"]


class PlatformError(EnclaveError):
    """The platform refused, or is not there."""


@dataclass(frozen=True, slots=True)
class CvmState:
    """What the platform says about one of its CVMs.

    Attributes:
        pid: process id on the host; the CVM is a child of the platform.
        running: whether it is alive.
        exit_code: how it ended, negative for a signal, or None.
        measurement: tagged digest of its launch registers, 32 bytes.
        registers: the registers, hex by name.
        socket: the CVM's own socket.
    """

    pid: int
    running: bool
    exit_code: int | None
    measurement: bytes
    registers: dict[str, str]
    socket: Path


@dataclass(frozen=True, slots=True)
class PlatformState:
    """What a platform plays: what relying parties name in their settings to accept it.

    Attributes:
        tee: kind of TEE.
        root_set: id of the CPU's root set, "dev:<hex>".
        gpus: how many GPUs each of its CVMs has.
        gpu_root_set: id of their roots, or None without GPUs.
    """

    tee: TeeKind
    root_set: str
    gpus: int
    gpu_root_set: str | None


class PlatformClient:
    """Asks the platform that listens on `path`."""

    def __init__(self, path: Path, *, timeout_s: float = 30.0) -> None:
        self._path, self._timeout_s = path, timeout_s

    def root_set(self) -> str:
        """Return the id of the platform's root set, "dev:<hex>".

        Raises:
            PlatformError: as every method here.
        """
        return self.describe().root_set

    def describe(self) -> PlatformState:
        """Return what this platform plays."""
        answer = self._ask({"op": "hello"})
        gpus, gpu_roots = answer.get("gpus"), answer.get("gpu_root_set")
        try:
            return PlatformState(
                TeeKind(str(answer.get("tee"))),
                str(answer.get("root_set")),
                gpus if type(gpus) is int else 0,
                None if gpu_roots is None else str(gpu_roots),
            )
        except ValueError as error:
            raise WireError(f"simulated platform: {error}") from error

    def launch(
        self, runtime_dir: Path, requirements: Iterable[Path], socket_dir: Path, *, plain_mib: int = 1024
    ) -> CvmState:
        """Start a CVM from `runtime_dir` (it holds `enclave_runtime`); its socket will be in `socket_dir`."""
        request = {
            "op": "launch",
            "runtime_dir": str(runtime_dir.absolute()),
            "requirements": [str(path.absolute()) for path in requirements],
            "socket_dir": str(socket_dir.absolute()),
            "plain_mib": plain_mib,
        }
        return _cvm(self._ask(request))

    def list(self) -> tuple[CvmState, ...]:
        """Return every CVM that this platform has started, oldest first."""
        cvms = self._ask({"op": "list"}).get("cvms")
        return tuple(_cvm(cvm) for cvm in cvms) if isinstance(cvms, list) else ()

    def kill(self, pid: int) -> CvmState:
        """End a CVM and return how it ended."""
        return _cvm(self._ask({"op": "kill", "pid": pid}))

    def collateral(self, now: int) -> Collateral:
        """Return collateral issued around Unix time `now`, in seconds."""
        return Collateral.from_bytes(canonical.dump(self._ask({"op": "collateral", "now": now})))

    def _ask(self, request: object) -> JsonObject:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(self._timeout_s)
                connection.connect(str(self._path))
                frames.send(connection, request)
                answer = frames.receive(connection)
        except OSError as error:
            raise PlatformError(f"simulated platform at {self._path}: {error}") from error
        result = answer.get("ok")
        if not isinstance(result, dict):
            raise PlatformError(f"simulated platform: {answer.get('error')}")
        return result


def _cvm(value: canonical.Json) -> CvmState:
    try:
        if isinstance(value, dict):
            pid, code, registers = value["pid"], value["exit_code"], value["registers"]
            if (
                isinstance(pid, int)
                and (code is None or isinstance(code, int))
                and isinstance(registers, dict)
            ):
                return CvmState(
                    pid,
                    value["running"] is True,
                    code,
                    bytes.fromhex(str(value["measurement"])),
                    {name: str(text) for name, text in registers.items()},
                    Path(str(value["socket"])),
                )
    except (KeyError, ValueError):
        pass
    raise WireError("simulated platform: got something else than a CVM's state")
