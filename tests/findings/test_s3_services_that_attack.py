"""What an S3 service could write into its answers."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from marketplace.errors import MarketError
from marketplace.storage.base import (
    BlobUnreachableError,
    DishonestServerError,
    StorageError,
)
from marketplace.storage.patience import Patience
from marketplace.storage.s3 import S3Config, S3Store
from tests.fakes.endless_server import HURRIED, ONCE, PLAIN, endless, given_up
from tests.fakes.range_server import Asked, RangeServer

DATA = bytes(range(256)) * 400


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)


def s3_at(port: int, patience: Patience = ONCE) -> S3Store:
    store = S3Store(S3Config("blobs", "", f"http://127.0.0.1:{port}", "us-east-1"), patience)
    store.signed_url("s3://blobs/x", seconds=60)  # asks nobody; to load boto takes a second or two
    return store


@contextmanager
def answering(*answers: bytes) -> Iterator[int]:
    """Give the port of a server that gives these answers, the last one again and again."""
    left = list(answers)

    def accept(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                sock, _ = server.accept()
                with sock, suppress(OSError):
                    sock.settimeout(5)
                    sock.recv(1 << 20)
                    sock.sendall(left.pop(0) if len(left) > 1 else left[0])

    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        threading.Thread(target=accept, args=(server,), daemon=True).start()
        try:
            yield int(server.getsockname()[1])
        finally:
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)


def answer(body: bytes = b"", status: str = "200 OK", fields: str = "") -> bytes:
    length = "" if "ength" in fields else f"Content-Length: {len(body)}\r\n"
    return f"HTTP/1.1 {status}\r\n{length}{fields}Connection: close\r\n\r\n".encode() + body


XML = b'<?xml version="1.0"?>'
BOMB = (
    XML
    + b'<!DOCTYPE x [<!ENTITY a0 "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 10))
    + b"]><ListMultipartUploadsResult><Bucket>&a9;</Bucket></ListMultipartUploadsResult>"
)
OUTSIDE = (
    XML
    + b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/hostname">]><Error><Code>X</Code><Message>&f;</Message></Error>'
)


@pytest.mark.parametrize(
    "said",
    [
        answer(fields="Content-Length: abc\r\n"),
        answer(fields="ETag: x\r\nContent-Length: \r\n"),
        b"HTTP/1.1 200 OK\r\nETag: x\r\nConnection: close\r\n\r\n",
        answer(fields="Last-Modified: never\r\n"),
    ],
    ids=["no number", "empty", "none", "no date"],
)
@pytest.mark.parametrize("what", ["size", "holds"])
def test_a_head_without_what_it_must_have_is_a_fault_of_the_location(
    credentials: None, tmp_path: Path, said: bytes, what: str
) -> None:
    """Before: KeyError or ValueError went through everything; no other location was asked."""
    path = tmp_path / "x"
    path.write_bytes(b"")
    with answering(said) as port:
        store = s3_at(port)
        with pytest.raises(MarketError):
            store.size("s3://blobs/x") if what == "size" else store.holds("s3://blobs/x", path)


def parts_page(marker: int) -> bytes:
    return answer(
        XML + b"<ListPartsResult><IsTruncated>true</IsTruncated>"
        b"<NextPartNumberMarker>%d</NextPartNumberMarker></ListPartsResult>" % marker
    )


UPLOADS = answer(
    XML + b"<ListMultipartUploadsResult><Upload><Key>KEY</Key><UploadId>u</UploadId>"
    b"<Initiated>2026-01-01T00:00:00Z</Initiated></Upload></ListMultipartUploadsResult>"
)
ABSENT = answer(status="404 Not Found")
PUSHES = {
    "parts without end": [parts_page(5)],
    "parts that are no pages": [
        answer(XML + b"<ListPartsResult><IsTruncated>true</IsTruncated></ListPartsResult>")
    ],
    "no list": [answer(b"<<<")],
    "bomb": [answer(BOMB)],
    "outside": [answer(OUTSIDE, "400 Bad Request")],
}


@pytest.mark.parametrize("name", list(PUSHES))
def test_an_answer_that_leads_nowhere_ends_the_push(credentials: None, tmp_path: Path, name: str) -> None:
    """Before: parts that went on at the same part were asked for, and asked for, until somebody ended it."""
    path = tmp_path / "x"
    path.write_bytes(b"x" * 100)
    from marketplace.storage.pushing import file_sha256

    with open(path, "rb", buffering=0) as file:
        key = f"sha256/{file_sha256(file, 100, None)}".encode()
    first = UPLOADS.replace(b"KEY", key)
    first = answer(first.partition(b"\r\n\r\n")[2])
    with answering(ABSENT, first, *PUSHES[name]) as port:
        store = s3_at(port)
        error = given_up(lambda: store.push(path), 60)
    assert isinstance(error, MarketError)
    assert len(str(error)) < 1000


def test_a_service_whose_answer_has_no_end_fills_no_memory(credentials: None, tmp_path: Path) -> None:
    """Before: boto read the body to its end, which never came."""
    path = tmp_path / "x"
    path.write_bytes(b"x")
    head = b"HTTP/1.1 404 Not Found\r\nContent-Type: application/xml\r\n\r\n"
    with endless(head, b"<x>" * 20_000) as port:
        error = given_up(lambda: s3_at(port).delete("s3://blobs/x"), 60)
    assert isinstance(error, DishonestServerError)
    assert "at most" in str(error)


@pytest.mark.parametrize("begin", [PLAIN, b"HTTP/1.1 200 OK\r\nX-Slow: "], ids=["body", "head"])
def test_a_service_that_drips_is_given_up(credentials: None, begin: bytes) -> None:
    """Before: a byte now and then kept every call to the service waiting, for ever."""
    with endless(begin, b" ", 0.1) as port:
        store = s3_at(port, HURRIED)
        assert isinstance(given_up(lambda: store.delete("s3://blobs/x"), 60), BlobUnreachableError)


@pytest.mark.parametrize("status", ["400 Bad Request", "503 Slow Down"])
def test_what_a_service_says_is_one_short_line(credentials: None, status: str) -> None:
    """Before: its Code went into log and errors as it was, a megabyte with ends of lines in it."""
    code = b"Slow\nError: all is lost\x7f" + b"x" * 100_000
    body = XML + b"<Error><Code>" + code + b"</Code><Message>a\nb</Message></Error>"
    said = answer(body, status, "Retry-After: 31536000\r\n")
    with answering(said) as port, pytest.raises(StorageError) as caught:
        s3_at(port).delete("s3://blobs/x")
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


def test_a_signature_that_holds_no_longer_is_made_again(credentials: None) -> None:
    """Before: a machine that had slept was refused once, and dropped the location."""

    def once(asked: Asked) -> None:
        if asked.number == 2:
            return asked.answer(b"", status="403 Expired", content_length=0)
        asked.answer()

    with RangeServer(DATA, once) as server:
        store = s3_at(server.port)
        for _ in range(2):
            run = store.run("s3://blobs/x", 0, 100)
            buffer = bytearray(100)
            assert run.readinto(memoryview(buffer)) == 100 and bytes(buffer) == DATA[:100]
            run.close()
    with RangeServer(DATA, lambda asked: asked.answer(b"", status="403 No", content_length=0)) as server:
        with pytest.raises(DishonestServerError, match="403"):
            s3_at(server.port).run("s3://blobs/x", 0, 100)
        assert len(server.asked) == 2
