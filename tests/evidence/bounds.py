"""Spoiled evidence is refused, in bounded time and memory: what "every byte counts" asks of each vendor."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator

from enclave_runtime.attestation.errors import AttestationError
from enclave_runtime.wire.errors import WireError

__all__ = ["MAX_BYTES", "MAX_TIMES", "first_seconds", "flips", "hold"]

MAX_TIMES, MAX_BYTES = 10, 64 << 20


def first_seconds(verify: Callable[[], object], forget: Callable[[], None]) -> float:
    """Return the median processor time of the good verification when nothing of it is known, in seconds."""
    times = []
    for _ in range(5):
        forget()
        start = time.thread_time()
        verify()
        times.append(time.thread_time() - start)
    return sorted(times)[2]


def hold(
    verify: Callable[[bytes], object], good: bytes, spoiled: Iterable[bytes], forget: Callable[[], None]
) -> int:
    """Check that every copy is refused by our error, within time and memory; return how many there were."""
    allowed = MAX_TIMES * first_seconds(lambda: verify(good), forget)
    tried, accepted, slow = 0, [], []
    tracemalloc.start()
    try:
        for place, data in enumerate(spoiled):
            assert data != good
            tried += 1
            took, is_refused = _timed(verify, data)
            if not is_refused:
                accepted.append(place)
            # One slow time may be the interpreter's own house-keeping; three in a row are ours.
            if took > allowed and min(_timed(verify, data)[0] for _ in range(2)) > allowed:
                slow.append((place, took))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert not accepted and not slow and peak < MAX_BYTES, (accepted[:8], slow[:8], peak, allowed)
    return tried


def _timed(verify: Callable[[bytes], object], data: bytes) -> tuple[float, bool]:
    start, is_refused = time.thread_time(), False
    try:
        verify(data)
    except (WireError, AttestationError):
        is_refused = True
    return time.thread_time() - start, is_refused


def flips(data: bytes, masks: Iterable[int], step: int = 1) -> Iterator[bytes]:
    """Yield copies of `data`: every `step`th byte changed by each mask."""
    for at in range(0, len(data), step):
        for mask in masks:
            yield data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]
