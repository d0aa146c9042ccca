"""CBOR in the one form that signed documents have (RFC 8949 section 4.2), within limits.

Libraries take more than one spelling of a value: the last of two equal keys, lengths without end, bytes
behind the item. Whoever compares or signs needs one: here every other spelling is refused, but for maps and
lists without a length inside what somebody signed whole, where nobody can choose. No floats, no undefined.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from enclave_runtime.wire.errors import WireError

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_ITEMS", "Cbor", "Tagged", "decode", "encode_bytes", "encode_text"]

MAX_BYTES: Final = 1 << 16
MAX_DEPTH: Final = 8
MAX_ITEMS: Final = 4096

Cbor: TypeAlias = "int | bytes | str | bool | None | list[Cbor] | dict[int | str, Cbor] | Tagged"

_UINT, _NINT, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_OPEN, _UNCOUNTED, _BREAK = 31, -1, b"\xff"
_SIMPLES: Final[dict[int, bool | None]] = {20: False, 21: True, 22: None}


@dataclass(frozen=True, slots=True)
class Tagged:
    """A value behind a tag number."""

    tag: int
    value: Cbor


def decode(data: bytes, *, is_signed: bool = False) -> Cbor:
    """Return the one item that `data` is.

    Args:
        is_signed: its bytes are signed as they are: maps and lists may end by a mark instead of a count.
    Raises:
        WireError: too long, too deep or too many items; anything behind the item; a length without end, one
            that is longer than needed or beyond the data; two equal keys; a type without a place here.
    """
    if len(data) > MAX_BYTES:
        raise WireError(f"cbor: got {len(data)} bytes, expected at most {MAX_BYTES}")
    reader = _Reader(data, is_signed)
    value = reader.item(0)
    if reader.at != len(data):
        raise WireError(f"cbor: got {len(data) - reader.at} bytes behind the item, expected none")
    return value


def encode_bytes(value: bytes) -> bytes:
    """Return a byte string as CBOR."""
    return _head(_BYTES, len(value)) + value


def encode_text(value: str) -> bytes:
    """Return a text as CBOR."""
    data = value.encode()
    return _head(_TEXT, len(data)) + data


def _head(major: int, value: int) -> bytes:
    if value < 24:
        return bytes([major << 5 | value])
    size = next(size for size in (1, 2, 4, 8) if value < 1 << 8 * size)
    return bytes([major << 5 | 23 + size.bit_length()]) + value.to_bytes(size, "big")


class _Reader:
    """Takes items one after the other."""

    def __init__(self, data: bytes, is_signed: bool) -> None:
        self._data, self._is_signed, self.at, self._items = data, is_signed, 0, 0

    def item(self, depth: int) -> Cbor:
        """Return the next item, `depth` levels down."""
        self._items += 1
        if depth > MAX_DEPTH or self._items > MAX_ITEMS:
            raise WireError(f"cbor: got more than {MAX_DEPTH} levels or {MAX_ITEMS} items")
        major, value = self._take_head()
        if major == _UINT:
            return value
        if major == _NINT:
            return -1 - value
        if major == _BYTES:
            return self._take(value)
        if major == _TEXT:
            return self._text(value)
        if major == _ARRAY:
            return [self.item(depth + 1) for _ in self._places(value)]
        if major == _MAP:
            return self._map(value, depth)
        if major == _TAG:
            return Tagged(value, self.item(depth + 1))
        if value not in _SIMPLES:
            raise WireError(f"cbor: got simple value {value}, expected true, false or null")
        return _SIMPLES[value]

    def _map(self, count: int, depth: int) -> dict[int | str, Cbor]:
        found: dict[int | str, Cbor] = {}
        for _ in self._places(count):
            key = self.item(depth + 1)
            # A bool is an int to Python, and 1 == True: neither may stand for the other.
            if isinstance(key, bool) or not isinstance(key, int | str) or key in found:
                raise WireError(f"cbor: got key {str(key)[:40]!r}, expected a number or text, once")
            found[key] = self.item(depth + 1)
        return found

    def _take_head(self) -> tuple[int, int]:
        first = self._take(1)[0]
        major, short = first >> 5, first & 0x1F
        if short < 24:
            return major, short
        if short == _OPEN and self._is_signed and major in (_ARRAY, _MAP):
            return major, _UNCOUNTED
        if short > 27 or major == _SIMPLE:
            raise WireError(f"cbor: got initial byte {first:#04x}, expected a definite length")
        size = 1 << short - 24
        value = int.from_bytes(self._take(size), "big")
        if value < (24 if size == 1 else 1 << 4 * size):
            raise WireError(f"cbor: got {value} in {size} bytes, expected the shortest form")
        return major, value

    def _take(self, size: int) -> bytes:
        if size > len(self._data) - self.at:
            raise WireError(f"cbor: got {len(self._data) - self.at} bytes more, expected {size}")
        self.at += size
        return self._data[self.at - size : self.at]

    def _text(self, size: int) -> str:
        try:
            return self._take(size).decode()
        except UnicodeDecodeError as error:
            raise WireError("cbor: got text that is not UTF-8") from error

    def _places(self, count: int) -> Iterator[None]:
        """Yield once for each item of a list or map: as many as counted, or up to the mark of its end."""
        if count == _UNCOUNTED:
            while self._data[self.at : self.at + 1] != _BREAK:
                yield
            self.at += 1
            return
        if count > len(self._data) - self.at:
            raise WireError(f"cbor: got a count of {count}, expected at most one for each byte left")
        for _ in range(count):
            yield
