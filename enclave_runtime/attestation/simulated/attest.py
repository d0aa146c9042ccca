"""The CVM's side of the SIMULATED platform: asks for evidence on a descriptor that it alone inherited.

The platform says once which kind of TEE it plays and whether the CVM has devices, as a real machine's kernel
would; then it answers requests for device evidence over a nonce and for quotes over 64 bytes.
"""

from __future__ import annotations

import os
import socket
import threading

from enclave_runtime.attestation.model import Evidence, TeeKind
from enclave_runtime.attestation.simulated import frames
from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.errors import EnclaveError, WireError

__all__ = ["PlatformLine", "SimulatedAttester", "SimulatedDevices", "connect"]

_TIMEOUT_S = 10.0


class PlatformLine:
    """One question at a time on the inherited descriptor."""

    def __init__(self, fd: int) -> None:
        """Take over the inherited descriptor `fd`; no child of this process will have it."""
        os.set_inheritable(fd, False)
        self._socket = socket.socket(fileno=fd)
        self._socket.settimeout(_TIMEOUT_S)
        self._turn = threading.Lock()

    def ask(self, question: JsonObject) -> JsonObject:
        """Return the platform's answer.

        Raises:
            WireError: an answer that is no message.
            EnclaveError: the platform refused.
            OSError: the platform is gone.
        """
        with self._turn:
            frames.send(self._socket, question)
            answer = frames.receive(self._socket)
        if "error" in answer:
            raise EnclaveError(f"platform: {answer['error']}")
        return answer

    def close(self) -> None:
        """Give the descriptor back."""
        self._socket.close()


class SimulatedAttester:
    """Quotes of a simulated TEE. The platform fills in the measurement; the CVM chooses 64 bytes only."""

    def __init__(self, line: PlatformLine, tee: TeeKind) -> None:
        self.tee = tee
        self._line = line

    def evidence(self, report_data: bytes) -> Evidence:
        """Return quote and, where the TEE has one, event log over `report_data` (64 bytes).

        Raises:
            WireError: `report_data` is not 64 bytes, or an answer that is no evidence.
            EnclaveError: the platform refused.
            OSError: the platform is gone.
        """
        if len(report_data) != 64:
            raise WireError(f"quote: got {len(report_data)} bytes of report_data, expected 64")
        answer = self._line.ask({"op": "quote", "report_data": report_data.hex()})
        log = None if answer.get("event_log") is None else _hex(answer, "event_log")
        return Evidence(self.tee, _hex(answer, "quote"), log)


class SimulatedDevices:
    """Evidence of the simulated GPUs of this CVM."""

    def __init__(self, line: PlatformLine) -> None:
        self._line = line

    def evidence(self, nonce: bytes) -> bytes:
        """Return bytes of `nvidia.evidence.GpuEvidence`, every device asked with `nonce` (32 bytes).

        Raises:
            WireError: `nonce` is not 32 bytes, or an answer that is no evidence.
            EnclaveError: the platform refused.
            OSError: the platform is gone.
        """
        if len(nonce) != 32:
            raise WireError(f"devices: got {len(nonce)} bytes of nonce, expected 32")
        return _hex(self._line.ask({"op": "devices", "nonce": nonce.hex()}), "evidence")


def connect(fd: int) -> tuple[SimulatedAttester, SimulatedDevices | None]:
    """Take over `fd` and return the attester, and that of the devices where the CVM has some.

    Raises:
        WireError: the platform answers something else than what it is.
        EnclaveError: it refuses.
        OSError: it is gone.
    """
    line = PlatformLine(fd)
    answer = line.ask({"op": "hello"})
    try:
        tee = TeeKind(str(answer.get("tee")))
    except ValueError as error:
        raise WireError(f"platform: {error}") from error
    return SimulatedAttester(line, tee), SimulatedDevices(line) if answer.get("devices") is True else None


def _hex(answer: JsonObject, name: str) -> bytes:
    try:
        return bytes.fromhex(str(answer.get(name)))
    except ValueError as error:
        raise WireError(f"platform: got no {name} in its answer") from error
