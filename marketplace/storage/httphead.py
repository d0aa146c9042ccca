"""Heads of HTTP/1.1 questions and answers, as far as ranges need them. Pure; refuses what is ambiguous.

A body's length must be said ahead of it, in bytes and once: no chunks, no compression. So its size is known
before the first byte, and what came can be compared with what was said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from marketplace.errors import BadInputError
from marketplace.storage.base import DishonestServerError

__all__ = ["MAX_HEAD_BYTES", "Head", "Target", "content_range", "parse_head", "question"]

MAX_HEAD_BYTES: Final = 32 << 10
_MAX_LINES: Final = 100
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}):[ \t]*([^\r\n\x00]*?)[ \t]*")
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_CONTENT_RANGE: Final = re.compile(r"bytes (?:([0-9]{1,18})-([0-9]{1,18})|\*)/([0-9]{1,18})")
_WRAPPED: Final = ("transfer-encoding", "content-encoding")
_ONCE: Final = frozenset(
    {"content-length", "content-range", "content-encoding", "location", "transfer-encoding"}
)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads: scheme, server, and what is asked of it."""

    tls: bool
    host: str
    port: int
    path: str

    @classmethod
    def of(cls, url: str) -> Target:
        """Return the parts of an http or https URL; a fragment stays here.

        Raises:
            BadInputError: another scheme, a user name or password, or no server.
        """
        try:
            parts = urlsplit(url)
            port, host = parts.port, parts.hostname
        except ValueError as error:
            raise BadInputError("URL", _shown(url), f"https://host/path ({error})") from error
        plain = all("!" <= sign <= "~" for sign in url)
        if parts.scheme not in ("http", "https") or not host or not plain or "@" in parts.netloc:
            raise BadInputError("URL", _shown(url), "https://host/path, without a user name")
        tls = parts.scheme == "https"
        query = f"?{parts.query}" if parts.query else ""
        return cls(tls, host, port or (443 if tls else 80), (parts.path or "/") + query)

    @property
    def server(self) -> tuple[bool, str, int]:
        """What a connection is made to: TLS or not, host, port; the same for every path."""
        return self.tls, self.host, self.port

    @property
    def authority(self) -> str:
        """As the Host field has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Head:
    """What stands before a body.

    Attributes:
        fields: by name in lower case; of repeated ones, the last.
    """

    status: int
    fields: Mapping[str, str]

    def length(self, where: str) -> int:
        """Return how many bytes the body has.

        Raises:
            DishonestServerError: the answer does not say so, or wraps the body in something.
        """
        for name in _WRAPPED:
            if self.fields.get(name, "identity").lower() != "identity":
                got = f"{name} {self.fields[name][:40]!r}"
                raise _dishonest(where, got, "the plain bytes, with their number ahead of them")
        said = self.fields.get("content-length", "")
        if not _NUMBER.fullmatch(said):
            raise _dishonest(where, f"content-length {said[:40]!r}", "the number of bytes ahead of them")
        return int(said)

    @property
    def is_plain(self) -> bool:
        """Whether the body is bytes as they are."""
        return all(self.fields.get(name, "identity").lower() == "identity" for name in _WRAPPED)

    @property
    def keeps_alive(self) -> bool:
        """Whether another question may follow on the same connection."""
        return self.fields.get("connection", "").lower() != "close"


def _shown(url: str) -> str:
    """Return what an error may say of a URL: no password, and no query, which may be a signature."""
    scheme, colon, rest = url.partition("://")
    server, slash, path = rest.partition("?")[0].partition("/")
    return repr(f"{scheme}{colon}{server.rpartition('@')[2]}{slash}{path}"[:100])


def question(target: Target, offset: int, length: int) -> bytes:
    """Return the bytes that ask for `length` bytes of `target` from `offset` on."""
    lines = (
        f"GET {target.path} HTTP/1.1",
        f"Host: {target.authority}",
        f"Range: bytes={offset}-{offset + length - 1}",
        "Accept-Encoding: identity",
        "User-Agent: cloister",
        "",
        "",
    )
    return "\r\n".join(lines).encode("ascii")


def parse_head(data: bytes, where: str) -> Head:
    """Return the head in `data`, which ends with an empty line.

    Raises:
        DishonestServerError: not HTTP/1.1, too many fields, or one of those that decide twice.
    """
    first, *lines = data[:-4].split(b"\r\n")
    status = _STATUS.fullmatch(first)
    if not status or len(lines) > _MAX_LINES:
        raise _dishonest(where, repr(bytes(first[:60])), "the head of an HTTP/1.1 answer")
    fields: dict[str, str] = {}
    for line in lines:
        field = _FIELD.fullmatch(line)
        if not field:
            raise _dishonest(where, repr(bytes(line[:60])), "name: value")
        name = field[1].decode("ascii").lower()
        value = field[2].decode("latin-1")
        if name in _ONCE and fields.get(name, value) != value:
            raise _dishonest(where, f"{name} twice with two values", "one")
        fields[name] = value
    return Head(int(status[1]), fields)


def content_range(head: Head, where: str) -> tuple[int, int, int]:
    """Return (offset, length, size of the whole) as an answer's Content-Range says; length 0 for `*`.

    Raises:
        DishonestServerError: none, or another form.
    """
    said = head.fields.get("content-range", "")
    found = _CONTENT_RANGE.fullmatch(said)
    if not found:
        raise _dishonest(where, f"content-range {said[:60]!r}", "bytes FIRST-LAST/SIZE")
    if found[1] is None:
        return 0, 0, int(found[3])
    first, last, size = int(found[1]), int(found[2]), int(found[3])
    if not first <= last < size:
        raise _dishonest(where, f"content-range {said[:60]!r}", "a range within the size")
    return first, last - first + 1, size


def _dishonest(where: str, got: str, expected: str) -> DishonestServerError:
    hint = "use another location; this server does not serve plain byte ranges"
    return DishonestServerError(f"{where}: got {got}, expected {expected}", hint=hint)
