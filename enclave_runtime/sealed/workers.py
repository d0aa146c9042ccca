"""Threads that share one task, and memory that is each one's own (docs/protocol.md section 3.5).

Reading, hashing and AES drop the GIL, so as many threads as cores keep all cores busy; what is left of Python
between them is a few microseconds for each segment.
"""

from __future__ import annotations

import mmap
import threading
from collections.abc import Callable

__all__ = ["in_threads", "private_buffer"]


def private_buffer(size: int) -> memoryview:
    """Return `size` zero bytes that begin on a page of their own, on huge pages where they are to be had."""
    made = mmap.mmap(-1, max(1, size), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if size >= 2 << 20:
        made.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(made)[:size]


def in_threads(work: Callable[[threading.Event], None], count: int) -> None:
    """Run `work` in `count` threads, this one included; raise the first error once all have ended.

    Args:
        work: gets an event that is set as soon as another thread failed.
    """
    stopped = threading.Event()
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            work(stopped)
        except BaseException as error:
            errors.append(error)
            stopped.set()

    threads = [threading.Thread(target=guarded, daemon=True) for _ in range(count - 1)]
    for thread in threads:
        thread.start()
    guarded()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
