"""EIP-712 hashing of frozen dataclasses: one declaration gives the type string and the encoding.

A field's Solidity type stands in its annotation, `Annotated[int, Sol("uint128")]`; nested structs and
tuples of structs need no marker. The Solidity twin is contracts/libraries/OrderHashLib.sol;
tests/conformance holds the two together.
"""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass
from typing import Any, get_args, get_origin, get_type_hints

from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import keccak256

__all__ = ["Domain", "Field", "Sol", "encode_type", "hash_struct", "sol_fields", "typed_digest"]


@dataclass(frozen=True, slots=True)
class Sol:
    """Marks a field with its Solidity type, for example `Sol("uint40")`."""

    type: str


@dataclass(frozen=True, slots=True)
class Field:
    """One member of a struct: its Python name, Solidity type, and nested struct if any."""

    name: str
    sol: str
    struct: type[Any] | None
    is_array: bool


@dataclass(frozen=True, slots=True)
class Domain:
    """An EIP-712 domain; `verifying_contract` is 20 raw bytes."""

    name: str
    version: str
    chain_id: int
    verifying_contract: bytes

    def separator(self) -> bytes:
        """Return the domain separator, 32 bytes."""
        return keccak256(
            keccak256(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
            + keccak256(self.name.encode())
            + keccak256(self.version.encode())
            + _word("uint256", self.chain_id)
            + _word("address", self.verifying_contract)
        )


def typed_digest(domain: Domain, struct: Any) -> bytes:
    """Return the 32 bytes that are signed for `struct` under `domain`."""
    return keccak256(b"\x19\x01" + domain.separator() + hash_struct(struct))


def hash_struct(struct: Any) -> bytes:
    """Return keccak256(typeHash || encodeData) of a marked dataclass instance.

    Raises:
        WireError: a value outside its Solidity type.
    """
    cls: type[Any] = type(struct)
    encoded = [_type_hash(cls)]
    for field in sol_fields(cls):
        value = getattr(struct, field.name)
        encoded.append(_encode(field, value))
    return keccak256(b"".join(encoded))


def sol_fields(cls: type[Any]) -> tuple[Field, ...]:
    """Return the marked members of `cls` in order."""
    return _fields(cls)


def encode_type(cls: type[Any]) -> str:
    """Return the EIP-712 type string: the struct, then every referenced struct sorted by name."""
    seen: dict[str, type] = {}
    _collect(cls, seen)
    referenced = sorted(name for name in seen if name != cls.__name__)
    return "".join(_one_type(seen[name]) for name in [cls.__name__, *referenced])


def _collect(cls: type, seen: dict[str, type]) -> None:
    if cls.__name__ in seen:
        return
    seen[cls.__name__] = cls
    for field in _fields(cls):
        if field.struct is not None:
            _collect(field.struct, seen)


def _one_type(cls: type) -> str:
    members = ",".join(f"{field.sol} {_camel(field.name)}" for field in _fields(cls))
    return f"{cls.__name__}({members})"


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


_FIELDS: dict[type[Any], tuple[Field, ...]] = {}
_TYPE_HASHES: dict[type[Any], bytes] = {}


def _fields(cls: type[Any]) -> tuple[Field, ...]:
    if cls not in _FIELDS:
        hints = get_type_hints(cls, include_extras=True)
        _FIELDS[cls] = tuple(_field(field.name, hints[field.name]) for field in dataclasses.fields(cls))
    return _FIELDS[cls]


def _type_hash(cls: type[Any]) -> bytes:
    if cls not in _TYPE_HASHES:
        _TYPE_HASHES[cls] = keccak256(encode_type(cls).encode())
    return _TYPE_HASHES[cls]


def _field(name: str, hint: Any) -> Field:
    if get_origin(hint) is typing.Annotated:
        marker = next(item for item in get_args(hint)[1:] if isinstance(item, Sol))
        return Field(name, marker.type, None, marker.type.endswith("[]"))
    if get_origin(hint) is tuple:
        element = get_args(hint)[0]
        return Field(name, f"{element.__name__}[]", element, True)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return Field(name, hint.__name__, hint, False)
    raise TypeError(f"field {name} carries no Solidity type")


def _encode(field: Field, value: Any) -> bytes:
    if field.struct is not None and field.is_array:
        return keccak256(b"".join(hash_struct(item) for item in value))
    if field.struct is not None:
        return hash_struct(value)
    if field.is_array:
        return keccak256(b"".join(_word(field.sol[:-2], item) for item in value))
    return _word(field.sol, value)


def _word(kind: str, value: Any) -> bytes:
    if kind.startswith("uint"):
        if type(value) is not int or not 0 <= value < 1 << int(kind[4:]):
            raise WireError(f"EIP-712: got a value outside {kind}")
        return value.to_bytes(32, "big")
    size = {"address": 20, "bytes32": 32}.get(kind)
    if size is None:
        raise TypeError(f"EIP-712 type {kind} is not used by this protocol")
    if not isinstance(value, bytes) or len(value) != size:
        raise WireError(f"EIP-712: got a value that is not {size} bytes, expected {kind}")
    return value.rjust(32, b"\x00")
