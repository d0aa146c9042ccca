"""A solver for halmos that answers queries about words of 256 bits in integers.

Bit-blasting a 256-bit division takes hours; the same question about integers takes milliseconds. Every
bit-vector term is translated into an integer with the least and the greatest value it can have; only where a
result might not fit its width is the remainder taken, so that both say exactly the same. An assumption with a
term that has no translation (the balances of accounts, shifts by an unknown number) is left out: fewer
assumptions can only make a proof harder, never wrong. The query as a whole is `unsat`, and so the assertion
proven, if z3 finds the integers unsatisfiable; anything else is handed to yices as it came.

Started by scripts/prove as `python _prove_integers.py QUERY.smt2`; imports only z3, from .venv-prove.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import z3  # type: ignore[import-not-found]  # only in .venv-prove

__all__ = ["main"]

TIMEOUT_MS = 40_000
Ranged = tuple[Any, int, int]
"""An integer term, and the least and the greatest value it can have."""


class UntranslatableError(Exception):
    """A term that has no integer counterpart here."""


class Translation:
    """Turns bit-vector terms into integers; `bounds` has what must hold of the variables it met."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self.bounds: list[Any] = []
        self._known: dict[int, tuple[Ranged, Any]] = {}

    def narrow(self, assertion: Any) -> bool:
        """Take in `x == zeros ++ low bits of x`, by which halmos says how wide a parameter is."""
        bits = _declared_bits(assertion)
        if bits is None:
            return False
        variable = assertion.children()[0]
        self._known[variable.get_id()] = (self._variable(variable, bits), variable)
        return True

    def claim(self, term: Any) -> Any:
        """Return a Boolean term over integers."""
        kind, parts = term.decl().kind(), term.children()
        if z3.is_true(term) or z3.is_false(term) or (kind == z3.Z3_OP_UNINTERPRETED and not parts):
            return term
        if kind in CONNECTIVES:
            return CONNECTIVES[kind](*(self.claim(part) for part in parts))
        if kind == z3.Z3_OP_EQ and z3.is_bool(parts[0]):
            return self.claim(parts[0]) == self.claim(parts[1])
        if kind in COMPARISONS and z3.is_bv(parts[0]):
            return COMPARISONS[kind](*(self.number(part)[0] for part in parts))
        raise UntranslatableError(term.decl().name())

    def number(self, term: Any) -> Ranged:
        """Return a bit-vector term as an integer with its range."""
        found = self._known.get(term.get_id())
        if found is None:
            # The term is kept too: z3 reuses the ids of terms that nobody holds.
            found = self._known[term.get_id()] = (self._number(term), term)
        return found[0]

    def _number(self, term: Any) -> Ranged:
        kind, parts, bits = term.decl().kind(), term.children(), term.size()
        if kind == z3.Z3_OP_BNUM:
            return z3.IntVal(term.as_long()), term.as_long(), term.as_long()
        if kind == z3.Z3_OP_UNINTERPRETED and not parts:
            return self._variable(term, bits)
        if kind == z3.Z3_OP_ITE and _is_evm_division(parts):
            (value, _, most), (by, _, _) = (self.number(part) for part in parts[2].children())
            return z3.If(by == 0, z3.IntVal(0), value / by), 0, most
        if kind == z3.Z3_OP_ITE:
            (one, low, high), (other, least, most) = self.number(parts[1]), self.number(parts[2])
            return z3.If(self.claim(parts[0]), one, other), min(low, least), max(high, most)
        if kind in ARITHMETIC:
            return ARITHMETIC[kind](bits, *(self.number(part) for part in parts))
        if kind == z3.Z3_OP_CONCAT:
            return self._concat(parts)
        if kind == z3.Z3_OP_EXTRACT:
            top, bottom = term.params()
            return _wrap(top - bottom + 1, _shift_down(self.number(parts[0]), bottom))
        if kind == z3.Z3_OP_ZERO_EXT:
            return self.number(parts[0])
        if kind in (z3.Z3_OP_BSHL, z3.Z3_OP_BLSHR) and z3.is_bv_value(parts[1]):
            by = parts[1].as_long()
            if kind == z3.Z3_OP_BLSHR:
                return _shift_down(self.number(parts[0]), min(by, bits))
            value, low, high = self.number(parts[0])
            return _wrap(bits, (value * (1 << by), low << by, high << by)) if by < bits else _wrap(bits, ZERO)
        raise UntranslatableError(term.decl().name())

    def _variable(self, term: Any, bits: int) -> Ranged:
        value = z3.Int(f"int.{term.decl().name()}")
        self.bounds += [value >= 0, value < 1 << bits]
        return value, 0, (1 << bits) - 1

    def _concat(self, parts: list[Any]) -> Ranged:
        value, low, high = self.number(parts[0])
        for part in parts[1:]:
            lower, least, most = self.number(part)
            size = 1 << part.size()
            value = value * size + lower if high else lower
            low, high = low * size + least, high * size + most
        return value, low, high


ZERO: Ranged = (z3.IntVal(0), 0, 0)


def _declared_bits(term: Any) -> int | None:
    """Return n of `x == concat(0, extract(n - 1, 0, x))`, or None for any other term."""
    if term.decl().kind() != z3.Z3_OP_EQ or not z3.is_bv(term.children()[0]):
        return None
    variable, wide = term.children()
    if variable.decl().kind() != z3.Z3_OP_UNINTERPRETED or variable.children():
        return None
    if wide.decl().kind() != z3.Z3_OP_CONCAT or len(wide.children()) != 2:
        return None
    zeros, low = wide.children()
    if not z3.is_bv_value(zeros) or zeros.as_long() or low.decl().kind() != z3.Z3_OP_EXTRACT:
        return None
    top, bottom = low.params()
    return int(top) + 1 if bottom == 0 and low.children()[0].eq(variable) else None


def _is_evm_division(parts: list[Any]) -> bool:
    """Say whether these are the parts of `if y == 0 then 0 else x / y`, which is never above x."""
    condition, zero, quotient = parts
    if (
        quotient.decl().kind() not in (z3.Z3_OP_BUDIV, z3.Z3_OP_BUDIV_I)
        or condition.decl().kind() != z3.Z3_OP_EQ
    ):
        return False
    divisor, other = condition.children()
    nothing = z3.BitVecVal(0, quotient.size())
    return bool(zero.eq(nothing) and other.eq(nothing) and divisor.eq(quotient.children()[1]))


def _wrap(bits: int, ranged: Ranged) -> Ranged:
    value, low, high = ranged
    if low >= 0 and high < 1 << bits:
        return ranged
    return value % (1 << bits), 0, (1 << bits) - 1


def _shift_down(ranged: Ranged, by: int) -> Ranged:
    value, low, high = ranged
    return (value / (1 << by), low >> by, high >> by) if by else ranged


def _add(bits: int, *terms: Ranged) -> Ranged:
    return _wrap(
        bits, (z3.Sum([item[0] for item in terms]), sum(t[1] for t in terms), sum(t[2] for t in terms))
    )


def _multiply(bits: int, *terms: Ranged) -> Ranged:
    product = terms[0]
    for value, low, high in terms[1:]:
        product = _wrap(bits, (product[0] * value, product[1] * low, product[2] * high))
    return product


def _subtract(bits: int, one: Ranged, other: Ranged) -> Ranged:
    return _wrap(bits, (one[0] - other[0], one[1] - other[2], one[2] - other[1]))


def _divide(bits: int, one: Ranged, other: Ranged) -> Ranged:
    if other[1] > 0:
        return one[0] / other[0], one[1] // other[2], one[2] // other[1]
    # SMT-LIB divides by zero to all ones; halmos puts the EVM's zero around that by itself.
    most = (1 << bits) - 1
    return z3.If(other[0] == 0, z3.IntVal(most), one[0] / other[0]), 0, most


def _remainder(_bits: int, one: Ranged, other: Ranged) -> Ranged:
    if other[1] > 0:
        return one[0] % other[0], 0, min(one[2], other[2] - 1)
    return z3.If(other[0] == 0, one[0], one[0] % other[0]), 0, one[2]


ARITHMETIC: dict[int, Callable[..., Ranged]] = {
    z3.Z3_OP_BADD: _add,
    z3.Z3_OP_BMUL: _multiply,
    z3.Z3_OP_BSUB: _subtract,
    z3.Z3_OP_BUDIV: _divide,
    z3.Z3_OP_BUDIV_I: _divide,
    z3.Z3_OP_BUREM: _remainder,
    z3.Z3_OP_BUREM_I: _remainder,
}
CONNECTIVES = {
    z3.Z3_OP_AND: z3.And,
    z3.Z3_OP_OR: z3.Or,
    z3.Z3_OP_NOT: z3.Not,
    z3.Z3_OP_IMPLIES: z3.Implies,
    z3.Z3_OP_ITE: z3.If,
}
COMPARISONS = {
    z3.Z3_OP_EQ: lambda a, b: a == b,
    z3.Z3_OP_ULEQ: lambda a, b: a <= b,
    z3.Z3_OP_ULT: lambda a, b: a < b,
    z3.Z3_OP_UGEQ: lambda a, b: a >= b,
    z3.Z3_OP_UGT: lambda a, b: a > b,
}


def is_proven(query: str) -> bool:
    """Return whether the integers alone refute the query."""
    translation, claims = Translation(), []
    assertions = list(z3.parse_smt2_string(query))
    for assertion in [item for item in assertions if not translation.narrow(item)]:
        try:
            claims.append(translation.claim(assertion))
        except UntranslatableError:
            continue
    solver = z3.Solver()
    solver.set("timeout", TIMEOUT_MS)
    solver.add(*claims, *translation.bounds)
    return bool(solver.check() == z3.unsat)


def main(path: str) -> int:
    """Answer one query; does not return where yices takes over."""
    if is_proven(Path(path).read_text()):
        print("unsat")
        return 0
    yices = str(Path(sys.executable).parent / "yices-smt2")
    os.execv(yices, [yices, path])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
