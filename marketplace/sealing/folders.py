"""Folders sealed and published, folders digested for comparison (docs/protocol.md sections 3.1 to 3.5)."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from enclave_runtime.sealed.archive import ArchiveReader
from enclave_runtime.sealed.buffers import Entropy, Progress, Readable
from enclave_runtime.sealed.header import SealedInfo
from enclave_runtime.sealed.manifest import MEDIA_TYPE_TAR, PYTHON, Manifest, Release
from enclave_runtime.sealed.members import entries_of
from enclave_runtime.sealed.ranges import FileSource
from enclave_runtime.sealed.stream import KEY_BYTES, Sealer
from enclave_runtime.sealed.tarwalk import Quota
from enclave_runtime.sealed.tree import NO_SALT, SEGMENT_BYTES, Algorithm, TreeHasher
from enclave_runtime.wire.errors import RefusedError
from enclave_runtime.wire.offers import OfferKind
from marketplace.errors import BadInputError
from marketplace.sealing.disk import regular, told

__all__ = [
    "Blobs",
    "SealedContent",
    "check_program",
    "check_program_among",
    "check_salt",
    "digest_archive",
    "digest_folder",
    "open_folder",
    "seal_folder",
]

_PIECE: Final = 1 << 20
_STORE_FULL: Final = "make room on the disk of the store, and in the folder for temporary files"


class Blobs(Protocol):
    """What this room needs of a blob store; `storage.base.BlobStore` is one."""

    def put(self, chunks: Iterable[bytes | bytearray | memoryview]) -> str:
        """Store the chunks, each used before the next is asked for, and return a URI."""

    def open(self, uri: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Return a blob, or a part of it, in pieces."""

    def size(self, uri: str) -> int:
        """Return the length of a blob in bytes."""


@dataclass(frozen=True, slots=True)
class SealedContent:
    """What sealing gave: public parts to publish, secret parts for the keystore.

    Attributes:
        manifest_uri: where the manifest lies; its digest goes into the offer's terms.
        content_uri: where the ciphertext lies.
        content_key: 32 bytes, secret.
        salt: 32 bytes that hide the content digest, secret; zero for engines.
    """

    manifest: Manifest
    manifest_uri: str
    content_uri: str
    content_key: bytes = field(repr=False)
    salt: bytes = field(repr=False)

    @property
    def manifest_digest(self) -> bytes:
        """The digest for the offer's terms, 32 bytes."""
        return self.manifest.digest()

    @property
    def content_digest(self) -> bytes:
        """The name of the plaintext, 32 bytes."""
        return self.manifest.sealed.content_digest


def seal_folder(
    path: str | os.PathLike[str],
    kind: OfferKind,
    store: Blobs,
    *,
    entropy: Entropy,
    release_url: str | None,
    grant_key: bytes,
    entry_point: Sequence[str] = (),
    algorithm: Algorithm = Algorithm.BLAKE3,
    segment_bytes: int = SEGMENT_BYTES,
    progress: Progress | None = None,
) -> SealedContent:
    """Archive, hash, encrypt and store a folder in one pass, then its manifest.

    Args:
        entropy: gives the content key, the stream's salt and, but for engines, the hiding salt.
        release_url: of the owner's key broker, or None where keys are granted by hand.
        grant_key: address, 20 bytes, whose signature grants must carry.
        entry_point: engines only; see `Manifest`.
        progress: called with bytes of archive done and in all.
    Raises:
        RefusedError: steps `archive.*`: the folder has something that no archive takes; the name is in it.
        WireError: kind, entry point or release as no manifest has them.
        BadInputError: the entry point names a file that is not in the folder, or more files than an archive
            takes.
        StorageError, DiskError: reading or storing failed; nothing was published.
    """
    unsealed = SealedInfo(algorithm, segment_bytes, 0, NO_SALT, NO_SALT, NO_SALT)
    release = Release(release_url, grant_key)
    draft = Manifest(kind, MEDIA_TYPE_TAR, unsealed, tuple(entry_point), (), release)
    check_program(Path(path), draft.entry_point)
    content_key = entropy(KEY_BYTES)
    salt = NO_SALT if kind is OfferKind.ENGINE else entropy(KEY_BYTES)
    with told("seal", path, todo=_STORE_FULL), open_folder(path) as reader:
        sealer = Sealer(
            reader,
            reader.length,
            content_key,
            digest_salt=salt,
            entropy=entropy,
            algorithm=algorithm,
            segment_bytes=segment_bytes,
            progress=progress,
        )
        content_uri = store.put(sealer)
    manifest = dataclasses.replace(draft, sealed=sealer.info, locations=(content_uri,))
    manifest_uri = store.put([manifest.to_bytes()])
    return SealedContent(manifest, manifest_uri, content_uri, content_key, salt)


def open_folder(path: str | os.PathLike[str]) -> ArchiveReader:
    """Return the archive of a folder, to be closed.

    Raises:
        RefusedError: steps `archive.*`; the name is in it.
        BadInputError: more files than an archive takes.
        OSError: the folder cannot be read.
    """
    try:
        return ArchiveReader(path)
    except RefusedError as refusal:
        if refusal.step != "archive.entries":
            raise
        raise BadInputError(
            f"folder {path}",
            f"{refusal.got} files, folders and links",
            refusal.expected,
            hint="nobody could open more: split it, or put an archive of its small files inside",
        ) from None


def digest_folder(
    path: str | os.PathLike[str],
    kind: OfferKind,
    salt: bytes = NO_SALT,
    *,
    algorithm: Algorithm = Algorithm.BLAKE3,
    segment_bytes: int = SEGMENT_BYTES,
    progress: Progress | None = None,
) -> bytes:
    """Return the content digest of a folder, 32 bytes, without sealing it.

    This is how somebody who was shown an engine's source compares it with the digest in an offer.

    Args:
        salt: as in the keystore; `NO_SALT` for engines.
        algorithm, segment_bytes: as in the manifest to compare with.
    Raises:
        RefusedError: steps `archive.*`, as `seal_folder`.
        BadInputError: a salt for an engine, or none for a model or dataset; or more files than an archive
            takes.
        DiskError: something cannot be read.
    """
    check_salt(kind, salt)
    with told("read", path), open_folder(path) as reader:
        return _digest(reader, reader.length, salt, TreeHasher(algorithm, segment_bytes), progress)


def digest_archive(
    path: str | os.PathLike[str],
    kind: OfferKind,
    salt: bytes = NO_SALT,
    *,
    algorithm: Algorithm = Algorithm.BLAKE3,
    segment_bytes: int = SEGMENT_BYTES,
    progress: Progress | None = None,
) -> bytes:
    """Return the content digest of an archive in a file: the same as `digest_folder` of its folder.

    Its headers are judged first, as by whoever opens it: what nobody could open has no digest.

    Raises:
        BadInputError: as `digest_folder`; no regular file.
        RefusedError: steps `archive.*`: no archive as `pack` makes it.
        DiskError: it cannot be read.
    """
    check_salt(kind, salt)
    with told("read", path), regular(path) as file:
        length = os.fstat(file.fileno()).st_size
        for _ in entries_of(FileSource(file.fileno()), Quota(length)):
            pass
        return _digest(file, length, salt, TreeHasher(algorithm, segment_bytes), progress)


def _digest(
    source: Readable, length: int, salt: bytes, hasher: TreeHasher, progress: Progress | None
) -> bytes:
    buffer, done = memoryview(bytearray(_PIECE)), 0
    while got := source.readinto(buffer):
        hasher.update(buffer[:got])
        done += got
        if progress is not None:
            progress(done, length)
    return hasher.finish().content_digest(salt)


def check_salt(kind: OfferKind, salt: bytes) -> None:
    """Refuse a salt that the kind of content must not have.

    Raises:
        BadInputError: not 32 bytes, not zero for an engine, or zero for a model or dataset.
    """
    bare = kind is OfferKind.ENGINE
    if len(salt) != KEY_BYTES or (salt == NO_SALT) is not bare:
        expected = "32 zero bytes" if bare else "32 random bytes"
        raise BadInputError(
            "salt", f"{len(salt)} bytes, zero: {not any(salt)}", f"{expected} for {kind.name}"
        )


def check_program(folder: Path, entry_point: tuple[str, ...]) -> None:
    """Refuse an entry point whose file is not there: better now than in the CVM.

    Raises:
        BadInputError: names the file.
    """
    for name in _files_in(entry_point):
        if not (folder / name).is_file():
            raise _no_program(name)


def check_program_among(names: Container[str], entry_point: tuple[str, ...]) -> None:
    """As `check_program`, for the files of an archive."""
    for name in _files_in(entry_point):
        if name not in names:
            raise _no_program(name)


def _files_in(entry_point: tuple[str, ...]) -> list[str]:
    words = entry_point[1:2] if entry_point[:1] == (PYTHON,) else entry_point[:1]
    return [name for name in words if not name.startswith("-")]


def _no_program(name: str) -> BadInputError:
    return BadInputError("entry point", repr(name), "a file in the engine's folder")
