"""Annotated scalar types: a Python value and the Solidity type it is encoded as."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from enclave_runtime.wire.eip712 import Sol

__all__ = [
    "U8",
    "U16",
    "U32",
    "U40",
    "U64",
    "U128",
    "U256",
    "ZERO32",
    "ZERO_ADDRESS",
    "Address",
    "Bytes32",
    "Bytes32s",
]

Address: TypeAlias = Annotated[bytes, Sol("address")]
Bytes32: TypeAlias = Annotated[bytes, Sol("bytes32")]
Bytes32s: TypeAlias = Annotated[tuple[bytes, ...], Sol("bytes32[]")]
U8: TypeAlias = Annotated[int, Sol("uint8")]
U16: TypeAlias = Annotated[int, Sol("uint16")]
U32: TypeAlias = Annotated[int, Sol("uint32")]
U40: TypeAlias = Annotated[int, Sol("uint40")]
U64: TypeAlias = Annotated[int, Sol("uint64")]
U128: TypeAlias = Annotated[int, Sol("uint128")]
U256: TypeAlias = Annotated[int, Sol("uint256")]

ZERO32 = b"\x00" * 32
ZERO_ADDRESS = b"\x00" * 20
