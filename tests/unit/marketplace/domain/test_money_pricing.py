"""Amounts in words and prices at their edges (protocol section 6.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enclave_runtime.wire.offers import Price
from marketplace.domain.money import MAX_AMOUNT, format_amount, parse_amount, share_down, time_down
from marketplace.domain.pricing import amount_down
from marketplace.errors import BadInputError


@given(st.integers(0, MAX_AMOUNT), st.integers(0, 30))
def test_amount_in_words_reads_back(units: int, decimals: int) -> None:
    assert parse_amount(format_amount(units, decimals), decimals) == units


def test_formats_exactly_without_trailing_zeros() -> None:
    assert format_amount(1_500_000, 6, "USDX") == "1.5 USDX"
    assert format_amount(5, 6) == "0.000005"
    assert format_amount(-5, 0) == "-5"
    assert parse_amount("1_000.50", 2) == 100_050


@pytest.mark.parametrize("text", ["", "-1", "1e6", "1.2.3", "0x10", "1.234", ".5", "١", "9" * 40])
def test_refuses_text_that_is_no_amount(text: str) -> None:
    with pytest.raises(BadInputError):
        parse_amount(text, 2)


@given(st.integers(0, 2**128 - 1), st.integers(0, 10_000))
def test_share_rounds_down_and_never_exceeds(amount: int, bps: int) -> None:
    share = share_down(amount, bps)
    assert 0 <= amount * bps - share * 10_000 < 10_000
    assert share <= amount


def test_time_is_billed_by_the_second_with_a_minimum() -> None:
    price = Price(fixed_price=10, per_hour=3600, min_seconds=60, per_unit=3)
    assert amount_down(price, 0, 0) == 10 + 60
    assert amount_down(price, 61, 2) == 10 + 61 + 6
    assert time_down(1, 3599) == 0 and time_down(1, 3600) == 1
