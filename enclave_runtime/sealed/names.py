"""Which characters a name in an archive may have: the same on every Python (docs/protocol.md section 3.1).

What a character is, and how it is normalized, depends on the Unicode version that an interpreter carries:
14.0 in Python 3.11, 15.0 in 3.12. Characters that 14.0 does not have are refused everywhere, so that no
archive is packed by one and refused, or read otherwise, by another. Those that it has keep category and
normal form for ever (ADR 0022).
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from typing import Final

__all__ = ["text_fault"]

_HIDDEN: Final = ("Cc", "Cf", "Zl", "Zp")
_UNASSIGNED: Final = "Cn"
# fmt: off
_SINCE_14: Final = (  # ranges, both ends included, that Unicode 15.0 and 15.1 added
    (0x00cf3, 0x00cf3), (0x00ece, 0x00ece), (0x02ffc, 0x02fff), (0x031ef, 0x031ef), (0x10efd, 0x10eff),
    (0x1123f, 0x11241), (0x11b00, 0x11b09), (0x11f00, 0x11f10), (0x11f12, 0x11f3a), (0x11f3e, 0x11f59),
    (0x1342f, 0x1342f), (0x13439, 0x13455), (0x1b132, 0x1b132), (0x1b155, 0x1b155), (0x1d2c0, 0x1d2d3),
    (0x1df25, 0x1df2a), (0x1e030, 0x1e06d), (0x1e08f, 0x1e08f), (0x1e4d0, 0x1e4f9), (0x1f6dc, 0x1f6dc),
    (0x1f774, 0x1f776), (0x1f77b, 0x1f77f), (0x1f7d9, 0x1f7d9), (0x1fa75, 0x1fa77), (0x1fa87, 0x1fa88),
    (0x1faad, 0x1faaf), (0x1fabb, 0x1fabd), (0x1fabf, 0x1fabf), (0x1face, 0x1facf), (0x1fada, 0x1fadb),
    (0x1fae8, 0x1fae8), (0x1faf7, 0x1faf8), (0x2b739, 0x2b739), (0x2ebf0, 0x2ee5d), (0x31350, 0x323af),
)
# fmt: on
_STARTS: Final = tuple(first for first, _ in _SINCE_14)


def text_fault(text: str) -> str | None:
    """Return what is wrong with the characters of a name, in words that do not repeat it, or None."""
    if text.isascii():
        return None if text.isprintable() else "a name with control or invisible characters"
    categories = {unicodedata.category(sign) for sign in text}
    if _UNASSIGNED in categories or any(_is_newer(ord(sign)) for sign in text):
        return "a name with characters that Unicode 14 does not have"
    if not categories.isdisjoint(_HIDDEN):
        return "a name with control or invisible characters"
    if unicodedata.normalize("NFC", text) != text:
        return "a name that is not in Unicode NFC"
    return None


def _is_newer(sign: int) -> bool:
    place = bisect_right(_STARTS, sign) - 1
    return place >= 0 and sign <= _SINCE_14[place][1]
