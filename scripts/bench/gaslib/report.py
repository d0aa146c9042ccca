"""From measured calls to the table: floors, ratios, budgets, and the committed snapshot."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.bench.gaslib.budgets import BUDGETS
from scripts.bench.gaslib.floor import Slot, SlotCost, calldata_gas, floor_of, storage_gas
from scripts.bench.gaslib.stage import Call, Stage

__all__ = ["Measured", "Operation", "differences", "load_snapshot", "row", "save_snapshot", "slots_unwritten"]


@dataclass(frozen=True, slots=True)
class Measured:
    """What an operation took.

    Attributes:
        calls: its transactions, in order.
        slots: the storage that no contract could do without for the same.
        units: how many orders, checkpoints or the like the calls did; figures are for one.
        note: what a reader of the table should know.
    """

    calls: Sequence[Call]
    slots: Sequence[Slot]
    units: int = 1
    note: str = ""

    @property
    def gas(self) -> int:
        """Return the gas of one unit, rounded up."""
        return -(-sum(call.gas for call in self.calls) // self.units)

    @property
    def floor(self) -> int:
        """Return the floor of one unit, rounded down."""
        return floor_of([call.data for call in self.calls], self.slots) // self.units


@dataclass(frozen=True, slots=True)
class Operation:
    """Something to measure: `run` gets a stage that is as it was before any operation."""

    name: str
    run: Callable[[Stage], Measured]


def row(name: str, measured: Measured, budget: int | None = None) -> dict[str, Any]:
    """Return the operation's line of the table; a budget comes from `BUDGETS` unless given."""
    limit = BUDGETS.get(name) if budget is None else budget
    data = b"".join(call.data for call in measured.calls)
    line: dict[str, Any] = {
        "gas": measured.gas,
        "budget": limit,
        "within": limit is None or measured.gas <= limit,
        "floor": measured.floor,
        "ratio": round(measured.gas / measured.floor, 3),
        "calldata_bytes": len(data) // measured.units,
        "calldata_gas": calldata_gas(data) // measured.units,
        "storage_gas": storage_gas(measured.slots) // measured.units,
        "event_bytes": sum(call.events for call in measured.calls) // measured.units,
        "slots": [
            f"{slot.why}: {slot.count} x {slot.cost.name}"
            if slot.count > 1
            else f"{slot.why}: {slot.cost.name}"
            for slot in measured.slots
        ],
    }
    if measured.note:
        line["note"] = measured.note
    return line


def slots_unwritten(measured: Measured) -> list[str]:
    """Name the kinds of writes of which the floor states more than the chain saw: it would be too high."""
    wrong = []
    for kind in (SlotCost.NEW, SlotCost.UPDATE, SlotCost.CLEAR):
        stated = sum(slot.count for slot in measured.slots if slot.cost is kind)
        seen = sum(call.writes[kind.name] for call in measured.calls)
        if stated > seen:
            wrong.append(f"{kind.name}: {stated} stated, {seen} written")
    return wrong


def load_snapshot(path: Path) -> dict[str, Any]:
    """Return the committed figures, or nothing where none were committed."""
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def save_snapshot(path: Path, report: Mapping[str, Any]) -> None:
    """Write the figures that CI compares."""
    path.write_text(json.dumps(report, indent=2, sort_keys=True) + "\n")


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Say, a line each, how two snapshots differ: there is no tolerance, the measurement has no noise."""
    lines = []
    for rules in sorted(old.keys() | new.keys()):
        before, after = old.get(rules, {}), new.get(rules, {})
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                was, now = before.get(name), after.get(name)
                change = f" ({now - was:+})" if was is not None and now is not None else ""
                lines.append(f"{rules} {name}: committed {was}, measured {now}{change}")
    return lines
