"""EIP-1559 transactions: RLP, signing hash, signed bytes. Checked against eth-account in the tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from enclave_runtime.wire.hashes import keccak256

__all__ = ["Transaction", "rlp"]

_TYPE: Final = b"\x02"
_SHORT: Final = 55
RlpItem: TypeAlias = "bytes | int | Sequence[RlpItem]"


@dataclass(frozen=True, slots=True)
class Transaction:
    """An unsigned type-2 transaction; `to` is empty for a deployment, fees are in wei per gas."""

    chain_id: int
    nonce: int
    max_priority_fee: int
    max_fee: int
    gas: int
    to: bytes
    value: int
    data: bytes

    def signed(self, sign: Callable[[bytes], bytes]) -> bytes:
        """Return the raw signed transaction; its Keccak-256 is the transaction hash.

        Args:
            sign: makes r || s || v, 65 bytes with v 27 or 28, over a 32-byte digest.
        """
        members = self._members()
        signature = sign(keccak256(_TYPE + rlp(members)))
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
        return _TYPE + rlp([*members, signature[64] - 27, r, s])

    def _members(self) -> list[RlpItem]:
        return [
            self.chain_id,
            self.nonce,
            self.max_priority_fee,
            self.max_fee,
            self.gas,
            self.to,
            self.value,
            self.data,
            [],
        ]


def rlp(item: RlpItem) -> bytes:
    """Return the recursive length prefix encoding; integers are big endian without leading zeros."""
    if isinstance(item, int):
        item = item.to_bytes((item.bit_length() + 7) // 8, "big")
    if isinstance(item, bytes):
        return item if len(item) == 1 and item[0] < 0x80 else _prefix(len(item), 0x80) + item
    body = b"".join(rlp(one) for one in item)
    return _prefix(len(body), 0xC0) + body


def _prefix(length: int, base: int) -> bytes:
    if length <= _SHORT:
        return bytes([base + length])
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([base + _SHORT + len(size)]) + size
