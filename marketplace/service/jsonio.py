"""JSON from strangers, within limits (docs/protocol.md section 10: refused before it is parsed further).

Any layout is accepted, so that ordinary HTTP clients work; what has two readings is not: duplicate keys,
floating point, NaN. Objects that are hashed or signed are put into canonical bytes before they are believed.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from enclave_runtime.wire import canonical
from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.errors import WireError

__all__ = ["MAX_BODY_BYTES", "members", "read_object"]

MAX_BODY_BYTES = 1 << 20
"""Evidence with event log and GPU evidence stays below 600 kB; an order with 16 inputs below 64 kB."""


def read_object(data: bytes, *, limit: int = MAX_BODY_BYTES) -> JsonObject:
    """Return the JSON object in `data`.

    Raises:
        WireError: oversize, not UTF-8 JSON, not an object, duplicate keys, floats, or nested too deep.
    """
    if len(data) > limit:
        raise WireError(f"body: got {len(data)} bytes, expected at most {limit}")
    try:
        value = json.loads(
            data.decode(), object_pairs_hook=_no_duplicates, parse_float=_refuse, parse_constant=_refuse
        )
    except WireError:
        raise
    except (ValueError, RecursionError) as error:
        raise WireError("body: got bytes that are not JSON") from error
    if not isinstance(value, dict):
        raise WireError(f"body: got {type(value).__name__}, expected an object")
    canonical.dump(value)  # depth, integers and strings within the protocol's limits
    return value


def members(value: JsonObject, *names: str) -> JsonObject:
    """Return `value` when it has exactly the members `names`.

    Raises:
        WireError: a member is missing or unknown.
    """
    if set(value) != set(names):
        raise WireError(f"body: got members {str(sorted(value))[:200]}, expected {sorted(names)}")
    return value


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise WireError("body: got a duplicate key")
    return value


def _refuse(text: str) -> NoReturn:
    raise WireError(f"body: got the number {text[:32]}, expected an integer")
