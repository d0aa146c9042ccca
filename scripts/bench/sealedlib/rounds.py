"""Interleaved runs, medians, and ratios of pairs that ran side by side.

A busy neighbour slows a whole round, so only figures of one round are divided by each other, and the median
of those quotients is the ratio. Absolute speeds are for orientation.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Figures", "Goal", "Options", "check", "interleave", "median", "say"]


@dataclass(frozen=True)
class Options:
    """What a section needs to know.

    Attributes:
        folder: scratch on disk, empty at first; the page cache holds what is read from it.
        ram: scratch on a tmpfs where there is one with room, else `folder`: where files are written to.
        mib: size of the large contents.
        rounds: measured rounds; one more runs first and is thrown away.
        quiet: print no progress.
    """

    folder: Path
    ram: Path
    mib: int
    rounds: int
    quiet: bool


@dataclass
class Figures:
    """Seconds of each case in each round, and seconds of CPU of this process."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)

    def ms(self, name: str) -> float:
        """Return the median in milliseconds."""
        return round(statistics.median(self.seconds[name]) * 1e3, 3)

    def gb_s(self, name: str, size: int) -> float:
        """Return the median speed in GB/s (1e9 bytes) of a case that moves `size` bytes."""
        return round(size / statistics.median(self.seconds[name]) / 1e9, 3)

    def ratio(self, over: str, under: str) -> float:
        """Return the median over rounds of seconds of one divided by seconds of the other."""
        return _ratio(self.seconds[over], self.seconds[under])

    def cpu_ratio(self, over: str, under: str) -> float:
        """Return the same of seconds of CPU; for cases that start no other process."""
        return _ratio(self.cpu[over], self.cpu[under])


def median(values: list[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def _ratio(over: list[float], under: list[float]) -> float:
    return round(statistics.median(one / other for one, other in zip(over, under, strict=True)), 3)


@dataclass(frozen=True)
class Goal:
    """A figure and what it has to reach."""

    value: float
    limit: float
    at_least: bool

    @property
    def met(self) -> bool:
        """Whether it does."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def check(value: float, *, at_least: float | None = None, at_most: float | None = None) -> dict[str, object]:
    """Return a figure with its goal, as the report shows it."""
    goal = Goal(value, at_least if at_least is not None else at_most or 0.0, at_least is not None)
    word = "at_least" if goal.at_least else "at_most"
    return {"value": value, word: goal.limit, "met": goal.met}


def interleave(
    cases: Mapping[str, Callable[[], None]],
    options: Options,
    *,
    before: Callable[[], None] = lambda: None,
    rounds: int | None = None,
) -> Figures:
    """Run every case once a round, each round in the other direction than the last.

    Args:
        before: called before each case, outside of what is measured.
        rounds: other than the options say.
    """
    figures = Figures({name: [] for name in cases}, {name: [] for name in cases})
    names = list(cases)
    wanted = rounds or options.rounds
    for number in range(-1, wanted):
        for name in names if number % 2 else reversed(names):
            before()
            started, started_cpu = time.perf_counter(), time.process_time()
            cases[name]()
            seconds, cpu = time.perf_counter() - started, time.process_time() - started_cpu
            if number >= 0:
                figures.seconds[name].append(seconds)
                figures.cpu[name].append(cpu)
        say(options, f"round {number + 1} of {wanted}")
    return figures


def say(options: Options, text: str) -> None:
    """Print progress, unless it is not wanted."""
    if not options.quiet:
        print(text, file=sys.stderr, flush=True)
