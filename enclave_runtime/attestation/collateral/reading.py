"""Reading the members of collateral: JSON of any layout, every value held to its type and limit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from enclave_runtime.wire.errors import WireError

__all__ = ["binaries", "binary", "load", "members", "text"]


def load(data: bytes, limit: int) -> dict[str, Any]:
    """Return the JSON object in `data`, which nobody has to have written canonically.

    Raises:
        WireError: longer than `limit` bytes, not a JSON object, or a key twice.
    """
    if len(data) > limit:
        raise WireError(f"collateral: got {len(data)} bytes, expected at most {limit}")
    try:
        value = json.loads(data, object_pairs_hook=_no_duplicates)
    except WireError:
        raise
    except (ValueError, RecursionError) as error:
        raise WireError("collateral: got bytes that are not JSON") from error
    return members(value)


def members(value: object, names: frozenset[str] | None = None) -> dict[str, Any]:
    """Return `value` as an object, with exactly the members `names` where they are given.

    Raises:
        WireError: no object, or other members.
    """
    if not isinstance(value, dict):
        raise WireError(f"collateral: got {type(value).__name__}, expected an object")
    if names is not None and value.keys() != names:
        raise WireError(f"collateral: got members {sorted(value)[:12]}, expected {sorted(names)}")
    return value


def text(value: Mapping[str, Any], name: str) -> str:
    """Return the string `name`.

    Raises:
        WireError: missing, of another type, or with half a character in it: JSON can spell one, UTF-8 cannot.
    """
    found = value.get(name)
    if not isinstance(found, str):
        raise WireError(f"collateral: got {type(found).__name__} for {name}, expected a string")
    try:
        found.encode()
    except UnicodeEncodeError as error:
        raise WireError(f"collateral: got half a character in {name}, expected text") from error
    return found


def binary(value: Mapping[str, Any], name: str) -> bytes:
    """Return the bytes that the string `name` spells in hex.

    Raises:
        WireError: missing, of another type, or something else than hex.
    """
    return _unhex(text(value, name), name)


def binaries(value: Mapping[str, Any], name: str) -> tuple[bytes, ...]:
    """Return the list `name` of hex strings.

    Raises:
        WireError: missing, of another type, or something else than hex in it.
    """
    found = value.get(name)
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise WireError(f"collateral: got {type(found).__name__} for {name}, expected a list of strings")
    return tuple(_unhex(item, name) for item in found)


def _unhex(digits: str, name: str) -> bytes:
    try:
        return bytes.fromhex(digits)
    except ValueError as error:
        raise WireError(f"collateral: got something else than hex for {name}") from error


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise WireError("collateral: got a duplicate key")
    return value
