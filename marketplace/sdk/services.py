"""Asks a certifier or a key broker something; nothing of the answer is believed here."""

from __future__ import annotations

import json
import time

from enclave_runtime.wire.canonical import JsonObject
from marketplace.errors import UnreachableError

__all__ = ["answer_of", "health_of"]

_TIMEOUT_S = 5.0
_MAX_BYTES = 16 << 10
_OK = 200


def health_of(url: str) -> str:
    """Return what a service says of itself, in a few words; SIMULATED where it believes a development root.

    Raises:
        UnreachableError: nothing usable answers there.
    """
    hint = "start it, or mend its address in the profile"
    status, value, _ = answer_of(
        "GET", f"{url}/healthz", named=url, limit=_MAX_BYTES, timeout_s=_TIMEOUT_S, hint=hint
    )
    if status != _OK or value is None or value.get("ok") is not True:
        raise UnreachableError(f"{url}: HTTP {status}, and not well", hint="look at its log")
    words = [str(value[name])[:80] for name in ("service", "name", "address", "grant_key") if name in value]
    return ", ".join(["SIMULATED"] * (value.get("simulated") is True) + words)


def answer_of(
    method: str,
    url: str,
    *,
    named: str,
    limit: int,
    timeout_s: float,
    hint: str,
    body: JsonObject | None = None,
) -> tuple[int, JsonObject | None, int]:
    """Return the status of an answer, the JSON object in it, or None for anything else, and its bytes read.

    Args:
        named: what errors call the service.
        limit: bytes after which nothing more is read; a longer answer is no object.
        timeout_s: for the whole answer, and for each silence in it.
    Raises:
        UnreachableError: no answer.
    """
    import httpx

    data = bytearray()
    until = time.monotonic() + timeout_s
    # As sent: a proxy that compresses could make a small answer large, and the limit is of what is read.
    plain = {"Accept-Encoding": "identity"}
    try:
        with httpx.stream(
            method, url, json=body, headers=plain, timeout=timeout_s, trust_env=False, follow_redirects=False
        ) as answer:
            for part in answer.iter_raw():
                data += part
                if len(data) > limit:
                    break
                if time.monotonic() > until:
                    raise UnreachableError(f"{named}: not done after {timeout_s:g} s", hint=hint)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UnreachableError(f"{named}: {type(error).__name__}", hint=hint) from error
    try:
        value = json.loads(data) if len(data) <= limit else None
    except (ValueError, RecursionError):
        value = None
    return answer.status_code, value if isinstance(value, dict) else None, len(data)
