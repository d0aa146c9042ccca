"""A quote as short as its layout allows: header, TD 1.0 body, a signature section that signs nothing."""

from __future__ import annotations

import struct

__all__ = ["td_quote"]

_REPORT_DATA_AT = 520
"""In the body of a TD 1.0 report (584 bytes)."""


def td_quote(report_data: bytes) -> bytes:
    """Return a version 4 quote over `report_data` (64 bytes); nobody signed it."""
    header = struct.pack("<HHIHH16s20s", 4, 2, 0x81, 0, 0, b"", b"")
    body = bytes(_REPORT_DATA_AT) + report_data
    return header + body + struct.pack("<I", 4) + b"sign"
