"""The locations of one blob, tried in order; one that failed for good is not asked again (protocol 10)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from marketplace.errors import MarketError
from marketplace.storage.base import BlobNotFoundError, BlobStore, DishonestServerError
from marketplace.storage.patience import Patience, Shell
from marketplace.storage.retry import with_patience

__all__ = ["NoLocationError", "Place", "Places"]


class NoLocationError(BlobNotFoundError):
    """Every location failed.

    Attributes:
        faults: (URI, why) of each, in the order in which they were tried.
    """

    def __init__(self, faults: Sequence[tuple[str, str]]) -> None:
        shown = "; ".join(f"{uri[:120]}: {why[:240]}" for uri, why in faults) or "none was named"
        super().__init__(
            f"locations: got {len(faults)} that do not have the blob ({shown}), expected one that does",
            hint="ask the owner for another location, or try again later",
        )
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Place:
    """A blob in a store."""

    uri: str
    store: BlobStore


class Places:
    """Which location is asked now; safe to use from several threads."""

    def __init__(
        self,
        locations: Sequence[str],
        store_of: Callable[[str], BlobStore],
        size: int,
        patience: Patience,
        shell: Shell,
    ) -> None:
        """Take the locations, and the size in bytes that the blob must have at each."""
        self._waiting = list(dict.fromkeys(locations))
        self._store_of = store_of
        self._size = size
        self._patience = patience
        self._shell = shell
        self._current: Place | None = None
        self._faults: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    def current(self) -> Place:
        """Return the first location that did not fail yet and has a blob of the right size.

        Raises:
            NoLocationError: none is left.
        """
        with self._lock:
            while self._current is None:
                if not self._waiting:
                    raise NoLocationError(self._faults)
                uri = self._waiting.pop(0)
                try:
                    self._current = self._look(uri)
                except MarketError as error:
                    self._faults.append((uri, str(error)))
            return self._current

    def drop(self, place: Place, why: Exception) -> None:
        """Ask `place` no more."""
        with self._lock:
            if self._current is place:
                self._current = None
                self._faults.append((place.uri, str(why)))

    def is_current(self, place: Place) -> bool:
        """Whether nobody has dropped `place`."""
        return self._current is place

    @property
    def faults(self) -> tuple[tuple[str, str], ...]:
        """(URI, why) of the locations that failed so far."""
        with self._lock:
            return tuple(self._faults)

    def _look(self, uri: str) -> Place:
        store = self._store_of(uri)
        got = with_patience(lambda: store.size(uri), self._patience, self._shell)
        if got != self._size:
            raise DishonestServerError(
                f"size: got {got} bytes, expected {self._size}", hint="use another location"
            )
        return Place(uri, store)
