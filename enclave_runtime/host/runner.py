"""The shell around the session: one lock, one clock, a server and the end of the process.

The process outlives every connection. It ends after `wiped` (once the agent has seen it, or 30 s later),
after `idle_s` without a word while no engine runs, or when it is told to; whichever way, its files go.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from enclave_runtime.host.effects import Surroundings
from enclave_runtime.host.transport import Answer, Server
from enclave_runtime.loader.answers import host_fault
from enclave_runtime.loader.effects import EngineEnd, Steps
from enclave_runtime.loader.intake import HostFaultError
from enclave_runtime.loader.session import Session
from enclave_runtime.loader.states import State
from enclave_runtime.wire.canonical import JsonObject

__all__ = ["Host", "boottime_ns", "boottime_s"]

T = TypeVar("T")
_TICK_S: Final = 0.1
_LINGER_S: Final = 30.0
_FAREWELL_S: Final = 0.5
"""Time for the last answer to leave."""


def boottime_ns() -> int:
    """Return nanoseconds that only grow, through suspension too."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def boottime_s() -> float:
    """Return the same clock in seconds."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Host:
    """Gives messages to the session one at a time, and lets time pass for it."""

    def __init__(self, session: Session, *, clock_ns: Callable[[], int] = boottime_ns) -> None:
        self._session = session
        self._clock_ns = clock_ns
        self._turn = threading.Lock()
        self._seen_wiped = threading.Event()
        self._surroundings: Surroundings | None = None

    def connect(self, surroundings: Surroundings) -> None:
        """Name who carries out effects; to be called once, before the first message."""
        self._surroundings = surroundings

    def answer(self, header: JsonObject, body: memoryview) -> Answer:
        """Answer one message. `status` never waits for another message's work."""
        try:
            if header.get("op") == "status":
                return self._status(header, body)
            with self._turn:
                return self._drive(self._session.handle(header, body, self._clock_ns()))
        except Exception as error:
            # A fault of ours must not cut the line, and its message could hold more than its name.
            return host_fault(HostFaultError("internal", type(error).__name__, "no error"))

    def engine_ended(self, end: EngineEnd) -> None:
        """Tell the session that the engine is over; called from the engine's thread."""
        with self._turn, contextlib.suppress(OSError):
            self._drive(self._session.engine_ended(end, self._clock_ns()))

    def run(self, server: Server, *, idle_s: float | None, stopped: threading.Event) -> str:
        """Serve until the end and return why it came."""
        serving = threading.Thread(target=server.serve, name="server", daemon=True)
        serving.start()
        try:
            return self._wait(server, idle_s, stopped)
        finally:
            server.close()

    def _status(self, header: JsonObject, body: memoryview) -> Answer:
        answer = self._drive(self._session.handle(header, body, self._clock_ns()))
        if answer[0].get("state") == State.WIPED.value:
            self._seen_wiped.set()
        return answer

    def _drive(self, steps: Steps[T]) -> T:
        if self._surroundings is None:
            raise RuntimeError("the host was not connected to its surroundings")
        return self._surroundings.drive(steps)

    def _wait(self, server: Server, idle_s: float | None, stopped: threading.Event) -> str:
        wiped_at: float | None = None
        while not stopped.wait(_TICK_S):
            if self._session.state is State.RUNNING:
                with self._turn:
                    self._drive(self._session.tick(self._clock_ns()))
                continue
            now = time.monotonic()
            if self._session.state is State.WIPED:
                wiped_at = now if wiped_at is None else wiped_at
                if self._seen_wiped.is_set() or now - wiped_at > _LINGER_S:
                    stopped.wait(_FAREWELL_S)
                    return "wiped"
            elif idle_s is not None and now - server.last_heard > idle_s:
                return "idle"
        return "stopped"
