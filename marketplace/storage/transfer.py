"""A sealed stream from its locations into a sink: verified as it comes, in parallel (protocol 3.5, 10).

The sink judges: `sealed.unseal.Unsealer` opens each segment, `partial.PartialFile` compares its leaf with the
index that the ciphertext digest pins. A location whose bytes are wrong is dropped at the first wrong segment;
one that stalls or breaks is asked again from the byte where it stopped, then the next one is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final, Protocol

from enclave_runtime.sealed.header import HEADER_BYTES, TAG_BYTES, CiphertextMismatchError, SealedInfo
from enclave_runtime.sealed.unseal import Unsealer, VerifiedContent
from enclave_runtime.sealed.workers import in_threads, private_buffer
from marketplace.errors import MarketError
from marketplace.storage.base import BlobStore, BlobUnreachableError, Progress, Run
from marketplace.storage.partial import check_index_size
from marketplace.storage.patience import SYSTEM, Pace, Patience, Shell, Tries
from marketplace.storage.places import NoLocationError, Place, Places

__all__ = ["SegmentSink", "Transfer", "open_from", "run_bytes_for", "transfer"]

_RUN_BYTES: Final = (1 << 20, 64 << 20)
"""Of one question to a server, least and most: its round trip must be small, and threads end together."""
_RUNS_EACH: Final = 4


class SegmentSink(Protocol):
    """Takes a sealed stream by segments, in any order, from several threads; `Unsealer` is one."""

    def begin(self, header: memoryview, index: memoryview) -> None:
        """Take header and index; raises CiphertextMismatchError where they are not the stream's."""

    def feed(self, segment: int, ciphertext: memoryview) -> None:
        """Take a segment with its tag, and use it before returning; raises as `begin`."""

    def missing(self) -> Iterable[int]:
        """Give the segments that are still to be fed, in order."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """What a transfer did.

    Attributes:
        fetched_bytes: read from the network or disk, those in vain too.
        faults: (URI, why) of the locations that were dropped.
    """

    fetched_bytes: int
    faults: tuple[tuple[str, str], ...]


def transfer(
    locations: Sequence[str],
    store_of: Callable[[str], BlobStore],
    info: SealedInfo,
    sink: SegmentSink,
    *,
    has_head: bool = False,
    connections: int = 4,
    run_bytes: int | None = None,
    patience: Patience | None = None,
    shell: Shell = SYSTEM,
    progress: Progress | None = None,
) -> Transfer:
    """Fetch what `sink` is missing.

    Args:
        store_of: the store that serves a URI (`stores.Stores.store_of`).
        info: from a manifest or report whose own digest was checked.
        has_head: the sink began already, from what an earlier attempt left.
        connections: threads, each with one segment in memory and one range under way.
        run_bytes: of one question; what suits the size unless said.
        progress: called with bytes of ciphertext that are verified, and in all.
    Raises:
        NoLocationError: every location failed; says how each.
        BlobTooLargeError: its index would not fit into memory.
        RefusedError: the sink refused for good: what was sealed is at fault, not who carried it.
    """
    check_index_size(info)
    how = patience or Patience()
    places = Places(locations, store_of, info.ciphertext_bytes, how, shell)
    job = _Job(places, info, sink, how, shell)
    job.progress = progress
    if not has_head:
        job.fetch_head()
    run_bytes = run_bytes or run_bytes_for(info.ciphertext_bytes, connections)
    job.plan(max(1, run_bytes // (info.segment_bytes + TAG_BYTES)))
    in_threads(job.work, max(1, min(connections, job.runs)))
    return Transfer(job.fetched, job.places.faults)


def open_from(
    locations: Sequence[str],
    store_of: Callable[[str], BlobStore],
    unsealer: Unsealer,
    *,
    connections: int = 4,
    patience: Patience | None = None,
    shell: Shell = SYSTEM,
    progress: Progress | None = None,
) -> VerifiedContent:
    """Fetch, verify and decrypt in one pass; nothing of the ciphertext is kept.

    Raises:
        NoLocationError: every location failed.
        RefusedError: what was sealed is at fault, or the key is another one; the sink is empty.
    """
    left = list(locations)
    faults: list[tuple[str, str]] = []
    while True:
        try:
            done = transfer(
                left,
                store_of,
                unsealer.info,
                unsealer,
                connections=connections,
                patience=patience,
                shell=shell,
                progress=progress,
            )
        except NoLocationError as error:
            raise NoLocationError([*faults, *error.faults]) from error
        faults += done.faults
        dropped = {uri for uri, _ in faults}
        left = [uri for uri in left if uri not in dropped]
        try:
            return unsealer.finish()
        except CiphertextMismatchError as error:
            # Segments that open under the key and are not the owner's: made by somebody who has it, and
            # handed out by the location that gave the last ones.
            faults.append((left.pop(0), str(error)))


def run_bytes_for(size: int, connections: int) -> int:
    """Return how many bytes to ask for at once, of a blob of `size` bytes over so many connections."""
    least, most = _RUN_BYTES
    return min(max(size // (connections * _RUNS_EACH), least), most)


class _Job:
    def __init__(
        self, places: Places, info: SealedInfo, sink: SegmentSink, patience: Patience, shell: Shell
    ) -> None:
        self.places = places
        self.progress: Progress | None = None
        self.fetched = 0
        self._layout = info.layout
        self._sink = sink
        self._patience = patience
        self._shell = shell
        self._lock = threading.Lock()
        self._runs: list[tuple[int, int]] = []
        self._done_bytes = 0

    @property
    def runs(self) -> int:
        return len(self._runs)

    def plan(self, segments: int) -> None:
        """Cut what is missing into runs of at most so many neighbouring segments."""
        missing = list(self._sink.missing())
        for segment in missing:
            if self._runs and self._runs[-1][1] == segment and segment - self._runs[-1][0] < segments:
                self._runs[-1] = (self._runs[-1][0], segment + 1)
            else:
                self._runs.append((segment, segment + 1))
        self._runs.reverse()
        left = sum(self._layout.segment_range(segment)[1] for segment in missing)
        self._done_bytes = self._layout.total_bytes - left

    def fetch_head(self) -> None:
        """Fetch header and index from the first location that has the right ones."""
        layout = self._layout
        header = memoryview(bytearray(HEADER_BYTES))
        index = memoryview(bytearray(layout.index_bytes))
        attempt = _Attempt(self)
        while True:
            place = attempt.start()
            try:
                attempt.read(place, 0, header)
                attempt.read(place, layout.index_offset, index)
                return self._sink.begin(header, index)
            except (MarketError, CiphertextMismatchError) as error:
                attempt.failed(place, error)

    def work(self, stopped: threading.Event) -> None:
        """Fetch runs until none is left."""
        longest = min(self._layout.segment_bytes, self._layout.plaintext_bytes) + TAG_BYTES
        buffer = private_buffer(longest)
        while not stopped.is_set():
            with self._lock:
                if not self._runs:
                    return
                first, end = self._runs.pop()
            self._fetch_run(first, end, buffer, stopped)

    def _fetch_run(self, first: int, end: int, buffer: memoryview, stopped: threading.Event) -> None:
        cursor = _Cursor(first)
        attempt = _Attempt(self)
        source: Place | None = None
        while cursor.segment < end and not stopped.is_set():
            place = attempt.start()
            if place is not source:
                # Half a segment of one location and half of another: nobody could say who was wrong.
                cursor.filled, source = 0, place
            before = cursor.segment, cursor.filled
            try:
                self._stream(place, cursor, end, buffer, attempt, stopped)
            except (MarketError, CiphertextMismatchError) as error:
                attempt.failed(place, error, heard=(cursor.segment, cursor.filled) != before)

    def _stream(
        self,
        place: Place,
        cursor: _Cursor,
        end: int,
        buffer: memoryview,
        attempt: _Attempt,
        stopped: threading.Event,
    ) -> None:
        """Feed the sink from one range, from where `cursor` stands, for as long as the location is good."""
        last, tail = self._layout.segment_range(end - 1)
        start = self._layout.segment_range(cursor.segment)[0] + cursor.filled
        with closing(place.store.run(place.uri, start, last + tail - start)) as run:
            while cursor.segment < end and not stopped.is_set() and self.places.is_current(place):
                _, length = self._layout.segment_range(cursor.segment)
                self._fill(run, cursor, buffer[:length], place, attempt)
                cursor.filled = 0
                self._sink.feed(cursor.segment, buffer[:length])
                cursor.segment += 1
                attempt.succeeded()
                self._report(length)

    def _fill(self, run: Run, cursor: _Cursor, segment: memoryview, place: Place, attempt: _Attempt) -> None:
        before = cursor.filled
        try:
            while cursor.filled < len(segment):
                got = run.readinto(segment[cursor.filled :])
                if not got:
                    raise _ended(place, len(segment) - cursor.filled)
                cursor.filled += got
                attempt.came(got)
        finally:
            self.count(cursor.filled - before)

    def count(self, got: int) -> None:
        with self._lock:
            self.fetched += got

    def _report(self, length: int) -> None:
        with self._lock:
            self._done_bytes += length
            if self.progress is not None:
                self.progress(self._done_bytes, self._layout.total_bytes)

    def pace(self) -> Pace:
        """Return how fast a location is for a thread."""
        return Pace(self._patience, self._shell.clock)

    def tries(self) -> Tries:
        """Return the attempts of a thread at a location."""
        return Tries(self._patience, self._shell)


@dataclass(slots=True)
class _Cursor:
    """How far a run has come: the segment, and how many of its bytes are in memory."""

    segment: int
    filled: int = 0


class _Attempt:
    """The attempts of one thread at whatever location is the current one."""

    def __init__(self, job: _Job) -> None:
        self._job = job
        self._tries = job.tries()
        self._pace = job.pace()
        self._at: Place | None = None

    def start(self) -> Place:
        place = self._job.places.current()
        if place is not self._at:
            self._at = place
            self._tries.succeeded()
            self._pace = self._job.pace()
        return place

    def came(self, got: int) -> None:
        """Take note of bytes; raises BlobUnreachableError where they come too slowly, break by break."""
        if self._pace.came(got) and self._at is not None:
            raise BlobUnreachableError(f"{self._at.uri}: got {self._pace.slow}", hint="use another location")

    def succeeded(self) -> None:
        self._tries.succeeded()

    def failed(self, place: Place, error: Exception, *, heard: bool = False) -> None:
        """Pause before the next attempt, or drop the location; raise where the fault is not its own.

        Args:
            heard: some bytes came, though not enough of them.
        """
        if isinstance(error, NoLocationError):
            raise error
        if heard:
            self._tries.heard()
        if not isinstance(error, BlobUnreachableError) or self._pace.is_lost or not self._tries.again(error):
            self._job.places.drop(place, error)

    def read(self, place: Place, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` from `offset` on."""
        filled = 0
        with closing(place.store.run(place.uri, offset, len(buffer))) as run:
            while filled < len(buffer):
                got = run.readinto(buffer[filled:])
                if not got:
                    raise _ended(place, len(buffer) - filled)
                filled += got
                self._job.count(got)
                self.came(got)


def _ended(place: Place, missing: int) -> BlobUnreachableError:
    return BlobUnreachableError(
        f"{place.uri}: got the end with {missing} bytes missing, expected all of them"
    )
