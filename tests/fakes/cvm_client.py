"""The host's side of a CVM's socket, as simple as it can be: one frame out, one frame in."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

from enclave_runtime.wire import frames
from enclave_runtime.wire.codec import bytes_from_hex, hex_of
from enclave_runtime.wire.grant import SignedKeyRequest
from tests.fakes.sealed_order import SealedOrder

__all__ = ["CvmClient"]


class CvmClient:
    """One connection, made again whenever `reconnect` is called."""

    def __init__(self, path: Path, timeout_s: float = 60.0) -> None:
        self._path, self._timeout_s = path, timeout_s
        self._socket: socket.socket | None = None

    def __enter__(self) -> CvmClient:
        self.reconnect()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def reconnect(self, patience_s: float = 60.0) -> None:
        """Hang up and call again; the CVM may need a moment to boot."""
        self.close()
        deadline = time.monotonic() + patience_s
        while True:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(self._timeout_s)
            try:
                connection.connect(str(self._path))
            except OSError:
                connection.close()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                self._socket = connection
                return

    def send(self, op: str, body: bytes = b"", **members: Any) -> None:
        """Send a message and do not wait for the answer."""
        assert self._socket is not None
        self._socket.sendall(frames.pack({"op": op, **members}, len(body)) + body)

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """Return the next answer's header and body."""
        header_bytes, body_bytes = frames.read_prefix(self._take(frames.PREFIX_BYTES))
        return frames.read_header(self._take(header_bytes)), self._take(body_bytes)

    def say(self, op: str, body: bytes = b"", **members: Any) -> tuple[dict[str, Any], bytes]:
        """Say one message and return the answer."""
        self.send(op, body, **members)
        return self.receive()

    def ok(self, op: str, body: bytes = b"", **members: Any) -> dict[str, Any]:
        """Say one message that must succeed."""
        answer, _ = self.say(op, body, **members)
        assert answer["ok"] is True, answer
        return answer

    def error(self, op: str, body: bytes = b"", **members: Any) -> dict[str, Any]:
        """Say one message that must fail and return the error."""
        answer, _ = self.say(op, body, **members)
        assert answer["ok"] is False, answer
        error: dict[str, Any] = answer["error"]
        return error

    def open_keys(self, order: SealedOrder) -> None:
        """Admit the order and have every owner grant."""
        self.ok("admit", **order.admit())
        hpke = bytes_from_hex(self.ok("identify")["public"]["hpke"])
        for index in range(len(order.inputs)):
            answer = self.ok("key_request", input_index=index, challenge=hex_of(b"\x07" * 32))
            request = SignedKeyRequest.from_json(answer["request"])
            self.ok("grant", order.grant(request, hpke), input_index=index)

    def load(self, order: SealedOrder) -> None:
        """Carry in every input."""
        for index, item in enumerate(order.inputs):
            self.ok("begin", item.head, input_index=index)
            for number, segment in enumerate(item.segments):
                self.ok("feed", segment, input_index=index, segment=number)
            self.ok("feed_done", input_index=index)

    def await_state(self, *states: str, patience_s: float = 120.0) -> dict[str, Any]:
        """Poll until the session is in one of `states` and return its status."""
        deadline = time.monotonic() + patience_s
        while (status := self.ok("status"))["state"] not in states:
            assert time.monotonic() < deadline, status
            time.sleep(0.05)
        return status

    def fetch_result(self) -> bytes:
        """Fetch the whole sealed result."""
        data = b""
        while True:
            answer, piece = self.say("result", offset=len(data))
            assert answer["ok"] is True, answer
            data += piece
            if len(data) == answer["total"]:
                return data

    def _take(self, size: int) -> bytes:
        assert self._socket is not None
        data = b""
        while len(data) < size:
            piece = self._socket.recv(size - len(data))
            if not piece:
                raise ConnectionError("the CVM hung up")
            data += piece
        return data
