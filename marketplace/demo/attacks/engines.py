"""Engines that try to get out of the sandbox (threat model T15, T16)."""

from __future__ import annotations

import json
from pathlib import Path

from marketplace.demo.attacks.bench import Bench, Outcome, Refused
from marketplace.demo.scenario import ROOT
from marketplace.domain.order_state import OrderState
from marketplace.errors import MarketError
from marketplace.sdk import client

__all__ = ["ENGINES", "phones_home", "reads_outside"]

_FOLDER = ROOT / "examples" / "attacks"
ENGINES = (_FOLDER / "phones_home", _FOLDER / "reads_outside")
"""Engines whose digests the demo's hospitals accept, so that only the sandbox stands between."""


def phones_home(bench: Bench) -> Outcome:
    """An engine tries every way to send a row to somebody."""
    return _contained(bench, ENGINES[0])


def reads_outside(bench: Bench) -> Outcome:
    """An engine looks for files and processes that are not its inputs."""
    return _contained(bench, ENGINES[1])


def _contained(bench: Bench, engine: Path) -> Outcome:
    published = bench.story.publish_engine(engine, entry="attack.py")
    inputs = (published.offer, bench.offers.dataset_a.offer)
    order = bench.place(bench.request(inputs=inputs, config=b"{}"))
    bench.run_until(order)
    record = bench.record(order)
    if record.state is not OrderState.FAILED:
        raise MarketError(f"the order is {record.state.name}, expected FAILED")
    folder = bench.world.homes["centre"].path / "result" / engine.name
    client.result(bench.world.homes["centre"].session, order, folder)
    log = (folder / "logs" / "engine.txt").read_text()
    if "ESCAPED" in log or "refused" not in log:
        raise MarketError(f"the engine got out: {log[:400]}")
    summary = json.loads((folder / "result.json").read_bytes())
    got = f"exit code {summary['exit_code']}; {log.splitlines()[0]}"
    refused = Refused("sandbox", engine.name, got, "nothing leaves, nothing outside is read")
    return Outcome(refused, f"{len(log.splitlines())} attempts; outcome FAILED, paid as proven")
