"""Adds up what the test runners of one `scripts/test` counted, and prints it as the closing lines.

usage: _tally.py FOLDER FAST    FOLDER holds pytest.xml, ape.xml, forge.log; FAST is 1 where only pytest ran

A runner that should have run and left no count has failed: it counts as one failure.
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
FORGE = re.compile(r"tests? suites? in .*?: (\d+) tests? passed, (\d+) failed, (\d+) skipped")


class Count(NamedTuple):
    """What one runner counted."""

    passed: int
    failed: int
    skipped: int


BROKEN = Count(0, 1, 0)


def from_junit(path: Path) -> Count:
    """Read a report in JUnit's form; errors in set-up and tear-down count as failures."""
    try:
        suites = list(ElementTree.parse(path).getroot().iter("testsuite"))
    except (OSError, ElementTree.ParseError):
        return BROKEN
    total, failures, errors, skipped = (
        sum(int(suite.get(name, "0")) for suite in suites)
        for name in ("tests", "failures", "errors", "skipped")
    )
    return Count(total - failures - errors - skipped, failures + errors, skipped)


def from_forge(path: Path) -> Count:
    """Read forge's own closing line."""
    try:
        found = FORGE.search(path.read_text())
    except OSError:
        return BROKEN
    return Count(*(int(number) for number in found.groups())) if found else BROKEN


def main(folder: Path, *, fast: bool) -> int:
    """Print one line per runner and their sum; returns 1 where anything failed."""
    counts = {"pytest": from_junit(folder / "pytest.xml")}
    if not fast:
        counts["forge"] = from_forge(folder / "forge.log")
        if any((ROOT / "tests" / "contracts" / "ape").glob("test_*.py")):
            counts["ape"] = from_junit(folder / "ape.xml")
    print()
    for name, count in counts.items():
        print(f"{name + ':':<8}{count.passed} passed, {count.failed} failed, {count.skipped} skipped")
    total = Count(*(sum(column) for column in zip(*counts.values(), strict=True)))
    print(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped")
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), fast=sys.argv[2] == "1"))
