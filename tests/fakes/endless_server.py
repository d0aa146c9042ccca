"""Servers that never come to an end, and the patience of whoever asks them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from marketplace.storage.patience import Patience

__all__ = ["CHUNKS", "HURRIED", "LINE", "ONCE", "PLAIN", "REFUSED", "endless", "given_up"]

ONCE = Patience(tries=1)
HURRIED = Patience(tries=1, connect_s=0.5, answer_s=0.5, stall_s=0.5, window_s=1.0)
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
REFUSED = b"HTTP/1.1 500 No\r\nContent-Type: application/json\r\n\r\n"
LINE = b'{"Key":"x"}\n' * 5000


@contextmanager
def endless(begin: bytes, more: bytes, every_s: float = 0.0) -> Iterator[int]:
    """Give the port of a server that answers every question without end."""
    over = threading.Event()

    def serve(sock: socket.socket) -> None:
        with sock, suppress(OSError):
            sock.recv(1 << 16)
            sock.sendall(begin)
            while not over.wait(every_s):
                sock.sendall(more)

    def accept(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                sock, _ = server.accept()
                threading.Thread(target=serve, args=(sock,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        threading.Thread(target=accept, args=(server,), daemon=True).start()
        try:
            yield int(server.getsockname()[1])
        finally:
            over.set()
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)


def given_up(ask: Callable[[], object], within_s: float) -> BaseException:
    """Return the error of a call that has to give up by itself."""
    errors: list[BaseException] = []

    def work() -> None:
        try:
            ask()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(within_s)
    assert not thread.is_alive(), "still waiting"
    return errors[0]
