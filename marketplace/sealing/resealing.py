"""Content sealed again under a new key, out of its ciphertext, never on a disk (protocol section 5.3)."""

from __future__ import annotations

import dataclasses
from typing import Protocol

from enclave_runtime.sealed import labels
from enclave_runtime.sealed.buffers import Entropy, Octets, Progress
from enclave_runtime.sealed.header import CiphertextMismatchError
from enclave_runtime.sealed.manifest import Manifest
from enclave_runtime.sealed.ranges import Source
from enclave_runtime.sealed.reader import SealedReader
from enclave_runtime.sealed.stream import KEY_BYTES, Sealer
from enclave_runtime.sealed.tree import NO_SALT, Algorithm, TreeHasher
from enclave_runtime.wire.errors import RefusedError
from enclave_runtime.wire.offers import OfferKind
from marketplace.errors import NotFoundError
from marketplace.sealing.folders import Blobs, SealedContent

__all__ = ["Locations", "reseal_content"]


class Locations(Source, Protocol):
    """A `Source` that may have others behind it; `storage.source.StoreSource` is one."""

    def drop(self, why: Exception) -> None:
        """Give up the location that is read now, whose bytes were wrong.

        Raises:
            NotFoundError: no other one is left.
        """


def reseal_content(
    store: Blobs,
    source: Locations,
    old: Manifest,
    content_key: Octets,
    salt: bytes,
    *,
    entropy: Entropy,
    algorithm: Algorithm | None = None,
    progress: Progress | None = None,
) -> SealedContent:
    """Open `old` from the first of its locations that has it, and seal the same archive under a new key.

    A segment that differs at one location is read from the next, so one wrong byte costs one location.

    Args:
        store: gets the new ciphertext and manifest.
        source: the old ciphertext, at its locations.
        algorithm: of the new digests; None keeps the old one's.
    Raises:
        CiphertextMismatchError: no location has what `old` names, and the last one has something else.
        RefusedError: steps `sealed.*`: what was sealed is at fault, or the key or salt is another one.
        StorageError: reading or storing failed.
        NotFoundError: no location has it.
    """
    new_key = entropy(KEY_BYTES)
    new_salt = NO_SALT if old.kind is OfferKind.ENGINE else entropy(KEY_BYTES)
    with _opened(source, old, content_key) as reader:
        # Each segment is proven as it is read; the digest of the whole is compared below.
        other = algorithm not in (None, old.sealed.algorithm)
        hasher = TreeHasher(old.sealed.algorithm, old.sealed.segment_bytes) if other else None
        archive = _Archive(reader, source, hasher)
        sealer = Sealer(
            archive,
            old.sealed.plaintext_bytes,
            new_key,
            digest_salt=new_salt,
            entropy=entropy,
            algorithm=old.sealed.algorithm if algorithm is None else algorithm,
            segment_bytes=old.sealed.segment_bytes,
            progress=progress,
        )
        content_uri = store.put(sealer)
    tree = sealer.tree if hasher is None else hasher.finish()
    same = tree.content_digest(salt)
    if same != old.sealed.content_digest:
        raise RefusedError(labels.STEP_CONTENT, same.hex(), old.sealed.content_digest.hex())
    manifest = dataclasses.replace(old, sealed=sealer.info, locations=(content_uri,))
    return SealedContent(manifest, store.put([manifest.to_bytes()]), content_uri, new_key, new_salt)


class _Archive:
    """The plaintext, read forwards once, from whatever location has the right bytes.

    The sealer hashes it; under another algorithm than the old one's, `hasher` does that for the old digest.
    """

    def __init__(self, reader: SealedReader, source: Locations, hasher: TreeHasher | None) -> None:
        self._reader = reader
        self._source = source
        self._hasher = hasher
        self._at = 0

    def readinto(self, buffer: memoryview, /) -> int:
        got = self._read(buffer)
        if self._hasher is not None:
            self._hasher.update(buffer[:got])
        self._at += got
        return got

    def _read(self, buffer: memoryview) -> int:
        while True:
            try:
                return self._reader.read_at(self._at, buffer)
            except CiphertextMismatchError as error:
                _next(self._source, error)


def _opened(source: Locations, old: Manifest, content_key: Octets) -> SealedReader:
    while True:
        try:
            return SealedReader(source, old.sealed, content_key)
        except CiphertextMismatchError as error:
            _next(source, error)


def _next(source: Locations, error: CiphertextMismatchError) -> None:
    try:
        source.drop(error)
    except NotFoundError:
        raise error from None
