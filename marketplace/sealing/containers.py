"""Sealed content in files of its owner's own, before any store has it (docs/protocol.md section 3.5).

    NAME          the sealed stream, byte for byte as stores will hold it
    NAME.json     its manifest without locations: what is public about it
    NAME.part     a packing or a sealing on its way or killed, or a download that was interrupted

The content key goes into the owner's keystore before NAME appears. A sealing that failed leaves nothing, and
starts again under a new salt and a new key: going on under the old ones could encrypt two plaintexts under
one nonce. An archive that was packed is plaintext, hence for its owner's eyes only.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final

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
from marketplace.sealing.disk import regular, told
from marketplace.sealing.folders import check_program, check_program_among, open_folder
from marketplace.sealing.newfile import check_new, check_outside, new_file, part_of

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


def pack_folder(
    folder: Path, out: Path, *, algorithm: Algorithm = Algorithm.BLAKE3, progress: Progress | None = None
) -> Packed:
    """Write the archive of a folder to the new file `out`: what sealing it would seal.

    Args:
        algorithm: of the digest; the archive is the same under each.
    Raises:
        RefusedError: steps `archive.*`: the folder has something that no archive takes.
        BadInputError: `out` exists, lies in the folder, or is being written by another run; or more files
            than an archive takes.
        DiskError: something cannot be read or written; nothing is left of `out`.
    """
    check_new(out)
    check_outside(folder, out)
    hasher = TreeHasher(algorithm, SEGMENT_BYTES)
    buffer, done = memoryview(bytearray(_PIECE)), 0
    with told("read", folder), open_folder(folder) as reader:
        with new_file(out, private=True, room=reader.length) as file:
            while got := reader.readinto(buffer):
                hasher.update(buffer[:got])
                write_full(file, buffer[:got])
                done += got
                if progress is not None:
                    progress(done, reader.length)
            file.publish()
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
    algorithm: Algorithm = Algorithm.BLAKE3,
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
        BadInputError: `out` or its manifest exists, lies in the folder, or is being written by another run;
            more files than an archive takes; or the entry point names a file that is not in the folder.
        DiskError: something cannot be read or written; nothing is left of `out`.
    """
    check_new(out)
    check_new(beside(out))
    draft = new_draft(kind, release, entry_point, segment_bytes, algorithm)
    with told("read", source):
        if source.is_dir():
            check_outside(source, out)
            check_program(source, draft.entry_point)
            with open_folder(source) as reader:
                return seal_source(
                    reader, reader.length, draft, out, keep=keep, entropy=entropy, progress=progress
                )
        with FileIO(source, "r") as file:
            archive = FileSource(file.fileno())
            # Every header is judged as in the CVM: what our packer would not write is refused here already.
            check_program_among(members(archive), draft.entry_point)
            return seal_source(file, archive.size, draft, out, keep=keep, entropy=entropy, progress=progress)


def new_draft(
    kind: OfferKind,
    release: Release,
    entry_point: Sequence[str],
    segment_bytes: int,
    algorithm: Algorithm = Algorithm.BLAKE3,
) -> Manifest:
    """Return the manifest of a stream that is still to be sealed, to find faults in it early.

    Raises:
        WireError: kind, entry point, release or segment size as no manifest has them.
    """
    unsealed = SealedInfo(algorithm, segment_bytes, 0, NO_SALT, NO_SALT, NO_SALT)
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
        with new_file(out, room=sealer.total_bytes) as file, new_file(beside(out)) as public:
            for piece in sealer:
                write_full(file, piece)
            made = SealedFile(out, dataclasses.replace(draft, sealed=sealer.info))
            write_full(public, memoryview(made.draft.to_bytes()))
            for each in (file, public):  # before the key: a full disk leaves none for what is not there
                each.sync()
            keep(made.ciphertext_digest, key, salt)
            public.publish()
            try:
                file.publish()
            except BaseException:
                beside(out).unlink(missing_ok=True)
                raise
    finally:
        key[:] = bytes(KEY_BYTES)
    return made


def load_sealed(path: Path) -> SealedFile:
    """Return the sealed file at `path`, its sizes compared with what its manifest says.

    Raises:
        NotFoundError: no such file, or none with its manifest beside it.
        BadInputError: no sealed stream, or they do not belong together.
        WireError: no manifest.
    """
    try:
        with regular(path) as file:
            header = _header(path, file.read(HEADER_BYTES))
            size = os.fstat(file.fileno()).st_size
        with regular(beside(path)) as file:
            draft = Manifest.from_bytes(file.read(MAX_MANIFEST_BYTES + 1))
    except FileNotFoundError as error:
        missing = Path(str(error.filename))
        hint = f"{part_of(path)} is of a sealing that runs, or was interrupted: wait, or seal again"
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
    """Return whether a file begins as a sealed stream does.

    Raises:
        BadInputError: no regular file.
        OSError: it cannot be read.
    """
    with regular(path) as file:
        return file.read(len(_MAGIC)) == _MAGIC


def beside(path: Path) -> Path:
    """Return where the manifest of a sealed file lies."""
    return path.with_name(path.name + ".json")
