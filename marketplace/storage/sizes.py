"""Sizes that a store was asked for already: blobs do not change, and each question costs a round trip."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

__all__ = ["Sizes"]

_MOST: Final = 4096


class Sizes:
    """Remembers sizes by URI, bytes; safe to use from several threads."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self._lock = threading.Lock()

    def get(self, uri: str) -> int | None:
        """Return a size that is known, or None."""
        return self._known.get(uri)

    def ask(self, uri: str, ask: Callable[[str], int]) -> int:
        """Return what `ask` says now, and remember it."""
        size = ask(uri)
        with self._lock:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[uri] = size
        return size

    def known(self, uri: str, ask: Callable[[str], int]) -> int:
        """Return the size, asked for where it is not known."""
        size = self._known.get(uri)
        return self.ask(uri, ask) if size is None else size
