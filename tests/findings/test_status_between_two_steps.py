"""The defect: a status asked while an engine's files were removed said SEALED with plaintext files left.

A status waits for nobody's turn, so it may be asked between any two effects of another step.
"""

from __future__ import annotations

from typing import Any

import pytest

from enclave_runtime.loader import effects
from enclave_runtime.loader.effects import Effect
from tests.fakes.sealed_order import SealedOrder, engine_and_data
from tests.fakes.session import SECOND, SessionDriver

FILES = 6


class Interrupted(SessionDriver):
    """Has files until they are removed; asks for the status before it removes them."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[dict[str, Any]] = []

    def _perform(self, effect: Effect) -> Any:
        if isinstance(effect, effects.RemoveAll):
            self.files_left = FILES
            self.seen.append(self.ok("status"))
            self.files_left = 0
        return super()._perform(effect)


class Overtaken(SessionDriver):
    """Its engine ends, and its files go, right after a status counted them."""

    ends = False

    def _perform(self, effect: Effect) -> Any:
        counted = super()._perform(effect)
        if isinstance(effect, effects.CountPlaintext) and self.ends:
            self.ends, self.files_left = False, 0
            self.end()
        return counted


@pytest.fixture(scope="module")
def order() -> SealedOrder:
    return engine_and_data()


def test_the_engines_files_go_before_the_state_says_so(order: SealedOrder) -> None:
    cvm = Interrupted()
    cvm.to_sealed(order)
    assert [(seen["state"], seen["plaintext_files"]) for seen in cvm.seen] == [("RUNNING", FILES)]
    assert (cvm.ok("status")["state"], cvm.files_left) == ("SEALED", 0)


def test_a_refused_orders_files_go_before_the_state_says_so(order: SealedOrder) -> None:
    cvm = Interrupted()
    cvm.admit(order)
    cvm.now_ns += order.windows.keys_within * SECOND
    cvm.ok("refuse", reason="keys-missing")
    assert [(seen["state"], seen["plaintext_files"]) for seen in cvm.seen] == [("ADMITTED", FILES)]
    assert cvm.state == "REFUSED"


def test_a_status_that_is_overtaken_tells_the_state_it_counted_in(order: SealedOrder) -> None:
    cvm = Overtaken()
    cvm.to_running(order)
    cvm.ends, cvm.files_left = True, FILES
    seen = cvm.ok("status")
    assert (seen["state"], seen["plaintext_files"]) == ("RUNNING", FILES)
    assert cvm.state == "SEALED"
