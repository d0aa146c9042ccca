"""How commands speak: results on standard output, as text or one JSON object; all else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from marketplace.cli.exits import NotConfirmedError, one_line

if TYPE_CHECKING:
    from enclave_runtime.sealed.buffers import Progress

__all__ = ["ask_secret", "confirm", "emit", "moment", "note", "progress", "simulated", "table"]


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
def progress(what: str) -> Iterator[Progress | None]:
    """Give a callback that draws a bar on standard error, or None where nobody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=None)

        def draw(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)

        yield draw
