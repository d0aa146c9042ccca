"""From ciphertext that a host hands over to content that may be used (docs/protocol.md sections 3, 7 and 10).

The loader's argument, in this order:
  (1) header and index are those that the ciphertext digest names, else the host is at fault: fetch again
  (2) the header says what the manifest says, and the content key is the one committed to, else refuse
  (3) each segment authenticates; if not, its leaf in the index tells who is at fault: the host when the
      bytes differ (fetch that segment again), the owner when they do not (refuse)
  (4) when all are in, the digest of the plaintext is the content digest, else the ciphertext of every segment
      is compared with the index: the host is at fault where one differs (only somebody who has the key can
      make such a segment), the owner when none does (refuse)
The ciphertext is hashed only when something failed: an honest stream costs one hash and one decryption.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag

from enclave_runtime.sealed import labels
from enclave_runtime.sealed.buffers import Octets, Progress
from enclave_runtime.sealed.header import (
    HEADER_BYTES,
    TAG_BYTES,
    CiphertextIndex,
    CiphertextMismatchError,
    SealedInfo,
)
from enclave_runtime.sealed.ranges import FileSource, RangeSource, Source, as_source
from enclave_runtime.sealed.sink import Sink
from enclave_runtime.sealed.stream import Opener, open_header
from enclave_runtime.sealed.tree import LeafFold, leaf
from enclave_runtime.sealed.workers import in_threads, private_buffer
from enclave_runtime.wire.errors import RefusedError

__all__ = ["FileSource", "Source", "Unsealer", "VerifiedContent", "unseal"]

_MISSING: Final = 0
_CLAIMED: Final = 1
_OPENED: Final = 2
_MOST_CLAIMED: Final = 8
_SHARE: Final = 4


@dataclass(frozen=True, slots=True)
class VerifiedContent:
    """Only `Unsealer.finish` makes one; holding one is the proof that every digest was compared.

    Attributes:
        sink: where the plaintext lies.
    """

    info: SealedInfo
    sink: Sink


class Unsealer:
    """Opens one sealed stream into a sink, segment by segment, in any order, resumable, from any thread.

    `begin` once with header and index, `feed` each segment (twice does no harm), `finish`. A
    `CiphertextMismatchError` leaves everything as it was: fetch that part again. A `RefusedError` is final:
    the sink is emptied, and every later call raises it again.
    """

    def __init__(self, info: SealedInfo, content_key: Octets, digest_salt: bytes, sink: Sink) -> None:
        """Take what the manifest says and what the grant brought; nothing is decrypted yet.

        Args:
            info: from a manifest or report whose own digest was checked.
            content_key: 32 bytes; used in `begin`, not kept.
            digest_salt: 32 bytes, `tree.NO_SALT` for engines.
        """
        self._info = info
        self._layout = info.layout
        self._content_key: Octets | None = content_key
        self._digest_salt = digest_salt
        self._sink = sink
        # Memory for each segment is taken once the index was proven: a size alone, however large, takes none.
        self._leaves: LeafFold | None = None
        self._state = bytearray()
        self._next = 0
        self._opened_segments = 0
        self._closed = False
        self._lock = threading.Lock()
        self._opened: tuple[CiphertextIndex, Opener] | None = None
        self._refusal: RefusedError | None = None

    def begin(self, header: Octets, index: Octets) -> None:
        """Take header and index, in memory that nobody else can write. Checks (1) and (2).

        Raises:
            CiphertextMismatchError: not those of this stream; the host's fault.
            RefusedError: steps `sealed.header`, `sealed.key`; the owner's fault.
        """
        self._raise_refusal()
        if self._opened is not None:
            return
        content_key = self._content_key
        if content_key is None:
            raise RuntimeError("the unsealer was aborted")
        self._take(CiphertextIndex(header, index, self._info), content_key)

    def begin_from(self, source: Source) -> None:
        """As `begin`, with header and index read from `source`, a page at a time; memory stays bounded."""
        self._raise_refusal()
        if self._opened is not None:
            return
        content_key = self._content_key
        if content_key is None:
            raise RuntimeError("the unsealer was aborted")
        self._take(CiphertextIndex.read(source, self._info), content_key)

    def _take(self, checked: CiphertextIndex, content_key: Octets) -> None:
        try:
            opener = open_header(checked, self._info, content_key)
        except RefusedError as refusal:
            raise self._refuse(refusal) from None
        self._content_key = None
        self._leaves = self._no_leaves()
        self._state = bytearray(self._layout.segments)
        self._opened = (checked, opener)

    def feed(self, segment: int, ciphertext: Octets) -> None:
        """Take one segment with its tag, in memory that nobody else can write. Check (3).

        Raises:
            CiphertextMismatchError: it differs from what the owner sealed; the host's fault.
            RefusedError: steps `sealed.segment`, `sealed.reordered`, `sealed.truncated`; the owner's fault.
            RuntimeError: `begin` has not been called.
        """
        self._raise_refusal()
        index, opener = self._begun()
        if not 0 <= segment < self._layout.segments:
            index.check(segment, ciphertext)
        if not self._claim(segment):
            return
        leaves: list[bytes] = []
        try:
            leaves.append(self._open(segment, ciphertext, index, opener))
        finally:
            self._release(range(segment, segment + 1), leaves)
        self._raise_refusal()

    def claim(self, count: int) -> range:
        """Take up to `count` neighbouring missing segments for the calling thread; empty when none is left.

        Whoever claims them hands them to `open_claimed`.
        """
        with self._lock:
            first = -1 if self._closed else self._state.find(_MISSING, self._next)
            if first < 0 and self._next and not self._closed:
                first = self._state.find(_MISSING)
            if first < 0:
                return range(0)
            end = first + 1
            while end - first < count and end < len(self._state) and self._state[end] == _MISSING:
                end += 1
            self._state[first:end] = bytes([_CLAIMED]) * (end - first)
            self._next = end
            return range(first, end)

    def open_claimed(self, claimed: range, source: Source, buffer: memoryview) -> None:
        """Read what `claim` gave out of `source` and open it, as many at once as `buffer` holds. Check (3).

        The loop for every byte of every content: what it does in Python for a segment is kept to a minimum.

        Args:
            buffer: private memory for one segment with its tag, or for several.
        Raises:
            CiphertextMismatchError, RefusedError: as `feed`; what was not opened is missing again.
        """
        leaves: list[bytes] = []
        try:
            index, opener = self._begun()
            reserve, commit, decrypt = self._sink.reserve, self._sink.commit, opener.decrypter()
            size, total = self._layout.segment_bytes, self._layout.plaintext_bytes
            step, end = size + TAG_BYTES, self._layout.index_offset
            batch = max(1, len(buffer) // step)
            for first in range(claimed.start, claimed.stop, batch):
                start = HEADER_BYTES + first * step
                wanted = min(min(batch, claimed.stop - first) * step, end - start)
                got = source.read_at(start, buffer[:wanted])
                for segment, at in enumerate(range(0, wanted, step), first):
                    ciphertext, offset = buffer[at : min(at + step, got)], segment * size
                    view = reserve(offset, min(size, total - offset))
                    try:
                        leaves.append(decrypt(segment, ciphertext, view))
                    except InvalidTag:
                        raise self._blame(segment, ciphertext, index, opener) from None
                    commit(offset, view)
        finally:
            self._release(claimed, leaves)
        if self._refusal is not None:
            raise self._refusal

    def _blame(
        self, segment: int, ciphertext: Octets, index: CiphertextIndex, opener: Opener
    ) -> RefusedError:
        """Raise where the bytes are not the owner's; return the refusal where they are."""
        index.check(segment, ciphertext)
        return self._refuse(opener.diagnose(segment, ciphertext))

    def _open(self, segment: int, ciphertext: Octets, index: CiphertextIndex, opener: Opener) -> bytes:
        offset, length = self._layout.plaintext_range(segment)
        view = self._sink.reserve(offset, length)
        try:
            found = opener.decrypt(segment, ciphertext, view)
        except InvalidTag:
            raise self._blame(segment, ciphertext, index, opener) from None
        self._sink.commit(offset, view)
        return found

    def _claim(self, segment: int) -> bool:
        """Take a segment for this thread: no second copy may overwrite what the first one proved."""
        with self._lock:
            free = self._state[segment] == _MISSING and not self._closed
            if free:
                self._state[segment] = _CLAIMED
            return free

    def _release(self, claimed: range, leaves: list[bytes]) -> None:
        """Give claimed segments back; as many as there are leaves were opened, the first ones."""
        opened = claimed.start + len(leaves)
        with self._lock:
            closed = self._closed
            if closed:
                opened = claimed.start
            elif leaves:
                self._all_leaves().put(claimed.start, leaves)
            self._state[claimed.start : opened] = bytes([_OPENED]) * (opened - claimed.start)
            self._state[opened : claimed.stop] = bytes([_MISSING]) * (claimed.stop - opened)
            self._opened_segments += opened - claimed.start
        if closed:
            # Another thread refused or aborted meanwhile and emptied the sink before our bytes came.
            self._sink.discard()

    def missing(self) -> Iterator[int]:
        """Give the numbers of the segments that are still to be fed, rising."""
        if self._opened is None and not self._closed:
            yield from range(self._layout.segments)
        position = self._state.find(_MISSING)
        while position >= 0:
            yield position
            position = self._state.find(_MISSING, position + 1)

    @property
    def info(self) -> SealedInfo:
        """What the stream is expected to be."""
        return self._info

    @property
    def opened_segments(self) -> int:
        """Number of segments that authenticated so far."""
        return self._opened_segments

    @property
    def opened_bytes(self) -> int:
        """Bytes of plaintext that authenticated so far (the last segment counted as a whole one)."""
        return min(self._opened_segments * self._layout.segment_bytes, self._layout.plaintext_bytes)

    def finish(self) -> VerifiedContent:
        """Compare the content digest; only then may anybody read the sink. Check (4).

        Raises:
            CiphertextMismatchError: a segment differs from what the owner sealed although it opens; it is
                among the `missing` ones again.
            RefusedError: step `sealed.content`; the owner's fault.
            RuntimeError: segments are missing.
        """
        self._raise_refusal()
        self._begun()
        if self._opened_segments < self._layout.segments:
            raise RuntimeError(
                f"got {self._opened_segments} segments, expected {self._layout.segments} before the end"
            )
        got = self._all_leaves().digest().content_digest(self._digest_salt)
        if got != self._info.content_digest:
            self._find_substitutes()
            expected = self._info.content_digest.hex()
            raise self._refuse(RefusedError(labels.STEP_CONTENT, got.hex(), expected))
        return VerifiedContent(self._info, self._sink)

    def abort(self) -> None:
        """Drop the key and empty the sink. May be called at any time, twice too."""
        self._content_key = None
        self._opened = None
        self._closed = True
        self._sink.discard()

    def _find_substitutes(self) -> None:
        """Repeat every ciphertext and raise for the segments that are not the owner's."""
        index, opener = self._begun()
        leaves = self._no_leaves()
        plain_buffer = memoryview(bytearray(self._layout.segment_bytes))
        cipher_buffer = memoryview(bytearray(self._layout.segment_bytes + TAG_BYTES))
        first: CiphertextMismatchError | None = None
        for segment in range(self._layout.segments):
            offset, length = self._layout.plaintext_range(segment)
            plain, cipher = plain_buffer[:length], cipher_buffer[: length + TAG_BYTES]
            self._sink.read_at(offset, plain)
            opener.repeat_ciphertext(segment, plain, cipher)
            try:
                index.check(segment, cipher)
            except CiphertextMismatchError as mismatch:
                self._state[segment] = _MISSING
                self._opened_segments -= 1
                first = first or mismatch
            else:
                leaves[segment] = leaf(self._info.algorithm, plain)
        plain_buffer[:] = bytes(len(plain_buffer))
        if first is not None:
            self._leaves = leaves
            raise first

    def _no_leaves(self) -> LeafFold:
        return LeafFold(self._info.algorithm, self._info.segment_bytes, self._info.plaintext_bytes)

    def _all_leaves(self) -> LeafFold:
        if self._leaves is None:
            raise RuntimeError("the header and index of the stream were not fed yet")
        return self._leaves

    def _begun(self) -> tuple[CiphertextIndex, Opener]:
        if self._opened is None:
            raise RuntimeError("the header and index of the stream were not fed yet")
        return self._opened

    def _refuse(self, refusal: RefusedError) -> RefusedError:
        with self._lock:
            self._refusal = self._refusal or refusal
            self.abort()
            return self._refusal

    def _raise_refusal(self) -> None:
        if self._refusal is not None:
            raise self._refusal


def unseal(
    source: Source | RangeSource,
    unsealer: Unsealer,
    *,
    workers: int = 2,
    batch: int = 1,
    progress: Progress | None = None,
) -> VerifiedContent:
    """Feed all that is missing from `source` and finish; each worker reads, decrypts and hashes its segments.

    Args:
        workers: threads; as many as cores, more where the source is far away.
        batch: segments that one worker reads at once, for sources where each request costs; memory is
            `workers` times `batch` segments.
        progress: called every few segments with plaintext bytes done and in all.
    Raises:
        CiphertextMismatchError, RefusedError: as `Unsealer`; after the former call again, it resumes, with
            another source too.
    """
    layout = unsealer.info.layout
    stream = as_source(source)
    unsealer.begin_from(stream)
    segment_bytes = min(layout.segment_bytes, layout.plaintext_bytes) + TAG_BYTES

    threads = max(1, min(workers, layout.segments))

    def work(stopped: threading.Event) -> None:
        buffer = private_buffer(segment_bytes * min(batch, layout.segments))
        while not stopped.is_set():
            # Several at once while there are many left, so that threads seldom meet; few at the end, so that
            # they end together.
            left = layout.segments - unsealer.opened_segments
            claimed = unsealer.claim(max(batch, min(_MOST_CLAIMED, left // (_SHARE * threads))))
            if not claimed:
                return
            unsealer.open_claimed(claimed, stream, buffer)
            if progress is not None:
                progress(unsealer.opened_bytes, layout.plaintext_bytes)

    in_threads(work, threads)
    return unsealer.finish()
