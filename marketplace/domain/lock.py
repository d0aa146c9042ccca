"""The stake that an order locks, in 24 bits (protocol section 6.8; twin of contracts/libraries/LockLib.sol).

A number `mantissa << exponent`: mantissa in the low 17 bits, exponent in the high 7. It is rounded up once,
at accept, so that what is locked is what is stored and later released, to the last unit.
"""

from __future__ import annotations

from typing import Final

from marketplace.errors import BadInputError

__all__ = ["LOCK_BITS", "MAX_LOCK", "decode_lock", "encode_lock_up", "round_lock_up"]

LOCK_BITS: Final = 24
_MANTISSA_BITS: Final = 17
_MANTISSA_MASK: Final = (1 << _MANTISSA_BITS) - 1
MAX_LOCK: Final = _MANTISSA_MASK << 127
"""The largest amount that a code stands for."""


def encode_lock_up(amount: int) -> int:
    """Return the least code whose amount is not below `amount`; that one is below amount * (1 + 2^-16).

    Raises:
        BadInputError: negative, or above `MAX_LOCK`.
    """
    if not 0 <= amount <= MAX_LOCK:
        raise BadInputError("stake lock", amount, f"0 to {MAX_LOCK} token units")
    if amount <= _MANTISSA_MASK:
        return amount
    exponent = amount.bit_length() - _MANTISSA_BITS
    mantissa = -(-amount >> exponent)
    if mantissa > _MANTISSA_MASK:
        mantissa, exponent = mantissa >> 1, exponent + 1
    return exponent << _MANTISSA_BITS | mantissa


def decode_lock(code: int) -> int:
    """Return the amount that `code`, 24 bits, stands for.

    Raises:
        BadInputError: more than 24 bits.
    """
    if not 0 <= code < 1 << LOCK_BITS:
        raise BadInputError("lock code", code, f"{LOCK_BITS} bits")
    return (code & _MANTISSA_MASK) << (code >> _MANTISSA_BITS)


def round_lock_up(amount: int) -> int:
    """Return what is locked where `amount` is required: at most one part in 65 536 more."""
    return decode_lock(encode_lock_up(amount))
