"""One HTTP/1.1 connection that may not stay silent or drip for ever.

uvicorn times idle connections between requests only. Here a connection that has sent no whole request head,
or goes on sending after its answer, is closed after a while, so that nobody holds a slot for nothing.
"""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["HEAD_TIMEOUT_S", "TimedH11"]

HEAD_TIMEOUT_S: Final = 10.0


class TimedH11(H11Protocol):
    """uvicorn's protocol with a limit on the time that a request head may take."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start waiting for the first request."""
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass data on; wait on if it did not complete a head."""
        super().data_received(data)
        self._watch()

    def _watch(self) -> None:
        waiting = self.cycle is None or self.cycle.response_complete
        if not waiting:
            self._stop()
        elif self._timer is None:
            self._timer = self.loop.call_later(HEAD_TIMEOUT_S, self.transport.close)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
