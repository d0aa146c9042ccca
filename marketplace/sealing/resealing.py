"""Content sealed again under a new key, out of its ciphertext, never on a disk (protocol section 5.3)."""

from __future__ import annotations

import dataclasses

from enclave_runtime.sealed import labels
from enclave_runtime.sealed.buffers import Entropy, Octets, Progress
from enclave_runtime.sealed.manifest import Manifest
from enclave_runtime.sealed.reader import SealedReader
from enclave_runtime.sealed.stream import KEY_BYTES, Sealer
from enclave_runtime.sealed.tree import NO_SALT
from enclave_runtime.wire.errors import RefusedError
from enclave_runtime.wire.offers import OfferKind
from marketplace.errors import MarketError, NotFoundError
from marketplace.sealing.folders import Blobs, SealedContent
from marketplace.sealing.opening import BlobSource

__all__ = ["reseal_content"]


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
    new_key = entropy(KEY_BYTES)
    new_salt = NO_SALT if old.kind is OfferKind.ENGINE else entropy(KEY_BYTES)
    # Each segment is proven as it is read; the digest of the whole is compared below.
    with SealedReader(_source_of(store, old), old.sealed, content_key) as reader:
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
        content_uri = store.put(sealer)
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
