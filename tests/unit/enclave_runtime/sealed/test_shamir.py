"""Shamir's scheme over GF(2^8): any t shares give the secret, t - 1 say nothing (protocol section 5.4)."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enclave_runtime.sealed import shamir
from enclave_runtime.sealed.shamir import MAX_SHARES, combine, split
from enclave_runtime.wire.errors import WireError


def slow_product(first: int, second: int) -> int:
    """Return the product in GF(2^8) as the book has it: carry-less, then reduced by the polynomial."""
    product = 0
    for bit in range(8):
        product ^= (first << bit) * (second >> bit & 1)
    for degree in range(14, 7, -1):
        product ^= (0x11B << (degree - 8)) * (product >> degree & 1)
    return product


def test_every_product_is_that_of_the_field_of_aes() -> None:
    every = bytes(range(256))
    for scalar in range(256):
        out = bytearray(256)
        shamir._add_multiple(out, every, scalar)
        assert list(out) == [slow_product(value, scalar) for value in every]
    assert slow_product(0x57, 0x83) == 0xC1  # FIPS 197, section 4.2


def test_every_value_but_zero_has_its_inverse() -> None:
    assert all(shamir._times(value, shamir._inverse(value)) == 1 for value in range(1, 256))


@given(
    secret=st.binary(min_size=1, max_size=64),
    numbers=st.integers(2, MAX_SHARES).flatmap(lambda n: st.tuples(st.integers(2, n), st.just(n))),
    data=st.data(),
)
def test_any_t_shares_or_more_give_the_secret_back(
    secret: bytes, numbers: tuple[int, int], data: st.DataObject
) -> None:
    needed, count = numbers
    shares = dict(enumerate(split(secret, needed, count, os.urandom), start=1))
    chosen = data.draw(
        st.lists(st.sampled_from(sorted(shares)), min_size=needed, max_size=count, unique=True)
    )
    assert combine({number: shares[number] for number in chosen}) == secret


@pytest.mark.parametrize(("needed", "count"), [(2, 3), (3, 5)])
def test_one_share_less_fits_every_secret_with_exactly_one_polynomial(needed: int, count: int) -> None:
    """The algebra of "learns nothing": whatever t - 1 shares are, each secret explains them equally well."""
    held = dict(enumerate(split(b"\x2a", needed, count, os.urandom), start=1))
    seen = {number: held[number] for number in range(1, needed)}
    missing = count
    # A guess at the missing share is a guess at the secret, one to one: 256 guesses give 256 secrets.
    secrets = {bytes(combine({**seen, missing: bytes([guess])})) for guess in range(256)}
    assert len(secrets) == 256


def test_one_share_of_two_is_uniform_whatever_the_secret() -> None:
    """All 256 coefficients, each once: the share takes every value once, for both secrets."""
    for secret in (b"\x00", b"\xff"):
        for number in (0, 1, 2):
            values = {
                bytes(split(secret, 2, 3, lambda size, value=value: bytes([value]) * size)[number])
                for value in range(256)
            }
            assert len(values) == 256


def test_two_shares_of_three_are_uniform_together() -> None:
    pairs: set[tuple[int, int]] = set()
    for first in range(256):
        draws = iter((bytes([first]) * 256, bytes(range(256))))  # 256 secrets of one byte at once
        shares = split(b"\x2a" * 256, 3, 3, lambda _size, draws=draws: next(draws))
        pairs.update(zip(shares[0], shares[2], strict=True))
    assert len(pairs) == 1 << 16


def test_shares_of_two_splits_give_neither_secret() -> None:
    secret = os.urandom(32)
    first, second = (split(secret, 2, 3, os.urandom) for _ in range(2))
    assert combine({1: first[0], 2: second[1]}) != secret


@pytest.mark.parametrize(("needed", "count"), [(1, 1), (1, 3), (0, 2), (4, 3), (2, MAX_SHARES + 1)])
def test_refuses_numbers_outside_the_limits(needed: int, count: int) -> None:
    with pytest.raises(WireError, match="shares: got"):
        split(b"secret", needed, count, os.urandom)


def test_refuses_what_cannot_be_combined() -> None:
    with pytest.raises(WireError, match="empty"):
        split(b"", 2, 2, os.urandom)
    for shares in ({}, {1: b"a"}, {1: b"a", 2: b"ab"}, {0: b"a", 1: b"b"}, {1: b"a", 256: b"b"}):
        with pytest.raises(WireError, match="shares"):
            combine(shares)


def test_every_polynomial_is_drawn_anew() -> None:
    drawn: list[int] = []

    def entropy(size: int) -> bytes:
        drawn.append(size)
        return os.urandom(size)

    split(bytes(64), 4, 6, entropy)
    assert drawn == [64, 64, 64]
