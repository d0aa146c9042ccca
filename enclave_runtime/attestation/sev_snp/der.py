"""Reading the DER of AMD's certificates: definite lengths in their shortest form, nothing left over.

A reader of our own because every VCEK has serial number 0, which RFC 5280 forbids and X.509 libraries have
begun to refuse. It knows only what AMD's certificates contain, and refuses the rest.
"""

from __future__ import annotations

import calendar
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from enclave_runtime.wire.errors import WireError

__all__ = [
    "BIT_STRING",
    "BOOLEAN",
    "IA5_STRING",
    "INTEGER",
    "OCTET_STRING",
    "OID",
    "SEQUENCE",
    "SET",
    "Value",
    "oid",
    "parts",
    "small_integer",
    "time",
    "value",
]

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, OID = 0x01, 0x02, 0x03, 0x04, 0x06
IA5_STRING, SEQUENCE, SET = 0x16, 0x30, 0x31
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_SHORTEST = (0x80, 0x100, 0x10000)
"""Least size that needs one, two and three bytes of length."""
_MAX_PARTS = 64
"""Of what nobody has signed yet: AMD's certificates have at most 11 values in one."""
_PIVOT = 50  # RFC 5280: two digits from 50 on are of the twentieth century


class Value(NamedTuple):
    """One DER value.

    Attributes:
        tag: identifier byte.
        content: bytes of the value itself.
        whole: identifier, length and content, as they stand.
    """

    tag: int
    content: bytes
    whole: bytes


def value(data: bytes, tag: int) -> Value:
    """Return the one value of kind `tag` that `data` is, exactly.

    Raises:
        WireError: another tag, a cut or badly written value, or bytes behind it.
    """
    found = parts(data)
    if len(found) != 1 or found[0].tag != tag:
        raise WireError(f"der: got tags {[part.tag for part in found[:4]]}, expected {tag} alone")
    return found[0]


def parts(data: bytes, limit: int = _MAX_PARTS) -> list[Value]:
    """Return the values that stand one behind the other in `data`, at most `limit`.

    Raises:
        WireError: a cut or badly written value, or more of them.
    """
    found: list[Value] = []
    at, length = 0, len(data)
    while at < length:
        if len(found) == limit:
            raise WireError(f"der: got more than {limit} values in one, expected at most that")
        if at + 2 > length:
            raise WireError("der: got a cut value")
        tag, size, start = data[at], data[at + 1], at + 2
        if tag & 0x1F == 0x1F:
            raise WireError(f"der: got tag {tag:#x}, expected one of one byte")
        if size & 0x80:
            count = size & 0x7F
            size = int.from_bytes(data[start : start + count], "big")
            start += count
            if count not in (1, 2, 3) or size < _SHORTEST[count - 1]:
                raise WireError("der: got a length in another than its shortest form")
        end = start + size
        if end > length:
            raise WireError("der: got a cut value")
        found.append(Value(tag, data[start:end], data[at:end]))
        at = end
    return found


def small_integer(found: Value) -> int:
    """Return a non-negative INTEGER of at most 20 bytes.

    Raises:
        WireError: another kind, negative, longer, or not in its shortest form.
    """
    content = found.content
    if found.tag != INTEGER or not 0 < len(content) <= 21 or content[0] & 0x80:
        raise WireError(f"der: got {len(content)} bytes of tag {found.tag:#x}, expected a small INTEGER")
    if len(content) > 1 and content[0] == 0 and not content[1] & 0x80:
        raise WireError("der: got an INTEGER in another than its shortest form")
    return int.from_bytes(content, "big")


def oid(found: Value) -> str:
    """Return an OBJECT IDENTIFIER in dots.

    Raises:
        WireError: another kind, or a cut or badly written one.
    """
    if found.tag != OID:
        raise WireError(f"der: got tag {found.tag:#x}, expected an OBJECT IDENTIFIER")
    return _dotted(found.content)


@lru_cache(maxsize=256)
def _dotted(content: bytes) -> str:
    if not content or content[-1] & 0x80 or content[0] & 0x80:
        raise WireError("der: got a cut OBJECT IDENTIFIER, or one of an unknown arc")
    first = min(content[0] // 40, 2)
    numbers, number = [first, content[0] - 40 * first], 0
    for byte in content[1:]:
        if number == 0 and byte == 0x80:
            raise WireError("der: got an OBJECT IDENTIFIER in another than its shortest form")
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(number)
            number = 0
    return ".".join(map(str, numbers))


def time(found: Value) -> int:
    """Return a UTCTime or GeneralizedTime as Unix time, in seconds.

    Raises:
        WireError: another kind, or a date that is none.
    """
    digits, year = found.content[:-1], {_UTC_TIME: 2, _GENERALIZED_TIME: 4}.get(found.tag, 0)
    if not year or found.content[-1:] != b"Z" or len(digits) != year + 10 or not digits.isdigit():
        raise WireError(f"der: got tag {found.tag:#x}, expected a date in UTC")
    century = 0 if year == 4 else 1900 if int(digits[:2]) >= _PIVOT else 2000
    month, day, hour, minute, second = (int(digits[at : at + 2]) for at in range(year, year + 10, 2))
    try:
        date = datetime(century + int(digits[:year]), month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise WireError("der: got a date that is none") from error
    return calendar.timegm(date.timetuple())
