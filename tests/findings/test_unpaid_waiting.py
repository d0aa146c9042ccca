"""The theft: a client who is also an input's owner holds CVM and stake for days, and pays nothing.

It orders with setupSeconds 0 and lets keys come until the order's last second; the key never comes. The CVM
refuses then, which blames nobody and pays setupSeconds alone.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from coincurve import PrivateKey

from enclave_runtime.wire.orders import OrderPreimage, Windows
from marketplace.provider.policy import AgentPolicy
from tests.fakes.order_world import order_preimage

_DAY = 86_400


def _with(*, setup_s: int, keys_s: int) -> OrderPreimage:
    preimage = order_preimage(PrivateKey(b"\x01" * 32))
    windows = Windows(
        accept_within=600,
        start_within=300,
        setup_seconds=setup_s,
        keys_within=keys_s,
        load_within=600,
        max_seconds=_DAY,
        grace=600,
    )
    return replace(preimage, terms=replace(preimage.terms, windows=windows))


def _refusal(preimage: OrderPreimage) -> str:
    return AgentPolicy(max_lock=1 << 128).refusal(preimage, 0, 1000)


@pytest.mark.parametrize(("setup_s", "keys_s"), [(0, _DAY), (0, 1801), (600, 2401)])
def test_waiting_that_nobody_pays_is_refused(setup_s: int, keys_s: int) -> None:
    assert f"{setup_s} s of them are paid" in _refusal(_with(setup_s=setup_s, keys_s=keys_s))


@pytest.mark.parametrize(("setup_s", "keys_s"), [(0, 1800), (600, 2400), (_DAY, _DAY)])
def test_waiting_that_is_paid_or_short_is_not(setup_s: int, keys_s: int) -> None:
    assert _refusal(_with(setup_s=setup_s, keys_s=keys_s)) == ""
