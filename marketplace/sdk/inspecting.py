"""What is public about sealed content, where it lies, and what this profile has of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from enclave_runtime.sealed.buffers import Progress
from enclave_runtime.sealed.header import SealedInfo
from enclave_runtime.sealed.manifest import MAX_MANIFEST_BYTES, Manifest
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.errors import EnclaveError
from marketplace.errors import MarketError, NotFoundError
from marketplace.sdk.streams import stream_digest
from marketplace.sealing.containers import load_sealed
from marketplace.sealing.disk import regular

if TYPE_CHECKING:
    from marketplace.sdk.profile import Session

__all__ = ["WHOLE", "Inspection", "files_in", "inspect", "manifest_at"]

WHOLE: Final = "there, and as it was sealed"
"""What `inspect` says of a place whose bytes it read and compared."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a sealed content says of itself, and what this profile has of it.

    Attributes:
        manifest_digest: 32 bytes; None for a file that was not pushed.
        places: location -> what was found there, in words.
        key_held: whether this profile's keystore has its key; None where the keystore did not open.
        replaced_by: manifest digest of the content that took its place, or None.
    """

    manifest: Manifest
    manifest_digest: bytes | None
    places: dict[str, str]
    key_held: bool | None
    replaced_by: bytes | None


def inspect(
    session: Session,
    manifest: Manifest,
    *,
    pushed: bool = True,
    verify: bool = False,
    progress: Progress | None = None,
) -> Inspection:
    """Return what can be known of a sealed content without opening it.

    Args:
        pushed: False for a draft, whose digest nobody uses.
        verify: read what lies at each location whole, and compare its digest.
    """
    places = {uri: _found_at(session, uri, manifest.sealed, verify, progress) for uri in manifest.locations}
    held, replaced = _held(session, manifest, pushed=pushed)
    return Inspection(manifest, manifest.digest() if pushed else None, places, held, replaced)


def _found_at(session: Session, uri: str, info: SealedInfo, verify: bool, progress: Progress | None) -> str:
    """Return in words what is at a location."""
    try:
        size = session.store.size(uri)
        if size != info.ciphertext_bytes:
            return f"got {size} bytes, expected {info.ciphertext_bytes}"
        if not verify:
            return "there"
        got = stream_digest(session.store, uri, progress=progress)
    except (MarketError, EnclaveError) as error:
        return str(error)
    if got != info.ciphertext_digest:
        return f"got digest {hex_of(got)}, expected {hex_of(info.ciphertext_digest)}"
    return WHOLE


def files_in(session: Session, path: Path) -> dict[str, int]:
    """Return the files in a sealed file of this profile's, and their sizes in bytes; opens its headers alone.

    Raises:
        NotFoundError: no sealed file there, or its key is not in this keystore.
        CiphertextMismatchError, RefusedError: it is not what was sealed.
    """
    from enclave_runtime.sealed.members import members
    from enclave_runtime.sealed.ranges import FileSource
    from enclave_runtime.sealed.reader import SealedReader

    sealed = load_sealed(path)
    secret = session.keystore(create=False).sealed_secret(sealed.ciphertext_digest)
    with regular(path) as file:
        source = FileSource(file.fileno())
        with SealedReader(source, sealed.draft.sealed, secret.content_key) as reader:
            return {name: one.size for name, one in members(reader).items()}


def manifest_at(session: Session, uri: str) -> Manifest:
    """Return the manifest at a location.

    Raises:
        StorageError: it is not there.
        WireError: it is no manifest.
    """
    from marketplace.storage.base import read_blob

    return Manifest.from_bytes(read_blob(session.store, uri, limit=MAX_MANIFEST_BYTES))


def _held(session: Session, manifest: Manifest, *, pushed: bool) -> tuple[bool | None, bytes | None]:
    try:
        keystore = session.keystore(create=False)
        if not pushed:
            keystore.sealed_secret(manifest.sealed.ciphertext_digest)
            return True, None
        keystore.get(manifest.digest())
        return True, keystore.replaced_by(manifest.digest())
    except NotFoundError:
        return False, None
    except MarketError:  # it does not open here: looking at what is public needs no passphrase
        return None, None
