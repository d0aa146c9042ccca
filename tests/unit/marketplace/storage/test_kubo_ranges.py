"""A file's bytes out of a node that is not what it should be: refused in words, and no connection stays."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import pytest

from marketplace.storage.base import (
    BlobNotFoundError,
    BlobUnreachableError,
    DishonestServerError,
    StorageError,
)
from marketplace.storage.cid import RAW, Cid
from marketplace.storage.kubo import Kubo
from marketplace.storage.patience import Patience

CID = Cid.of(RAW, b"0123456789")
ONCE = Patience(tries=1)


@contextmanager
def node(answer: bytes) -> Iterator[tuple[Kubo, list[bytes]]]:
    """Give a client of a node that gives one answer, and what it was asked."""
    asked: list[bytes] = []

    def serve() -> None:
        sock, _ = server.accept()
        with sock:
            asked.append(sock.recv(65536))
            with suppress(OSError):  # a client that has enough may be gone: reset, or no longer connected
                sock.sendall(answer)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass  # until the client closes, which it must
            asked.append(b"closed")

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        thread = threading.Thread(target=serve)
        thread.start()
        with closing(Kubo(f"http://127.0.0.1:{server.getsockname()[1]}", ONCE)) as kubo:
            yield kubo, asked
        thread.join(60)
        assert asked[1:] == [b"closed"]


def read(kubo: Kubo, length: int) -> bytes:
    buffer = memoryview(bytearray(length))
    filled = 0
    with closing(kubo.cat(CID, 3, length)) as run:
        while filled < length and (got := run.readinto(buffer[filled:])):
            filled += got
    return bytes(buffer[:filled])


@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1"])
def test_asks_for_plain_bytes_and_takes_as_many_as_it_asked_for(version: bytes) -> None:
    with node(version + b" 200 OK\r\nX-Chunked-Output: 1\r\n\r\n3456789") as (kubo, asked):
        assert read(kubo, 5) == b"34567"
    first, *_ = asked[0].split(b"\r\n")
    assert first == f"POST /api/v0/cat?arg={CID}&offset=3&length=5 HTTP/1.0".encode()


def test_bytes_that_end_early_are_no_answer() -> None:
    with (
        node(b"HTTP/1.0 200 OK\r\n\r\n34") as (kubo, _),
        pytest.raises(BlobUnreachableError, match="missing"),
    ):
        read(kubo, 5)


def test_chunks_are_refused_not_read_as_bytes() -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n34567\r\n0\r\n\r\n"
    with node(answer) as (kubo, _), pytest.raises(DishonestServerError, match="in chunks") as caught:
        read(kubo, 5)
    assert "api" in caught.value.hint


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b'{"Message":"block was not found locally"}', BlobNotFoundError),
        (b'{"Message":"context deadline exceeded"}', BlobUnreachableError),
        (b"<html>" + b"x" * 100_000, BlobUnreachableError),
        (b"", BlobUnreachableError),
    ],
    ids=["absent", "late", "a page", "nothing"],
)
def test_what_the_node_says_is_passed_on(said: bytes, error: type[StorageError]) -> None:
    with (
        node(b"HTTP/1.0 500 Internal Server Error\r\n\r\n" + said) as (kubo, _),
        pytest.raises(error) as caught,
    ):
        read(kubo, 5)
    assert said[12:30].decode() in str(caught.value)
    assert len(str(caught.value)) < 500
