"""A web server of one blob, honest or not: each test says how it answers. Sockets, no library."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType

from scripts.bench.sealedlib.rangeserver import questions, range_of

__all__ = ["Asked", "RangeServer", "head", "honest"]


@dataclass(frozen=True)
class Asked:
    """One question: the range that it names, and the connection that the answer goes to."""

    server: RangeServer
    sock: socket.socket
    path: str
    offset: int
    length: int
    number: int

    @property
    def body(self) -> bytes:
        """What an honest server would send."""
        return self.server.data[self.offset : self.offset + self.length]

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.sock.sendall(data)
        self.server.count(len(data))

    def answer(self, body: bytes | None = None, **fields: object) -> None:
        """Send an answer with status 206; `fields` replace those of its head, None leaves one out."""
        self.send(head(self, **fields) + (self.body if body is None else body))


Behaviour = Callable[[Asked], object]


def honest(asked: Asked) -> None:
    """Answer with the range that was asked for."""
    asked.answer()


def head(asked: Asked, *, status: str = "206 Partial Content", **fields: object) -> bytes:
    """Return the head of an honest answer, but for what `fields` say (underscores stand for hyphens)."""
    last = asked.offset + len(asked.body) - 1
    named: dict[str, object] = {
        "content_length": len(asked.body),
        "content_range": f"bytes {asked.offset}-{last}/{len(asked.server.data)}",
        **fields,
    }
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in named.items() if value is not None]
    return ("\r\n".join([f"HTTP/1.1 {status}", *lines]) + "\r\n\r\n").encode()


@dataclass
class RangeServer:
    """Serves `data` on a free port of 127.0.0.1 while it is entered."""

    data: bytes
    behaviour: Behaviour = honest
    sent: int = 0
    asked: list[tuple[int, int]] = field(default_factory=list)
    port: int = 0
    tls: ssl.SSLContext | None = None

    def __enter__(self) -> RangeServer:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._socket.getsockname()[1])
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with self._lock:
            left = list(self._open)
        for sock in left:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    @property
    def url(self) -> str:
        """Where the blob is."""
        return f"{'http' if self.tls is None else 'https'}://127.0.0.1:{self.port}/blob"

    def count(self, sent: int) -> None:
        """Count bytes that went out."""
        with self._lock:
            self.sent += sent

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._socket.accept()
            except OSError:
                return
            with self._lock:
                self._open.add(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with suppress(OSError), sock, self._wrapped(sock) as spoken:
            for question in questions(spoken):
                if self.behaviour(self._read(spoken, question)) == "close":
                    return

    def _wrapped(self, sock: socket.socket) -> socket.socket:
        return sock if self.tls is None else self.tls.wrap_socket(sock, server_side=True)

    def _read(self, sock: socket.socket, question: bytes) -> Asked:
        path = question.split(b" ")[1].decode()
        named = range_of(question)
        assert named is not None, question
        offset, last = named
        with self._lock:
            self.asked.append((offset, last - offset + 1))
            number = len(self.asked)
        return Asked(self, sock, path, offset, last - offset + 1, number)
