"""Frozen dataclasses to and from JSON objects with exactly the annotated members.

For what is signed as JSON; what is signed as EIP-712 has `codec`. Bytes are 0x-hex of a stated size,
integers that may pass 2**53 are decimal strings, enumerations go by name. Decoding accepts exactly what
encoding writes.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Annotated, Any, TypeAlias, TypeVar, get_args, get_origin, get_type_hints

from enclave_runtime.wire import codec
from enclave_runtime.wire.canonical import Json, JsonObject
from enclave_runtime.wire.eip712 import Sol
from enclave_runtime.wire.errors import WireError

__all__ = ["Big", "Hex20", "Hex32", "Items", "Long", "Size", "Text", "UpTo", "dump_record", "load_record"]

T = TypeVar("T")
_MAX_DECIMALS = 78


@dataclass(frozen=True, slots=True)
class Size:
    """Marks `bytes` with their length."""

    bytes: int


@dataclass(frozen=True, slots=True)
class UpTo:
    """Marks `bytes` with their greatest length."""

    bytes: int


@dataclass(frozen=True, slots=True)
class Text:
    """Marks a `str` with its greatest length in UTF-8 bytes."""

    bytes: int


@dataclass(frozen=True, slots=True)
class Big:
    """Marks an `int` that is written as a decimal string, with its width in bits."""

    bits: int


@dataclass(frozen=True, slots=True)
class Items:
    """Marks a `tuple[X, ...]` with its greatest length."""

    most: int


Hex20: TypeAlias = Annotated[bytes, Size(20)]
Hex32: TypeAlias = Annotated[bytes, Size(32)]
Long: TypeAlias = Annotated[int, Big(64)]


def dump_record(record: Any) -> JsonObject:
    """Return `record`, a marked dataclass, as a JSON object.

    Raises:
        WireError: a value outside its annotation.
    """
    hints = _hints(type(record))
    return {
        field.name: _dump(hints[field.name], getattr(record, field.name))
        for field in dataclasses.fields(record)
    }


def load_record(cls: type[T], value: object) -> T:
    """Return the `cls` that `value` describes.

    Raises:
        WireError: missing or unknown members, other types, values outside their annotation.
    """
    hints = _hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    if not isinstance(value, dict) or set(value) != set(names):
        got = sorted(value) if isinstance(value, dict) else type(value).__name__
        raise WireError(f"{cls.__name__}: got {str(got)[:200]}, expected the members {sorted(names)}")
    loaded = {}
    for name in names:
        try:
            loaded[name] = _load(hints[name], value[name])
        except WireError as error:
            raise WireError(f"{name}: {error}") from error
    record = cls(**loaded)
    if dump_record(record) != value:
        raise WireError(f"{cls.__name__}: got another spelling than the canonical one")
    return record


def _dump(hint: Any, value: Any) -> Json:
    hint, value = _unwrap_optional(hint, value)
    if value is None:
        return None
    base, mark = _split(hint)
    if get_origin(base) is tuple:
        if len(value) > mark.most:
            raise WireError(f"got {len(value)} items, expected at most {mark.most}")
        return [_dump(get_args(base)[0], item) for item in value]
    if dataclasses.is_dataclass(base):
        return codec.to_json(value) if _is_struct(base) else dump_record(value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Enum):
        return value.name
    if isinstance(mark, Big):
        return str(_checked(value, mark.bits))
    if isinstance(mark, Size):
        return codec.hex_of(_sized(value, mark.bytes))
    if isinstance(mark, UpTo):
        return codec.hex_of(_at_most(value, mark.bytes))
    if isinstance(mark, Text):
        return _text(value, mark.bytes)
    if base is bool:
        return bool(value)
    return _checked(value, 53)


def _load(hint: Any, value: object) -> Any:
    hint, value = _unwrap_optional(hint, value)
    if value is None:
        return None
    base, mark = _split(hint)
    if get_origin(base) is tuple:
        if not isinstance(value, list) or len(value) > mark.most:
            raise WireError(f"got something else than a list of at most {mark.most}")
        return tuple(_load(get_args(base)[0], item) for item in value)
    if dataclasses.is_dataclass(base) and isinstance(base, type):
        return codec.from_json(base, value) if _is_struct(base) else load_record(base, value)
    if isinstance(base, type) and issubclass(base, Enum):
        return _member(base, value)
    if isinstance(mark, Big):
        return _decimal(value, mark.bits)
    if isinstance(mark, Size):
        return codec.bytes_from_hex(value, mark.bytes)
    if isinstance(mark, UpTo):
        return _at_most(codec.bytes_from_hex(value), mark.bytes)
    if isinstance(mark, Text):
        return _text(value, mark.bytes)
    if base is bool:
        if not isinstance(value, bool):
            raise WireError("got something else than true or false")
        return value
    return _checked(value, 53)


def _unwrap_optional(hint: Any, value: object) -> tuple[Any, Any]:
    """Return the hint without `| None`; refuse a missing value where the hint has none."""
    optional = get_origin(hint) in (types.UnionType, typing.Union)
    if optional:
        (hint,) = [arg for arg in get_args(hint) if arg is not type(None)]
    if value is None and not optional:
        raise WireError("got null, expected a value")
    return hint, value


def _split(hint: Any) -> tuple[Any, Any]:
    if get_origin(hint) is Annotated:
        base, *marks = get_args(hint)
        return base, marks[0]
    return hint, None


_HINTS: dict[Any, dict[str, Any]] = {}


def _hints(cls: Any) -> dict[str, Any]:
    """Return a record's annotations; reading them anew for every message was most of its cost."""
    if cls not in _HINTS:
        _HINTS[cls] = get_type_hints(cls, include_extras=True)
    return _HINTS[cls]


def _is_struct(cls: Any) -> bool:
    """Return whether `cls` is one of the EIP-712 structs, which have their own JSON form."""
    hints = _hints(cls)
    return bool(hints) and all(map(_is_struct_field, hints.values()))


def _is_struct_field(hint: Any) -> bool:
    if get_origin(hint) is Annotated:
        return any(isinstance(mark, Sol) for mark in get_args(hint)[1:])
    if get_origin(hint) is tuple:
        hint = get_args(hint)[0]
    return dataclasses.is_dataclass(hint) and _is_struct(hint)


def _member(cls: type[Enum], value: object) -> Enum:
    for member in cls:
        if value == (member.value if issubclass(cls, StrEnum) else member.name):
            return member
    raise WireError(f"got {str(value)[:40]!r}, expected a {cls.__name__}")


def _checked(value: object, bits: int) -> int:
    if type(value) is not int or not 0 <= value < 1 << bits:
        raise WireError(f"got something else than an integer of {bits} bits")
    return value


def _decimal(value: object, bits: int) -> int:
    if not isinstance(value, str) or not value.isascii() or not value.isdigit() or len(value) > _MAX_DECIMALS:
        raise WireError("got something else than a decimal string")
    return _checked(int(value), bits)


def _sized(value: bytes, size: int) -> bytes:
    if len(value) != size:
        raise WireError(f"got {len(value)} bytes, expected {size}")
    return value


def _at_most(value: bytes, size: int) -> bytes:
    if len(value) > size:
        raise WireError(f"got {len(value)} bytes, expected at most {size}")
    return value


def _text(value: object, limit: int) -> str:
    if not isinstance(value, str) or len(value.encode(errors="replace")) > limit:
        raise WireError(f"got something else than a string of at most {limit} bytes")
    return value
