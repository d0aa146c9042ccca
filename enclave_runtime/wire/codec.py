"""Structs to and from canonical JSON, and to the nested tuples that ABI encoders take.

Bytes are written as 0x-hex, integers of 64 bits and more as decimal strings (JSON readers differ
beyond 2**53), smaller ones as numbers. Decoding accepts exactly what encoding writes.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

from enclave_runtime.wire.canonical import Json
from enclave_runtime.wire.eip712 import Field, sol_fields
from enclave_runtime.wire.errors import WireError

__all__ = ["MAX_ITEMS", "bytes_from_hex", "from_json", "hex_of", "to_abi", "to_json"]

T = TypeVar("T")
MAX_ITEMS = 64
"""The longest list that any struct of the protocol may carry."""
_HEX = re.compile(r"0x(?:[0-9a-f]{2})*")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,77}")


def hex_of(data: bytes) -> str:
    """Return `data` as lower-case hex with 0x."""
    return "0x" + data.hex()


def bytes_from_hex(text: object, size: int | None = None) -> bytes:
    """Return the bytes of a lower-case 0x-hex string.

    Raises:
        WireError: not such a string, or not `size` bytes.
    """
    if not isinstance(text, str) or not _HEX.fullmatch(text):
        raise WireError("hex: got something else than a lower-case 0x-string")
    data = bytes.fromhex(text[2:])
    if size is not None and len(data) != size:
        raise WireError(f"hex: got {len(data)} bytes, expected {size}")
    return data


def to_json(struct: Any) -> dict[str, Json]:
    """Return a marked dataclass as a JSON object with its Python field names."""
    return {field.name: _dump(field, getattr(struct, field.name)) for field in sol_fields(type(struct))}


def from_json(cls: type[T], value: object) -> T:
    """Return the `cls` that `value` describes.

    Raises:
        WireError: missing or unknown members, wrong types, or values out of range.
    """
    fields = sol_fields(cls)
    names = {field.name for field in fields}
    if not isinstance(value, dict) or set(value) != names:
        got = sorted(value) if isinstance(value, dict) else type(value).__name__
        raise WireError(f"{cls.__name__}: got {str(got)[:200]}, expected {sorted(names)}")
    return cls(**{field.name: _load(field, value[field.name]) for field in fields})


def to_abi(struct: Any) -> tuple[Any, ...]:
    """Return nested tuples in field order, as Solidity ABI encoders take structs."""
    return tuple(_abi(getattr(struct, field.name)) for field in sol_fields(type(struct)))


def _abi(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_abi(item) for item in value]
    if isinstance(value, bytes):
        return value
    return to_abi(value) if hasattr(value, "__dataclass_fields__") else value


def _dump(field: Field, value: Any) -> Json:
    if field.is_array:
        return [to_json(item) if field.struct else _dump_word(field.sol[:-2], item) for item in value]
    return to_json(value) if field.struct else _dump_word(field.sol, value)


def _dump_word(kind: str, value: Any) -> Json:
    if not kind.startswith("uint"):
        return hex_of(value)
    return str(value) if int(kind[4:]) >= 64 else int(value)


def _load(field: Field, value: object) -> Any:
    if not field.is_array:
        return from_json(field.struct, value) if field.struct else _load_word(field.sol, value)
    if not isinstance(value, list) or len(value) > MAX_ITEMS:
        raise WireError(f"{field.name}: got something else than a list of at most {MAX_ITEMS}")
    if field.struct:
        return tuple(from_json(field.struct, item) for item in value)
    return tuple(_load_word(field.sol[:-2], item) for item in value)


def _load_word(kind: str, value: object) -> Any:
    if not kind.startswith("uint"):
        return bytes_from_hex(value, {"address": 20, "bytes32": 32}[kind])
    bits = int(kind[4:])
    if bits >= 64:
        if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
            raise WireError(f"{kind}: got something else than a decimal string")
        number = int(value)
    else:
        if type(value) is not int:
            raise WireError(f"{kind}: got something else than an integer")
        number = value
    if not 0 <= number < 1 << bits:
        raise WireError(f"{kind}: got a value out of range")
    return number
