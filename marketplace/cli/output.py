"""How commands speak: results on standard output, as text or one JSON object; all else on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from marketplace.cli.exits import NotConfirmedError, one_line

if TYPE_CHECKING:
    from enclave_runtime.sealed.buffers import Progress

__all__ = [
    "ProgressLines",
    "ask_secret",
    "confirm",
    "emit",
    "moment",
    "note",
    "progress",
    "simulated",
    "table",
]


def emit(as_json: bool, value: dict[str, object], lines: Iterable[str]) -> None:
    """Print a result: `value` as one line of JSON, or `lines`."""
    if as_json:
        sys.stdout.write(json.dumps(value, sort_keys=True) + "\n")
    else:
        for line in lines:
            sys.stdout.write(one_line(line) + "\n")
    sys.stdout.flush()


def note(line: str) -> None:
    """Print a line that is no result."""
    sys.stderr.write(one_line(line) + "\n")
    sys.stderr.flush()


def simulated(what: str) -> None:
    """Say loudly that a development root is involved."""
    note(f"SIMULATED: {what}: no hardware stands behind it, and it protects nothing from its operator")


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows, the first of them headings, in aligned columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def moment(at: int) -> str:
    """Return a Unix time in words, in UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def confirm(question: str, *, yes: bool) -> None:
    """Ask before money moves.

    Raises:
        NotConfirmedError: no was the answer, or there is nobody to ask.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise NotConfirmedError(f"not confirmed: {question}", hint="there is nobody to ask here: pass --yes")
    if not typer.confirm(question, err=True):
        raise NotConfirmedError("not confirmed: nothing was sent")


def ask_secret(question: str) -> str:
    """Return a passphrase that a person types, without echo.

    Raises:
        NotConfirmedError: there is nobody to ask.
    """
    if not sys.stdin.isatty():
        hint = "name a passphrase file in the profile, for your eyes only"
        raise NotConfirmedError(f"{question}: there is nobody to ask", hint=hint)
    answer: str = typer.prompt(question, hide_input=True, err=True)
    return answer


@contextmanager
def progress(what: str, wanted: bool = False) -> Iterator[Progress | None]:
    """Give a callback that shows bytes done, rate and time left on standard error.

    On a terminal it draws a bar; elsewhere it prints a line each second where that is `wanted`, else nothing
    (the callback is None then).
    """
    if sys.stderr.isatty():
        with _bar(what) as draw:
            yield draw
    elif wanted:
        lines = ProgressLines(what, note)
        yield lines.draw
        lines.end()
    else:
        yield None


@contextmanager
def _bar(what: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=None)
        last = 0

        def draw(done: int, total: int) -> None:
            nonlocal last
            if done < last:  # the same bytes once more: hashed, and now sent
                bars.reset(task)
            last = done
            bars.update(task, completed=done, total=total)

        yield draw


class ProgressLines:
    """Progress in lines, for logs: at most one a second, and one at the end."""

    def __init__(
        self, what: str, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start the clock.

        Args:
            say: prints a line.
            clock: seconds that only grow.
        """
        self._what = what
        self._say = say
        self._clock = clock
        self._begun = self._told = clock()
        self._first: int | None = None
        self._last = (0, 0)

    def draw(self, done: int, total: int) -> None:
        """Take bytes done and in all; from any thread. Fewer than before: the same bytes once more."""
        now = self._clock()
        if done < self._last[0]:
            self._first, self._begun = 0, now
        self._first = done if self._first is None else self._first
        self._last = done, total
        if now - self._told >= 1:
            self._told = now
            self._say(self._line(now))

    def end(self) -> None:
        """Say what it came to."""
        self._say(self._line(self._clock()))

    def _line(self, now: float) -> str:
        done, total = self._last
        # What an earlier run had done counts as done, not as speed.
        rate = (done - (self._first or 0)) / (now - self._begun) if now > self._begun else 0.0
        left = f"{round((total - done) / rate)} s left" if rate and done < total else ""
        if done >= total:
            left = f"done in {now - self._begun:.1f} s"
        words = [f"{_bytes(done)} of {_bytes(total)}", f"{_bytes(int(rate))}/s", left]
        return f"{self._what}: {', '.join(word for word in words if word)}"


def _bytes(count: int) -> str:
    """Return a number of bytes in words, in binary units."""
    if count < 1024:
        return f"{count} B"
    size = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if size < 1024:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} TiB"
