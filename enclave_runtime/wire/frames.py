"""Frames between a CVM and its agent: a canonical JSON header and a raw body (docs/cvm-socket.md).

    frame = header length u32 || body length u32 || header || body        (integers big endian)

Pure: the agent's side and the CVM's side both build and read frames here. Lengths are checked before memory
is taken for them.
"""

from __future__ import annotations

import struct
from typing import Final

from enclave_runtime.wire.canonical import JsonObject, dump, parse_object
from enclave_runtime.wire.errors import WireError

__all__ = ["MAX_BODY_BYTES", "MAX_HEADER_BYTES", "PREFIX_BYTES", "pack", "read_header", "read_prefix"]

MAX_HEADER_BYTES: Final = 1 << 20
MAX_BODY_BYTES: Final = 4 << 20
_PREFIX: Final = struct.Struct(">II")
PREFIX_BYTES: Final = _PREFIX.size


def pack(header: object, body_bytes: int = 0) -> bytes:
    """Return prefix and header of a frame; the sender writes the body after them.

    Raises:
        WireError: a header that is not canonical JSON, or a part beyond its limit.
    """
    data = dump(header)
    _check(len(data), body_bytes)
    return _PREFIX.pack(len(data), body_bytes) + data


def read_prefix(prefix: bytes) -> tuple[int, int]:
    """Return (header bytes, body bytes) that follow `prefix`, 8 bytes.

    Raises:
        WireError: another length than 8, an empty header, or a part beyond its limit.
    """
    if len(prefix) != PREFIX_BYTES:
        raise WireError(f"frame: got a prefix of {len(prefix)} bytes, expected {PREFIX_BYTES}")
    header_bytes, body_bytes = _PREFIX.unpack(prefix)
    _check(header_bytes, body_bytes)
    return header_bytes, body_bytes


def read_header(data: bytes) -> JsonObject:
    """Return the header in `data`.

    Raises:
        WireError: not one canonical JSON object.
    """
    return parse_object(data, limit=MAX_HEADER_BYTES)


def _check(header_bytes: int, body_bytes: int) -> None:
    if not 0 < header_bytes <= MAX_HEADER_BYTES:
        raise WireError(f"frame: got a header of {header_bytes} bytes, expected 1 to {MAX_HEADER_BYTES}")
    if not 0 <= body_bytes <= MAX_BODY_BYTES:
        raise WireError(f"frame: got a body of {body_bytes} bytes, expected at most {MAX_BODY_BYTES}")
