"""What the demo prints: one line a step with its seconds, readable without colours; on stderr with --json."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Console"]


class Console:
    """Prints steps and remembers how long each took."""

    def __init__(self, *, json_on_stdout: bool = False) -> None:
        self._out = sys.stderr if json_on_stdout else sys.stdout
        self.steps: dict[str, float] = {}

    def title(self, text: str) -> None:
        """Print a heading."""
        self.line(f"\n{text}\n{'-' * len(text)}")

    def line(self, text: str = "") -> None:
        """Print one line."""
        self._out.write(text + "\n")
        self._out.flush()

    def detail(self, text: str) -> None:
        """Print an indented line."""
        self.line(f"      {text}")

    @contextmanager
    def step(self, name: str, text: str) -> Iterator[None]:
        """Time a step and say what it did; `name` is its key in the JSON output."""
        started = time.perf_counter()
        self.line(f"  ... {text}")
        yield
        seconds = time.perf_counter() - started
        self.steps[name] = round(self.steps.get(name, 0.0) + seconds, 3)
        self.line(f"  ok  {text} ({seconds:.1f} s)")
