"""The agent's calls to certifiers and key brokers: small JSON over HTTP, sized and timed.

The agent carries these messages and can read none of the secrets in them: a grant is sealed to the CVM.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from enclave_runtime.wire.codec import bytes_from_hex
from enclave_runtime.wire.errors import WireError
from marketplace.errors import MarketError, UnreachableError

__all__ = ["Certification", "ServiceRefusedError", "Services"]

_MAX_ANSWER_BYTES: Final = 1 << 20
_MAX_WORDS: Final = 400
"""Of what a service says, in characters: it ends in the journal and on people's screens."""
_PATIENCE: Final = 3
"""How many times the timeout of one read a whole answer may take."""


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
    """One HTTP client for all of them; safe to use from several threads."""

    def __init__(self, *, timeout_s: float = 15.0) -> None:
        import httpx

        self._longest_s = _PATIENCE * timeout_s
        # No compression: a few bytes of it could become all of this machine's memory.
        plain = {"Accept-Encoding": "identity"}
        self._http = httpx.Client(timeout=timeout_s, follow_redirects=False, trust_env=False, headers=plain)

    def close(self) -> None:
        """Close open connections."""
        self._http.close()

    def certifier_challenge(self, url: str, operator: str) -> bytes:
        """Return a certifier's fresh challenge for `operator` (0x-hex address), 32 bytes."""
        return _challenge(url, self._call("POST", f"{url}/v1/challenge", {"operator": operator}))

    def certify(self, url: str, operator: str, bundle: object) -> Certification:
        """Return a certifier's verdict on an evidence bundle.

        Raises:
            ServiceRefusedError: it refused, and why.
            UnreachableError: no usable answer.
        """
        answer = self._call("POST", f"{url}/v1/certify", {"bundle": bundle, "operator": operator})
        certificate, signature = answer.get("certificate"), answer.get("signature")
        if not isinstance(certificate, dict) or not isinstance(signature, str):
            raise UnreachableError(f"{url}: got an answer without certificate and signature")
        return Certification(certificate, signature)

    def broker_challenge(self, url: str) -> bytes:
        """Return a broker's fresh challenge, 32 bytes."""
        return _challenge(url, self._call("GET", f"{url}/v1/challenge"))

    def release(self, url: str, body: dict[str, Any]) -> bytes | None:
        """Return a grant's exact text, or None while the owner has not decided.

        Raises:
            ServiceRefusedError: it refused, and why.
            UnreachableError: no usable answer.
        """
        answer = self._call("POST", f"{url}/v1/release", body)
        grant = answer.get("grant")
        if isinstance(grant, str) and grant.isascii():
            return grant.encode()
        if grant is None and "pending" in answer:
            return None
        raise UnreachableError(f"{url}: got neither a grant nor a request that waits")

    def _call(self, method: str, url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        import httpx

        until = time.monotonic() + self._longest_s
        try:
            with self._http.stream(method, url, json=body) as response:
                data = _limited(response.iter_raw(), url, until)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            text = f"{url}: {type(error).__name__}: {error}"
            raise UnreachableError(text, hint="is it running?") from error
        return _object(url, response.status_code, data)


def _limited(chunks: Iterable[bytes], url: str, until: float) -> bytes:
    data = bytearray()
    for chunk in chunks:
        data += chunk
        if len(data) > _MAX_ANSWER_BYTES:
            raise UnreachableError(f"{url}: got more than {_MAX_ANSWER_BYTES} bytes")
        if time.monotonic() > until:
            # Each piece came in time, but one after the other they would hold this thread for ever.
            raise UnreachableError(f"{url}: the answer takes too long")
    return bytes(data)


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
