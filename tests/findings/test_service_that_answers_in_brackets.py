"""The crash: a service whose /healthz is thousands of brackets ended the command that asked how it is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from marketplace.errors import UnreachableError
from marketplace.sdk.services import health_of


class Brackets(BaseHTTPRequestHandler):
    """Says `[[[[...`."""

    def do_GET(self) -> None:
        body = b"[" * 16_000
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Brackets)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_is_not_well_in_our_words(url):
    with pytest.raises(UnreachableError, match="not well"):
        health_of(url)
