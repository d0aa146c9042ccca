"""Content sealed again under a new key, out of its ciphertext, never on a disk (protocol section 5.3)."""

from __future__ import annotations

import dataclasses

from enclave_runtime.sealed import labels
from enclave_runtime.sealed.buffers import Entropy, Octets, Progress
from enclave_runtime.sealed.header import HEADER_BYTES, TAG_BYTES, CiphertextIndex, Header, SealedInfo
from enclave_runtime.sealed.manifest import Manifest
from enclave_runtime.sealed.stream import KEY_BYTES, Opener, Sealer
from enclave_runtime.sealed.tree import NO_SALT
from enclave_runtime.sealed.unseal import Source
from enclave_runtime.wire.errors import RefusedError
from enclave_runtime.wire.offers import OfferKind
from marketplace.errors import MarketError, NotFoundError
from marketplace.sealing.folders import Blobs, SealedContent
from marketplace.sealing.opening import BlobSource

__all__ = ["PlaintextReader", "reseal_content"]


class PlaintextReader:
    """The plaintext of a sealed stream, forwards, one segment at a time, each proven before it is given."""

    def __init__(self, source: Source, info: SealedInfo, content_key: Octets) -> None:
        """Check header, index and key.

        Raises:
            CiphertextMismatchError: other bytes than `info` names.
            RefusedError: step `sealed.key`: another key.
        """
        self._layout = info.layout
        head, tail = memoryview(bytearray(HEADER_BYTES)), memoryview(bytearray(self._layout.index_bytes))
        got = source.read_at(0, head), source.read_at(self._layout.index_offset, tail)
        self._index = CiphertextIndex(head[: got[0]], tail[: got[1]], info)
        self._opener = Opener(Header.from_bytes(head), content_key, info.key_commitment)
        self._source = source
        size = min(info.segment_bytes, info.plaintext_bytes)
        self._cipher, self._plain = (
            memoryview(bytearray(size + TAG_BYTES)),
            memoryview(bytearray(size)),
        )
        self._next = 0
        self._rest = self._plain[:0]

    def readinto(self, buffer: memoryview, /) -> int:
        """Copy the next plaintext into `buffer`; 0 only at the end.

        Raises:
            CiphertextMismatchError, RefusedError: a segment is not what was sealed.
        """
        if not self._rest and self._next < self._layout.segments:
            self._open_next()
        taken = min(len(buffer), len(self._rest))
        buffer[:taken] = self._rest[:taken]
        self._rest = self._rest[taken:]
        return taken

    def close(self) -> None:
        """Overwrite the plaintext in memory."""
        self._plain[:] = bytes(len(self._plain))

    def _open_next(self) -> None:
        offset, length = self._layout.segment_range(self._next)
        cipher = self._cipher[: self._source.read_at(offset, self._cipher[:length])]
        self._index.check(self._next, cipher)
        self._rest = self._plain[: length - TAG_BYTES]
        self._opener.open_segment(self._next, cipher, self._rest)
        self._next += 1


def reseal_content(
    store: Blobs,
    old: Manifest,
    content_key: Octets,
    salt: bytes,
    *,
    entropy: Entropy,
    progress: Progress | None = None,
) -> SealedContent:
    """Open `old` from its first location that has it, and seal the same archive under a new key and salt.

    Raises:
        CiphertextMismatchError, RefusedError: what lies there is not what `old` names.
        StorageError: reading or storing failed.
        NotFoundError: no location has it.
    """
    reader = PlaintextReader(_source_of(store, old), old.sealed, content_key)
    new_key = entropy(KEY_BYTES)
    new_salt = NO_SALT if old.kind is OfferKind.ENGINE else entropy(KEY_BYTES)
    sealer = Sealer(
        reader,
        old.sealed.plaintext_bytes,
        new_key,
        digest_salt=new_salt,
        entropy=entropy,
        algorithm=old.sealed.algorithm,
        segment_bytes=old.sealed.segment_bytes,
        progress=progress,
    )
    try:
        content_uri = store.put(sealer)
    finally:
        reader.close()
    same = sealer.tree.content_digest(salt)
    if same != old.sealed.content_digest:
        raise RefusedError(labels.STEP_CONTENT, same.hex(), old.sealed.content_digest.hex())
    manifest = dataclasses.replace(old, sealed=sealer.info, locations=(content_uri,))
    return SealedContent(manifest, store.put([manifest.to_bytes()]), content_uri, new_key, new_salt)


def _source_of(store: Blobs, old: Manifest) -> BlobSource:
    problems = []
    for uri in old.locations:
        try:
            return BlobSource(store, uri)
        except MarketError as error:
            problems.append(str(error))
    raise NotFoundError(
        f"sealed content: no location has it: {'; '.join(problems)[:400] or 'none is named'}",
        hint="seal it from its folder: `cloister author publish FOLDER --replaces OFFER`",
    )
