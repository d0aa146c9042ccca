"""The contract ABI's encoding, for the types that our contracts use (Solidity ABI specification).

Addresses and bytesN are raw bytes, structs are tuples in member order. Decoding refuses dirty padding and
values outside their type. Checked against eth_abi in the tests; it is here because importing eth_abi takes
longer than a whole command may.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from enclave_runtime.wire.eip712 import sol_fields
from enclave_runtime.wire.errors import WireError

__all__ = [
    "MAX_ELEMENTS",
    "AbiType",
    "canonical_name",
    "decode",
    "encode",
    "list_of",
    "parse_type",
    "struct_type",
    "tuple_of",
    "tuple_type",
]

MAX_ELEMENTS: Final = 1024
"""More elements than this in one array are refused before they are read."""
_ARRAY = re.compile(r"(.*)\[(\d*)\]")
_WORD: Final = 32


@dataclass(frozen=True, slots=True)
class AbiType:
    """One parsed type.

    Attributes:
        base: "uint", "int", "bool", "address", "bytesN", "bytes", "string", "tuple" or "array".
        size: bits of an integer, bytes of a bytesN, length of a fixed array (-1: any).
        members: of a tuple; of an array, its one element type.
        words: how many words it takes in place; 0 where it is dynamic.
    """

    base: str
    size: int
    members: tuple[AbiType, ...]
    words: int

    @property
    def head(self) -> int:
        """Return the bytes that it takes in the head of what contains it."""
        return (self.words or 1) * _WORD


def parse_type(entry: Mapping[str, Any]) -> AbiType:
    """Return the type of one input or output of an ABI in JSON.

    Raises:
        WireError: a type that our contracts do not use.
    """
    return _parse(str(entry["type"]), entry.get("components", ()))


def tuple_of(entries: Sequence[Mapping[str, Any]]) -> AbiType:
    """Return the tuple type of a list of inputs or outputs."""
    return tuple_type(tuple(parse_type(entry) for entry in entries))


def tuple_type(members: tuple[AbiType, ...]) -> AbiType:
    """Return the tuple type of `members`."""
    dynamic = any(member.words == 0 for member in members)
    return AbiType("tuple", len(members), members, 0 if dynamic else sum(member.words for member in members))


def canonical_name(entry: Mapping[str, Any]) -> str:
    """Return the type's name as signatures have it: structs as their members in parentheses."""
    kind = str(entry["type"])
    if not kind.startswith("tuple"):
        return kind
    inner = ",".join(canonical_name(item) for item in entry["components"])
    return f"({inner}){kind.removeprefix('tuple')}"


def struct_type(cls: type[Any]) -> AbiType:
    """Return the tuple type of a marked dataclass of `enclave_runtime.wire`."""
    members = []
    for field in sol_fields(cls):
        if field.struct is None:
            members.append(_parse(field.sol, ()))
        else:
            inner = struct_type(field.struct)
            members.append(list_of(inner) if field.is_array else inner)
    return tuple_type(tuple(members))


def list_of(element: AbiType) -> AbiType:
    """Return the type of a list of `element`, of any length."""
    return AbiType("array", -1, (element,), 0)


def encode(kind: AbiType, value: Any) -> bytes:
    """Return the encoding of `value`.

    Raises:
        WireError: a value outside its type.
    """
    if kind.base in ("tuple", "array"):
        return _encode_sequence(kind, value)
    return _encode_leaf(kind, value)


def decode(kind: AbiType, data: bytes) -> Any:
    """Return the value that `data` encodes.

    Raises:
        WireError: short data, dirty padding, offsets outside the data, or too many elements.
    """
    return _decode(kind, data, 0)


def _parse(name: str, components: Sequence[Mapping[str, Any]]) -> AbiType:
    array = _ARRAY.fullmatch(name)
    if array:
        element = _parse(array.group(1), components)
        length = int(array.group(2)) if array.group(2) else -1
        words = element.words * length if length > 0 else 0
        return AbiType("array", length, (element,), words)
    if name == "tuple":
        return tuple_type(tuple(parse_type(item) for item in components))
    if name in ("bytes", "string"):
        return AbiType(name, 0, (), 0)
    if name in ("bool", "address"):
        return AbiType(name, 20 if name == "address" else 1, (), 1)
    match = re.fullmatch(r"(uint|int|bytes)(\d+)", name)
    if not match:
        raise WireError(f"ABI: got the type {name}, which no contract of ours uses")
    base = "bytesN" if match.group(1) == "bytes" else match.group(1)
    return AbiType(base, int(match.group(2)), (), 1)


def _members(kind: AbiType, count: int) -> Sequence[AbiType]:
    return kind.members if kind.base == "tuple" else kind.members * count


def _encode_sequence(kind: AbiType, value: Any) -> bytes:
    if not isinstance(value, (tuple, list)) or (kind.size >= 0 and len(value) != kind.size):
        raise WireError(f"ABI: got something else than {kind.size if kind.size >= 0 else 'a list of'} values")
    types = _members(kind, len(value))
    offset = sum(item.head for item in types)
    heads, tails = [], []
    for item, one in zip(types, value, strict=True):
        body = encode(item, one)
        if item.words:
            heads.append(body)
        else:
            heads.append(offset.to_bytes(_WORD, "big"))
            tails.append(body)
            offset += len(body)
    length = b"" if kind.size >= 0 else len(value).to_bytes(_WORD, "big")
    return b"".join([length, *heads, *tails])


def _encode_leaf(kind: AbiType, value: Any) -> bytes:
    base = kind.base
    if base == "uint" and type(value) is not bool and isinstance(value, int) and 0 <= value < 1 << kind.size:
        return int(value).to_bytes(_WORD, "big")
    if base == "int" and type(value) is int and -(1 << kind.size - 1) <= value < 1 << kind.size - 1:
        return value.to_bytes(_WORD, "big", signed=True)
    if base == "bool" and isinstance(value, bool):
        return int(value).to_bytes(_WORD, "big")
    if isinstance(value, bytes):
        if base == "address" and len(value) == 20:
            return value.rjust(_WORD, b"\x00")
        if base == "bytesN" and len(value) == kind.size:
            return value.ljust(_WORD, b"\x00")
        if base == "bytes":
            return _encode_bytes(value)
    if base == "string" and isinstance(value, str):
        return _encode_bytes(value.encode())
    raise WireError(f"ABI: got a value that is no {base}{kind.size or ''}")


def _encode_bytes(value: bytes) -> bytes:
    return len(value).to_bytes(_WORD, "big") + value.ljust(-(-len(value) // _WORD) * _WORD, b"\x00")


def _decode(kind: AbiType, data: bytes, at: int) -> Any:
    if kind.base not in ("tuple", "array"):
        return _decode_leaf(kind, data, at)
    count = kind.size
    if count < 0:
        count, at = _count(data, at), at + _WORD
    values, cursor = [], at
    for item in _members(kind, count):
        if item.words:
            values.append(_decode(item, data, cursor))
        else:
            values.append(_decode(item, data, at + _int(data, cursor)))
        cursor += item.head
    return tuple(values) if kind.base == "tuple" else values


def _decode_leaf(kind: AbiType, data: bytes, at: int) -> Any:
    base = kind.base
    if base in ("bytes", "string"):
        size = _int(data, at)
        raw = _slice(data, at + _WORD, size)
        return raw if base == "bytes" else _text(raw)
    word = _slice(data, at, _WORD)
    if base == "bytesN":
        if any(word[kind.size :]):
            raise WireError("ABI: got dirty bytes after a bytesN")
        return word[: kind.size]
    if base == "address":
        if any(word[:12]):
            raise WireError("ABI: got dirty bytes before an address")
        return word[12:]
    number = int.from_bytes(word, "big", signed=base == "int")
    limit = 1 if base == "bool" else kind.size - (base == "int")
    if not -(1 << limit) * (base == "int") <= number < 1 << limit:
        raise WireError(f"ABI: got {number}, which is no {base}{kind.size}")
    return bool(number) if base == "bool" else number


def _count(data: bytes, at: int) -> int:
    count = _int(data, at)
    if count > MAX_ELEMENTS:
        raise WireError(f"ABI: got an array of {count} elements, expected at most {MAX_ELEMENTS}")
    return count


def _int(data: bytes, at: int) -> int:
    return int.from_bytes(_slice(data, at, _WORD), "big")


def _slice(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise WireError(f"ABI: got {len(data)} bytes, expected at least {at + size}")
    return data[at : at + size]


def _text(raw: bytes) -> str:
    """Return a string as far as it is one: Solidity's are any bytes, and strangers write them into events.

    To refuse them would let one listing hide all others. Nothing that is hashed or signed is a string.
    """
    return raw.decode(errors="replace")
