"""A certifier behind a proxy that compresses was no certifier; one that drips kept the command for hours.

Answers are read as they are sent, so compressed ones were no JSON; and only silence had a limit.
"""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from marketplace.errors import UnreachableError
from marketplace.sdk.services import answer_of

_BODY = json.dumps({"ok": True}).encode()
Serve = Callable[[type[BaseHTTPRequestHandler]], str]


class Compressing(BaseHTTPRequestHandler):
    """Compresses for whoever takes it."""

    def do_GET(self) -> None:
        taken = "gzip" in self.headers.get("Accept-Encoding", "")
        body = gzip.compress(_BODY) if taken else _BODY
        self.send_response(200)
        if taken:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


class Dripping(BaseHTTPRequestHandler):
    """Never silent for long, never done."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.05)
        except OSError:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers = []

    def start(handler: type[BaseHTTPRequestHandler]) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_compressing_proxy_is_asked_not_to(serve: Serve) -> None:
    status, value, size = answer_of("GET", serve(Compressing), named="it", limit=99, timeout_s=60, hint="")
    assert (status, value, size) == (200, {"ok": True}, len(_BODY))


def test_an_answer_without_end_is_left(serve: Serve) -> None:
    with pytest.raises(UnreachableError, match="not done after 5 s"):
        answer_of("GET", serve(Dripping), named="it", limit=1 << 20, timeout_s=5, hint="")
