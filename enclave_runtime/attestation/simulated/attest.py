"""The CVM's side of the SIMULATED platform: asks for quotes on a descriptor that it alone inherited."""

from __future__ import annotations

import os
import socket
import threading

from enclave_runtime.attestation.model import Evidence, TeeKind
from enclave_runtime.attestation.simulated import frames
from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.errors import EnclaveError, WireError

__all__ = ["SimulatedTdxAttester"]

_TIMEOUT_S = 10.0


class SimulatedTdxAttester:
    """Quotes of a simulated TD. The platform fills in the measurement; the CVM chooses 64 bytes only."""

    tee = TeeKind.TDX

    def __init__(self, fd: int) -> None:
        """Take over the inherited descriptor `fd`; no child of this process will have it."""
        os.set_inheritable(fd, False)
        self._socket = socket.socket(fileno=fd)
        self._socket.settimeout(_TIMEOUT_S)
        self._turn = threading.Lock()

    def quote(self, report_data: bytes) -> bytes:
        """Return a raw TDX quote, version 4, over `report_data`; see `evidence`."""
        return self.evidence(report_data).quote

    def evidence(self, report_data: bytes) -> Evidence:
        """Return quote and event log over `report_data` (64 bytes).

        Raises:
            WireError: `report_data` is not 64 bytes, or an answer that is no evidence.
            EnclaveError: the platform refused.
            OSError: the platform is gone.
        """
        if len(report_data) != 64:
            raise WireError(f"quote: got {len(report_data)} bytes of report_data, expected 64")
        with self._turn:
            frames.send(self._socket, {"op": "quote", "report_data": report_data.hex()})
            answer = frames.receive(self._socket)
        if "error" in answer:
            raise EnclaveError(f"quote: {answer['error']}")
        return Evidence(TeeKind.TDX, _hex(answer, "quote"), _hex(answer, "event_log"))


def _hex(answer: JsonObject, name: str) -> bytes:
    try:
        return bytes.fromhex(str(answer.get(name)))
    except ValueError as error:
        raise WireError(f"quote: got no {name} in the platform's answer") from error
