"""The agent's end of a CVM's socket (docs/cvm-socket.md): frames out, frames in, nothing else.

The CVM is never imported: it is another process, and all that this module knows of it is the socket.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from enclave_runtime.wire import frames
from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.errors import WireError
from marketplace.errors import MarketError

__all__ = ["Answer", "CvmClient", "CvmGoneError", "CvmRefusedError"]


class CvmGoneError(MarketError):
    """No process answers on the CVM's socket."""


class CvmRefusedError(MarketError):
    """The CVM answered with an error.

    Attributes:
        kind: "refused", "bad-request", "not-now" or "host".
        step, got, expected: as the CVM said.
        final: the order itself is refused, not only this message; the CVM's signed refusal comes next.
    """

    def __init__(self, kind: str, step: str, got: str, expected: str, *, final: bool = False) -> None:
        super().__init__(f"the CVM answered {kind} at {step}: got {got}, expected {expected}")
        self.kind = kind
        self.step = step
        self.got = got
        self.expected = expected
        self.final = final


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: its JSON members and its raw body."""

    members: JsonObject
    body: bytes


class CvmClient:
    """Calls to one CVM. Every call may be repeated: the CVM's operations are idempotent."""

    def __init__(self, path: Path, *, timeout_s: float = 60.0) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None

    def call(self, op: str, body: bytes = b"", **members: object) -> Answer:
        """Send one request and return its answer.

        Raises:
            CvmGoneError: nobody listens, or the connection broke.
            CvmRefusedError: the CVM said no.
            WireError: a message beyond the frame's limits, which is not sent.
        """
        head = frames.pack({"op": op, **members}, len(body))
        try:
            connection = self._connect()
            connection.sendall(head)
            connection.sendall(body)
            answer = self._read(connection)
        except (OSError, WireError) as error:
            self.close()
            raise CvmGoneError(f"the CVM at {self._path.name} does not answer: {error}") from error
        if answer.members.get("ok") is not True:
            raise _refusal(answer.members.get("error"))
        return answer

    def reach(self) -> bool:
        """Return whether somebody listens; asks nothing, since a wiped CVM ends once it told its status."""
        try:
            self._connect()
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Close the connection; the CVM lives on."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> socket.socket:
        if self._socket is None:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(self._timeout_s)
            try:
                connection.connect(str(self._path))
            except OSError:
                connection.close()
                raise
            self._socket = connection
        return self._socket

    def _read(self, connection: socket.socket) -> Answer:
        header_bytes, body_bytes = frames.read_prefix(_exactly(connection, frames.PREFIX_BYTES))
        members = frames.read_header(_exactly(connection, header_bytes))
        return Answer(members, _exactly(connection, body_bytes))


def _exactly(connection: socket.socket, size: int) -> bytes:
    buffer = bytearray(size)
    view = memoryview(buffer)
    while view:
        count = connection.recv_into(view)
        if count == 0:
            raise WireError("the connection ended inside a frame")
        view = view[count:]
    return bytes(buffer)


def _refusal(error: object) -> CvmRefusedError:
    parts = error if isinstance(error, dict) else {}
    kind, step, got, expected = (str(parts.get(name, "")) for name in ("kind", "step", "got", "expected"))
    final = parts.get("final") is True
    return CvmRefusedError(kind or "bad-request", step, got, expected, final=final)
