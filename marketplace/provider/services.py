"""The agent's calls to certifiers and key brokers: small JSON over HTTP, sized and timed.

The agent carries these messages and can read none of the secrets in them: a grant is sealed to the CVM.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterable
from dataclasses import dataclass
from typing import Any, Final

from enclave_runtime.wire.codec import bytes_from_hex, hex_of
from enclave_runtime.wire.errors import WireError
from marketplace.errors import MarketError, UnreachableError

__all__ = ["Certification", "ServiceRefusedError", "Services"]

_MAX_ANSWER_BYTES: Final = 1 << 20
_MAX_WORDS: Final = 400
"""Of what a service says, in characters: it ends in the journal and on people's screens."""
_CERTIFIER_S: Final = 45.0
_BROKER_S: Final = 6.0
"""For a whole exchange. Brokers are strangers', and asked within an order's time: a challenge and a release
together must leave enough of the least grace (`AgentPolicy`) to say that no key came."""


class ServiceRefusedError(MarketError):
    """A certifier or broker looked, and said no.

    Attributes:
        step, got, expected: the numbered check that failed, as the service said.
    """

    def __init__(self, service: str, step: str, got: str, expected: str) -> None:
        super().__init__(f"{service} refused at {step}: got {got}, expected {expected}")
        self.step = step
        self.got = got
        self.expected = expected


@dataclass(frozen=True, slots=True)
class Certification:
    """One certifier's certificate as JSON members, and its signature as 0x-hex."""

    certificate: dict[str, Any]
    signature: str


class Services:
    """Calls to all of them, each on a connection of its own; safe to use from several threads."""

    def __init__(self, *, certifier_s: float = _CERTIFIER_S, broker_s: float = _BROKER_S) -> None:
        """Take the most seconds that one exchange may last."""
        import httpx

        self._certifier_s = certifier_s
        self._broker_s = broker_s
        self._tls = httpx.create_ssl_context(trust_env=False)

    def close(self) -> None:
        """Nothing stays open between two calls."""

    def certifier_challenge(self, url: str, operator: str) -> bytes:
        """Return a certifier's fresh challenge for `operator` (0x-hex address), 32 bytes."""
        return _challenge(url, self._certifier(f"{url}/v1/challenge", {"operator": operator}))

    def certify(self, url: str, operator: str, bundle: object) -> Certification:
        """Return a certifier's verdict on an evidence bundle.

        Raises:
            ServiceRefusedError: it refused, and why.
            UnreachableError: no usable answer.
        """
        return _certification(
            url, self._certifier(f"{url}/v1/certify", {"bundle": bundle, "operator": operator})
        )

    def renew(self, url: str, cvm_id: str, challenge: bytes, possession: bytes) -> Certification:
        """Return a certifier's later verdict on a CVM (0x-hex id) that it knows.

        Args:
            challenge: of this certifier, fresh.
            possession: the CVM's proof over it that it lives, 65 bytes.
        Raises:
            ServiceRefusedError, UnreachableError: as `certify`.
        """
        body = {"cvm_id": cvm_id, "challenge": hex_of(challenge), "possession": hex_of(possession)}
        return _certification(url, self._certifier(f"{url}/v1/renew", body))

    def broker_challenge(self, url: str) -> bytes:
        """Return a broker's fresh challenge, 32 bytes."""
        return _challenge(url, self._call("GET", f"{url}/v1/challenge", None, self._broker_s))

    def release(self, url: str, body: dict[str, Any]) -> bytes | None:
        """Return a grant's exact text, or None while the owner has not decided.

        Raises:
            ServiceRefusedError: it refused, and why.
            UnreachableError: no usable answer.
        """
        answer = self._call("POST", f"{url}/v1/release", body, self._broker_s)
        grant = answer.get("grant")
        if isinstance(grant, str) and grant.isascii():
            return grant.encode()
        if grant is None and "pending" in answer:
            return None
        raise UnreachableError(f"{url}: got neither a grant nor a request that waits")

    def _certifier(self, url: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._call("POST", url, body, self._certifier_s)

    def _call(self, method: str, url: str, body: dict[str, Any] | None, longest_s: float) -> dict[str, Any]:
        import httpx

        try:
            return _object(url, *asyncio.run(self._ask(method, url, body, longest_s)))
        except TimeoutError as error:
            raise UnreachableError(f"{url}: the answer takes too long") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            text = f"{url}: {type(error).__name__}: {error}"
            raise UnreachableError(text, hint="is it running?") from error

    async def _ask(
        self, method: str, url: str, body: dict[str, Any] | None, longest_s: float
    ) -> tuple[int, bytes]:
        """Return status and body.

        The time of the whole exchange is bounded, which only a task that can be cancelled allows: each byte
        of head or body may come in time, and all of them together hold a thread for ever.
        """
        import httpx

        # No compression: a few bytes of it could become all of this machine's memory.
        plain = {"Accept-Encoding": "identity"}
        client = httpx.AsyncClient(
            timeout=longest_s, follow_redirects=False, trust_env=False, headers=plain, verify=self._tls
        )
        async with (
            asyncio.timeout(longest_s),
            client as http,
            http.stream(method, url, json=body) as response,
        ):
            return response.status_code, await _limited(response.aiter_raw(), url)


async def _limited(chunks: AsyncIterable[bytes], url: str) -> bytes:
    data = bytearray()
    async for chunk in chunks:
        data += chunk
        if len(data) > _MAX_ANSWER_BYTES:
            raise UnreachableError(f"{url}: got more than {_MAX_ANSWER_BYTES} bytes")
    return bytes(data)


def _certification(url: str, answer: dict[str, Any]) -> Certification:
    certificate, signature = answer.get("certificate"), answer.get("signature")
    if not isinstance(certificate, dict) or not isinstance(signature, str):
        raise UnreachableError(f"{url}: got an answer without certificate and signature")
    return Certification(certificate, signature)


def _challenge(url: str, answer: dict[str, Any]) -> bytes:
    try:
        return bytes_from_hex(answer.get("challenge"), 32)
    except WireError as error:
        raise UnreachableError(f"{url}: challenge: {error}") from error


def _words(value: object) -> str:
    """Return a stranger's text for people: short, on one line, no control signs."""
    text = str(value)[:_MAX_WORDS]
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def _object(url: str, status: int, data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UnreachableError(f"{url}: status {status} and no JSON") from error
    if not isinstance(value, dict):
        raise UnreachableError(f"{url}: status {status} and no JSON object")
    if status in (200, 202):
        return value
    refusal = value.get("refusal")
    if isinstance(refusal, dict):
        step, got, expected = (_words(refusal.get(name, "")) for name in ("step", "got", "expected"))
        raise ServiceRefusedError(url, step, got, expected)
    raise UnreachableError(f"{url}: status {status}: {_words(value)[:200]}")
