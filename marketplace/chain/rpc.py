"""A lean JSON-RPC client: keep-alive, batches, time-outs, size limits, retries (protocol section 10).

A node is believed for money alone; it lags, lies and reorganises, so what matters is checked by hash or
asked of a second node. URLs may carry an access token: messages name the host only.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from marketplace.errors import BadInputError, RpcError, UnreachableError

if TYPE_CHECKING:
    from http.client import HTTPConnection

__all__ = ["Rpc", "hex_data", "hex_int", "to_quantity"]

_RETRY_STATUS: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_HTTP_OK: Final = 200


class Rpc:
    """One node. Safe to share between threads: each has its own connection."""

    def __init__(
        self, url: str, *, timeout_s: float = 15.0, retries: int = 3, max_response_bytes: int = 64 << 20
    ) -> None:
        """Prepare; connects when first asked.

        Args:
            url: http or https; user and password in it are sent as basic authentication.
            timeout_s: for connecting, and for each read.
            retries: how many times a request that got no usable answer is sent again.
            max_response_bytes: longer answers are refused unread.
        Raises:
            BadInputError: another kind of URL.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadInputError("RPC URL", parts.scheme or "none", "http://host... or https://host...")
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._headers = {"content-type": "application/json"}
        if parts.username is not None:
            import base64

            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        self._timeout_s, self._retries, self._limit = timeout_s, retries, max_response_bytes
        self._local = threading.local()

    @property
    def host(self) -> str:
        """Return the host, for messages."""
        return self._host

    def __repr__(self) -> str:
        """Return the host only: a URL may carry a token."""
        return f"Rpc({self._host})"

    def call(self, method: str, *params: Any) -> Any:
        """Return the result of one call.

        Raises:
            RpcError: the node answered with an error.
            UnreachableError: no usable answer.
        """
        return self.batch([(method, params)])[0]

    def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Return the results of several calls, in order, in one round trip.

        Raises:
            RpcError: for the first call that the node answered with an error.
            UnreachableError: no usable answer.
        """
        answers = self.batch_raw(calls)
        for answer in answers:
            if isinstance(answer, RpcError):
                raise answer
        return answers

    def batch_raw(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Return, per call, its result or the `RpcError` that the node answered with.

        Raises:
            UnreachableError: no usable answer.
        """
        if not calls:
            return []
        bodies = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}
            for number, (method, params) in enumerate(calls)
        ]
        answers = self._post(json.dumps(bodies[0] if len(bodies) == 1 else bodies).encode())
        listed = answers if isinstance(answers, list) else [answers]
        by_id = {item.get("id"): item for item in listed if isinstance(item, dict)}
        return [
            _result(method, by_id.get(number, by_id.get(None))) for number, (method, _) in enumerate(calls)
        ]

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None

    def _post(self, body: bytes) -> Any:
        import random

        why = "no answer"
        for attempt in range(self._retries + 1):
            if attempt:
                time.sleep(0.05 * 2**attempt * (1 + random.random()))  # noqa: S311 - jitter, no secret
            try:
                status, data = self._exchange(body)
            except (OSError, EOFError, ValueError) as error:
                self.close()
                why = type(error).__name__
                continue
            if status in _RETRY_STATUS:
                why = f"HTTP {status}"
                continue
            try:
                return json.loads(data)
            except (ValueError, RecursionError) as error:
                raise UnreachableError(
                    f"{self._host}: HTTP {status} and an answer that is not JSON"
                ) from error
        raise UnreachableError(
            f"{self._host}: {why}, {self._retries + 1} times",
            hint="check the RPC URL, and that the node runs",
        )

    def _exchange(self, body: bytes) -> tuple[int, bytes]:
        import http.client

        connection = self._connection()
        try:
            connection.request("POST", self._path, body, self._headers)
            response = connection.getresponse()
            data = response.read(self._limit + 1)
        except http.client.HTTPException as error:
            raise EOFError(type(error).__name__) from error
        if len(data) > self._limit:
            self.close()
            raise UnreachableError(f"{self._host}: got an answer above {self._limit} bytes")
        return response.status, data

    def _connection(self) -> HTTPConnection:
        import http.client
        import socket

        connection: HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
            connection = kind(self._host, self._port, timeout=self._timeout_s)
            connection.connect()
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._local.connection = connection
        return connection


def to_quantity(value: int) -> str:
    """Return an integer as JSON-RPC writes quantities."""
    return hex(value)


def hex_int(value: Any) -> int:
    """Return the integer in a JSON-RPC quantity.

    Raises:
        UnreachableError: the node sent something else.
    """
    try:
        return int(value, 16)
    except (TypeError, ValueError) as error:
        raise UnreachableError("a node sent something else than a quantity") from error


def hex_data(value: Any) -> bytes:
    """Return the bytes in a JSON-RPC data string.

    Raises:
        UnreachableError: the node sent something else.
    """
    if isinstance(value, str) and value.startswith("0x"):
        try:
            return bytes.fromhex(value[2:])
        except ValueError:
            pass
    raise UnreachableError("a node sent something else than 0x-data")


def _result(method: str, answer: Any) -> Any:
    if not isinstance(answer, dict) or ("error" not in answer and "result" not in answer):
        raise UnreachableError(f"{method}: got an answer that is no JSON-RPC response")
    error = answer.get("error")
    if error is None:
        return answer.get("result")
    if not isinstance(error, dict):
        return RpcError(method, 0, str(error))
    code = error.get("code")
    return RpcError(
        method,
        code if isinstance(code, int) else 0,
        str(error.get("message", "")),
        _revert_data(error.get("data")),
    )


def _revert_data(data: Any) -> bytes:
    """Nodes put revert data in different places: plain, or in an object."""
    if isinstance(data, dict):
        data = data.get("data") or data.get("result")
    if isinstance(data, str) and data.startswith("0x"):
        try:
            return bytes.fromhex(data[2:])
        except ValueError:
            return b""
    return b""
