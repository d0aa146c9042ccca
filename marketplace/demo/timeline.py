"""How long each part of an order took, from the agent's own log, and what each call cost in gas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from enclave_runtime.wire.codec import hex_of
from marketplace.chain.reader import Reader
from marketplace.provider.reducer import StepKind

__all__ = ["gas_by_call", "seconds_by_part"]

_PARTS: Final = (
    ("accept", StepKind.ACCEPT, StepKind.ASK_KEY),
    ("release", StepKind.ASK_KEY, StepKind.FEED),
    ("load", StepKind.FEED, StepKind.RUN),
    ("train", StepKind.RUN, StepKind.STORE_RESULT),
    ("report", StepKind.STORE_RESULT, None),
)
_CALLS: Final = {
    "OrderPlaced": "place",
    "OrderAccepted": "accept",
    "OrderStarted": "start",
    "OrderCheckpointed": "checkpoint",
    "OrderReported": "complete",
    "HoldbackResolved": "receipt",
    "Claimed": "collect",
}


def seconds_by_part(agent_log: Path, order: bytes) -> dict[str, float]:
    """Return the seconds of each part, by its name in the JSON output."""
    first: dict[str, float] = {}
    last = 0.0
    for line in agent_log.read_text().splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if said.get("order") == hex_of(order):
            first.setdefault(said["say"], said["at"])
            last = said["at"]
    parts = {}
    for name, start, end in _PARTS:
        if start.value in first:
            until = last if end is None else first.get(end.value, last)
            parts[name] = round(until - first[start.value], 3)
    return parts


def gas_by_call(reader: Reader, order: bytes) -> dict[str, int]:
    """Return the gas of each call that moved an order; claims of one call counted once."""
    found: dict[str, int] = {}
    seen: set[str] = set()
    for event in reader.history(order):
        name = _CALLS.get(event.name)
        if name is None or event.tx_hash in seen:
            continue
        seen.add(event.tx_hash)
        receipt = reader.node.rpc.call("eth_getTransactionReceipt", event.tx_hash)
        found[name] = found.get(name, 0) + int(receipt["gasUsed"], 16)
    return found
