"""Byte ranges over HTTP: honest answers read, every other one refused with what was got and expected."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from marketplace.errors import BadInputError
from marketplace.storage.base import (
    BlobNotFoundError,
    BlobUnreachableError,
    DishonestServerError,
    StorageError,
    pieces,
)
from marketplace.storage.network import ForbiddenAddressError, NetworkPolicy
from marketplace.storage.patience import Patience
from marketplace.storage.ranges import Ranges
from marketplace.storage.web import WebStore
from tests.fakes.range_server import Asked, RangeServer, head

DATA = bytes(range(256)) * 4096
PATIENT = Patience(tries=2, first_pause_s=0.01)
"""For servers that answer, however late a busy machine wakes them."""
LOOPBACK = NetworkPolicy(dangerous_allow_loopback=True)


@pytest.fixture
def ranges() -> Iterator[Ranges]:
    with closing(Ranges(LOOPBACK, PATIENT)) as made:
        yield made


def fetch(ranges: Ranges, url: str, offset: int = 0, length: int = len(DATA)) -> bytes:
    return b"".join(pieces(ranges.run(url, offset, length, len(DATA)), length, url))


@pytest.mark.parametrize(("offset", "length"), [(0, len(DATA)), (0, 1), (5, 300_000), (len(DATA) - 1, 1)])
def test_reads_ranges_of_an_honest_server(ranges: Ranges, offset: int, length: int) -> None:
    with RangeServer(DATA) as server:
        assert ranges.size(server.url) == len(DATA)
        assert fetch(ranges, server.url, offset, length) == DATA[offset : offset + length]
        assert server.asked == [(0, 1), (offset, length)]


def test_keeps_a_connection_for_the_next_range(ranges: Ranges) -> None:
    sockets = set()

    def look(asked: Asked) -> None:
        sockets.add(asked.sock)
        asked.answer()

    with RangeServer(DATA, look) as server:
        for offset in range(5):
            fetch(ranges, server.url, offset, 1000)
    assert len(sockets) == 1


def test_reads_a_whole_blob_from_a_server_without_ranges(ranges: Ranges) -> None:
    def whole(asked: Asked) -> None:
        length = len(asked.server.data)
        asked.answer(asked.server.data, status="200 OK", content_range=None, content_length=length)

    with RangeServer(DATA, whole) as server:
        assert ranges.size(server.url) == len(DATA)
        assert fetch(ranges, server.url) == DATA
        with pytest.raises(DishonestServerError, match="range was ignored"):
            fetch(ranges, server.url, 1, 1000)


def test_reads_an_empty_blob() -> None:
    def nothing(asked: Asked) -> None:
        status = "416 Range Not Satisfiable"
        asked.answer(b"", status=status, content_range="bytes */0", content_length=0)

    with RangeServer(b"", nothing) as server, closing(Ranges(LOOPBACK, PATIENT)) as ranges:
        store = WebStore(ranges)
        assert store.size(server.url) == 0
        assert list(store.open(server.url)) == []


LIES = {
    "content-length is longer": lambda a: a.answer(content_length=a.length + 5),
    "content-length is shorter": lambda a: a.answer(content_length=a.length - 5),
    "content-length is missing": lambda a: a.answer(content_length=None),
    "content-length is no number": lambda a: a.answer(content_length="12x"),
    "content-length is negative": lambda a: a.answer(content_length=-5),
    "two content-lengths": lambda a: a.send(
        head(a).replace(b"\r\n\r\n", b"\r\ncontent-length: 7\r\n\r\n") + a.body
    ),
    "chunked": lambda a: a.answer(transfer_encoding="chunked"),
    "compressed": lambda a: a.answer(content_encoding="gzip"),
    "no content-range": lambda a: a.answer(content_range=None),
    "another range": lambda a: a.answer(content_range=f"bytes 0-{a.length - 1}/{len(DATA)}"),
    "another size": lambda a: a.answer(
        content_range=f"bytes {a.offset}-{a.offset + a.length - 1}/{len(DATA) + 1}"
    ),
    "a range beyond the size": lambda a: a.answer(content_range="bytes 9-4/2"),
    "status 200 with a part": lambda a: a.answer(status="200 OK", content_range=None),
    "status 204": lambda a: a.answer(b"", status="204 No Content", content_length=None),
    "status 401": lambda a: a.answer(b"", status="401 Unauthorized", content_length=0),
    "no HTTP": lambda a: a.send(b"220 mail.example.org ESMTP\r\n\r\n"),
    "a field without colon": lambda a: a.send(b"HTTP/1.1 206 ok\r\nnonsense\r\n\r\n"),
    "a folded field": lambda a: a.send(b"HTTP/1.1 206 ok\r\na: b\r\n c\r\n\r\n"),
    "many fields": lambda a: a.send(b"HTTP/1.1 206 ok\r\n" + b"a: b\r\n" * 200 + b"\r\n"),
    "an endless head": lambda a: a.send(b"HTTP/1.1 206 ok\r\nx: " + b"y" * 100_000),
    "endless redirects": lambda a: a.answer(b"", status="302 Found", location=a.server.url, content_length=0),
    "a redirect to no URL": lambda a: a.answer(
        b"", status="302 Found", location="http://[x", content_length=0
    ),
    "a redirect nowhere": lambda a: a.answer(b"", status="302 Found", content_length=0),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_refuses_answers_that_contradict_the_question(ranges: Ranges, lie: object) -> None:
    with RangeServer(DATA, lie) as server, pytest.raises(StorageError) as caught:  # type: ignore[arg-type]
        fetch(ranges, server.url, 1000, 5000)
    assert isinstance(caught.value, DishonestServerError | BlobUnreachableError)
    assert "got" in str(caught.value)
    assert "expected" in str(caught.value)
    assert str(server.port) in str(caught.value)
    assert caught.value.hint


def truncated(asked: Asked) -> str:
    asked.send(head(asked) + asked.body[:1000])
    return "close"


def stalled(asked: Asked) -> None:
    asked.send(head(asked) + asked.body[:1000])
    threading.Event().wait()


def dripping(asked: Asked) -> None:
    asked.send(head(asked))
    for byte in asked.body:
        asked.send(bytes([byte]))
        time.sleep(0.02)


def mute(asked: Asked) -> None:
    threading.Event().wait()


def dripping_head(asked: Asked) -> None:
    for byte in head(asked):
        asked.send(bytes([byte]))
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("behaviour", "short", "match"),
    [
        (truncated, {}, "got the end of the connection|got the end with 4000 bytes missing"),
        (stalled, {"stall_s": 0.2}, "got nothing for .* expected a byte now and then"),
        (
            dripping,
            {"window_s": 0.3, "slowest_bytes_s": 50_000},
            "bytes a second, expected at least 50000",
        ),
        (mute, {"answer_s": 0.3}, "got no answer, expected one in 0.3 s"),
        (dripping_head, {"answer_s": 0.3}, "got no answer, expected one in 0.3 s"),
    ],
)
def test_gives_up_on_servers_that_are_slow_or_stop(
    behaviour: object, short: dict[str, float], match: str
) -> None:
    """One limit is short at a time, so that no other can be the one that ended it."""
    how = replace(PATIENT, **short)  # type: ignore[arg-type]
    with (
        RangeServer(DATA, behaviour) as server,  # type: ignore[arg-type]
        closing(Ranges(LOOPBACK, how)) as ranges,
    ):
        with pytest.raises(BlobUnreachableError, match=match) as caught:
            fetch(ranges, server.url, 1000, 5000)
        assert caught.value.hint


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("404 Not Found", BlobNotFoundError),
        ("410 Gone", BlobNotFoundError),
        ("500 Oops", BlobUnreachableError),
        ("503 Busy", BlobUnreachableError),
        ("429 Too Many", BlobUnreachableError),
        ("403 Forbidden", DishonestServerError),
    ],
)
def test_says_what_a_status_means(ranges: Ranges, status: str, kind: type[StorageError]) -> None:
    with RangeServer(DATA, lambda a: a.answer(b"", status=status, content_length=0)) as server:
        with pytest.raises(kind, match=f"got status {status[:3]}"):
            ranges.size(server.url)
        assert WebStore(ranges).exists(server.url) is False if kind is BlobNotFoundError else True


def test_follows_redirects_and_remembers_them(ranges: Ranges) -> None:
    with RangeServer(DATA) as there:

        def elsewhere(asked: Asked) -> None:
            asked.answer(b"", status="307 Temporary", location=there.url, content_length=0)

        with RangeServer(DATA, elsewhere) as here:
            assert fetch(ranges, here.url, 10, 100) == DATA[10:110]
            assert fetch(ranges, here.url, 110, 100) == DATA[110:210]
            assert len(here.asked) == 1


def test_forgets_where_a_blob_had_moved_to_once_it_is_gone(ranges: Ranges) -> None:
    links = iter(("/old", "/new"))

    def server_of_links(asked: Asked) -> None:
        if asked.path == "/blob":
            asked.answer(b"", status="302 Found", location=next(links), content_length=0)
        elif asked.path == "/old" and asked.number > 2:
            asked.answer(b"", status="403 Expired", content_length=0)
        else:
            asked.answer()

    with RangeServer(DATA, server_of_links) as server:
        fetch(ranges, server.url, 0, 10)
        assert fetch(ranges, server.url, 0, 10) == DATA[:10]


def test_goes_nowhere_near_this_machine_unless_that_is_spelled_out() -> None:
    with RangeServer(DATA) as server:
        for policy in (NetworkPolicy(), NetworkPolicy(allowed=())):
            with pytest.raises(ForbiddenAddressError, match=r"127\.0\.0\.1"):
                Ranges(policy, PATIENT).size(server.url)
        assert server.asked == []


def test_refuses_a_redirect_into_a_private_network(ranges: Ranges) -> None:
    def inward(asked: Asked) -> None:
        asked.answer(b"", status="302 Found", location="http://10.0.0.1/admin", content_length=0)

    with RangeServer(DATA, inward) as server, pytest.raises(ForbiddenAddressError, match=r"10\.0\.0\.1"):
        ranges.size(server.url)


def test_connects_to_the_address_that_was_judged_and_looks_up_once() -> None:
    looked: list[str] = []

    def lookup(host: str, port: int) -> list[object]:
        looked.append(host)
        # The second answer would lead elsewhere: nobody may ask for it.
        return [(0, 0, 0, "", ("127.0.0.1" if len(looked) == 1 else "127.0.0.9", port))]

    with RangeServer(DATA) as server, closing(Ranges(LOOPBACK, PATIENT, lookup=lookup)) as ranges:
        assert ranges.size(f"http://models.example.org:{server.port}/blob") == len(DATA)
    assert looked == ["models.example.org"]


def test_plain_http_is_for_loopback_alone() -> None:
    def lookup(host: str, port: int) -> list[object]:
        return [(0, 0, 0, "", ("93.184.216.34", port))]

    with pytest.raises(ForbiddenAddressError, match="without TLS"):
        Ranges(LOOPBACK, PATIENT, lookup=lookup).size("http://example.org/blob")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x/y",
        "https://user:secret@host/",
        "https://",
        "http://[::1",
        "https://h:99999/",
        "https://h/a b",
    ],
)
def test_refuses_urls_that_it_does_not_speak(ranges: Ranges, url: str) -> None:
    with pytest.raises(BadInputError):
        ranges.size(url)


def test_names_no_secret_of_a_signed_url(ranges: Ranges) -> None:
    with RangeServer(DATA, lambda a: a.answer(b"", status="403 No", content_length=0)) as server:
        with pytest.raises(DishonestServerError) as caught:
            ranges.size(server.url + "?X-Amz-Signature=abcdef")
        assert "abcdef" not in str(caught.value)


def test_takes_no_blob(ranges: Ranges) -> None:
    with pytest.raises(StorageError, match="expected one to read"):
        WebStore(ranges).put([b"x"])
