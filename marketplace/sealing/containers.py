"""Sealed content in files of its owner's own, before any store has it (docs/protocol.md section 3.5).

    NAME          the sealed stream, byte for byte as stores will hold it
    NAME.json     its manifest without locations: what is public about it
    NAME.part     a sealing or a download that was interrupted

The content key goes into the owner's keystore before NAME appears. A sealing that died starts again, under a
new salt and a new key: going on under the old ones could encrypt two plaintexts under one nonce.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final

from enclave_runtime.sealed.archive import ArchiveReader
from enclave_runtime.sealed.buffers import Entropy, Octets, Progress, Readable, write_full
from enclave_runtime.sealed.header import HEADER_BYTES, Header, SealedInfo
from enclave_runtime.sealed.manifest import MAX_MANIFEST_BYTES, MEDIA_TYPE_TAR, Manifest, Release
from enclave_runtime.sealed.members import members
from enclave_runtime.sealed.ranges import FileSource
from enclave_runtime.sealed.stream import KEY_BYTES, Sealer
from enclave_runtime.sealed.tree import NO_SALT, SEGMENT_BYTES, Algorithm, TreeHasher
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.offers import OfferKind
from marketplace.errors import BadInputError, NotFoundError
from marketplace.sealing.folders import check_program, check_program_among

__all__ = [
    "Packed",
    "SealedFile",
    "is_sealed",
    "load_sealed",
    "new_draft",
    "pack_folder",
    "part_of",
    "seal_source",
    "seal_to_file",
]

_PIECE: Final = 1 << 20
_MAGIC: Final = b"CLOISTER"


@dataclass(frozen=True, slots=True)
class Packed:
    """An archive that was written.

    Attributes:
        digest: the bare content digest, 32 bytes: an engine's name.
    """

    length: int
    entries: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class SealedFile:
    """A sealed stream in a file, and what is public about it.

    Attributes:
        draft: its manifest, without locations.
    """

    path: Path
    draft: Manifest

    @property
    def ciphertext_digest(self) -> bytes:
        """The name of the stream, 32 bytes; the keystore has its key under it."""
        return self.draft.sealed.ciphertext_digest


def pack_folder(folder: Path, out: Path, *, progress: Progress | None = None) -> Packed:
    """Write the archive of a folder to the new file `out`: what sealing it would seal.

    Raises:
        RefusedError: steps `archive.*`: the folder has something that no archive takes.
        BadInputError: `out` exists.
    """
    _check_new(out)
    hasher = TreeHasher(Algorithm.BLAKE3, SEGMENT_BYTES)
    buffer, done = memoryview(bytearray(_PIECE)), 0
    with ArchiveReader(folder) as reader:
        with _new_file(part_of(out)) as file:
            while got := reader.readinto(buffer):
                hasher.update(buffer[:got])
                write_full(file, buffer[:got])
                done += got
                if progress is not None:
                    progress(done, reader.length)
            os.fsync(file.fileno())
        os.rename(part_of(out), out)
        return Packed(done, reader.entries, hasher.finish().content_digest(NO_SALT))


def seal_to_file(
    source: Path,
    kind: OfferKind,
    out: Path,
    *,
    keep: Callable[[bytes, Octets, bytes], None],
    entropy: Entropy,
    release: Release,
    entry_point: Sequence[str] = (),
    segment_bytes: int = SEGMENT_BYTES,
    progress: Progress | None = None,
) -> SealedFile:
    """Archive, hash and encrypt a folder, or an archive that `pack_folder` made, into the new file `out`.

    Args:
        keep: stores ciphertext digest, content key and salt; called when all was written, before `out` is
            there.
    Raises:
        RefusedError: steps `archive.*`: the folder has something that no archive takes; the name is in it.
        WireError: kind, entry point or release as no manifest has them.
        BadInputError: `out` exists, or the entry point names a file that is not in the folder.
    """
    _check_new(out)
    draft = new_draft(kind, release, entry_point, segment_bytes)
    if source.is_dir():
        check_program(source, draft.entry_point)
        with ArchiveReader(source) as reader:
            return seal_source(
                reader, reader.length, draft, out, keep=keep, entropy=entropy, progress=progress
            )
    with FileIO(source, "r") as file:
        archive = FileSource(file.fileno())
        # Every header is judged as in the CVM: what our own packer would not write is refused here already.
        check_program_among(members(archive), draft.entry_point)
        return seal_source(file, archive.size, draft, out, keep=keep, entropy=entropy, progress=progress)


def new_draft(kind: OfferKind, release: Release, entry_point: Sequence[str], segment_bytes: int) -> Manifest:
    """Return the manifest of a stream that is still to be sealed, to find faults in it early.

    Raises:
        WireError: kind, entry point, release or segment size as no manifest has them.
    """
    unsealed = SealedInfo(Algorithm.BLAKE3, segment_bytes, 0, NO_SALT, NO_SALT, NO_SALT)
    return Manifest(kind, MEDIA_TYPE_TAR, unsealed, tuple(entry_point), (), release)


def seal_source(
    source: Readable,
    length: int,
    draft: Manifest,
    out: Path,
    *,
    keep: Callable[[bytes, Octets, bytes], None],
    entropy: Entropy,
    progress: Progress | None = None,
) -> SealedFile:
    """Seal `length` bytes into the new file `out`, as `draft` says; see `seal_to_file`."""
    key = bytearray(entropy(KEY_BYTES))
    salt = NO_SALT if draft.kind is OfferKind.ENGINE else entropy(KEY_BYTES)
    sealer = Sealer(
        source,
        length,
        key,
        digest_salt=salt,
        entropy=entropy,
        algorithm=draft.sealed.algorithm,
        segment_bytes=draft.sealed.segment_bytes,
        progress=progress,
    )
    try:
        with _new_file(part_of(out)) as file:
            for piece in sealer:
                write_full(file, piece)
            os.fsync(file.fileno())
        made = SealedFile(out, dataclasses.replace(draft, sealed=sealer.info))
        keep(made.ciphertext_digest, key, salt)
    finally:
        key[:] = bytes(KEY_BYTES)
    beside(out).write_bytes(made.draft.to_bytes())
    os.rename(part_of(out), out)
    return made


def load_sealed(path: Path) -> SealedFile:
    """Return the sealed file at `path`, its sizes compared with what its manifest says.

    Raises:
        NotFoundError: no such file, or none with its manifest beside it.
        BadInputError: no sealed stream, or they do not belong together.
        WireError: no manifest.
    """
    try:
        with open(path, "rb") as file:
            header = _header(path, file.read(HEADER_BYTES))
            size = os.fstat(file.fileno()).st_size
        with open(beside(path), "rb") as file:
            draft = Manifest.from_bytes(file.read(MAX_MANIFEST_BYTES + 1))
    except FileNotFoundError as error:
        missing = Path(str(error.filename))
        hint = f"a sealing that was interrupted left {part_of(path)}: seal again"
        raise NotFoundError(
            f"sealed file {path}: got no file {missing.name}, expected one",
            hint=hint if part_of(path).exists() else "make it with `cloister author seal`",
        ) from None
    info = draft.sealed
    if (header.algorithm, header.layout, size) != (info.algorithm, info.layout, info.ciphertext_bytes):
        raise BadInputError(
            f"sealed file {path}",
            f"{size} bytes, of {header.layout.total_bytes} by its header",
            f"{info.ciphertext_bytes} bytes, as {beside(path).name} says",
            hint="it was changed or cut short: seal again, or take a whole copy",
        )
    return SealedFile(path, draft)


def _header(path: Path, data: bytes) -> Header:
    try:
        return Header.from_bytes(data)
    except WireError:
        raise BadInputError(
            f"sealed file {path}",
            "something else than a sealed stream",
            "one that was sealed",
            hint="seal it first: `cloister author seal`",
        ) from None


def is_sealed(path: Path) -> bool:
    """Return whether a file begins as a sealed stream does."""
    with open(path, "rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def part_of(path: Path) -> Path:
    """Return where a file lies until it is whole."""
    return path.with_name(path.name + ".part")


def beside(path: Path) -> Path:
    """Return where the manifest of a sealed file lies."""
    return path.with_name(path.name + ".json")


def _check_new(out: Path) -> None:
    if out.exists():
        raise BadInputError("file to write", f"{out}, which exists", "a new name")
    if not out.parent.is_dir():
        raise BadInputError("file to write", str(out), "a name in a folder that exists")


def _new_file(path: Path) -> FileIO:
    return FileIO(path, "w")
