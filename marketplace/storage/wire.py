"""One HTTP/1.1 connection whose bodies go straight into the caller's memory, within a given patience.

Not httpx: its bodies come as new `bytes`, and it looks names up itself, so nothing pins it to an address that
was judged.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import Final

from marketplace.storage.base import BlobUnreachableError, DishonestServerError
from marketplace.storage.httphead import MAX_HEAD_BYTES, Head, Target, parse_head
from marketplace.storage.network import Address
from marketplace.storage.patience import Patience, Shell

__all__ = ["Connection"]

_SLICE_S: Final = 1.0
"""How long one call may wait in the kernel, at most, before the clock is asked again, seconds."""


class Connection:
    """A connection to one server; used by one thread at a time, for one question at a time."""

    def __init__(self, sock: socket.socket, target: Target, patience: Patience, shell: Shell) -> None:
        self._socket = sock
        self._target = target
        self._patience = patience
        self._shell = shell
        self._ahead = b""

    @classmethod
    def open(
        cls,
        target: Target,
        addresses: tuple[Address, ...],
        tls: ssl.SSLContext | None,
        how: Patience,
        shell: Shell,
    ) -> Connection:
        """Connect to the first of `addresses` that answers, within twice `connect_s` for all of them.

        Args:
            tls: whom to believe; needed where `target.tls`.
        Raises:
            BlobUnreachableError: none of them, or its certificate is not the server's.
        """
        problem: Exception | None = None
        by = shell.clock() + how.connect_s
        for address in addresses:
            if problem is not None and shell.clock() >= by:
                break
            try:
                sock = socket.create_connection(address, timeout=how.connect_s)
            except OSError as error:
                problem = error
                continue
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if target.tls:
                    if tls is None:
                        raise RuntimeError(f"{target.authority}: got no TLS context, expected one")
                    sock = tls.wrap_socket(sock, server_hostname=target.host)
                sock.settimeout(min(_SLICE_S, how.stall_s / 4, how.answer_s / 4))
                return cls(sock, target, how, shell)
            except OSError as error:
                sock.close()
                problem = error
        raise BlobUnreachableError(
            f"{target.authority}: got {type(problem).__name__} ({problem}), expected a connection",
            hint="is the server running, and is its certificate the one for this name?",
        ) from problem

    def ask(self, question: bytes) -> Head:
        """Send a question and return the head of its answer.

        Raises:
            BlobUnreachableError: the connection broke, or no head in time.
            DishonestServerError: something else than a head.
        """
        by = self._shell.clock() + self._patience.answer_s
        try:
            self._socket.sendall(question)
        except OSError as error:
            raise self._broken(error) from error
        data = bytearray(self._ahead)
        while (end := data.find(b"\r\n\r\n")) < 0:
            if len(data) > MAX_HEAD_BYTES:
                expected = f"at most {MAX_HEAD_BYTES}"
                raise DishonestServerError(
                    f"{self._target.authority}: got a head of {len(data)} bytes, expected {expected}",
                    hint="use another location",
                )
            data += self._some(by)
        self._ahead = bytes(data[end + 4 :])
        return parse_head(bytes(data[: end + 4]), self._target.authority)

    def read_into(self, buffer: memoryview) -> int:
        """Fill the beginning of `buffer` with what the server sent; 0 where it ended the connection.

        Raises:
            TimeoutError: nothing for a moment; ask again.
            BlobUnreachableError: the connection broke.
        """
        if self._ahead:
            got = min(len(buffer), len(self._ahead))
            buffer[:got] = self._ahead[:got]
            self._ahead = self._ahead[got:]
            return got
        try:
            return self._socket.recv_into(buffer)
        except TimeoutError:
            raise
        except OSError as error:
            raise self._broken(error) from error

    @property
    def has_rest(self) -> bool:
        """Whether bytes came that nobody asked for: no further question then."""
        return bool(self._ahead)

    def close(self) -> None:
        """Close it; no error if it is broken."""
        with suppress(OSError):
            self._socket.close()

    def _some(self, by: float) -> bytes:
        while self._shell.clock() < by:
            try:
                data = self._socket.recv(MAX_HEAD_BYTES)
            except TimeoutError:
                continue
            except OSError as error:
                raise self._broken(error) from error
            if not data:
                raise self._broken(None)
            return data
        raise BlobUnreachableError(
            f"{self._target.authority}: got no answer, expected one in {self._patience.answer_s:g} s",
            hint="the server is slow or stuck: try again later, or use another location",
        )

    def _broken(self, error: OSError | None) -> BlobUnreachableError:
        got = "the end of the connection" if error is None else f"{type(error).__name__} ({error})"
        return BlobUnreachableError(
            f"{self._target.authority}: got {got}, expected an answer",
            hint="try again, or use another location",
        )
