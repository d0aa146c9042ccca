"""Canonical JSON: the subset of RFC 8785 without floating point, one encoding per value.

Objects have ASCII keys in sorted order, no white space, integers within 2**53, strings in UTF-8.
A parser that accepts only what the encoder would write leaves nothing to interpretation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NoReturn, TypeAlias

from enclave_runtime.wire.errors import WireError

__all__ = ["MAX_BYTES", "MAX_DEPTH", "Json", "JsonObject", "dump", "parse", "parse_object"]

Json: TypeAlias = "None | bool | int | str | list[Json] | dict[str, Json]"
JsonObject: TypeAlias = "dict[str, Json]"

MAX_BYTES = 1 << 20
MAX_DEPTH = 16
_MAX_INT = (1 << 53) - 1


def dump(value: object) -> bytes:
    """Return the one canonical encoding of `value`.

    Raises:
        WireError: a float, a non-ASCII key, an integer beyond 2**53 - 1, or nesting beyond `MAX_DEPTH`.
    """
    _check(value, 0)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def parse(data: bytes, *, limit: int = MAX_BYTES) -> Json:
    """Return the value that `data` encodes, refusing every encoding but the canonical one.

    Args:
        data: UTF-8 bytes.
        limit: greatest accepted length, in bytes; checked before anything is parsed.
    Raises:
        WireError: oversize, not JSON, duplicate keys, floats, or any byte that `dump` would not write.
    """
    if len(data) > limit:
        raise WireError(f"canonical JSON: got {len(data)} bytes, expected at most {limit}")
    _check_brackets(data)
    try:
        value: Json = json.loads(data, parse_float=_no_float, parse_constant=_no_float)
    except WireError:
        raise
    except (ValueError, RecursionError) as error:
        raise WireError("canonical JSON: got bytes that are not JSON") from error
    if dump(value) != data:
        raise WireError("canonical JSON: got another encoding than the canonical one")
    return value


def parse_object(data: bytes, *, limit: int = MAX_BYTES) -> JsonObject:
    """Return the object that `data` encodes; see `parse`.

    Raises:
        WireError: as `parse`, or the value is not an object.
    """
    value = parse(data, limit=limit)
    if not isinstance(value, dict):
        raise WireError(f"canonical JSON: got {type(value).__name__}, expected an object")
    return value


def _no_float(text: str) -> NoReturn:
    raise WireError(f"canonical JSON: got the number {text[:32]}, expected an integer")


def _check_brackets(data: bytes) -> None:
    """Bound the nesting before a recursive parser sees it (strings can only overcount: a refusal)."""
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH:
        depth = deepest = 0
        in_string = escaped = False
        for byte in data:
            if in_string:
                if escaped:
                    escaped = False
                elif byte == 0x5C:
                    escaped = True
                elif byte == 0x22:
                    in_string = False
            elif byte == 0x22:
                in_string = True
            elif byte in b"[{":
                depth += 1
                deepest = max(deepest, depth)
            elif byte in b"]}":
                depth -= 1
        if deepest > MAX_DEPTH:
            raise WireError(f"canonical JSON: got nesting {deepest}, expected at most {MAX_DEPTH}")


def _check(value: object, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise WireError(f"canonical JSON: got nesting beyond {MAX_DEPTH}")
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise WireError("canonical JSON: got a lone surrogate in a string") from error
    elif isinstance(value, int):
        if abs(value) > _MAX_INT:
            raise WireError("canonical JSON: got an integer beyond 2**53 - 1; write it as a string")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise WireError("canonical JSON: got a key that is not an ASCII string")
            _check(item, depth + 1)
    elif isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        for item in value:
            _check(item, depth + 1)
    else:
        raise WireError(f"canonical JSON: got {type(value).__name__}, expected JSON without floats")
