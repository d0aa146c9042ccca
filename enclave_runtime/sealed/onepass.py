"""Sealed archive to folder in one pass, without a copy of the whole (docs/protocol.md sections 3.1 and 3.5).

Threads read, decrypt and hash segments ahead; one more writes files. Files are written before the last digest
was compared, so the folder is the caller's alone until `open_folder` returned; it is empty if it did not.

A pass that ends with another content digest tells nothing about whose fault that is, as long as no ciphertext
was compared with the index: somebody who has the key can make segments that open. The second pass compares
each one, and its verdict stands. An honest stream costs one hash and one decryption.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import closing

from cryptography.exceptions import InvalidTag

from enclave_runtime.sealed import labels
from enclave_runtime.sealed.buffers import Octets, Progress
from enclave_runtime.sealed.header import TAG_BYTES, CiphertextIndex, SealedInfo
from enclave_runtime.sealed.ranges import RangeSource, Source, as_source
from enclave_runtime.sealed.stream import Opener, open_header
from enclave_runtime.sealed.tree import LeafFold
from enclave_runtime.sealed.unpack import Quota, Unpacked, unpack
from enclave_runtime.sealed.workers import Conveyor, private_buffers, wipe_buffer
from enclave_runtime.wire.errors import RefusedError

__all__ = ["ContentStream", "open_folder"]


class ContentStream:
    """The plaintext of a sealed stream as a `Readable`, read ahead by threads; it refuses at its end.

    Each byte it gives belongs to a segment that authenticated at its place. That all of them are the content
    is known once it gave 0: the content digest was compared before that.
    """

    def __init__(
        self,
        source: Source,
        index: CiphertextIndex,
        opener: Opener,
        info: SealedInfo,
        digest_salt: bytes,
        *,
        strict: bool = False,
        workers: int = 2,
        progress: Progress | None = None,
    ) -> None:
        """Args:
        index, opener: proven, as `stream.open_header` does.
        strict: compare each ciphertext with the index too, one more hash, so that the verdict is final.
        workers: threads; memory is two segments for each, and for two more.
        """
        self._source = source
        self._index = index
        self._opener = opener
        self._info = info
        self._digest_salt = digest_salt
        self._strict = strict
        self._progress = progress
        self._leaves = LeafFold(info.algorithm, info.segment_bytes, info.plaintext_bytes)
        self._workers = max(1, min(workers, info.layout.segments))
        self._pieces = self._run()
        self._rest = memoryview(b"")

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill `buffer` with the next bytes; 0 at the end, when the content digest was compared.

        Raises:
            CiphertextMismatchError: the host gave other bytes than the owner sealed.
            RefusedError: steps `sealed.*`; `sealed.content` is final in a strict stream only.
        """
        filled = 0
        while filled < len(buffer):
            if not self._rest:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._rest = piece
                continue
            taken = min(len(self._rest), len(buffer) - filled)
            buffer[filled : filled + taken] = self._rest[:taken]
            self._rest = self._rest[taken:]
            filled += taken
        return filled

    def close(self) -> None:
        """End the threads and wipe what was decrypted. May be called twice."""
        self._rest = memoryview(b"")
        self._pieces.close()

    def _run(self) -> Generator[memoryview, None, None]:
        layout = self._info.layout
        segment_bytes = min(layout.segment_bytes, layout.plaintext_bytes)
        slots = self._workers + 2
        plains = private_buffers(slots, segment_bytes)
        ciphers = private_buffers(slots, segment_bytes + TAG_BYTES)

        def work(segment: int, slot: int) -> memoryview:
            offset, length = layout.segment_range(segment)
            got = self._source.read_at(offset, ciphers[slot][:length])
            plain = plains[slot][: length - TAG_BYTES]
            self._open(segment, ciphers[slot][:got], plain)
            return plain

        try:
            conveyor = Conveyor(self._workers, slots)
            with closing(conveyor.run(layout.segments, lambda _job, _slot: None, work)) as opened:
                for segment, plain in enumerate(opened):
                    yield plain
                    if self._progress is not None:
                        self._progress(sum(layout.plaintext_range(segment)), layout.plaintext_bytes)
        finally:
            for plain in plains:
                wipe_buffer(plain)
        got = self._leaves.digest().content_digest(self._digest_salt)
        if got != self._info.content_digest:
            raise RefusedError(labels.STEP_CONTENT, got.hex(), self._info.content_digest.hex())

    def _open(self, segment: int, ciphertext: memoryview, plain: memoryview) -> None:
        if self._strict:
            self._index.check(segment, ciphertext)
        try:
            self._leaves[segment] = self._opener.decrypt(segment, ciphertext, plain)
        except InvalidTag:
            self._index.check(segment, ciphertext)
            raise self._opener.diagnose(segment, ciphertext) from None


def open_folder(
    source: Source | RangeSource,
    info: SealedInfo,
    content_key: Octets,
    digest_salt: bytes,
    folder: int,
    quota: Quota,
    *,
    workers: int = 2,
    progress: Progress | None = None,
) -> Unpacked:
    """Open a sealed archive into an empty directory; it is empty again if anything fails.

    Args:
        info: from a manifest or report whose own digest was checked.
        content_key: 32 bytes.
        digest_salt: 32 bytes, `tree.NO_SALT` for engines.
        folder: descriptor of an empty directory; stays open.
    Raises:
        CiphertextMismatchError: the source gave other bytes than the owner sealed; try another one.
        RefusedError: steps `sealed.*` and `archive.*`; the owner's fault.
        OSError: the directory cannot be written, or is full.
        ValueError: the directory is not empty.
    """
    if os.listdir(folder):
        raise ValueError("open_folder: got a directory with entries, expected an empty one")
    stream = as_source(source)
    index = CiphertextIndex.read(stream, info)
    opener = open_header(index, info, content_key)

    def run(*, strict: bool) -> Unpacked:
        content = ContentStream(
            stream, index, opener, info, digest_salt, strict=strict, workers=workers, progress=progress
        )
        try:
            return unpack(content, folder, quota)
        finally:
            content.close()

    try:
        return run(strict=False)
    except RefusedError:
        # Also `archive.*`: what somebody with the key put in place of a segment is no fault of the owner's.
        return run(strict=True)
