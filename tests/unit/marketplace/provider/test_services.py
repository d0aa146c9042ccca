"""Certifiers and brokers may answer anything: it is an answer, a refusal, or one error that names them."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from marketplace.errors import UnreachableError
from marketplace.provider.services import ServiceRefusedError, Services

CHALLENGE = "0x" + "5a" * 32


class Stranger(HTTPServer):
    """A service that gives the same answer to everything, and remembers what it was asked."""

    status, body, headers = 200, b"{}", ()  # type: tuple[int, bytes, tuple[tuple[str, str], ...]]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, str, Any]] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def says(self, value: object, status: int = 200, *headers: tuple[str, str]) -> None:
        """Set the answer: bytes as they are, anything else as JSON."""
        self.body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.status, self.headers = status, headers


class _Handler(BaseHTTPRequestHandler):
    server: Stranger

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        size = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(size)) if size else None
        self.server.asked.append((self.command, self.path, body))
        self.send_response(self.server.status)
        for name, value in self.server.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    server = Stranger()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(60)


@pytest.fixture(scope="module")
def services() -> Services:
    return Services(certifier_s=60, broker_s=60)


def test_a_certifier_is_asked_in_two_calls(stranger: Stranger, services: Services) -> None:
    stranger.says({"challenge": CHALLENGE, "expires_at": 1})
    assert services.certifier_challenge(stranger.url, "0xaa") == b"\x5a" * 32
    stranger.says({"certificate": {"a": 1}, "signature": "0x11"})
    given = services.certify(stranger.url, "0xaa", {"quote": "0x"})
    assert (given.certificate, given.signature) == ({"a": 1}, "0x11")
    assert stranger.asked == [
        ("POST", "/v1/challenge", {"operator": "0xaa"}),
        ("POST", "/v1/certify", {"bundle": {"quote": "0x"}, "operator": "0xaa"}),
    ]


def test_a_grant_is_carried_byte_for_byte(stranger: Stranger, services: Services) -> None:
    stranger.says({"challenge": CHALLENGE})
    assert services.broker_challenge(stranger.url) == b"\x5a" * 32
    stranger.says({"grant": '{"b":1, "a":2}'})
    assert services.release(stranger.url, {"order": 1}) == b'{"b":1, "a":2}'
    stranger.says({"pending": "0123"}, 202)
    assert services.release(stranger.url, {"order": 1}) is None


def test_a_refusal_keeps_its_step(stranger: Stranger, services: Services) -> None:
    stranger.says({"refusal": {"step": "release.engine", "got": "0x01", "expected": "0x02"}}, 403)
    with pytest.raises(ServiceRefusedError, match=r"refused at release\.engine: got 0x01") as caught:
        services.release(stranger.url, {})
    assert (caught.value.step, caught.value.got, caught.value.expected) == ("release.engine", "0x01", "0x02")


def test_a_strangers_words_are_short_and_move_no_cursor(stranger: Stranger, services: Services) -> None:
    stranger.says({"refusal": {"step": "\x1b[2Jx\n", "got": "y" * 100_000, "expected": ["z"]}}, 403)
    with pytest.raises(ServiceRefusedError) as caught:
        services.release(stranger.url, {})
    assert caught.value.step == "?[2Jx?"
    assert len(str(caught.value)) < 1000


NONSENSE = [
    b"",
    b"not json",
    b"[" * 100_000,
    b"[1, 2]",
    b'"text"',
    b"\xff\xfe",
    gzip.compress(b"{}"),
    b"9" * 5000,
    {"challenge": 5},
    {"challenge": "5a" * 32},
    {"challenge": "0x5a"},
    {"certificate": 1, "signature": "0x"},
    {"certificate": {}},
    {"grant": ["a"]},
    {"grant": "\ud800"},
    {"grant": "ä"},
    {"refusal": "no"},
]


@pytest.mark.parametrize("status", [200, 403, 500, 302])
@pytest.mark.parametrize("answer", NONSENSE, ids=range(len(NONSENSE)))
def test_nonsense_is_no_answer_and_no_crash(
    stranger: Stranger, services: Services, answer: object, status: int
) -> None:
    stranger.says(answer, status)
    calls = (
        lambda: services.certifier_challenge(stranger.url, "0xaa"),
        lambda: services.certify(stranger.url, "0xaa", {}),
        lambda: services.broker_challenge(stranger.url),
        lambda: services.release(stranger.url, {}),
    )
    for call in calls:
        with pytest.raises(UnreachableError, match=stranger.url):
            call()


def test_an_answer_above_the_limit_is_given_up(stranger: Stranger, services: Services) -> None:
    stranger.says({"grant": "a" * (1 << 20)})
    with pytest.raises(UnreachableError, match="got more than 1048576 bytes"):
        services.release(stranger.url, {})


def test_compressed_bytes_stay_compressed(stranger: Stranger, services: Services) -> None:
    """64 KiB could become 64 MiB before anybody counts them."""
    stranger.says(gzip.compress(bytes(1 << 24)), 200, ("Content-Encoding", "gzip"))
    with pytest.raises(UnreachableError, match="no JSON"):
        services.release(stranger.url, {})


def test_a_redirect_is_not_followed(stranger: Stranger, services: Services) -> None:
    stranger.says({}, 307, ("Location", "http://127.0.0.1:1/"))
    with pytest.raises(UnreachableError, match="status 307"):
        services.broker_challenge(stranger.url)
    assert len(stranger.asked) == 1


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "http://[", "http://\x00", "gopher://x", "http://a..b"]
)
def test_an_address_where_nobody_is(services: Services, url: str) -> None:
    with pytest.raises(UnreachableError):
        services.broker_challenge(url)
