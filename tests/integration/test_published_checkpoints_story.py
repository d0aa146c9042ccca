"""An order whose engine publishes: stored while it runs, opened by the client after the report, verified."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from enclave_runtime.wire.errors import EnclaveError
from marketplace.domain.order_state import OrderState
from marketplace.errors import MarketError
from marketplace.provider.bundle import published_at
from marketplace.sdk import client
from marketplace.sdk.reading import read_bundle, terminal_event
from tests.integration.market_kit import Market

pytestmark = pytest.mark.integration


def test_checkpoints_are_stored_while_the_engine_runs_and_opened_after_the_report(
    market: Market, tmp_path: Path
) -> None:
    ledger, agent = market.ledger(), market.start_agent()
    session = market.world.homes["centre"].session
    order = market.place(json.dumps({"publish": 3, "sleep": 3}).encode())

    def places() -> list[str]:
        journal = market.journal()
        try:
            return published_at(journal, order)
        finally:
            journal.close()

    early = market.until(places, lambda seen: len(seen) == 3)
    assert market.record(order).state is OrderState.RUNNING
    for uri in early:
        assert session.store.size(uri) > 0
    # Nobody opens them yet, the client least of all: no key has left the CVM.
    with pytest.raises((MarketError, EnclaveError)):
        client.result(session, order, tmp_path / "early")

    market.wait_for(order, OrderState.COMPLETED)
    market.wait_done(order)
    assert market.stop_agent(agent) == 0
    bundle = read_bundle(session, order, terminal_event(session, order).location)
    assert list(bundle.published) == early
    files = client.result(session, order, tmp_path / "result")
    folder = tmp_path / "result"
    assert {name for name in files if name.startswith("checkpoints/")} == {
        f"checkpoints/{number}/sum.txt" for number in range(3)
    }
    assert [(folder / f"checkpoints/{number}/sum.txt").read_text() for number in range(3)] == ["0", "1", "3"]
    assert (folder / "output" / "sum.txt").read_text() == str(sum(range(10_000)))
    assert os.listdir(folder / "output" / "checkpoints") == []
    assert market.verify(order).passed
    assert market.money_problems(ledger, [order]) == []
