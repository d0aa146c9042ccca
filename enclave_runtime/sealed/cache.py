"""A few opened segments, kept for whoever reads the same place again (docs/protocol.md section 3.3)."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from enclave_runtime.sealed.workers import wipe_buffer

__all__ = ["SegmentCache"]


class _Slot:
    """One segment's memory. `pins` counts the threads that look at it; only a slot without may be reused."""

    __slots__ = ("error", "pins", "ready", "segment", "view")

    def __init__(self, segment: int, view: memoryview) -> None:
        self.segment = segment
        self.view = view
        self.pins = 1
        self.ready = threading.Event()
        self.error: BaseException | None = None


class SegmentCache:
    """Least recently used segments, in memory that is taken once; each is loaded by one thread only."""

    def __init__(self, capacity: int, segment_bytes: int, load: Callable[[int, memoryview], None]) -> None:
        """Args:
        capacity: segments kept at most, two or more.
        load: fills memory of `segment_bytes` with a segment, or raises.
        """
        self._capacity = capacity
        self._segment_bytes = segment_bytes
        self._load = load
        self._slots: OrderedDict[int, _Slot] = OrderedDict()
        self._spare: list[memoryview] = []
        self._made = 0
        self._changed = threading.Condition()

    def __contains__(self, segment: int) -> bool:
        return segment in self._slots

    @contextmanager
    def held(self, segment: int) -> Iterator[memoryview]:
        """Give the segment's memory, loaded here or by another thread; it stays as it is in this block.

        Raises:
            Whatever `load` raises, to every thread that waited for it.
        """
        slot, mine = self._take(segment)
        try:
            if mine:
                self._fill(slot)
            else:
                slot.ready.wait()
            if slot.error is not None:
                raise slot.error
            yield slot.view
        finally:
            self._release(slot)

    def prefetch(self, segment: int) -> None:
        """Load a segment if there is room without waiting; what goes wrong is told to whoever needs it."""
        with self._changed:
            if segment in self._slots:
                return
            slot = self._reserve(segment)
        if slot is not None:
            try:
                self._fill(slot)
            finally:
                self._release(slot)

    def wipe(self) -> None:
        """Overwrite every segment that nobody looks at and forget it."""
        with self._changed:
            for segment in [number for number, slot in self._slots.items() if not slot.pins]:
                self._spare.append(self._slots.pop(segment).view)
            for view in self._spare:
                wipe_buffer(view)

    def _take(self, segment: int) -> tuple[_Slot, bool]:
        with self._changed:
            while True:
                slot = self._slots.get(segment)
                if slot is not None:
                    slot.pins += 1
                    self._slots.move_to_end(segment)
                    return slot, False
                slot = self._reserve(segment)
                if slot is not None:
                    return slot, True
                self._changed.wait()

    def _reserve(self, segment: int) -> _Slot | None:
        """Return a pinned slot for `segment` in free memory, or None where all of it is in use."""
        view = self._spare.pop() if self._spare else None
        if view is None and self._made < self._capacity:
            self._made += 1
            view = memoryview(bytearray(self._segment_bytes))
        if view is None:
            oldest = next((number for number, slot in self._slots.items() if not slot.pins), None)
            if oldest is None:
                return None
            view = self._slots.pop(oldest).view
        slot = self._slots[segment] = _Slot(segment, view)
        return slot

    def _fill(self, slot: _Slot) -> None:
        try:
            self._load(slot.segment, slot.view)
        except BaseException as error:
            slot.error = error
        finally:
            slot.ready.set()

    def _release(self, slot: _Slot) -> None:
        with self._changed:
            slot.pins -= 1
            if slot.error is not None:
                if self._slots.get(slot.segment) is slot:
                    del self._slots[slot.segment]
                if not slot.pins:
                    wipe_buffer(slot.view)
                    self._spare.append(slot.view)
            self._changed.notify_all()
