"""What a process and all its descendants use, read from /proc.

A sandbox's first process is the reaper of its PID namespace: everything inside is its descendant.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["TreeUsage", "sample"]

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_NOT_FILES: Final = ("RssAnon:", "RssShmem:")  # memory that no file on disk backs


@dataclass(frozen=True, slots=True)
class TreeUsage:
    """Tasks (processes and threads) alive, resident memory without file pages, and processor time."""

    tasks: int
    memory_bytes: int
    cpu_s: float


def sample(pid: int, *, most_tasks: int, proc: Path = Path("/proc")) -> TreeUsage:
    """Return the usage of the tree below `pid`, itself included.

    Processor time of a child counts once its parent has waited for it; a parent that refuses to wait hides
    the time of children that are gone, so this is a lower bound (the wall clock is the upper one).

    Args:
        most_tasks: stop looking once there are more; a fork bomb must not make the guard slow.
    """
    tasks, memory, ticks = 0, 0, 0
    waiting = [pid]
    while waiting and tasks <= most_tasks:
        folder = proc / str(waiting.pop())
        try:
            threads, children = _task(folder)
            waiting += children
            # Behind the command's name, which may hold anything: state is field 3, utime..cstime 14 to 17.
            fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
            status = (folder / "status").read_text()
        except (OSError, ValueError):
            continue  # gone meanwhile
        tasks += threads
        ticks += sum(map(int, fields[11:15]))
        memory += sum(_kilobytes(line) for line in status.splitlines() if line.startswith(_NOT_FILES)) << 10
    return TreeUsage(tasks, memory, ticks / _TICKS_PER_S)


def _task(folder: Path) -> tuple[int, list[int]]:
    """Return the number of threads and the children of the process at `folder`."""
    threads = os.listdir(folder / "task")
    children: list[int] = []
    for thread in threads:
        children += map(int, (folder / "task" / thread / "children").read_text().split())
    return len(threads), children


def _kilobytes(line: str) -> int:
    return int(line.split()[1])
