"""A bounded memory of what was computed already, least recently used goes first.

It holds results of pure functions only, and only good ones: an attacker cannot fill it with refusals, and
whoever asks gets what the function would have returned.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from typing import Generic, TypeVar

__all__ = ["Key", "Memo"]

V = TypeVar("V")
Key = bytes | tuple[bytes, ...]


class Memo(Generic[V]):
    """At most `size` values by everything that they depend on, as bytes or as digests of them.

    Safe between threads: each call on the dictionary is one step of the interpreter, keys are plain bytes or
    tuples of them, and losing a value to another thread between two steps costs no more than computing it
    again. Bytes themselves cost less than a digest of them: the interpreter's own hash, then a comparison.
    """

    def __init__(self, size: int) -> None:
        self._size, self._values = size, OrderedDict[Key, V]()

    def get(self, key: Key) -> V | None:
        """Return the value remembered under `key`, or None."""
        value = self._values.get(key)
        if value is not None:
            with suppress(KeyError):
                self._values.move_to_end(key)
        return value

    def put(self, key: Key, value: V) -> None:
        """Remember `value`."""
        self._values[key] = value
        while len(self._values) > self._size:
            with suppress(KeyError):
                self._values.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
