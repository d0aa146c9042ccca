"""Segmented authenticated encryption, both directions (docs/protocol.md sections 3.3 and 3.5).

STREAM: each segment is AES-256-GCM under nonce = prefix (7) || counter u32 || last flag (1), without
associated data: the key itself is derived under the whole header. So a segment opens only at its place,
only as last if it is the last, only in the stream with this salt, sizes and hash.

    archive key = HKDF-SHA256(content key, header salt, "cloister:stream-key/v1" || 0 || header)
    prefix, key commitment: the same with their own labels

GCM does not commit to its key; the commitment does, and is compared before anything is decrypted.
A sealing that died is started again from the beginning with a new salt: going on under the old one could
encrypt two plaintexts under one nonce. What resumes by segment is the transfer, and the opening.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from enclave_runtime.sealed import labels
from enclave_runtime.sealed.buffers import (
    Entropy,
    Octets,
    Progress,
    Readable,
    ShortReadError,
    Writable,
    read_full,
    write_full,
)
from enclave_runtime.sealed.header import TAG_BYTES, CiphertextIndex, Header, SealedInfo, ciphertext_digest
from enclave_runtime.sealed.locked import LockedBuffer
from enclave_runtime.sealed.tree import SEGMENT_BYTES, Algorithm, LeafFold, TreeDigest, leaf, leaf_hasher
from enclave_runtime.sealed.workers import Conveyor, private_buffers, wipe_buffer
from enclave_runtime.wire.errors import RefusedError, WireError

__all__ = ["KEY_BYTES", "Opener", "Sealer", "open_header", "seal"]

KEY_BYTES: Final = 32
_PREFIX_BYTES: Final = 7
_INDEX_PIECE: Final = 1 << 20
_INDEX_IN_MEMORY: Final = 4 << 20
_REORDER_SEARCH: Final = 1024
"""Other places tried, at most, to tell a moved segment from an altered one; bounds the work on bad input."""


class _Keys:
    """What a content key becomes under one header."""

    def __init__(self, content_key: Octets, header: Header) -> None:
        if len(content_key) != KEY_BYTES:
            raise WireError(f"content key: got {len(content_key)} bytes, expected {KEY_BYTES}")
        with LockedBuffer(KEY_BYTES) as key:
            _expand(content_key, header, labels.STREAM_KEY, key.view())
            self.cipher = AESGCM(key.view())
        prefix = bytearray(_PREFIX_BYTES)
        _expand(content_key, header, labels.STREAM_PREFIX, prefix)
        self.start = bytes(prefix)
        self.commitment = bytearray(KEY_BYTES)
        _expand(content_key, header, labels.STREAM_COMMITMENT, self.commitment)
        self._last = header.layout.segments - 1

    def nonce(self, segment: int) -> bytes:
        return self.start + segment.to_bytes(4, "big") + (b"\x01" if segment == self._last else b"\x00")

    def nonce_as(self, segment: int, *, last: bool) -> bytes:
        return self.start + segment.to_bytes(4, "big") + (b"\x01" if last else b"\x00")


def _expand(content_key: Octets, header: Header, label: bytes, out: bytearray | memoryview) -> None:
    info = label + b"\x00" + header.to_bytes()
    HKDF(algorithm=SHA256(), length=len(out), salt=header.salt, info=info).derive_into(content_key, out)


class Sealer:
    """Seals one source as it is iterated: header, segments, index, as pieces to write in that order.

    A piece is a view of a reused buffer: write it before taking the next. The thread that iterates reads the
    source; `workers` others hash and encrypt. Memory is two segments for each worker and two more pairs,
    whatever the size: of the index, which is public, what exceeds 4 MiB waits in a temporary file.
    """

    def __init__(
        self,
        source: Readable,
        plaintext_bytes: int,
        content_key: Octets,
        *,
        digest_salt: bytes,
        entropy: Entropy,
        algorithm: Algorithm = Algorithm.BLAKE3,
        segment_bytes: int = SEGMENT_BYTES,
        progress: Progress | None = None,
        workers: int = 2,
    ) -> None:
        """Derive the keys; nothing is read yet.

        Args:
            source: gives exactly `plaintext_bytes` bytes.
            content_key: 32 bytes; may seal many streams.
            digest_salt: 32 bytes that hide the content digest; `tree.NO_SALT` for engines.
            entropy: gives the 32 random bytes of the header.
            progress: called after each segment with plaintext bytes done and in all.
            workers: threads that hash and encrypt, beside the one that reads and writes.
        Raises:
            WireError: key, salt or sizes outside the format.
        """
        if len(digest_salt) != KEY_BYTES:
            raise WireError(f"digest salt: got {len(digest_salt)} bytes, expected 32")
        self._source = source
        self._header = Header(algorithm, segment_bytes, plaintext_bytes, entropy(32))
        self._layout = self._header.layout
        self._keys = _Keys(content_key, self._header)
        self._digest_salt = digest_salt
        self._progress = progress
        self._workers = max(1, min(workers, self._layout.segments))
        self.started = False
        self._result: tuple[SealedInfo, TreeDigest] | None = None

    @property
    def total_bytes(self) -> int:
        """Bytes that the iteration gives in all."""
        return self._layout.total_bytes

    @property
    def info(self) -> SealedInfo:
        """Public facts about the stream; known once the iteration has ended."""
        return self._ended()[0]

    @property
    def tree(self) -> TreeDigest:
        """Tree of the plaintext, as private as the digest salt; known once the iteration has ended."""
        return self._ended()[1]

    def __iter__(self) -> Iterator[memoryview]:
        """Read, hash, encrypt and hash again, segment by segment.

        Raises:
            ShortReadError: the source ended early, or goes on after `plaintext_bytes`.
            RuntimeError: iterated a second time, which would repeat nonces.
        """
        if self.started:
            raise RuntimeError("a sealer was iterated twice, expected a new one for each sealing")
        self.started = True
        header = self._header.to_bytes()
        yield memoryview(header)
        sizes = (self._header.algorithm, self._layout.segment_bytes, self._layout.plaintext_bytes)
        plain_leaves, cipher_leaves = LeafFold(*sizes), LeafFold(*sizes)
        from tempfile import SpooledTemporaryFile  # not above: opening needs none of it, and starts faster

        with SpooledTemporaryFile(_INDEX_IN_MEMORY) as index:
            for segment, (cipher, plain_leaf, cipher_leaf) in enumerate(self._segments()):
                plain_leaves[segment], cipher_leaves[segment] = plain_leaf, cipher_leaf
                index.write(cipher_leaf)
                yield cipher
                if self._progress is not None:
                    self._progress(sum(self._layout.plaintext_range(segment)), self._layout.plaintext_bytes)
            index.seek(0)
            while piece := index.read(_INDEX_PIECE):
                yield memoryview(piece)
        tree = plain_leaves.digest()
        info = SealedInfo(
            *sizes,
            content_digest=tree.content_digest(self._digest_salt),
            ciphertext_digest=ciphertext_digest(header, cipher_leaves),
            key_commitment=bytes(self._keys.commitment),
        )
        self._result = (info, tree)

    def _segments(self) -> Iterator[tuple[memoryview, bytes, bytes]]:
        """Give each segment's ciphertext, plaintext leaf and ciphertext leaf, in order."""
        algorithm, total = self._header.algorithm, self._layout.plaintext_bytes
        segment_bytes = min(self._layout.segment_bytes, total)
        slots = self._workers + 2
        plains = private_buffers(slots, segment_bytes)
        ciphers = private_buffers(slots, segment_bytes + TAG_BYTES)

        def read(segment: int, slot: int) -> None:
            offset, length = self._layout.plaintext_range(segment)
            got = read_full(self._source, plains[slot][:length])
            if got != length:
                raise ShortReadError(f"source: got {offset + got} bytes, expected {total}")

        def encrypt(segment: int, slot: int) -> tuple[memoryview, bytes, bytes]:
            _, length = self._layout.plaintext_range(segment)
            plain, cipher = plains[slot][:length], ciphers[slot][: length + TAG_BYTES]
            plain_leaf = leaf(algorithm, plain)
            self._keys.cipher.encrypt_into(self._keys.nonce(segment), plain, None, cipher)
            return cipher, plain_leaf, leaf(algorithm, cipher)

        try:
            yield from Conveyor(self._workers, slots).run(self._layout.segments, read, encrypt)
        finally:
            for plain in plains:
                wipe_buffer(plain)
        if read_full(self._source, memoryview(bytearray(1))):
            raise ShortReadError(f"source: got more than {total} bytes, expected exactly that many")

    def _ended(self) -> tuple[SealedInfo, TreeDigest]:
        if self._result is None:
            raise RuntimeError("the stream has not been written to its end yet")
        return self._result


def seal(
    source: Readable,
    destination: Writable,
    plaintext_bytes: int,
    content_key: Octets,
    *,
    digest_salt: bytes,
    entropy: Entropy,
    algorithm: Algorithm = Algorithm.BLAKE3,
    segment_bytes: int = SEGMENT_BYTES,
    progress: Progress | None = None,
    workers: int = 2,
) -> SealedInfo:
    """Seal `source` into `destination` in one pass; arguments and errors as `Sealer`."""
    sealer = Sealer(
        source,
        plaintext_bytes,
        content_key,
        digest_salt=digest_salt,
        entropy=entropy,
        algorithm=algorithm,
        segment_bytes=segment_bytes,
        progress=progress,
        workers=workers,
    )
    for piece in sealer:
        write_full(destination, piece)
    return sealer.info


class Opener:
    """Opens single segments of one stream, in any order, from any number of threads.

    It authenticates each segment and says what the whole is worth only through `unseal.Unsealer`: until
    every leaf is in, bytes that it decrypted may be shown to nobody.
    """

    def __init__(self, header: Header, content_key: Octets, key_commitment: bytes) -> None:
        """Derive the keys and compare the commitment before anything is decrypted.

        Raises:
            RefusedError: step `sealed.key`: not the key that was committed to, or another header.
            WireError: the key is not 32 bytes.
        """
        self._header = header
        self._layout = header.layout
        self._keys = _Keys(content_key, header)
        if not hmac.compare_digest(self._keys.commitment, key_commitment):
            got = bytes(self._keys.commitment).hex()
            raise RefusedError(labels.STEP_KEY, f"commitment {got}", f"commitment {key_commitment.hex()}")

    def open_segment(self, segment: int, ciphertext: Octets, out: memoryview) -> bytes:
        """Decrypt one segment into `out` and return the leaf of its plaintext, 32 bytes.

        Args:
            ciphertext: segment with its tag, in memory that nobody else can write.
            out: exactly as long as the plaintext of this segment; holds garbage after a refusal.
        Raises:
            RefusedError: steps `sealed.segment`, `sealed.reordered` or `sealed.truncated`.
        """
        try:
            return self.decrypt(segment, ciphertext, out)
        except InvalidTag:
            raise self.diagnose(segment, ciphertext) from None

    def decrypt(self, segment: int, ciphertext: Octets, out: memoryview) -> bytes:
        """As `open_segment`, without the search for what is wrong.

        Raises:
            InvalidTag: the segment does not authenticate, or has another length than its place.
        """
        self.decrypt_unhashed(segment, ciphertext, out)
        return leaf(self._header.algorithm, out)

    def decrypter(self) -> Callable[[int, memoryview, memoryview], bytes]:
        """Return `decrypt` for a loop over many segments; errors as there."""
        decrypt_into, start, last = (
            self._keys.cipher.decrypt_into,
            self._keys.start,
            self._layout.segments - 1,
        )
        hashed = leaf_hasher(self._header.algorithm)

        def decrypt(segment: int, ciphertext: memoryview, out: memoryview) -> bytes:
            if len(ciphertext) != len(out) + TAG_BYTES:
                raise InvalidTag
            flag = b"\x01" if segment == last else b"\x00"
            decrypt_into(start + segment.to_bytes(4, "big") + flag, ciphertext, None, out)
            return hashed(out)

        return decrypt

    def decrypt_unhashed(self, segment: int, ciphertext: Octets, out: memoryview) -> None:
        """As `decrypt`, for whoever has proven the ciphertext itself and needs no leaf; errors as there."""
        if len(ciphertext) != len(out) + TAG_BYTES:
            raise InvalidTag
        self._keys.cipher.decrypt_into(self._keys.nonce(segment), ciphertext, None, out)

    def repeat_ciphertext(self, segment: int, plaintext: Octets, out: memoryview) -> None:
        """Encrypt a segment again as it was before `decrypt`, to compare it with what its owner sealed.

        Only for plaintext that came out of `decrypt` at this place: the nonce is used a second time.
        """
        self._keys.cipher.encrypt_into(self._keys.nonce(segment), plaintext, None, out)

    def diagnose(self, segment: int, ciphertext: Octets) -> RefusedError:
        """Return the refusal that says, as far as it can be told, why a segment does not open."""
        last = self._layout.segments - 1
        if not TAG_BYTES <= len(ciphertext) <= self._layout.segment_bytes + TAG_BYTES:
            return RefusedError(labels.STEP_TRUNCATED, f"{len(ciphertext)} bytes", f"segment {segment}")
        scratch = memoryview(bytearray(len(ciphertext) - TAG_BYTES))
        if self._opens(self._keys.nonce_as(segment, last=segment != last), ciphertext, scratch):
            got = "a last segment" if segment != last else "a segment with others after it"
            return RefusedError(labels.STEP_TRUNCATED, f"{got} at {segment}", f"the last one at {last}")
        nearest = sorted(
            range(max(0, segment - _REORDER_SEARCH // 2), min(last + 1, segment + _REORDER_SEARCH // 2)),
            key=lambda place: abs(place - segment),
        )
        for place in nearest:
            if self._opens(self._keys.nonce(place), ciphertext, scratch):
                return RefusedError(labels.STEP_REORDERED, f"segment {place}", f"segment {segment}")
        return RefusedError(
            labels.STEP_SEGMENT, f"segment {segment} that fails authentication", "a genuine one"
        )

    def _opens(self, nonce: bytes, ciphertext: Octets, scratch: memoryview) -> bool:
        try:
            self._keys.cipher.decrypt_into(nonce, ciphertext, None, scratch)
        except InvalidTag:
            return False
        return True


def open_header(index: CiphertextIndex, info: SealedInfo, content_key: Octets) -> Opener:
    """Return what opens single segments, if header and key are as `info` says.

    Raises:
        RefusedError: steps `sealed.header`, `sealed.key`; the owner's fault.
    """
    try:
        header = Header.from_bytes(index.header)
    except WireError as error:
        raise RefusedError(labels.STEP_HEADER, error, "a version 1 header") from error
    expected = (info.algorithm, info.segment_bytes, info.plaintext_bytes)
    got = (header.algorithm, header.segment_bytes, header.plaintext_bytes)
    if got != expected:
        shown = [f"{algorithm.value}, {segment}, {length}" for algorithm, segment, length in (got, expected)]
        raise RefusedError(labels.STEP_HEADER, shown[0], shown[1])
    try:
        return Opener(header, content_key, info.key_commitment)
    except WireError as error:
        raise RefusedError(labels.STEP_HEADER, error, "a version 1 header") from error
