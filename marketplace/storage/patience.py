"""How long a store waits, how often it tries again, and where clock and chance come from."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

__all__ = ["SYSTEM", "Patience", "Shell", "pause_s"]


@dataclass(frozen=True, slots=True)
class Shell:
    """What only a shell may use: a clock that never goes back (seconds), sleep, and entropy (bytes)."""

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    entropy: Callable[[int], bytes]


SYSTEM: Final = Shell(time.monotonic, time.sleep, os.urandom)


@dataclass(frozen=True, slots=True)
class Patience:
    """What is still good enough.

    Attributes:
        tries: attempts at one place, each after a longer pause; a segment that came whole starts them anew.
        first_pause_s, longest_pause_s: the pause before the second attempt, at most, and before any.
        connect_s: to reach a server and agree on keys.
        answer_s: from the question to the end of the answer's head.
        stall_s: without a byte of the body.
        window_s, slowest_bytes_s: fewer bytes a second over such a window are no transfer.
    """

    tries: int = 4
    first_pause_s: float = 0.25
    longest_pause_s: float = 8.0
    connect_s: float = 10.0
    answer_s: float = 30.0
    stall_s: float = 20.0
    window_s: float = 30.0
    slowest_bytes_s: float = 8192.0


def pause_s(patience: Patience, failed: int, entropy: Callable[[int], bytes]) -> float:
    """Return how long to wait after `failed` attempts: twice as long each time, less a random part.

    The random part keeps many agents that lost the same server from coming back all at once.
    """
    most = min(patience.longest_pause_s, patience.first_pause_s * 2.0 ** min(failed - 1, 30))
    return float(most * (0.5 + int.from_bytes(entropy(4)) / 2**33))
