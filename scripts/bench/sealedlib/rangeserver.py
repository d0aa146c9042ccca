"""A web server of one file with byte ranges, in a process of its own: what downloads are measured against.

usage: python rangeserver.py FILE copy|sendfile [BYTES_PER_S]     prints its port

`copy` reads and sends, as servers that do more than serve files do; `sendfile` leaves both to the kernel, as
the leanest ones do. BYTES_PER_S paces all connections together, as a network does.
"""

from __future__ import annotations

import os
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

PIECE = 256 << 10


class Link:
    """Lets so many bytes a second pass, all connections together; None lets all pass."""

    def __init__(self, bytes_s: float | None) -> None:
        self._bytes_s = bytes_s
        self._free_at = time.monotonic()
        self._lock = threading.Lock()

    def take(self, count: int) -> None:
        """Wait until `count` more bytes may go."""
        if self._bytes_s is None:
            return
        with self._lock:
            now = time.monotonic()
            # At most 2 ms are made up for: a link has hardly any memory of its idle times.
            self._free_at = max(self._free_at, now - 0.002) + count / self._bytes_s
            wait = self._free_at - now
        if wait > 0:
            time.sleep(wait)


def main() -> None:
    """Serve until killed."""
    descriptor = os.open(sys.argv[1], os.O_RDONLY)
    link = Link(float(sys.argv[3]) if len(sys.argv) > 3 else None)
    server = socket.create_server(("127.0.0.1", 0), backlog=64)
    print(server.getsockname()[1], flush=True)
    while True:
        sock, _ = server.accept()
        arguments = (sock, descriptor, sys.argv[2] == "sendfile", link)
        threading.Thread(target=serve, args=arguments, daemon=True).start()


def questions(sock: socket.socket) -> Iterator[bytes]:
    """Give the heads of the questions that come over a connection, until the other side has no more."""
    pending = b""
    while True:
        while b"\r\n\r\n" not in pending:
            data = sock.recv(65536)
            if not data:
                return
            pending += data
        question, _, pending = pending.partition(b"\r\n\r\n")
        yield question


def range_of(question: bytes) -> tuple[int, int] | None:
    """Return first and last byte that a question names, None where it names no range."""
    found = re.search(rb"(?i)\r\nrange: bytes=(\d+)-(\d+)", question)
    return (int(found[1]), int(found[2])) if found else None


def serve(sock: socket.socket, descriptor: int, lean: bool, link: Link) -> None:
    """Answer the questions of one connection."""
    size = os.fstat(descriptor).st_size
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with suppress(OSError), sock:
        for question in questions(sock):
            named = range_of(question)
            first, last = (named[0], min(named[1], size - 1)) if named else (0, size - 1)
            status = "206 Partial Content" if named else "200 OK"
            extra = f"Content-Range: bytes {first}-{last}/{size}\r\n" if named else ""
            head = f"HTTP/1.1 {status}\r\nContent-Length: {last - first + 1}\r\n{extra}\r\n"
            sock.sendall(head.encode())
            send(sock, descriptor, first, last + 1, lean, link)


def send(sock: socket.socket, descriptor: int, at: int, end: int, lean: bool, link: Link) -> None:
    """Send a part of the file."""
    while at < end:
        count = min(PIECE, end - at)
        link.take(count)
        if lean:
            at += os.sendfile(sock.fileno(), descriptor, at, count)
        else:
            data = os.pread(descriptor, count, at)
            sock.sendall(data)
            at += len(data)


if __name__ == "__main__":
    main()
