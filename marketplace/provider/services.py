"""The agent's calls to certifiers and key brokers: small JSON over HTTP, sized and timed.

The agent carries these messages and can read none of the secrets in them: a grant is sealed to the CVM.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from marketplace.errors import MarketError, UnreachableError

__all__ = ["Certification", "ServiceRefusedError", "Services"]

_MAX_ANSWER_BYTES = 1 << 20


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

        self._http = httpx.Client(timeout=timeout_s, follow_redirects=False, trust_env=False)

    def close(self) -> None:
        """Close open connections."""
        self._http.close()

    def certifier_challenge(self, url: str, operator: str) -> bytes:
        """Return a certifier's fresh challenge for `operator` (0x-hex address), 32 bytes."""
        answer = self._call("POST", f"{url}/v1/challenge", {"operator": operator})
        return bytes.fromhex(str(answer["challenge"]).removeprefix("0x"))

    def certify(self, url: str, operator: str, bundle: object) -> Certification:
        """Return a certifier's verdict on an evidence bundle.

        Raises:
            ServiceRefusedError: it refused, and why.
            UnreachableError: no usable answer.
        """
        answer = self._call("POST", f"{url}/v1/certify", {"bundle": bundle, "operator": operator})
        return Certification(answer["certificate"], answer["signature"])

    def broker_challenge(self, url: str) -> bytes:
        """Return a broker's fresh challenge, 32 bytes."""
        return bytes.fromhex(str(self._call("GET", f"{url}/v1/challenge")["challenge"]).removeprefix("0x"))

    def release(self, url: str, body: dict[str, Any]) -> bytes | None:
        """Return a grant's exact text, or None while the owner has not decided.

        Raises:
            ServiceRefusedError: it refused, and why.
            UnreachableError: no usable answer.
        """
        grant = self._call("POST", f"{url}/v1/release", body).get("grant")
        return None if grant is None else str(grant).encode()

    def _call(self, method: str, url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        import httpx

        try:
            with self._http.stream(method, url, json=body) as response:
                data = _limited(response.iter_bytes(), url)
        except httpx.HTTPError as error:
            text = f"{url}: {type(error).__name__}: {error}"
            raise UnreachableError(text, hint="is it running?") from error
        return _object(url, response.status_code, data)


def _limited(chunks: Iterable[bytes], url: str) -> bytes:
    data = bytearray()
    for chunk in chunks:
        data += chunk
        if len(data) > _MAX_ANSWER_BYTES:
            raise UnreachableError(f"{url}: got more than {_MAX_ANSWER_BYTES} bytes")
    return bytes(data)


def _object(url: str, status: int, data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError as error:
        raise UnreachableError(f"{url}: status {status} and no JSON") from error
    if not isinstance(value, dict):
        raise UnreachableError(f"{url}: status {status} and no JSON object")
    if status in (200, 202):
        return value
    refusal = value.get("refusal")
    if isinstance(refusal, dict):
        step, got, expected = (str(refusal.get(name, "")) for name in ("step", "got", "expected"))
        raise ServiceRefusedError(url, step, got, expected)
    raise UnreachableError(f"{url}: status {status}: {str(value)[:200]}")
