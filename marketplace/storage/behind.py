"""Work done behind whoever makes it: the next piece is made while the last ones are sent."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

__all__ = ["Behind"]


class Behind:
    """So many jobs at once; whoever brings one more waits for the oldest. Leaving waits for all of them."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="storage")
        self._pending: deque[Future[object]] = deque()

    def __enter__(self) -> Behind:
        return self

    def submit(self, job: Callable[[], object]) -> None:
        """Have a job done; raises what an earlier one did."""
        while len(self._pending) >= self._at_once:
            self._pending.popleft().result()
        self._pending.append(self._pool.submit(job))

    def wait(self) -> None:
        """Wait for all jobs; raises what the first of them did that failed."""
        while self._pending:
            self._pending.popleft().result()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.wait()
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)
