"""What a store could do to whoever reads from it: hang it, fill its memory, lead it inside.

Each test says what happened before. The servers are sockets; waiting is done by a clock of the test's own
wherever that is possible.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from marketplace.errors import BadInputError, MarketError
from marketplace.storage import ranges as ranges_module
from marketplace.storage.base import (
    BlobCorruptError,
    BlobUnreachableError,
    DishonestServerError,
    StorageError,
)
from marketplace.storage.cid import DAG_PB, RAW, Cid
from marketplace.storage.httphead import Target
from marketplace.storage.ipfs import IpfsStore
from marketplace.storage.kubo import Kubo
from marketplace.storage.local import LocalStore
from marketplace.storage.network import ForbiddenAddressError, NetworkPolicy
from marketplace.storage.partial import PartialFile
from marketplace.storage.patience import Patience, Shell
from marketplace.storage.ranges import Ranges
from marketplace.storage.s3 import S3Config, S3Store
from marketplace.storage.transfer import transfer
from marketplace.storage.unixfs import Link, _encode
from marketplace.storage.web import WebStore
from tests.fakes.range_server import Asked, RangeServer
from tests.fakes.sealed_blob import sealed_blob

ONCE = Patience(tries=1)
HURRIED = Patience(tries=1, connect_s=0.5, answer_s=0.5, stall_s=0.5, window_s=1.0)
DATA = bytes(range(256)) * 400
OPEN = NetworkPolicy(dangerous_allow_loopback=True)


# ---- https: where a blob has moved to


def moved(asked: Asked, to: str) -> None:
    asked.answer(b"", status="302 Found", location=to, content_length=0)


def read(ranges: Ranges, url: str, offset: int = 0, length: int = 100) -> bytes:
    with closing(ranges.run(url, offset, length, len(DATA))) as run:
        buffer, filled = memoryview(bytearray(length)), 0
        while got := run.readinto(buffer[filled:]):
            filled += got
    return bytes(buffer[:filled])


def test_a_signed_link_that_ends_in_the_middle_is_asked_for_anew(tmp_path: Path) -> None:
    """Before: the first 403 dropped the location, and the whole download ended without one."""
    blob = sealed_blob(40 * 1024, 1024)
    given: list[int] = []

    def links(asked: Asked) -> None:
        if asked.path == "/blob":
            given.append(0)
            return moved(asked, f"/signed?until={len(given) - 1}")
        link = int(asked.path.rpartition("=")[2])
        given[link] += 1
        if given[link] > 3:
            return asked.answer(b"", status="403 Expired", content_length=0)
        asked.answer()

    with RangeServer(blob.stream, links) as server:
        web = WebStore(Ranges(OPEN, ONCE))
        partial = PartialFile(tmp_path / "x", blob.info)
        with closing(partial):
            done = transfer(
                [server.url], lambda _: web, blob.info, partial, run_bytes=2048, connections=1, patience=ONCE
            )
            assert not done.faults and not list(partial.missing())
    assert len(given) > 4


@pytest.mark.parametrize(
    "bad", ["file:///etc/passwd", "http://10.0.0.1/x", "gopher://x/y", "http://[::1/x", "/loop"]
)
def test_a_redirect_to_nowhere_is_forgotten(bad: str) -> None:
    """Before: where it led was kept for the life of the agent, however right the server's next answer was."""
    answers = iter([bad])

    def once(asked: Asked) -> None:
        if asked.path == "/loop":
            return moved(asked, "/loop")
        to = next(answers, None)
        moved(asked, to) if to else asked.answer()

    with RangeServer(DATA, once) as server, closing(Ranges(OPEN, ONCE)) as ranges:
        with pytest.raises((StorageError, BadInputError)):
            read(ranges, server.url)
        assert read(ranges, server.url) == DATA[:100]


def test_a_mirror_that_died_is_not_asked_for_ever() -> None:
    """Before: the mirror of the first redirect was asked for good, whatever the server would have said."""
    with RangeServer(DATA) as alive, RangeServer(DATA) as dying:
        mirrors = iter([dying.url, alive.url])
        with (
            RangeServer(DATA, lambda asked: moved(asked, next(mirrors))) as server,
            closing(Ranges(OPEN, ONCE)) as ranges,
        ):
            assert read(ranges, server.url) == DATA[:100]
            dying.__exit__(None, None, None)
            with pytest.raises(BlobUnreachableError):
                read(ranges, server.url)
            assert read(ranges, server.url) == DATA[:100]


def test_a_server_of_ones_own_leads_no_further_inside() -> None:
    """Before: what the S3 endpoint in the settings redirected to was fetched, wherever that was."""
    inside: list[Asked] = []
    with RangeServer(DATA, lambda asked: (inside.append(asked), asked.answer())) as secret:
        with (
            RangeServer(DATA, lambda asked: moved(asked, secret.url)) as server,
            closing(Ranges(NetworkPolicy(anywhere=True), ONCE)) as ranges,
            pytest.raises(ForbiddenAddressError),
        ):
            read(ranges, server.url)
        assert not inside
        with (
            RangeServer(
                DATA, lambda asked: asked.answer() if asked.path == "/here" else moved(asked, "/here")
            ) as server,
            closing(Ranges(NetworkPolicy(anywhere=True), ONCE)) as ranges,
        ):
            assert read(ranges, server.url) == DATA[:100]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/blob?X-Amz-Signature=hidden",
        "https://me:hidden@host/blob",
        "https://host:x/blob?hidden",
        "https://[::1/blob?hidden",
    ],
)
def test_a_location_that_is_refused_is_shown_without_its_secrets(url: str) -> None:
    """Before: the error had the first hundred signs of it, passwords and signatures among them."""
    with pytest.raises(BadInputError) as caught:
        Target.of(url)
    assert "hidden" not in str(caught.value)


def test_many_servers_leave_few_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before: each server that was ever asked kept its connections, until no descriptor was left."""
    monkeypatch.setattr(ranges_module, "_MAX_IDLE", 5)
    with closing(Ranges(OPEN, ONCE)) as ranges:
        servers = [RangeServer(DATA) for _ in range(12)]
        for server in servers:
            with server:
                assert read(ranges, server.url) == DATA[:100]
        assert sum(map(len, ranges._idle.values())) == 5
        with RangeServer(DATA) as server:
            for _ in range(3):
                read(ranges, server.url)
            assert sum(map(len, ranges._idle.values())) == 5


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_server_that_breaks_off_after_every_segment_is_dropped(tmp_path: Path) -> None:
    """Before: each segment of 1 KiB forgave the breaks before it, so 50 bytes a second were good for ever."""
    blob, clock = sealed_blob(300 * 1024, 1024), Clock()

    def drip(asked: Asked) -> str:
        if 32 <= asked.offset < blob.info.layout.index_offset:
            clock.now += 15
            asked.answer(asked.body[:1040])
            return "close"
        asked.answer()
        return "open"

    shell = Shell(lambda: clock.now, clock.sleep, os.urandom, lambda _: None)
    how = Patience()
    with RangeServer(blob.stream, drip) as slow, RangeServer(blob.stream) as good:
        web = WebStore(Ranges(OPEN, how, shell))
        partial = PartialFile(tmp_path / "x", blob.info)
        with closing(partial):
            done = transfer(
                [slow.url, good.url],
                lambda _: web,
                blob.info,
                partial,
                connections=1,
                patience=how,
                shell=shell,
            )
            assert not list(partial.missing())
    ((uri, why),) = done.faults
    assert uri == slow.url and "bytes a second" in why
    assert clock.now < 400


# ---- ipfs: trees and nodes that have no end


class MemoryNode(Kubo):
    """A node of some blocks."""

    def __init__(self, blocks: dict[Cid, bytes]) -> None:
        super().__init__("http://127.0.0.1:9", ONCE)
        self.blocks = blocks
        self.asked = 0

    def block(self, cid: Cid) -> bytes:
        self.asked += 1
        assert self.asked < 1000, "it goes on for ever"
        return self.blocks[cid]


def test_a_tree_of_nothing_is_not_walked() -> None:
    """Before: a root over 10^12 nodes without a byte kept its reader busy for good, and never stalled."""
    blocks: dict[Cid, bytes] = {}

    def add(links: list[Link]) -> Link:
        block = _encode(links)
        cid = Cid.of(DAG_PB, block)
        blocks[cid] = block
        return Link(cid, sum(link.content_bytes for link in links), len(block))

    empty = Link(Cid.of(RAW, b""), 0, 0)
    nothing = add([empty] * 1000)
    for _ in range(3):
        nothing = add([nothing] * 1000)
    leaf = Link(Cid.of(RAW, b"x" * 100), 100, 100)
    wrapped = b"\x0a\x68\x08\x02\x12\x64" + b"y" * 100
    cid = Cid.of(DAG_PB, wrapped)
    blocks[cid] = wrapped
    root = add([Link(cid, 100, 106), *[nothing] * 1000, empty, Link(cid, 100, 106)])
    store = IpfsStore("http://127.0.0.1:9", ONCE)
    store.node = MemoryNode(blocks)
    assert leaf.content_bytes == 100
    assert b"".join(store.open(f"ipfs://{root.cid}")) == b"y" * 200


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


NODE_ASKS: dict[str, Callable[[Kubo], Any]] = {
    "stat": lambda node: node.has_block(Cid.of(RAW, b"")),
    "get": lambda node: node.block(Cid.of(RAW, b"")),
    "keeps": lambda node: node.keeps(Cid.of(RAW, b"")),
    "put": lambda node: node.put_blocks(RAW, [(Cid.of(RAW, b"x"), b"x")]),
    "call": lambda node: node.call("swarm/peers"),
    "pin": lambda node: node.pin(Cid.of(RAW, b"")),
}
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
REFUSED = b"HTTP/1.1 500 No\r\nContent-Type: application/json\r\n\r\n"
LINE = b'{"Key":"x"}\n' * 5000


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


@pytest.mark.parametrize("begin", [PLAIN, CHUNKS, REFUSED], ids=["plain", "chunks", "refused"])
@pytest.mark.parametrize("name", ["stat", "get", "keeps", "put", "call"])
def test_a_node_whose_answer_has_no_end_fills_no_memory(name: str, begin: bytes) -> None:
    """Before: lines of JSON were collected for as long as the node sent them."""
    more = b"%x\r\n%s\r\n" % (len(LINE), LINE) if begin is CHUNKS else LINE
    with endless(begin, more) as port:
        node = Kubo(f"http://127.0.0.1:{port}", ONCE)
        began = time.monotonic()
        error: BaseException | None = None
        if name in ("stat", "keeps") and begin is REFUSED:
            assert not NODE_ASKS[name](node)
        else:
            error = given_up(lambda: NODE_ASKS[name](node), 60)
            assert isinstance(error, MarketError)
        assert time.monotonic() - began < 60


@pytest.mark.parametrize("begin", [PLAIN, b"HTTP/1.1 200 OK\r\nX-Slow: "], ids=["body", "head"])
@pytest.mark.parametrize("name", list(NODE_ASKS))
def test_a_node_that_drips_is_given_up(name: str, begin: bytes) -> None:
    """Before: a byte now and then kept every call to the node waiting, for ever."""
    with endless(begin, b" ", 0.1) as port:
        node = Kubo(f"http://127.0.0.1:{port}", HURRIED)
        assert isinstance(given_up(lambda: NODE_ASKS[name](node), 60), BlobUnreachableError)


# ---- s3: what a service writes into its answers


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


# ---- file: what lies under a blob's name


def pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


def link_to_pipe(path: Path, outside: Path) -> None:
    os.mkfifo(outside)
    path.symlink_to(outside)


def link_to_file(path: Path, outside: Path) -> None:
    outside.write_bytes(DATA)
    path.symlink_to(outside)


def link_to_itself(path: Path, _: Path) -> None:
    path.symlink_to(path)


def device(path: Path, _: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("put", [pipe, link_to_pipe, link_to_file, link_to_itself, device])
def test_what_is_no_file_is_not_opened(tmp_path: Path, put: Callable[[Path, Path], None]) -> None:
    """Before: a pipe under a blob's name kept its reader waiting for ever; links led out of the store."""
    store = LocalStore(tmp_path / "store")
    source = tmp_path / "source"
    source.write_bytes(DATA)
    uri = store.push(source)
    (blob,) = (tmp_path / "store" / "sha256").glob("*/*")
    blob.unlink()
    put(blob, tmp_path / "outside")
    for ask in (store.size, lambda uri: store.run(uri, 0, 1), lambda uri: list(store.open(uri))):
        error = given_up(lambda ask=ask: ask(uri), 20)  # type: ignore[misc]
        assert isinstance(error, BlobCorruptError)
    assert not store.holds(uri, source)
    assert store.push(source) == uri
    assert b"".join(store.open(uri)) == DATA and not blob.is_symlink()


def test_a_pipe_among_what_is_on_its_way_stops_no_store(tmp_path: Path) -> None:
    """Before: opening the store waited for somebody to write into the pipe."""
    LocalStore(tmp_path / "store")
    os.mkfifo(tmp_path / "store" / "incoming" / "x")
    (tmp_path / "store" / "incoming" / "y").symlink_to(tmp_path / "nowhere")
    opened: list[LocalStore] = []
    thread = threading.Thread(target=lambda: opened.append(LocalStore(tmp_path / "store")), daemon=True)
    thread.start()
    thread.join(20)
    assert opened
