"""Asks a certifier or a key broker whether it is well."""

from __future__ import annotations

import json

from marketplace.errors import UnreachableError

__all__ = ["health_of"]

_TIMEOUT_S = 5.0
_MAX_BYTES = 16 << 10
_OK = 200


def health_of(url: str) -> str:
    """Return what a service says of itself, in a few words; SIMULATED where it believes a development root.

    Raises:
        UnreachableError: nothing usable answers there.
    """
    import httpx

    try:
        answer = httpx.get(f"{url}/healthz", timeout=_TIMEOUT_S, trust_env=False, follow_redirects=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        text = f"{url}: {type(error).__name__}"
        raise UnreachableError(text, hint="start it, or mend its address in the profile") from error
    try:
        value = json.loads(answer.content[:_MAX_BYTES])
    except (ValueError, RecursionError):
        value = None
    if answer.status_code != _OK or not isinstance(value, dict) or value.get("ok") is not True:
        raise UnreachableError(f"{url}: HTTP {answer.status_code}, and not well", hint="look at its log")
    words = [str(value[name])[:80] for name in ("service", "name", "address", "grant_key") if name in value]
    return ", ".join(["SIMULATED"] * (value.get("simulated") is True) + words)
