"""Heads of questions and answers: read strictly, whatever a server sends."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.errors import BadInputError
from marketplace.storage.base import DishonestServerError
from marketplace.storage.httphead import Head, Target, content_range, parse_head, question

PLAIN = b"HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nContent-Range: bytes 10-14/99\r\n\r\n"


def test_reads_a_plain_head() -> None:
    head = parse_head(PLAIN, "here")
    assert (head.status, head.length("here"), content_range(head, "here")) == (206, 5, (10, 5, 99))
    assert head.keeps_alive
    assert not parse_head(PLAIN[:-2] + b"connection: Close\r\n\r\n", "here").keeps_alive


@given(st.binary(max_size=200))
def test_refuses_any_other_bytes(data: bytes) -> None:
    with suppress(DishonestServerError):
        parse_head(data + b"\r\n\r\n", "here")


@given(st.integers(0, len(PLAIN) - 5), st.integers(1, 255))
def test_refuses_a_damaged_head_or_reads_it(place: int, flip: int) -> None:
    damaged = bytearray(PLAIN)
    damaged[place] ^= flip
    with suppress(DishonestServerError):
        head = parse_head(bytes(damaged), "here")
        head.length("here")
        content_range(head, "here")


@given(st.text(max_size=60))
def test_a_length_is_digits_and_nothing_else(said: str) -> None:
    head = Head(206, {"content-length": said})
    with suppress(DishonestServerError):
        assert str(head.length("here")) == said.lstrip("0") or set(said) == {"0"}


@given(st.text(max_size=60))
def test_a_range_lies_within_its_size(said: str) -> None:
    with suppress(DishonestServerError):
        first, count, size = content_range(Head(206, {"content-range": said}), "here")
        assert first + count <= size


def test_asks_for_exactly_one_range() -> None:
    target = Target.of("https://models.example.org:8443/a/b?c=d#sha256")
    asked = question(target, 5, 10).decode()
    assert asked.startswith("GET /a/b?c=d HTTP/1.1\r\nHost: models.example.org:8443\r\nRange: bytes=5-14\r\n")
    assert asked.endswith("\r\n\r\n")
    assert asked.count("\r\n\r\n") == 1


@pytest.mark.parametrize(
    ("url", "authority", "path"),
    [
        ("https://h", "h", "/"),
        ("https://h:443/x", "h", "/x"),
        ("http://h:443/x", "h:443", "/x"),
        ("https://[2606::1]/x", "[2606::1]", "/x"),
    ],
)
def test_names_the_server_as_the_host_field_has_it(url: str, authority: str, path: str) -> None:
    target = Target.of(url)
    assert (target.authority, target.path) == (authority, path)


@given(st.text(max_size=40))
def test_a_url_brings_no_line_of_its_own(text: str) -> None:
    with suppress(BadInputError):
        asked = question(Target.of(f"https://h/{text}"), 0, 1)
        assert asked.count(b"\r\n") == 6
        assert asked.count(b"\n") == 6
