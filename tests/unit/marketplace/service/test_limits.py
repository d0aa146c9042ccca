"""Rates: one caller's, and everybody's together (marketplace.service.limits)."""

from __future__ import annotations

import pytest

from marketplace.service.errors import BusyError
from marketplace.service.limits import RateLimit, caller_of


def test_all_together_have_a_limit_too() -> None:
    now = [0.0]
    rate = RateLimit(lambda: now[0], per_minute=60, burst=5, whole_per_minute=120, whole_burst=3)
    for caller in "abc":
        rate.take(caller)
    with pytest.raises(BusyError, match="everybody") as busy:
        rate.take("d")
    assert busy.value.retry_after_s == 1
    now[0] = 0.5
    rate.take("d")
    with pytest.raises(BusyError, match="everybody"):
        rate.take("e")


def test_one_that_is_over_its_own_limit_takes_nothing_from_the_others() -> None:
    rate = RateLimit(lambda: 0.0, per_minute=60, burst=2, whole_per_minute=60, whole_burst=4)
    for _ in range(2):
        rate.take("greedy")
    for _ in range(50):
        with pytest.raises(BusyError, match="one address"):
            rate.take("greedy")
    rate.take("a")
    rate.take("b")


def test_no_limit_is_none() -> None:
    rate = RateLimit(lambda: 0.0, per_minute=0, whole_per_minute=0)
    for _ in range(5_000):
        rate.take("a")
    only_whole = RateLimit(lambda: 0.0, per_minute=0, whole_per_minute=60, whole_burst=1)
    only_whole.take("a")
    with pytest.raises(BusyError, match="everybody"):
        only_whole.take("b")


@pytest.mark.parametrize(
    ("address", "caller"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:0db8:0001:0002"),
        ("2001:db8:1:2::ffff", "2001:0db8:0001:0002"),
        ("2001:db8:1:3::1", "2001:0db8:0001:0003"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("testclient", "unknown"),
        (None, "unknown"),
    ],
)
def test_a_host_has_a_whole_slash_64_of_ipv6_and_is_one_caller(address: str | None, caller: str) -> None:
    assert caller_of(address) == caller
