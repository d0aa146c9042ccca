"""Nobody holds a connection for nothing (marketplace.service.connection)."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
import uvicorn

from enclave_runtime.wire.canonical import JsonObject
from marketplace.service import connection
from marketplace.service.connection import TimedH11
from marketplace.service.http import Answer, Shell
from marketplace.service.limits import RateLimit
from marketplace.service.logs import ServiceLog

LIMIT_S = 1.0
_PATIENCE_S = 60
"""Ends a test that hangs; no answer is that late."""


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    monkeypatch.setattr(connection, "HEAD_TIMEOUT_S", LIMIT_S)

    def slow(body: JsonObject) -> Answer:
        time.sleep(1.25 * LIMIT_S)
        return Answer(body)

    log, rate = ServiceLog("test", io.StringIO()), RateLimit(time.monotonic, per_minute=0)
    shell = Shell("test", health=dict, log=log, rate=rate, max_body_bytes=100)
    shell.post("/slow", slow)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        shell.app,
        loop="asyncio",
        http=TimedH11,
        lifespan="off",
        log_config=None,
        timeout_keep_alive=_PATIENCE_S,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    yield listener.getsockname()
    server.should_exit = True
    thread.join(_PATIENCE_S)


def ended(connected: socket.socket) -> bool:
    """Return whether the other side closes."""
    connected.settimeout(_PATIENCE_S)
    try:
        while connected.recv(4096):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("sent", [b"", b"POST /slow HTTP/1.1\r\nhost: x\r\n"])
def test_closes_a_connection_that_sends_no_whole_head(address: tuple[str, int], sent: bytes) -> None:
    with socket.create_connection(address) as connected:
        connected.sendall(sent)
        assert ended(connected)


def test_closes_a_connection_that_begins_a_second_request_and_stops(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as connected:
        connected.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert connected.recv(4096).startswith(b"HTTP/1.1 200")
        connected.sendall(b"GET /healthz HT")
        assert ended(connected)


def test_closes_a_connection_that_sends_on_after_it_was_refused(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as connected:
        connected.sendall(b"POST /slow HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n")
        assert connected.recv(4096).startswith(b"HTTP/1.1 413")
        connected.sendall(b"x")
        assert ended(connected)


def test_leaves_honest_requests_alone_however_long_the_answer_takes(address: tuple[str, int]) -> None:
    with httpx.Client(base_url=f"http://{address[0]}:{address[1]}") as client:
        for _ in range(2):
            assert client.post("/slow", json={"a": 1}).json() == {"a": 1}
            time.sleep(1.25 * LIMIT_S)  # idle between requests is the keep-alive's business
        assert client.get("/healthz").status_code == 200
