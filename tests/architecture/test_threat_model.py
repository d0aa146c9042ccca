"""docs/threat-model.md is held to the tests that it names: a row that nothing shows says so in bold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "threat-model.md"
TESTS = ROOT / "tests"
CASES = [
    TESTS / "evidence" / name
    for name in ("intel_lines.py", "test_conformance_snp.py", "test_conformance_nvidia.py")
]
"""Where the cases of the conformance lists have their names."""
ATTACKS = ROOT / "marketplace" / "demo" / "attacks" / "table.py"
SPANS = re.compile(r"`([^`]+)`")
FUNCTION = re.compile(r"(?:def|function) (test_?\w+)\(")
NAMED_ATTACKS = (
    "TEE.fail", "WireTap", "Battering RAM", "BadRAM", "Heracles", "CacheWarp", "StackWarp", "EntrySign",
    "RMPocalypse", "Fabricked", "BreakFAST", "MilanLaunchy", "BadFuse", "Heckler", "WeSee", "Sigy", "BadAML",
    "TDXdown", "CounterSEVeillance", "GPUHammer",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One numbered row: who tries what, what stops it, what shows that, what stays open."""

    number: str
    who: str
    stops: str
    shown: str
    rest: str

    @property
    def names(self) -> list[str]:
        """What the row says that it is shown by."""
        return [
            name
            for name in SPANS.findall(self.shown)
            if name not in ("scripts/demo --attack", "plaintext_left")
        ]


@cache
def rows() -> list[Row]:
    lines = [line for line in DOCUMENT.read_text().splitlines() if re.match(r"\| [TISGNCK]\d+ \|", line)]
    return [Row(*(cell.strip() for cell in line.strip("|").split(" | "))) for line in lines]


@cache
def functions() -> frozenset[str]:
    """Every test that there is, of either language."""
    files = [*TESTS.rglob("test_*.py"), *TESTS.rglob("*.t.sol")]
    return frozenset(name for file in files for name in FUNCTION.findall(file.read_text()))


@cache
def cases() -> str:
    return "\n".join(file.read_text() for file in CASES)


@cache
def attacks() -> frozenset[str]:
    """Attacks of the demo, read as text: the demo loads half of the project."""
    return frozenset(re.findall(r'^    "([a-z-]+)": \w+\.\w+,$', ATTACKS.read_text(), re.MULTILINE))


def exists(name: str) -> bool:
    """Return whether a name below "shown by" is that of a file, a test, a case or an attack."""
    if name.endswith((".py", ".t.sol")):
        return len([file for file in TESTS.rglob(Path(name).name) if str(file).endswith("/" + name)]) == 1
    if name.startswith("test_"):
        return name in functions()
    return name in attacks() or f'"{name}"' in cases()


def test_the_rows_are_numbered_without_a_gap() -> None:
    for letter in "TISGNCK":
        found = [int(row.number[1:]) for row in rows() if row.number.startswith(letter)]
        assert found == list(range(1, len(found) + 1)), letter
    assert len(rows()) >= 110


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.number)
def test_a_row_names_its_tests_and_what_stays_open(row: Row) -> None:
    assert all((row.who, row.stops, row.shown, row.rest)), "an empty cell"
    unknown = [name for name in row.names if not exists(name)]
    assert not unknown, f"no such test: {unknown}"
    if not row.names:
        assert row.shown == "-", "words that name no test show nothing"
        assert "**" in row.rest, "nothing shows it: what stays open is said in bold"


def test_attacks_that_everybody_knows_are_named() -> None:
    known = " ".join(row.who for row in rows() if row.number.startswith("K"))
    assert [name for name in NAMED_ATTACKS if name not in known] == []


@pytest.mark.parametrize(
    "name", ["test_", "test_of_nothing", "no-such-attack", "no such case", "none.py", "x.t.sol"]
)
def test_a_name_that_is_none_is_noticed(name: str) -> None:
    assert not exists(name)
