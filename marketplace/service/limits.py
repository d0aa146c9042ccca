"""How much of a service one caller, and all callers together, can use: token buckets, in bounded memory."""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from marketplace.service.errors import BusyError

__all__ = ["RPC_TIMEOUT_S", "RateLimit", "caller_of"]

RPC_TIMEOUT_S = 5.0
"""How long a service waits for its chain node, asked twice, before it answers that it cannot answer."""


@dataclass(slots=True)
class RateLimit:
    """Lets each caller make `burst` requests at once and `per_minute` in the long run, and so all together.

    Attributes:
        monotonic: seconds that only rise.
        per_minute: refill, in requests per minute; 0 means no limit.
        burst: size of a full bucket.
        whole_per_minute, whole_burst: the same for all callers together; 0 means no limit.
        callers: how many callers are remembered; the longest silent one is forgotten first.
    """

    monotonic: Callable[[], float]
    per_minute: int = 600
    burst: int = 120
    whole_per_minute: int = 0
    whole_burst: int = 1_200
    callers: int = 4_096
    _buckets: OrderedDict[str, tuple[float, float]] = field(init=False, default_factory=OrderedDict)
    _whole: tuple[float, float] | None = field(init=False, default=None)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def take(self, caller: str) -> None:
        """Count one request of `caller`.

        The caller's own bucket comes first: whoever has emptied that takes nothing from the others.

        Raises:
            BusyError: the caller's bucket is empty, or that of all.
        """
        with self._lock:
            now = self.monotonic()
            if self.per_minute:
                bucket = self._buckets.pop(caller, None)
                bucket, wait_s = _drawn(bucket, now, self.burst, self.per_minute / 60)
                self._buckets[caller] = bucket
                while len(self._buckets) > self.callers:
                    self._buckets.popitem(last=False)
                if wait_s:
                    raise BusyError("too many requests from one address", retry_after_s=wait_s)
            if self.whole_per_minute:
                self._whole, wait_s = _drawn(self._whole, now, self.whole_burst, self.whole_per_minute / 60)
                if wait_s:
                    raise BusyError("too many requests from everybody together", retry_after_s=wait_s)


def caller_of(address: str | None) -> str:
    """Return what a rate is counted under: an IPv4 address, or the /64 that one host has of IPv6."""
    try:
        known = ipaddress.ip_address(address or "")
    except ValueError:
        return "unknown"
    if known.version == 4:
        return str(known)
    mapped = known.ipv4_mapped
    return str(known.exploded[:19]) if mapped is None else str(mapped)


def _drawn(
    bucket: tuple[float, float] | None, now: float, burst: int, rate: float
) -> tuple[tuple[float, float], int]:
    """Return a bucket after one request at `now`, and how many seconds to wait if it was empty, else 0."""
    tokens, then = bucket or (float(burst), now)
    tokens = min(float(burst), tokens + (now - then) * rate)
    if tokens >= 1:
        return (tokens - 1, now), 0
    return (tokens, now), 1 + int((1 - tokens) / rate)
