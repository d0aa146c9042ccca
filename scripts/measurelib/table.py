"""The table of GUIDs at the end of an EDK2 firmware: where each TEE's facts about it lie."""

from __future__ import annotations

import struct
import uuid

from enclave_runtime.wire.errors import WireError

__all__ = ["entries", "place"]

_FOOTER = uuid.UUID("96b582de-1fb2-45f7-baea-a366c55a082d").bytes_le
_FOOTER_END = 32
"""Bytes of the reset vector behind the table."""
_ENTRY = struct.Struct("<H16s")


def entries(firmware: bytes, what: str) -> dict[bytes, bytes]:
    """Return the table's entries by GUID, as its bytes lie there.

    Args:
        what: begins the message of an error.
    Raises:
        WireError: no such table.
    """
    end = len(firmware) - _FOOTER_END
    if end < _ENTRY.size:
        raise WireError(f"{what}: got {len(firmware)} bytes, expected a firmware")
    size, guid = _ENTRY.unpack_from(firmware, end - _ENTRY.size)
    if guid != _FOOTER or not _ENTRY.size <= size <= end:
        raise WireError(f"{what}: got a file without the table of a virtual firmware")
    first, at = end - size, end - _ENTRY.size
    found: dict[bytes, bytes] = {}
    while at - _ENTRY.size >= first:
        size, guid = _ENTRY.unpack_from(firmware, at - _ENTRY.size)
        if not _ENTRY.size <= size <= at - first:
            break
        found.setdefault(guid, firmware[at - size : at - _ENTRY.size])
        at -= size
    return found


def place(firmware: bytes, guid: uuid.UUID, what: str) -> int | None:
    """Return where in the file the metadata lie that an entry points to, or None without such an entry."""
    entry = entries(firmware, what).get(guid.bytes_le)
    if entry is None or len(entry) != 4:
        return None
    return len(firmware) - int.from_bytes(entry, "little")
