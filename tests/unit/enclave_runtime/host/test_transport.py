"""The CVM's door: whole frames answered, everything else answered and closed, nobody kept waiting."""

from __future__ import annotations

import socket
import struct
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from enclave_runtime.host.transport import Answer, Limits, Server
from enclave_runtime.wire import frames
from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.errors import EnclaveError
from tests.fakes.cvm_client import CvmClient

LIMITS = Limits(connections=2, frame_s=60, quiet_s=60)
HURRIED = Limits(connections=2, frame_s=0.4, quiet_s=60)
IMPATIENT = Limits(connections=2, frame_s=60, quiet_s=0.4)


def echo(header: JsonObject, body: memoryview) -> Answer:
    """Say what was heard, the body backwards."""
    return {"ok": True, "heard": header}, bytes(body)[::-1]


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="door-") as name:
        yield Path(name, "s")


@pytest.fixture
def server(path: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    """A door with long limits, or with those that the test names."""
    server = Server(path, echo, getattr(request, "param", LIMITS))
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    yield server
    server.close()
    thread.join(timeout=60)
    assert not thread.is_alive()


@pytest.fixture
def client(server: Server, path: Path) -> Iterator[CvmClient]:
    with CvmClient(path, timeout_s=60) as client:
        yield client


def raw(client: CvmClient) -> socket.socket:
    assert client._socket is not None
    return client._socket


def closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:  # closed before all that we sent was read
        return True


def test_answers_frame_after_frame_with_bodies(client: CvmClient) -> None:
    for number in range(3):
        answer, body = client.say("x", b"abc" * number, number=number)
        assert answer["heard"] == {"op": "x", "number": number}
        assert body == (b"abc" * number)[::-1]


def test_carries_the_largest_body(client: CvmClient) -> None:
    data = bytes(range(256)) * (frames.MAX_BODY_BYTES // 256)
    assert client.say("x", data)[1] == data[::-1]


def test_several_connections_at_once_and_no_more_than_the_limit(client: CvmClient, path: Path) -> None:
    with CvmClient(path, timeout_s=60) as second:
        second.ok("x")
        client.ok("x")
        with CvmClient(path, timeout_s=60) as third, pytest.raises(OSError):
            third.ok("x")
    with CvmClient(path, timeout_s=60) as again:
        again.ok("x")


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">II", 0, 0),
        struct.pack(">II", frames.MAX_HEADER_BYTES + 1, 0),
        struct.pack(">II", 2, frames.MAX_BODY_BYTES + 1) + b"{}",
        struct.pack(">II", 0xFFFFFFFF, 0xFFFFFFFF),
        struct.pack(">II", 2, 0) + b"[]",
        struct.pack(">II", 9, 0) + b'{"a": 1 }',
        struct.pack(">II", 7, 0) + b'{"a":1.',
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_malformed_frames_are_answered_and_closed(client: CvmClient, data: bytes) -> None:
    raw(client).sendall(data)
    answer, _ = client.receive()
    error: Any = answer["error"]
    assert (answer["ok"], error["kind"]) == (False, "bad-request")
    assert closed(raw(client))
    client.reconnect()
    client.ok("x")


@pytest.mark.parametrize("server", [HURRIED], indirect=True)
@pytest.mark.parametrize(
    "data",
    [b"\x00", b"\x00" * 7, struct.pack(">II", 9, 0) + b'{"op"', b"\x00\x00\x00\x02\x00\x00\x00\x09{}ab"],
)
def test_frame_that_stops_half_way_is_answered_in_time(client: CvmClient, data: bytes) -> None:
    raw(client).sendall(data)
    answer, _ = client.receive()
    assert answer["error"]["kind"] == "bad-request"
    assert closed(raw(client))


@pytest.mark.parametrize("server", [IMPATIENT], indirect=True)
def test_silent_connection_is_closed(client: CvmClient) -> None:
    client.ok("x")
    assert closed(raw(client))


def test_peer_that_leaves_takes_nothing_with_it(server: Server, path: Path) -> None:
    for _ in range(5):
        with CvmClient(path, timeout_s=60) as client:
            client.send("x", b"y" * 100_000)
    with CvmClient(path, timeout_s=60) as client:
        client.ok("x")


def test_socket_is_for_its_user_alone_and_goes_with_the_server(server: Server, path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    server.close()
    assert not path.exists()


def test_takes_over_a_dead_socket_and_nothing_else(path: Path) -> None:
    Server(path, echo, LIMITS)  # never closed
    Server(path, echo, LIMITS).close()
    path.write_text("mine")
    with pytest.raises(EnclaveError):
        Server(path, echo, LIMITS)
    assert path.read_text() == "mine"
