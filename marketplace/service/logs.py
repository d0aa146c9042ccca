"""Structured logs: one JSON object per line, of named facts only.

Nothing is formatted from exceptions or bodies, so that no secret can ride along: an unexpected error is
logged by its class and the lines of code that it passed.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from typing import TextIO

__all__ = ["ServiceLog"]


class ServiceLog:
    """Writes lines such as {"at": 1.0, "event": "granted", "level": "info", "service": "keybroker"}."""

    def __init__(self, service: str, stream: TextIO | None = None) -> None:
        self._service = service
        self._stream = sys.stderr if stream is None else stream

    def info(self, event: str, **facts: str | int | bool | None) -> None:
        """Log that `event` happened."""
        self._write("info", event, facts)

    def warning(self, event: str, **facts: str | int | bool | None) -> None:
        """Log what a person should look at."""
        self._write("warning", event, facts)

    def crash(self, event: str, error: BaseException) -> None:
        """Log an unexpected error: its class and where it passed, never its message."""
        frames = traceback.extract_tb(error.__traceback__)[-6:]
        trail = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames))
        self._write("error", event, {"class": type(error).__name__, "trail": trail})

    def _write(self, level: str, event: str, facts: dict[str, str | int | bool | None]) -> None:
        line = {
            **facts,
            "at": round(time.time(), 3),
            "event": event,
            "level": level,
            "service": self._service,
        }
        print(json.dumps(line, sort_keys=True), file=self._stream, flush=True)
