"""How much of a service one caller can use: a token bucket per caller, in bounded memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from marketplace.service.errors import BusyError

__all__ = ["RPC_TIMEOUT_S", "RateLimit"]

RPC_TIMEOUT_S = 5.0
"""How long a service waits for its chain node, asked twice, before it answers that it cannot answer."""


@dataclass(slots=True)
class RateLimit:
    """Lets each caller make `burst` requests at once and `per_minute` in the long run.

    Attributes:
        monotonic: seconds that only rise.
        per_minute: refill, in requests per minute; 0 means no limit.
        burst: size of a full bucket.
        callers: how many callers are remembered; the longest silent one is forgotten first.
    """

    monotonic: Callable[[], float]
    per_minute: int = 600
    burst: int = 120
    callers: int = 4_096
    _buckets: OrderedDict[str, tuple[float, float]] = field(init=False, default_factory=OrderedDict)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def take(self, caller: str) -> None:
        """Count one request of `caller`.

        Raises:
            BusyError: the caller's bucket is empty.
        """
        if self.per_minute == 0:
            return
        rate = self.per_minute / 60
        with self._lock:
            now = self.monotonic()
            tokens, then = self._buckets.pop(caller, (float(self.burst), now))
            tokens = min(float(self.burst), tokens + (now - then) * rate)
            allowed = tokens >= 1
            self._buckets[caller] = (tokens - 1 if allowed else tokens, now)
            while len(self._buckets) > self.callers:
                self._buckets.popitem(last=False)
        if not allowed:
            raise BusyError("too many requests from one address", retry_after_s=1 + int((1 - tokens) / rate))
