"""docs/cvm-socket.md lists every message with its members and states, and every step of a refusal."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from enclave_runtime.loader.messages import MESSAGES
from enclave_runtime.loader.states import OPERATIONS, State

ROOT = Path(__file__).parents[4]
TEXT = (ROOT / "docs" / "cvm-socket.md").read_text()


def split_row(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|\n"))]


def rows() -> dict[str, list[str]]:
    table = TEXT.partition("## Messages")[2].partition("## Refusals")[0]
    cells = [split_row(line) for line in table.splitlines() if line.startswith("| `")]
    return {cell[0].strip("`"): cell for cell in cells}


def test_every_message_has_its_row() -> None:
    assert list(rows()) == list(MESSAGES)


@pytest.mark.parametrize("operation", MESSAGES)
def test_row_names_every_member(operation: str) -> None:
    asked = rows()[operation][1].partition("→")[0]
    members = {field.name for field in dataclasses.fields(MESSAGES[operation])}
    assert set(re.findall(r"`([a-z_]+)`", asked)) - {"certify", "connect"} == members


@pytest.mark.parametrize("operation", MESSAGES)
def test_row_names_every_state(operation: str) -> None:
    words, allowed = rows()[operation][2], OPERATIONS[operation]
    named = {State(name) for name in re.findall(r"[A-Z_]{4,}", words)}
    if words.startswith("all"):
        named = set(State) - named
    elif words.startswith("from"):
        order = list(State)
        first, last = (order.index(state) for state in order if state in named)
        named = set(order[first : last + 1])
    assert named == allowed


def test_every_step_of_the_code_is_listed() -> None:
    steps = set()
    for path in (ROOT / "enclave_runtime" / "loader").glob("*.py"):
        code = path.read_text()
        steps |= set(re.findall(r'(?:RefusedError|_same|_count|HostFaultError)\(\s*"([a-z-]+)"', code))
    steps -= {"internal"}
    assert steps
    assert {step for step in steps if f"`{step}`" not in TEXT} == set()
