"""scripts/_mutants.py: what counts as a small change, and what is left alone."""

from __future__ import annotations

import pytest

from scripts._mutants import blanked, mutants_of

SOURCE = """// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {A} from "./A.sol";

/// @dev a <= b, never b + 1
contract C {
    event E(uint256 indexed a);
    error Wrong(uint256 a);

    struct S {
        uint8 a;
    }

    uint256 private constant LEAST = 7;
    bytes32 private constant NAME = "a + b";

    function f(uint256 a, bool b) external nonReentrant returns (uint256) {
        if (a < LEAST && !b) revert Wrong(a);
        // a + a
        total += a;
        emit E(a);
        uint256 half = a / 2;
        assembly ("memory-safe") {
            mstore(0, add(1, 2))
        }
        return half;
    }

    function g() internal view returns (bool) {
        if (total == 0) return true;
        else _h(3);
        return _x[1] >= 2;
    }
}
"""


def changes(operator: str) -> set[str]:
    return {item.after for item in mutants_of("C.sol", SOURCE) if item.operator == operator}


def test_every_mutant_changes_the_line_it_names_and_no_other() -> None:
    lines = SOURCE.splitlines()
    found = mutants_of("C.sol", SOURCE)
    assert found == mutants_of("C.sol", SOURCE) and len(
        {(m.start, m.end, m.replacement) for m in found}
    ) == len(found)
    for mutant in found:
        changed = mutant.applied(SOURCE).splitlines()
        assert [n for n, line in enumerate(lines, 1) if changed[n - 1] != line] == [mutant.line], mutant
        assert mutant.before == " ".join(lines[mutant.line - 1].split())


def test_relations_logic_and_signs() -> None:
    assert changes("relation") >= {
        "if (a <= LEAST && !b) revert Wrong(a);",
        "if (a > LEAST && !b) revert Wrong(a);",
        "if (total != 0) return true;",
        "return _x[1] > 2;",
    }
    assert "if (a < LEAST || !b) revert Wrong(a);" in changes("logic")
    assert "if (a < LEAST && b) revert Wrong(a);" in changes("negation")
    assert changes("arithmetic") == {"uint256 half = a * 2;"}
    assert changes("assignment") == {"total -= a;", "total = a;"}


def test_numbers_go_one_up_and_to_zero() -> None:
    assert changes("number") >= {
        "uint256 private constant LEAST = 8;",
        "uint256 private constant LEAST = 0;",
        "uint256 half = a / 3;",
        "else _h(4);",
    }


def test_checks_events_and_statements_can_be_left_out() -> None:
    assert changes("check") == {"{}"}
    assert changes("event") == {"{}"}
    assert changes("statement") == {"{}", "else {}"}
    assert changes("guard") == {"function f(uint256 a, bool b) external returns (uint256) {"}


def test_returns_and_conditions_by_what_they_may_be() -> None:
    assert changes("return") == {"return 0;", "return false;", "return true;"}
    assert "if (total == 0) return false;" in changes("boolean")
    assert changes("condition") == {"if (true) return true;", "if (false) return true;"}


def test_words_and_numbers_of_assembly() -> None:
    assert changes("assembly") == {
        "mstore(0, sub(1, 2))",
        "mstore(1, add(1, 2))",
        "mstore(0, add(2, 2))",
        "mstore(0, add(1, 3))",
    }


def test_nothing_in_comments_strings_and_types() -> None:
    for mutant in mutants_of("C.sol", SOURCE):
        for word in ("SPDX", "pragma", "import", "never", "event", "error", "uint8 a", "NAME"):
            assert word not in mutant.before, mutant


@pytest.mark.parametrize("text", ["// a\nb", "/* a\n b */c", '"a\\"b" c', "a // b"])
def test_blanking_keeps_every_place(text: str) -> None:
    assert len(blanked(text)) == len(text) and blanked(text).count("\n") == text.count("\n")
