"""The defect: a server that takes a connection and says nothing was waited for for minutes, without a line.

IPFS took 134 s, S3 164 s, https 42 s: each with time-outs and attempts of its own. Now one policy bounds them
all (`Patience.silent_s`), and each further attempt is told. Here with a ninth of the patience, and
attempts so short that a busy machine, where the first one ends late, still has time for the next.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx  # loaded here, so that no attempt has to
import ipfshttpclient
import pytest

from marketplace.storage.base import BlobStore, BlobUnreachableError
from marketplace.storage.ipfs import IpfsStore
from marketplace.storage.network import NetworkPolicy
from marketplace.storage.patience import SILENT_S, SYSTEM, Patience, Shell, Tries
from marketplace.storage.places import NoLocationError, Places
from marketplace.storage.ranges import Ranges
from marketplace.storage.s3 import S3Config, S3Store
from marketplace.storage.source import StoreSource
from marketplace.storage.web import WebStore
from tests.fakes.range_server import Asked, RangeServer

_LOADED = (httpx, ipfshttpclient)
_SHORT = replace(Patience.of(SILENT_S / 9), answer_s=1.0, stall_s=1.0)
_LONGEST_S = 3 * _SHORT.silent_s
"""A busy machine is late; without the policy it was four times as long, and for some stores minutes."""


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server whose connections the system takes, and nobody reads."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=64)) as server:
        yield int(server.getsockname()[1])


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")


class Heard:
    """A shell that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.shell = replace(SYSTEM, tell=self.lines.append)


def web_of(port: int, shell: Shell) -> WebStore:
    return WebStore(Ranges(NetworkPolicy(dangerous_allow_loopback=True), _SHORT, shell))


def look(scheme: str) -> Callable[[BlobStore, int, Path, Shell], object]:
    def ask(store: BlobStore, port: int, path: Path, shell: Shell) -> object:
        return Places([f"{scheme}://127.0.0.1:{port}/x"], lambda _: store, 1, _SHORT, shell).current()

    return ask


def s3_of(port: int, shell: Shell) -> BlobStore:
    store = S3Store(S3Config("blobs", "", f"http://127.0.0.1:{port}", "us-east-1"), _SHORT, shell)
    store.signed_url("s3://blobs/x", seconds=60)  # asks nobody; to load boto takes a second or two
    return store


def ipfs_of(port: int, shell: Shell) -> BlobStore:
    return IpfsStore(f"http://127.0.0.1:{port}", _SHORT, shell)


Ask = Callable[[BlobStore, int, Path, Shell], object]
ASKS: dict[str, tuple[Callable[[int, Shell], BlobStore], Ask]] = {
    "https": (web_of, look("https")),
    "http": (web_of, look("http")),
    "s3 push": (s3_of, lambda store, port, path, shell: store.push(path)),
    "s3 size": (s3_of, lambda store, port, path, shell: store.size("s3://blobs/x")),
    "ipfs push": (ipfs_of, lambda store, port, path, shell: store.push(path)),
    "ipfs put": (ipfs_of, lambda store, port, path, shell: store.put([b"small"])),
}


@pytest.mark.parametrize("name", list(ASKS))
def test_is_given_up_in_time_and_told(silent: int, tmp_path: Path, name: str) -> None:
    path, heard = tmp_path / "file", Heard()
    path.write_bytes(bytes(3 << 20))
    make, ask = ASKS[name]
    store = make(silent, heard.shell)
    begun = time.monotonic()
    with pytest.raises((BlobUnreachableError, NoLocationError), match="expected") as caught:
        ask(store, silent, path, heard.shell)
    took = time.monotonic() - begun
    assert took < _LONGEST_S
    assert caught.value.hint
    assert len(heard.lines) >= 1
    assert all("asked again (" in line and "got " in line for line in heard.lines)


def test_one_that_falls_silent_half_way_is_given_up_as_well(tmp_path: Path) -> None:
    data, heard = bytes(100_000), Heard()

    def stops(asked: Asked) -> None:
        if asked.length == 1:
            return asked.answer()
        if not asked.offset:
            asked.answer(asked.body[: len(asked.body) // 2])
        time.sleep(SILENT_S)

    with RangeServer(data, stops) as server:
        store = web_of(server.port, heard.shell)
        source = StoreSource([server.url], lambda _: store, len(data), patience=_SHORT, shell=heard.shell)
        begun = time.monotonic()
        with pytest.raises(NoLocationError):
            source.read_at(0, memoryview(bytearray(len(data))))
    # What came first is no silence: the policy's time begins once it stalled.
    assert time.monotonic() - begun < _LONGEST_S + _SHORT.stall_s
    assert heard.lines


def test_attempts_end_with_the_time_or_with_their_number() -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    shell = Shell(lambda: now[0], sleep, lambda count: b"\xff" * count, lambda line: None)

    def attempts(each_s: float, patience: Patience) -> tuple[int, float]:
        now[0] = 0.0
        tries, made = Tries(patience, shell), 1
        now[0] += each_s
        while tries.again(BlobUnreachableError("x: got nothing, expected an answer")):
            made += 1
            now[0] += each_s
        return made, now[0]

    assert attempts(0.0, Patience())[0] == 4
    assert attempts(10.0, Patience())[0] == 4
    made, took = attempts(20.0, Patience())
    assert made == 2
    assert took < SILENT_S
    made, took = attempts(30.0, Patience())
    assert (made, took) == (1, 30.0)
    for seconds in (5.0, 45.0, 600.0):
        how = Patience.of(seconds)
        assert attempts(how.answer_s, how)[1] <= seconds
        assert how.silent_s == seconds
