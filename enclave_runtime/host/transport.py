"""The CVM's one door: a Unix socket that answers frames (docs/cvm-socket.md).

Whoever connects is the host, hence untrusted: lengths are bounded before memory is taken, a started frame
must end in time, a malformed one is answered and the connection closed. Agents come and go; the server stays.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from enclave_runtime.wire import frames
from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.errors import EnclaveError, WireError

__all__ = ["Answer", "Handler", "Limits", "Server", "bad_request"]

Answer: TypeAlias = tuple[JsonObject, bytes]
Handler: TypeAlias = Callable[[JsonObject, memoryview], Answer]
"""Takes header and body (valid until it returns) and gives header and body; raises nothing."""

_BACKLOG: Final = 8
_POLL_S: Final = 0.2
_PATIENCE_S: Final = 0.5
"""How long a new connection may wait for the place of one that is just ending."""
_MODE: Final = 0o600


@dataclass(frozen=True, slots=True)
class Limits:
    """What one peer may take.

    Attributes:
        connections: open at once; further ones are closed unanswered, after a moment.
        frame_s: seconds from a frame's first byte to its last, and for the answer to be taken.
        quiet_s: seconds that a connection may be silent between frames.
    """

    connections: int = 8
    frame_s: float = 30.0
    quiet_s: float = 600.0


def bad_request(got: object, expected: object) -> JsonObject:
    """Return the answer to a message that is none."""
    error: JsonObject = {"kind": "bad-request", "step": "message", "got": str(got), "expected": str(expected)}
    return {"ok": False, "error": error}


class Server:
    """Answers frames on a socket of its own until `close`; one thread for each connection."""

    def __init__(self, path: Path, handler: Handler, limits: Limits | None = None) -> None:
        """Bind the socket, for this user only.

        Raises:
            EnclaveError: `path` exists and is no socket.
            OSError: it cannot be bound.
        """
        self._path = path
        self._handler = handler
        self._limits = limits or Limits()
        self._closed = threading.Event()
        self._places = threading.BoundedSemaphore(self._limits.connections)
        self.last_heard = time.monotonic()
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise EnclaveError(f"socket: got {path.name} that exists and is no socket")
            path.unlink()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        os.chmod(path, _MODE)
        self._socket.listen(_BACKLOG)
        self._socket.settimeout(_POLL_S)

    def serve(self) -> None:
        """Accept connections until `close` is called from another thread."""
        while not self._closed.is_set():
            try:
                connection, _ = self._socket.accept()
            except TimeoutError:
                continue
            except OSError:
                if self._closed.is_set():
                    return
                raise
            if not self._places.acquire(timeout=_PATIENCE_S):
                connection.close()
                continue
            threading.Thread(target=self._attend, args=(connection,), daemon=True).start()

    def close(self) -> None:
        """Stop listening; answers under way are finished by their threads. May be called twice."""
        self._closed.set()
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def _attend(self, connection: socket.socket) -> None:
        try:
            with contextlib.closing(connection), contextlib.suppress(OSError):
                peer = _Peer(connection, self._limits)
                while not self._closed.is_set() and self._exchange(peer):
                    pass
        finally:
            self._places.release()

    def _exchange(self, peer: _Peer) -> bool:
        """Answer one frame; False when the connection is over."""
        try:
            request = peer.receive()
        except WireError as error:
            peer.send(bad_request(error, "a frame of docs/cvm-socket.md"), b"")
            return False
        if request is None:
            return False
        self.last_heard = time.monotonic()
        header, body = self._handler(*request)
        peer.send(header, body)
        self.last_heard = time.monotonic()
        return True


class _Peer:
    """One connection: whole frames in, whole frames out, each within its time."""

    def __init__(self, connection: socket.socket, limits: Limits) -> None:
        self._connection = connection
        self._limits = limits
        self._buffer = bytearray()
        self._deadline = 0.0

    def receive(self) -> tuple[JsonObject, memoryview] | None:
        """Return the next request, or None when the peer has left between two.

        Raises:
            WireError: bytes that are no frame, or a frame that stopped half way.
            TimeoutError: silence for longer than `quiet_s`.
        """
        self._connection.settimeout(self._limits.quiet_s)
        first = self._connection.recv(1)
        if not first:
            return None
        self._deadline = time.monotonic() + self._limits.frame_s
        header_bytes, body_bytes = frames.read_prefix(first + bytes(self._take(frames.PREFIX_BYTES - 1)))
        header = frames.read_header(bytes(self._take(header_bytes)))
        return header, self._take(body_bytes)

    def send(self, header: JsonObject, body: bytes) -> None:
        """Send one answer."""
        self._connection.settimeout(self._limits.frame_s)
        self._connection.sendall(frames.pack(header, len(body)))
        if body:
            self._connection.sendall(body)

    def _take(self, size: int) -> memoryview:
        """Return the next `size` bytes, in memory that is reused for the next call."""
        if len(self._buffer) < size:
            self._buffer = bytearray(size)
        view = memoryview(self._buffer)[:size]
        filled = 0
        while filled < size:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise WireError(f"frame: got {filled} of {size} bytes in {self._limits.frame_s:.0f} s")
            self._connection.settimeout(left)
            try:
                got = self._connection.recv_into(view[filled:])
            except TimeoutError:
                continue
            if not got:
                raise WireError(f"frame: got the end of the connection after {filled} of {size} bytes")
            filled += got
        return view
