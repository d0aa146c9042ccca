"""Byte ranges of URLs: sizes, redirects, connections kept for the next range (docs/protocol.md section 10).

Every answer is held against the question: status, range and length must be those that were asked for.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final
from urllib.parse import urljoin

from marketplace.errors import MarketError
from marketplace.storage.base import BlobNotFoundError, BlobUnreachableError, DishonestServerError
from marketplace.storage.body import HttpRun
from marketplace.storage.httphead import Head, Target, content_range, question
from marketplace.storage.network import ForbiddenAddressError, NetworkPolicy, Resolve, resolve
from marketplace.storage.patience import SYSTEM, Patience, Shell
from marketplace.storage.wire import Connection

__all__ = ["DeniedError", "Ranges"]

_MAX_REDIRECTS: Final = 5
_MOVED: Final = (301, 302, 303, 307, 308)
_ABSENT: Final = (404, 410)
_DENIED: Final = (401, 403)
_LATER: Final = (408, 425, 429)
_MAX_IDLE: Final = 64
"""Connections that nobody uses, to all servers together."""
_MOST_MOVED: Final = 4096


class DeniedError(DishonestServerError):
    """The server knows who asks, and does not give it: a signature may have ended."""


class Ranges:
    """Reads ranges of URLs; safe to use from several threads."""

    def __init__(
        self,
        policy: NetworkPolicy,
        patience: Patience,
        shell: Shell = SYSTEM,
        *,
        lookup: Resolve = socket.getaddrinfo,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Take what may be reached, and how long to wait.

        Args:
            tls: whom to believe; the system's authorities unless said.
        """
        self._policy = policy
        # Where our own settings name a server, they name that one, and nowhere else that it may point to.
        self._strangers = replace(policy, anywhere=False)
        self._patience = patience
        self._shell = shell
        self._lookup = lookup
        self._tls = tls
        self._idle: dict[tuple[bool, str, int], list[Connection]] = {}
        self._moved: dict[str, str] = {}
        self._lock = threading.Lock()

    def size(self, url: str, shown: str = "") -> int:
        """Return the length of what is at `url`, bytes.

        Args:
            shown: what errors call it; for a URL that carries a signature.
        Raises:
            BlobNotFoundError, BlobUnreachableError, DishonestServerError, ForbiddenAddressError.
        """
        name = shown or _bare(url)
        answer = self._ask(url, 0, 1, name)
        with answer.closed_on_error():
            size = _size_said(answer.head, name)
        if answer.head.status != 206:
            answer.connection.close()
            return size
        with closing(self._body(answer, 1, name)) as first:
            first.readinto(memoryview(bytearray(1)))
        return size

    def run(self, url: str, offset: int, length: int, size: int | None = None, shown: str = "") -> HttpRun:
        """Return `length` (at least 1) bytes of `url` from `offset` on.

        Args:
            size: of the whole, where it is known: the server must say the same.
        Raises:
            As `size`.
        """
        name = shown or _bare(url)
        answer = self._ask(url, offset, length, name)
        with answer.closed_on_error():
            _check_answer(answer.head, offset, length, size, name)
        return self._body(answer, length, name)

    def _body(self, answer: _Answer, length: int, name: str) -> HttpRun:
        connection, target = answer.connection, answer.target
        keep = partial(self._give_back, connection, target) if answer.head.keeps_alive else None
        return HttpRun(connection, length, name, self._patience, self._shell, keep)

    def _give_back(self, connection: Connection, target: Target) -> None:
        """Keep a connection whose answer was read to its end."""
        if connection.has_rest:
            return connection.close()
        with self._lock:
            self._idle[target.server] = [*self._idle.pop(target.server, ()), connection]
            needless = None
            if sum(map(len, self._idle.values())) > _MAX_IDLE:
                oldest = next(iter(self._idle))  # the server that was not asked for longest
                needless = self._idle[oldest].pop(0)
                if not self._idle[oldest]:
                    del self._idle[oldest]
        if needless is not None:
            needless.close()

    def close(self) -> None:
        """Close the connections that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for kept in idle.values():
            for connection in kept:
                connection.close()

    def _ask(self, url: str, offset: int, length: int, name: str) -> _Answer:
        """Ask for a range, wherever it has moved to; the answer is one with a body, or status 416."""
        with self._lock:
            moved = self._moved.get(url)
        if moved is not None:
            try:
                return self._follow(moved, url, offset, length, name)
            except BlobUnreachableError:
                self._forget(url)  # whoever asks again hears where it is now
                raise
            except MarketError:
                self._forget(url)  # a signed link that has ended, say: a new one is to be had where it began
        return self._follow(url, url, offset, length, name)

    def _follow(self, here: str, url: str, offset: int, length: int, name: str) -> _Answer:
        """Ask `here`, and where that leads; what answered is remembered for `url`."""
        own = Target.of(url).server
        for _ in range(_MAX_REDIRECTS + 1):
            target = Target.of(here)
            policy = self._policy if target.server == own else self._strangers
            connection, head = self._ask_once(target, question(target, offset, length), policy)
            if head.status not in _MOVED:
                answer = _Answer(connection, target, head)
                with answer.closed_on_error():
                    _judge(head, name)
                self._remember(url, here)
                return answer
            connection.close()
            here = self._next(here, head, name)
        raise _lied(name, f"more than {_MAX_REDIRECTS} redirects", "the blob")

    def _remember(self, url: str, here: str) -> None:
        with self._lock:
            if here != url:
                if len(self._moved) >= _MOST_MOVED:
                    self._moved.clear()
                self._moved[url] = here

    def _forget(self, url: str) -> None:
        """Forget where a URL had moved to: such places (signed links) do not last."""
        with self._lock:
            self._moved.pop(url, None)

    def _ask_once(self, target: Target, asked: bytes, policy: NetworkPolicy) -> tuple[Connection, Head]:
        """Ask on a connection that was kept, or on a new one."""
        with self._lock:
            kept = self._idle.get(target.server)
            connection = kept.pop() if kept else None
        if connection is not None:
            try:
                return connection, connection.ask(asked)
            except BlobUnreachableError:
                connection.close()  # the server had closed it: that happens, and says nothing of a new one
        connection = self._connect(target, policy)
        try:
            return connection, connection.ask(asked)
        except BaseException:
            connection.close()
            raise

    def _connect(self, target: Target, policy: NetworkPolicy) -> Connection:
        addresses = resolve(target.host, target.port, policy, self._lookup)
        if not target.tls and not all(policy.admits_plain(address) for address in addresses):
            raise ForbiddenAddressError(
                f"http://{target.authority}: got a location without TLS, expected https",
                hint="plain http is for loopback alone, and only where the settings allow that",
            )
        if target.tls and self._tls is None:
            self._tls = ssl.create_default_context()
        return Connection.open(target, addresses, self._tls, self._patience, self._shell)

    def _next(self, here: str, head: Head, name: str) -> str:
        said = head.fields.get("location", "")
        try:
            there = urljoin(here, said)
        except ValueError as error:
            raise _lied(name, f"a redirect to {said[:80]!r}", "one to a URL") from error
        if here.startswith("https:") and not there.startswith("https:"):
            raise DishonestServerError(
                f"{name}: got a redirect from https to {_bare(there)[:80]}, expected https",
                hint="use another location",
            )
        return there


@dataclass(frozen=True, slots=True)
class _Answer:
    """The head of an answer, and the connection that its body comes on."""

    connection: Connection
    target: Target
    head: Head

    @contextmanager
    def closed_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.connection.close()
            raise


def _judge(head: Head, name: str) -> None:
    """Raise for an answer that has no bytes to read."""
    if head.status in (200, 206, 416):
        return
    got = f"{name}: got status {head.status}, expected a blob"
    if head.status in _ABSENT:
        raise BlobNotFoundError(got, hint="use another location")
    if head.status >= 500 or head.status in _LATER:
        raise BlobUnreachableError(got, hint="try again later")
    raise (DeniedError if head.status in _DENIED else DishonestServerError)(
        f"{got} that anybody may read", hint="use another location"
    )


def _size_said(head: Head, name: str) -> int:
    """Return the size of the whole, from the answer to a question for the first byte."""
    if head.status == 200:
        return head.length(name)
    offset, length, size = content_range(head, name)
    if head.status == 416:
        return size
    if (offset, length, head.length(name)) != (0, 1, 1):
        raise _lied(name, f"bytes {offset} + {length}", "the first byte")
    return size


def _check_answer(head: Head, offset: int, length: int, size: int | None, name: str) -> None:
    """Hold an answer against the question."""
    if head.status == 200:
        if offset or head.length(name) != length:
            raise _lied(name, "the whole: the range was ignored", f"{length} bytes from {offset} on")
        return
    if head.status != 206:
        raise _lied(name, f"status {head.status}", "status 206")
    first, count, whole = content_range(head, name)
    if (first, count) != (offset, length) or (size is not None and whole != size):
        expected = f"bytes {offset} + {length} of {size if size is not None else 'the whole'}"
        raise _lied(name, f"bytes {first} + {count} of {whole}", expected)
    if head.length(name) != length:
        raise _lied(name, f"a body of {head.length(name)} bytes", f"{length} bytes")


def _lied(name: str, got: str, expected: str) -> DishonestServerError:
    hint = "use another location; this server does not serve plain byte ranges"
    return DishonestServerError(f"{name}: got {got}, expected {expected}", hint=hint)


def _bare(url: str) -> str:
    """Return a URL without what may be a secret in it: its query."""
    return url.partition("?")[0][:200]
