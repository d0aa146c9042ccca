"""Threads that share one task, and memory that is each one's own (docs/protocol.md section 3.5).

Reading, hashing and AES drop the GIL, so as many threads as cores keep all cores busy; what is left of Python
between them is a few microseconds for each segment.
"""

from __future__ import annotations

import mmap
import threading
from collections import deque
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["Conveyor", "in_threads", "private_buffer", "private_buffers", "wipe_buffer"]

_CACHE_LINE: Final = 64
_HUGE_PAGE: Final = 2 << 20
_ZEROS: Final = memoryview(bytes(1 << 16))

_Made = TypeVar("_Made")


def private_buffer(size: int) -> memoryview:
    """Return `size` zero bytes on pages of their own, huge ones where they are to be had and needed."""
    return private_buffers(1, size)[0]


def private_buffers(count: int, size: int) -> list[memoryview]:
    """Return `count` such buffers that lie beside each other, so that they share huge pages."""
    step = -(-max(1, size) // _CACHE_LINE) * _CACHE_LINE
    total = count * step
    if total >= _HUGE_PAGE // 2:
        total = -(-total // _HUGE_PAGE) * _HUGE_PAGE
    made = mmap.mmap(-1, total, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if total >= _HUGE_PAGE:
        made.madvise(mmap.MADV_HUGEPAGE)
    view = memoryview(made)
    return [view[at : at + size] for at in range(0, count * step, step)]


def wipe_buffer(buffer: memoryview) -> None:
    """Overwrite a large buffer with zeros, without as much memory again."""
    for at in range(0, len(buffer), len(_ZEROS)):
        part = buffer[at : at + len(_ZEROS)]
        part[:] = _ZEROS[: len(part)]


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


class Conveyor:
    """Jobs done by threads, results taken in order; never more at once than there are slots.

    A slot is memory for one job. It belongs to the job until its result was taken, and to the result until
    the next one is asked for.
    """

    def __init__(self, workers: int, slots: int) -> None:
        """Start nothing yet; threads come with the first job."""
        if not 0 < workers < slots:
            raise ValueError(f"conveyor: got {workers} workers and {slots} slots, expected more slots")
        # Here, not above: whoever only opens whole streams starts a tenth faster without it.
        from concurrent.futures import ThreadPoolExecutor

        self._slots = slots
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="sealed")

    def run(
        self, count: int, prepare: Callable[[int, int], None], work: Callable[[int, int], _Made]
    ) -> Generator[_Made, None, None]:
        """Give the results of jobs 0 to `count` - 1, in order. Runs once.

        Args:
            prepare: gets job and slot; called in order, by the thread that iterates.
            work: gets job and slot; called by any thread, beside others.
        Raises:
            Whatever `prepare` and `work` raise, once no job is under way.
        """
        pending: deque[Future[_Made]] = deque()
        try:
            for job in range(count):
                if len(pending) == self._slots - 1:
                    yield pending.popleft().result()
                slot = job % self._slots
                prepare(job, slot)
                pending.append(self._pool.submit(work, job, slot))
            while pending:
                yield pending.popleft().result()
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)
