"""What a vendor's file returns, and how it measures."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from enclave_runtime.attestation.errors import AttestationError

__all__ = ["Flips", "VendorResult", "after", "flip_bytes", "interleaved"]

T = TypeVar("T")


@dataclass(frozen=True)
class Flips:
    """What became of evidence of which one byte was changed.

    Attributes:
        tried: number of changed copies.
        accepted: where a change was accepted: must be empty.
        raised: other errors than our own, by place: must be empty.
        slowest: greatest processor time of one refusal over that of the good one, seen for the first time.
    """

    tried: int = 0
    accepted: tuple[str, ...] = ()
    raised: tuple[str, ...] = ()
    slowest: float = 0.0

    @classmethod
    def together(cls, parts: Sequence[Flips]) -> Flips:
        """Return what became of the changed copies of all `parts`."""
        return cls(
            tried=sum(part.tried for part in parts),
            accepted=tuple(place for part in parts for place in part.accepted),
            raised=tuple(place for part in parts for place in part.raised),
            slowest=max((part.slowest for part in parts), default=0.0),
        )


@dataclass(frozen=True)
class VendorResult:
    """One row of the table.

    Attributes:
        tried: checks of the manifest that were run: a vector at its stated time.
        missed: those that did not give the expected outcome, by name: must be empty.
        ms: median processor time of our whole verification of one good vector, in milliseconds.
        peer: the best published library that does the same, or why there is none.
        peer_ms: its median on the same vector, run in turn with ours in this process; None without a peer.
        flips: see `Flips`.
        more: other figures worth a column, such as the time with cached chains.
    """

    tried: int
    missed: tuple[str, ...]
    ms: float
    peer: str
    peer_ms: float | None
    flips: Flips = field(default_factory=Flips)
    more: dict[str, float | str] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """Return our time over the peer's."""
        return None if self.peer_ms is None else self.ms / self.peer_ms


def interleaved(*runs: Callable[[], object], rounds: int = 101) -> list[float]:
    """Return the median processor time of each run in milliseconds; one round runs each once, in turn.

    All of it is arithmetic in this thread: on an idle machine that is the time on the wall, and on a busy one
    the time on the wall says how busy it is.
    """
    times: list[list[float]] = [[] for _ in runs]
    for run in runs:
        run()
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for run, seen in zip(runs, times, strict=True):
                start = time.thread_time()
                run()
                seen.append(time.thread_time() - start)
    finally:
        gc.enable()
    return [statistics.median(seen) * 1e3 for seen in times]


def after(forget: Callable[[], None], run: Callable[[], T]) -> Callable[[], T]:
    """Return `run` with `forget` in front of it; the forgetting is measured too."""

    def both() -> T:
        forget()
        return run()

    return both


def flip_bytes(data: bytes, places: Iterable[int], verify: Callable[[bytes], object]) -> Flips:
    """Return what `verify` does with `data` when the byte at each place is inverted, one at a time."""
    start = time.thread_time()
    verify(data)
    good = time.thread_time() - start
    tried, slowest = 0, 0.0
    accepted: list[str] = []
    raised: list[str] = []
    for place in places:
        spoiled = bytearray(data)
        spoiled[place] ^= 0xFF
        start = time.thread_time()
        try:
            verify(bytes(spoiled))
            accepted.append(str(place))
        except AttestationError:
            pass
        except Exception as error:
            raised.append(f"{place}: {type(error).__name__}")
        tried, slowest = tried + 1, max(slowest, (time.thread_time() - start) / good)
    return Flips(tried, tuple(accepted), tuple(raised), round(slowest, 2))
