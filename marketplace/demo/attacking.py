"""Runs attacks one after the other in one market and says what each came to."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass

from marketplace.demo.attacks.bench import Bench, Outcome
from marketplace.demo.attacks.table import ATTACKS
from marketplace.demo.console import Console
from marketplace.demo.story import Published3, Story

__all__ = ["AttackResult", "run_attack"]


@dataclass(frozen=True, slots=True)
class AttackResult:
    """What `--json` prints for one attack."""

    refused: bool
    step: str
    got: str
    expected: str
    plaintext_left: int
    money_ok: bool
    seconds: float
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Return whether the bad actor got nothing."""
        return self.refused and self.money_ok and not self.plaintext_left

    def to_json(self) -> dict[str, object]:
        """Return the members that are printed."""
        return {
            "refused": self.refused,
            "step": self.step,
            "got": self.got,
            "expected": self.expected,
            "plaintext_left": self.plaintext_left,
            "money_ok": self.money_ok,
            "seconds": round(self.seconds, 2),
            "problems": list(self.problems),
        }


def run_attack(name: str, story: Story, offers: Published3, console: Console) -> AttackResult:
    """Run one attack on a fresh bench and return what it came to; nothing is raised."""
    started = time.perf_counter()
    bench = Bench(story, offers)
    try:
        with bench:
            outcome = ATTACKS[name](bench)
            problems = bench.money_problems()
            left = bench.plaintext_left()
    except Exception as error:  # an attack that breaks the demo is a finding, not a crash
        console.line(f"  BROKEN {name}: {error}")
        for line in traceback.format_exc().splitlines()[-6:]:
            console.detail(line)
        text = f"{type(error).__name__}: {error}"
        return AttackResult(False, "", text, "", 0, False, time.perf_counter() - started, (text,))
    result = _result(outcome, left, problems, time.perf_counter() - started)
    _print(name, outcome, result, console)
    return result


def _result(outcome: Outcome, left: int, problems: list[str], seconds: float) -> AttackResult:
    refused = outcome.refused
    return AttackResult(
        refused=refused is not None,
        step="" if refused is None else f"{refused.by}: {refused.step}",
        got="" if refused is None else refused.got,
        expected="" if refused is None else refused.expected,
        plaintext_left=left,
        money_ok=not problems,
        seconds=seconds,
        problems=tuple(problems),
    )


def _print(name: str, outcome: Outcome, result: AttackResult, console: Console) -> None:
    console.line(f"  {'ok ' if result.ok else 'BAD'} {name} ({result.seconds:.1f} s)")
    console.detail(f"refused by {result.step}")
    console.detail(f"got       {result.got[:160]}")
    console.detail(f"expected  {result.expected[:160]}")
    console.detail(f"{outcome.note}; plaintext left {result.plaintext_left}")
    console.detail(
        "money: "
        + ("as the design says, to the last unit" if result.money_ok else "; ".join(result.problems))
    )
