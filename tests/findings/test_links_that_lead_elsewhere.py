"""What a web server could do to whoever reads from it: lead it inside, lose it, hang it."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from marketplace.errors import BadInputError
from marketplace.storage import ranges as ranges_module
from marketplace.storage.base import (
    BlobUnreachableError,
    StorageError,
)
from marketplace.storage.httphead import Target
from marketplace.storage.network import ForbiddenAddressError, NetworkPolicy
from marketplace.storage.partial import PartialFile
from marketplace.storage.patience import Patience, Shell
from marketplace.storage.ranges import Ranges
from marketplace.storage.transfer import transfer
from marketplace.storage.web import WebStore
from tests.fakes.endless_server import ONCE
from tests.fakes.range_server import Asked, RangeServer
from tests.fakes.sealed_blob import sealed_blob

DATA = bytes(range(256)) * 400
OPEN = NetworkPolicy(dangerous_allow_loopback=True)


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
