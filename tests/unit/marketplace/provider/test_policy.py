"""What an agent takes: everything that one order may cost it is bounded before stake is locked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from coincurve import PrivateKey

from enclave_runtime.wire.orders import OrderPreimage
from marketplace.demo.scenario import windows as demo_windows
from marketplace.domain.draft import default_windows
from marketplace.domain.lock import round_lock_up
from marketplace.domain.pricing import Params, deposit_required, lock_required
from marketplace.provider.policy import AgentPolicy
from tests.fakes.order_world import order_preimage

HONEST = order_preimage(PrivateKey(b"\x01" * 32))
PENALTY_BPS = 1000
POLICY = AgentPolicy(max_lock=round_lock_up(lock_required(HONEST, PENALTY_BPS)))


def changed(**windows: int) -> OrderPreimage:
    terms = HONEST.terms
    return replace(HONEST, terms=replace(terms, windows=replace(terms.windows, **windows)))


def refusal(preimage: OrderPreimage, *, plaintext: int = 0, added: int = 0, **bounds: Any) -> str:
    return replace(POLICY, **bounds).refusal(preimage, plaintext, PENALTY_BPS, added)


def test_takes_an_order_at_its_bounds() -> None:
    assert refusal(HONEST) == ""
    windows = HONEST.terms.windows
    tight = {"max_seconds": windows.max_seconds, "min_start_s": 60, "max_start_s": 60, "min_grace_s": 600}
    assert refusal(HONEST, plaintext=100, max_plaintext_bytes=100, **tight) == ""
    assert refusal(changed(keys_within=windows.max_seconds), max_unpaid_s=1 << 30) == ""


@pytest.mark.parametrize(
    ("preimage", "bounds", "words"),
    [
        (HONEST, {"max_lock": POLICY.max_lock - 1}, "it would lock"),
        (HONEST, {"max_seconds": 3599}, "it may run 3600 s"),
        (HONEST, {"max_plaintext_bytes": 99}, "needs 100 bytes"),
        (changed(start_within=0), {}, "must start within 0 s"),
        (changed(start_within=19), {}, "must start within 19 s"),
        (changed(start_within=1 << 31), {}, "must start within 2147483648 s"),
        (changed(grace=2), {}, "leaves 2 s to report"),
        (changed(grace=20), {"max_proofs": 359}, "needs a proof on chain 360 times"),
        (changed(grace=0), {"min_grace_s": 0}, "leaves 0 s to report"),
        (changed(keys_within=3601), {"max_unpaid_s": 1 << 30}, "keys may come for 3601 s"),
    ],
)
def test_refuses_beyond_them(preimage: OrderPreimage, bounds: dict[str, int], words: str) -> None:
    assert words in refusal(preimage, plaintext=100, **bounds)


def test_takes_orders_that_pay_for_all_of_their_time_unless_told_otherwise() -> None:
    least = deposit_required(HONEST)
    poor = replace(HONEST, terms=replace(HONEST.terms, deposit=least - 5))
    assert f"funded with {least - 5} token units, its whole time may cost {least}" in refusal(poor)
    assert "it is funded" in refusal(poor, added=4)
    assert refusal(poor, added=5) == refusal(poor, accept_partly_funded=True) == ""
    whole = replace(HONEST, terms=replace(HONEST.terms, deposit=least))
    assert "it is funded" in refusal(whole, added=-1), "what the payer took out counts"


def test_takes_the_windows_that_clients_are_given_by_default() -> None:
    params = Params(250, PENALTY_BPS, 60, b"\x01" * 20)
    for windows in (demo_windows(), demo_windows(keys_within_s=2), default_windows(3600, params)):
        terms = replace(HONEST.terms, windows=windows)
        assert refusal(replace(HONEST, terms=terms), max_lock=1 << 100) == ""
