"""Any part of sealed content, opened by its segments alone (docs/protocol.md section 3.3).

What a reader gives is proven to be what the owner sealed, before anything else of it is opened:
  (1) header and index are those that the manifest's ciphertext digest names
  (2) the header says what the manifest says, and the key is the one committed to
  (3) each segment that is read has the leaf that the index has for it, and authenticates at its place
That the whole is what the content digest names takes the whole: `prove` opens every segment once, while the
reader is in use. Until then whoever reports on the content has not seen what the digest says.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from cryptography.exceptions import InvalidTag

from enclave_runtime.sealed import labels
from enclave_runtime.sealed.buffers import Octets, Progress
from enclave_runtime.sealed.cache import SegmentCache
from enclave_runtime.sealed.header import TAG_BYTES, CiphertextIndex, SealedInfo
from enclave_runtime.sealed.ranges import RangeSource, Source, as_source
from enclave_runtime.sealed.stream import open_header
from enclave_runtime.sealed.tree import LeafFold
from enclave_runtime.sealed.workers import in_threads, private_buffer, wipe_buffer
from enclave_runtime.wire.errors import RefusedError

__all__ = ["SealedReader"]


class SealedReader(io.RawIOBase):
    """The plaintext of a sealed stream as a read-only file, for any number of threads.

    `read_at` has no position and is what threads share; `seek`, `read` and `readinto` share one position.
    A whole segment is decrypted straight into the caller's buffer; part of one comes out of a few that are
    kept. Small reads one after the other make it read ahead.
    """

    def __init__(
        self,
        source: Source | RangeSource,
        info: SealedInfo,
        content_key: Octets,
        *,
        workers: int = 2,
        cache_bytes: int = 8 << 20,
        read_ahead: int = 4,
    ) -> None:
        """Read header and index, and compare them. Checks (1) and (2).

        Args:
            source: the ciphertext; stays the caller's to close, after the reader.
            info: from a manifest or report whose own digest was checked.
            content_key: 32 bytes; not kept.
            workers: threads that open the segments of one large read, the caller's among them.
            cache_bytes: memory for kept segments, at least two of them.
            read_ahead: segments opened ahead of small reads; 0 for none.
        Raises:
            CiphertextMismatchError: not the stream that `info` names.
            RefusedError: steps `sealed.header`, `sealed.key`.
        """
        super().__init__()
        self._source = as_source(source)
        self._layout = info.layout
        self._info = info
        self._workers = max(1, workers)
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="sealed-reader")
        segment_bytes = min(self._layout.segment_bytes, max(1, self._layout.plaintext_bytes))
        self._cache = SegmentCache(max(2, cache_bytes // segment_bytes), segment_bytes, self._load)
        self._read_ahead = min(read_ahead, max(2, cache_bytes // segment_bytes) - 1)
        self._expected = 0
        self._local = threading.local()
        self._lock = threading.Lock()
        self._position = 0
        self._refusal: RefusedError | None = None
        self._index = CiphertextIndex.read(self._source, info)
        self._opener = open_header(self._index, info, content_key)

    @property
    def size(self) -> int:
        """Length of the content in bytes."""
        return self._layout.plaintext_bytes

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` with content from `offset` on and return how much; less only where the content ends.

        Raises:
            CiphertextMismatchError: the source gave other bytes than the owner sealed; may be tried again.
            RefusedError: steps `sealed.*`; final. What `buffer` holds then is worth nothing.
            ValueError: closed, or a negative offset.
        """
        self._check_usable()
        if offset < 0:
            raise ValueError(f"sealed reader: got offset {offset}, expected none below 0")
        wanted = max(0, min(len(buffer), self.size - offset))
        if not wanted:
            return 0
        segment_bytes = self._layout.segment_bytes
        segments = range(offset // segment_bytes, (offset + wanted - 1) // segment_bytes + 1)
        view = buffer[:wanted]
        try:
            if len(segments) == 1 or self._workers == 1:
                for segment in segments:
                    self._copy(segment, offset, view)
            else:
                self._copy_all(segments, offset, view)
        except RefusedError as refusal:
            self._refusal = self._refusal or refusal
            self._cache.wipe()
            raise
        if len(segments) <= 2 and 0 < offset == self._expected and segments[-1] * segment_bytes >= offset:
            # Small reads in order went into another segment: the next ones will be wanted.
            self._prefetch(segments[-1] + 1)
        self._expected = offset + wanted
        return wanted

    def readinto(self, buffer: object, /) -> int:
        """Fill `buffer` from the position on; errors as `read_at`."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        with self._lock:
            start = self._position
            self._position = start + max(0, min(len(view), self.size - start))
        return self.read_at(start, view)

    def readall(self) -> bytes:
        """Return everything from the position on; errors as `read_at`."""
        rest = bytearray(max(0, self.size - self.tell()))
        got = self.readinto(rest)
        return bytes(memoryview(rest)[:got])

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Set the position and return it.

        Raises:
            ValueError: before the beginning, or another `whence`.
        """
        with self._lock:
            bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}
            if whence not in bases or bases[whence] + offset < 0:
                raise ValueError(f"sealed reader: got offset {offset} from {whence}, expected a place inside")
            self._position = bases[whence] + offset
            return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def close(self) -> None:
        """End the threads and wipe what is kept. May be called twice."""
        if not self.closed:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._cache.wipe()
        super().close()

    def prove(self, digest_salt: bytes, *, progress: Progress | None = None) -> None:
        """Open every segment once and compare the content digest; other threads may read meanwhile.

        Args:
            digest_salt: 32 bytes, `tree.NO_SALT` for engines.
            progress: called after each segment with bytes done and in all.
        Raises:
            CiphertextMismatchError, RefusedError: as `read_at`; step `sealed.content` too. After a refusal
                nothing can be read any more.
        """
        self._check_usable()
        leaves = LeafFold(self._info.algorithm, self._info.segment_bytes, self._info.plaintext_bytes)
        todo = iter(range(self._layout.segments))
        lock = threading.Lock()
        done = 0

        def work(stopped: threading.Event) -> None:
            nonlocal done
            plain = private_buffer(min(self._layout.segment_bytes, self.size))
            while not stopped.is_set():
                with lock:
                    segment = next(todo, None)
                if segment is None:
                    break
                _, length = self._layout.plaintext_range(segment)
                leaves[segment] = self._load_hashed(segment, plain[:length])
                with lock:
                    done += length
                if progress is not None:
                    progress(done, self.size)
            wipe_buffer(plain)

        try:
            in_threads(work, min(self._workers, self._layout.segments))
            got = leaves.digest().content_digest(digest_salt)
            if got != self._info.content_digest:
                raise RefusedError(labels.STEP_CONTENT, got.hex(), self._info.content_digest.hex())
        except RefusedError as refusal:
            self._refusal = refusal
            self._cache.wipe()
            raise

    def _copy_all(self, segments: range, offset: int, view: memoryview) -> None:
        """Copy each segment's part by whichever thread is free, this one included."""
        todo: Iterator[int] = iter(segments)
        lock = threading.Lock()
        failed = threading.Event()

        def work() -> None:
            while not failed.is_set():
                with lock:
                    segment = next(todo, None)
                if segment is None:
                    return
                try:
                    self._copy(segment, offset, view)
                except BaseException:
                    failed.set()
                    raise

        others = [self._pool.submit(work) for _ in range(min(self._workers, len(segments)) - 1)]
        try:
            work()
        finally:
            # No thread may write into the caller's buffer after this call, however it ends.
            errors = [other.exception() for other in others]
        for error in errors:
            if error is not None:
                raise error

    def _copy(self, segment: int, offset: int, view: memoryview) -> None:
        """Copy what `segment` has of the content from `offset` on to its place in `view`."""
        start, length = self._layout.plaintext_range(segment)
        first, last = max(start, offset), min(start + length, offset + len(view))
        part = view[first - offset : last - offset]
        if len(part) == length and segment not in self._cache:
            self._load(segment, part)
            return
        with self._cache.held(segment) as kept:
            part[:] = kept[first - start : last - start]

    def _load(self, segment: int, out: memoryview) -> None:
        """Read, compare and decrypt one segment; `out` may be longer. Check (3)."""
        ciphertext = self._ciphertext(segment)
        plain = out[: max(0, len(ciphertext) - TAG_BYTES)]
        try:
            self._opener.decrypt_unhashed(segment, ciphertext, plain)
        except InvalidTag:
            raise self._opener.diagnose(segment, ciphertext) from None

    def _load_hashed(self, segment: int, out: memoryview) -> bytes:
        return self._opener.open_segment(segment, self._ciphertext(segment), out)

    def _ciphertext(self, segment: int) -> memoryview:
        """Return the proven ciphertext of a segment, in a buffer of this thread's own."""
        buffer: memoryview | None = getattr(self._local, "buffer", None)
        if buffer is None:
            # Ordinary pages: a reader is often made for a few segments, and a huge page is zeroed as a whole.
            buffer = memoryview(bytearray(min(self._layout.segment_bytes, self.size) + TAG_BYTES))
            self._local.buffer = buffer
        offset, length = self._layout.segment_range(segment)
        got = self._source.read_at(offset, buffer[:length])
        self._index.check(segment, buffer[:got])
        return buffer[:got]

    def _prefetch(self, first: int) -> None:
        for segment in range(first, min(first + self._read_ahead, self._layout.segments)):
            if segment not in self._cache:
                self._pool.submit(self._cache.prefetch, segment)

    def _check_usable(self) -> None:
        if self.closed:
            raise ValueError("sealed reader: it is closed")
        if self._refusal is not None:
            raise self._refusal
