"""The body of one HTTP answer, within a given patience and of a length that is known, or bounded, ahead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from marketplace.storage.base import BlobUnreachableError, DishonestServerError
from marketplace.storage.httphead import Head
from marketplace.storage.patience import Patience, Shell
from marketplace.storage.wire import Connection

__all__ = ["EndedError", "HttpRun", "read_answer"]

_LATER: Final = "try again later, or use another location"


class EndedError(BlobUnreachableError):
    """The server ended the connection before all bytes had come."""


class HttpRun:
    """A `Run`: the bytes that follow the head of an answer."""

    def __init__(
        self,
        connection: Connection,
        length: int,
        name: str,
        patience: Patience,
        shell: Shell,
        give_back: Callable[[], None] | None = None,
    ) -> None:
        """Take the connection, whose head was read.

        Args:
            length: of the body, bytes.
            name: what errors call it.
            give_back: keeps the connection for another question; None where it takes no other one.
        """
        self._connection = connection
        self._left = length
        self._name = name
        self._patience = patience
        self._clock = shell.clock
        self._give_back = give_back
        self._last = self._since = shell.clock()
        self._came = 0
        self._closed = False

    def readinto(self, buffer: memoryview) -> int:
        """See `Run.readinto`.

        Raises:
            BlobUnreachableError: it ended early, stalled, or is slower than the patience allows.
        """
        if not self._left:
            return 0
        while True:
            try:
                got = self._connection.read_into(buffer[: self._left])
            except TimeoutError:
                self._check_pace(0)
                continue
            if not got:
                said = f"{self._name}: got the end with {self._left} bytes missing"
                raise EndedError(f"{said}, expected all that were announced", hint=_LATER)
            self._left -= got
            self._check_pace(got)
            return got

    def close(self) -> None:
        """Give the connection back if its answer was read to the end, else close it; once alone."""
        if not self._closed and not self._left and self._give_back is not None:
            self._give_back()
        elif not self._closed:
            self._connection.close()
        self._left, self._closed = 0, True

    def _check_pace(self, got: int) -> None:
        now = self._clock()
        patience = self._patience
        if got:
            self._last = now
            self._came += got
        elif now - self._last >= patience.stall_s:
            raise self._gone(f"nothing for {now - self._last:.0f} s", "a byte now and then")
        window = now - self._since
        if window >= patience.window_s:
            if self._came < patience.slowest_bytes_s * window and self._left:
                expected = f"at least {patience.slowest_bytes_s:.0f} a second"
                raise self._gone(f"{self._came / window:.0f} bytes a second", expected)
            self._since, self._came = now, 0

    def _gone(self, got: str, expected: str) -> BlobUnreachableError:
        return BlobUnreachableError(f"{self._name}: got {got}, expected {expected}", hint=_LATER)


def read_answer(
    connection: Connection, head: Head, limit: int, name: str, patience: Patience, shell: Shell
) -> bytes:
    """Return a whole small body; where its length was not said, it goes to the end of the connection.

    Raises:
        DishonestServerError: longer than `limit` bytes, or wrapped in something.
        BlobUnreachableError: it ended early, stalled, or is slower than the patience allows.
    """
    said = head.fields.get("content-length")
    length = limit + 1 if said is None and head.is_plain else head.length(name)
    if said is not None and length > limit:
        raise _too_long(name, f"{length} bytes", limit)
    data, filled = memoryview(bytearray(length)), 0
    run = HttpRun(connection, length, name, patience, shell)
    try:
        while got := run.readinto(data[filled:]):
            filled += got
    except EndedError:
        if said is not None:
            raise
    if filled > limit:
        raise _too_long(name, f"{filled} bytes or more", limit)
    return bytes(data[:filled])


def _too_long(name: str, got: str, limit: int) -> DishonestServerError:
    return DishonestServerError(f"{name}: got {got}, expected at most {limit}", hint="use another one")
