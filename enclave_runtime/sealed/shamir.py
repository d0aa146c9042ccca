"""A secret cut into n shares of which any t give it back (docs/protocol.md section 5.4; ADR 0021).

Shamir's scheme, byte by byte, over GF(2^8) with the polynomial of AES (x^8 + x^4 + x^3 + x + 1). Each
byte of the secret is the constant of its own random polynomial of degree t - 1; share i is all of them at
i. Given t - 1 shares, every secret is equally likely.

Only share numbers and what follows from them decide a branch or an index; what is secret is only shifted,
masked and added, over all of its bytes, in numbers below 256. Nothing here authenticates a share: `threshold`
does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from enclave_runtime.sealed.buffers import Entropy, Octets
from enclave_runtime.wire.errors import WireError

__all__ = ["MAX_SHARES", "combine", "split"]

MAX_SHARES: Final = 16
_REDUCTION: Final = 0x1B
"""x^8 in terms of lower powers."""


def split(secret: Octets, needed: int, count: int, entropy: Entropy) -> list[bytearray]:
    """Return `count` shares of `secret`, each as long as it; the first is share number 1.

    Args:
        needed: how many of them give the secret back, 2 to `count`.
        count: at most `MAX_SHARES`.
        entropy: gives `needed` - 1 times the length of the secret, uniform.
    Raises:
        WireError: numbers outside of the limits, or an empty secret.
    """
    if not 2 <= needed <= count <= MAX_SHARES:
        raise WireError(f"shares: got {needed} of {count}, expected 2 <= t <= n <= {MAX_SHARES}")
    if not len(secret):
        raise WireError("shares: got an empty secret")
    # A leading coefficient of zero is as likely as any other: without it t - 1 holders would learn a little.
    coefficients = [bytearray(entropy(len(secret))) for _ in range(needed - 1)]
    shares = []
    for number in range(1, count + 1):
        share, power = bytearray(secret), 1
        for coefficient in coefficients:
            power = _times(power, number)
            _add_multiple(share, coefficient, power)
        shares.append(share)
    for coefficient in coefficients:
        coefficient[:] = bytes(len(coefficient))
    return shares


def combine(shares: Mapping[int, Octets]) -> bytearray:
    """Return the secret that these shares, by their numbers, are of.

    Too few shares, or one of another secret, give other bytes and no error: whoever combines must know what
    comes out, here by the commitments of `threshold` and of the stream.

    Raises:
        WireError: fewer than two, a number outside of 1 to 255, or lengths that differ.
    """
    lengths = {len(share) for share in shares.values()}
    if len(shares) < 2 or len(lengths) != 1:
        raise WireError(f"shares: got {len(shares)} of {len(lengths)} lengths, expected two or more of one")
    if not all(1 <= number <= 255 for number in shares):
        raise WireError("shares: got a number outside of 1 to 255")
    secret = bytearray(lengths.pop())
    for number, share in shares.items():
        _add_multiple(secret, share, _weight(number, shares.keys()))
    return secret


def _weight(number: int, numbers: Collection[int]) -> int:
    """Return what share `number` counts for at zero: the product of j / (j - number) over the others."""
    above, below = 1, 1
    for other in numbers:
        if other != number:
            above, below = _times(above, other), _times(below, other ^ number)
    return _times(above, _inverse(below))


def _inverse(value: int) -> int:
    """Return value^254, which is 1 / value. Public values only."""
    result = 1
    for _ in range(254):
        result = _times(result, value)
    return result


def _times(first: int, second: int) -> int:
    """Return the product of two public values."""
    product = bytearray(1)
    _add_multiple(product, bytes([first]), second)
    return product[0]


def _add_multiple(out: bytearray, vector: Octets, scalar: int) -> None:
    """Add `scalar`, which is public, times `vector`, which may be secret, to `out`, in place."""
    bits = [-(scalar >> place & 1) for place in range(8)]
    for at, byte in enumerate(vector):
        power, product = byte, 0
        for bit in bits:
            product ^= power & bit
            power = ((power & 0x7F) << 1) ^ (_REDUCTION & -(power >> 7))
        out[at] ^= product
