"""The captured log of an engine: bounded memory however much it prints (docs/protocol.md section 7(8))."""

from __future__ import annotations

__all__ = ["LogBuffer"]


class LogBuffer:
    """Keeps the first and the last half of `cap` bytes and counts what fell between them.

    The beginning says what an engine was doing, the end why it died; a flood in between costs nothing.
    """

    def __init__(self, cap: int) -> None:
        self._head = bytearray()
        self._tail = bytearray()
        self._head_cap = cap // 2
        self._tail_cap = cap - cap // 2
        self.dropped = 0

    def write(self, data: bytes) -> None:
        """Append `data`, dropping from the middle."""
        room = self._head_cap - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        excess = len(self._tail) - self._tail_cap
        if excess > 0:
            del self._tail[:excess]
            self.dropped += excess

    def value(self) -> bytes:
        """Return what was kept, with one line in the gap if something was dropped (that line is extra)."""
        if not self.dropped:
            return bytes(self._head + self._tail)
        gap = f"\n[... {self.dropped} bytes of log dropped ...]\n".encode()
        return bytes(self._head) + gap + bytes(self._tail)
