"""The least that a transaction can cost: 21,000, its calldata, and the storage that it cannot do without.

Prices are Cancun's (EIP-2028 calldata, EIP-2929 cold access, EIP-2200 and EIP-3529 writes); opBNB charges by
them. Prague and later add EIP-7623, a floor of their own for calldata, which opBNB does not have.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["INTRINSIC", "Slot", "SlotCost", "calldata_gas", "eip7623_floor", "floor_of", "storage_gas"]

INTRINSIC = 21_000
_ZERO_BYTE, _OTHER_BYTE = 4, 16
_TOKEN_FLOOR = 10
"""Gas per token of EIP-7623: a zero byte is one token, any other is four."""


class SlotCost(IntEnum):
    """What the first touch of a storage slot costs in one transaction, gas."""

    READ = 2_100
    NEW = 22_100
    """From zero to a value."""
    UPDATE = 5_000
    """From one value to another."""
    CLEAR = 200
    """From a value to zero: 5,000 less the refund of 4,800, where the refund is not capped."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A storage slot that an operation cannot do without, and why not."""

    why: str
    cost: SlotCost
    count: int = 1


def calldata_gas(data: bytes) -> int:
    """Return what calldata costs, gas."""
    zeros = data.count(0)
    return zeros * _ZERO_BYTE + (len(data) - zeros) * _OTHER_BYTE


def eip7623_floor(data: bytes) -> int:
    """Return the least that a transaction with this calldata costs from Prague on, gas."""
    zeros = data.count(0)
    return INTRINSIC + _TOKEN_FLOOR * (zeros + 4 * (len(data) - zeros))


def storage_gas(slots: Iterable[Slot]) -> int:
    """Return what touching these slots costs, gas."""
    return sum(slot.cost * slot.count for slot in slots)


def floor_of(calls: Iterable[bytes], slots: Iterable[Slot]) -> int:
    """Return the floor of an operation: each call's 21,000 and calldata, and the storage of all of them."""
    return sum(INTRINSIC + calldata_gas(data) for data in calls) + storage_gas(slots)
