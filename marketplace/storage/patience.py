"""How long a store waits, how often it tries again, and where clock and chance come from.

One policy for all schemes: a server that says nothing is given up after about `Patience.silent_s`, in all
attempts together; one that answers badly, or breaks off, after `tries`.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

__all__ = ["SILENT_S", "SYSTEM", "Pace", "Patience", "Shell", "Tries", "pause_s"]

SILENT_S: Final = 45.0
"""How long a server may say nothing, in all attempts together, unless the settings say otherwise."""


def _log(line: str) -> None:
    logging.getLogger("cloister.storage").warning(line)


@dataclass(frozen=True, slots=True)
class Shell:
    """What only a shell may use: a clock that never goes back (seconds), sleep, and entropy (bytes).

    `tell` takes a line for a person about a wait that gets long; the log of `cloister.storage` unless said.
    """

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    entropy: Callable[[int], bytes]
    tell: Callable[[str], None] = _log


SYSTEM: Final = Shell(time.monotonic, time.sleep, os.urandom)


@dataclass(frozen=True, slots=True)
class Patience:
    """What is still good enough.

    Attributes:
        tries: attempts at one place, each after a longer pause; a segment that came whole starts them anew.
        first_pause_s, longest_pause_s: the pause before the second attempt, at most, and before any.
        silent_s: without a byte, in all attempts and pauses together.
        connect_s: to reach a server and agree on keys.
        answer_s: from the question to the end of the answer's head.
        stall_s: without a byte of the body.
        window_s, slowest_bytes_s: fewer bytes a second over such a window are no transfer.
    """

    tries: int = 4
    first_pause_s: float = 0.25
    longest_pause_s: float = 8.0
    silent_s: float = SILENT_S
    connect_s: float = 10.0
    answer_s: float = 20.0
    stall_s: float = 20.0
    window_s: float = 30.0
    slowest_bytes_s: float = 8192.0

    @property
    def longest_answer_s(self) -> float:
        """For a whole small answer, from connecting to its last byte, seconds."""
        return self.connect_s + self.answer_s + self.stall_s

    @classmethod
    def of(cls, silent_s: float) -> Patience:
        """Return the patience that gives a silent server so many seconds in all, some attempts among them."""
        share = silent_s / SILENT_S
        return cls(silent_s=silent_s, connect_s=10.0 * share, answer_s=20.0 * share, stall_s=20.0 * share)


def pause_s(patience: Patience, failed: int, entropy: Callable[[int], bytes]) -> float:
    """Return how long to wait after `failed` attempts: twice as long each time, less a random part.

    The random part keeps many agents that lost the same server from coming back all at once.
    """
    most = min(patience.longest_pause_s, patience.first_pause_s * 2.0 ** min(failed - 1, 30))
    return float(most * (0.5 + int.from_bytes(entropy(4)) / 2**33))


class Pace:
    """How fast a place is over all questions to it; used by one thread.

    One that breaks off after each handful of bytes is never slow while it answers, and never fails for good.
    """

    def __init__(self, patience: Patience, clock: Callable[[], float]) -> None:
        """Begin the first window."""
        self._least = patience.slowest_bytes_s
        self._window_s = 2 * max(patience.silent_s, patience.window_s)
        self._clock = clock
        self._since = clock()
        self._came = self._windows = 0
        self.slow = ""

    @property
    def is_lost(self) -> bool:
        """Whether it was too slow over two windows on end; one may be of a machine that slept."""
        return self._windows > 1

    def came(self, got: int) -> bool:
        """Take note of `got` bytes and return `is_lost`; `slow` says then what was got."""
        self._came += got
        now = self._clock()
        window = now - self._since
        if window >= self._window_s:
            rate = self._came / window
            self._windows = self._windows + 1 if rate < self._least else 0
            self.slow = f"{rate:.0f} bytes a second, expected at least {self._least:.0f}"
            self._since, self._came = now, 0
        return self.is_lost


class Tries:
    """The attempts at one place since it last did what was asked; used by one thread."""

    def __init__(self, patience: Patience, shell: Shell) -> None:
        """Begin the first one."""
        self._patience = patience
        self._shell = shell
        self.succeeded()

    def succeeded(self) -> None:
        """Begin anew: the place did what was asked."""
        self._failed = 0
        self.heard()

    def heard(self) -> None:
        """Take note that a byte came: the place is not silent, though it may be useless."""
        self._begun = self._since = self._shell.clock()

    def again(self, why: Exception) -> bool:
        """Pause before another attempt and return True; False where there is to be none.

        An attempt that would last as long as this one is not begun where it would pass `silent_s`.
        """
        now = self._shell.clock()
        self._failed += 1
        silent, took = now - self._since, now - self._begun
        if self._failed >= self._patience.tries or silent + took > self._patience.silent_s:
            return False
        self._shell.tell(f"{why}; asked again ({self._failed + 1} of {self._patience.tries} at most)")
        self._shell.sleep(pause_s(self._patience, self._failed, self._shell.entropy))
        self._begun = self._shell.clock()
        return True
