"""Members of a CBOR map, with their types and sizes."""

from __future__ import annotations

from enclave_runtime.attestation.cose.cbor import Cbor, decode
from enclave_runtime.wire.errors import WireError

__all__ = ["as_map", "data_of", "number_of"]


def as_map(payload: bytes, what: str) -> dict[int | str, Cbor]:
    """Return the map that `payload`, which is signed as it is, holds.

    Raises:
        WireError: something else.
    """
    value = decode(payload, is_signed=True)
    if not isinstance(value, dict):
        raise WireError(f"{what}: got {type(value).__name__}, expected a map")
    return value


def data_of(members: dict[int | str, Cbor], key: int | str, *sizes: int) -> bytes:
    """Return a byte string, of one of `sizes` where any are given.

    Raises:
        WireError: absent, of another type or size.
    """
    value = members.get(key)
    if not isinstance(value, bytes) or (sizes and len(value) not in sizes):
        got = f"{len(value)} bytes" if isinstance(value, bytes) else type(value).__name__
        raise WireError(f"member {key}: got {got}, expected bytes{f' of length {sizes}' if sizes else ''}")
    return value


def number_of(members: dict[int | str, Cbor], key: int | str) -> int:
    """Return a number that is not negative.

    Raises:
        WireError: absent or something else.
    """
    value = members.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise WireError(f"member {key}: got {str(value)[:40]!r}, expected a number")
    return value
