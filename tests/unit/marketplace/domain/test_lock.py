"""Locks in 24 bits: never less than asked, and less than one part in 65 536 more (protocol section 6.8)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.domain.lock import LOCK_BITS, MAX_LOCK, decode_lock, encode_lock_up, round_lock_up
from marketplace.errors import BadInputError

amounts = st.integers(0, 143).flatmap(lambda bits: st.integers(0, min(2**bits, MAX_LOCK)))


@given(amounts)
def test_rounds_up_by_less_than_one_part_in_65536(amount: int) -> None:
    code = encode_lock_up(amount)
    locked = decode_lock(code)
    assert 0 <= code < 1 << LOCK_BITS
    assert amount <= locked and (locked - amount) << 16 < max(amount, 1)
    assert encode_lock_up(locked) == code and round_lock_up(locked) == locked


@given(amounts, amounts)
def test_larger_amounts_have_larger_codes(one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert encode_lock_up(low) <= encode_lock_up(high)


@given(st.integers(0, 2**LOCK_BITS - 1))
def test_every_code_has_an_amount_that_keeps_it_or_a_shorter_one(code: int) -> None:
    again = encode_lock_up(decode_lock(code))
    assert decode_lock(again) == decode_lock(code) and again <= code


def test_edges_by_hand() -> None:
    assert [encode_lock_up(amount) for amount in (0, 1, 131_071)] == [0, 1, 131_071]
    assert round_lock_up(131_073) == 131_074
    assert encode_lock_up(262_143) == 2 << 17 | 65_536
    assert decode_lock((1 << 24) - 1) == MAX_LOCK > 2**128


@pytest.mark.parametrize("amount", [-1, MAX_LOCK + 1])
def test_refuses_what_no_code_can_name(amount: int) -> None:
    with pytest.raises(BadInputError, match="lock"):
        encode_lock_up(amount)


@pytest.mark.parametrize("code", [-1, 1 << LOCK_BITS])
def test_refuses_codes_of_other_widths(code: int) -> None:
    with pytest.raises(BadInputError, match="24 bits"):
        decode_lock(code)
