"""Sealing in steps, for what is too large or too dear to do in one: pack, seal, push, inspect, seal again.

Each step leaves files that the next one finds, so a run that was killed goes on (protocol section 3.5).
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from enclave_runtime.sealed.buffers import Octets, Progress
from enclave_runtime.sealed.manifest import Manifest, Release
from enclave_runtime.sealed.tree import SEGMENT_BYTES, Algorithm
from enclave_runtime.wire.canonical import dump, parse_object
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.errors import RefusedError, WireError
from enclave_runtime.wire.offers import OfferKind
from marketplace.errors import BadInputError, MarketError, NotFoundError
from marketplace.sdk.own_secrets import check_holds_no_secret
from marketplace.sealing.containers import Packed, SealedFile, load_sealed, pack_folder, seal_to_file
from marketplace.sealing.disk import DiskError, told
from marketplace.sealing.privatefile import replace_private

if TYPE_CHECKING:
    from marketplace.sdk.author import Asked, Published
    from marketplace.sdk.profile import Session
    from marketplace.sealing.keystore import KeyStore
    from marketplace.storage.base import BlobStore

__all__ = [
    "Pushed",
    "Stages",
    "pack",
    "publish_sealed",
    "push",
    "reseal",
    "seal",
]

_MAX_STATE_BYTES: Final = 64 << 10
_MAKE_ROOM: Final = "make room in the store, and run it again"
_GOES_ON: Final = "make room in the store, and push again: it goes on where this push stopped"

Stages: TypeAlias = Callable[[str], AbstractContextManager[Progress | None]]
"""Asked with a word for each part of a long run, such as "pushing"; gives that part's progress."""


def _unseen(what: str) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Pushed:
    """A sealed file that is in the store, with its manifest.

    Attributes:
        manifest: with the locations that were pushed to.
        manifest_uri: where it lies; `author publish` lists it, and others inspect it.
        kept: whether the ciphertext was in the store already, from an earlier push.
    """

    manifest: Manifest
    manifest_uri: str
    content_uri: str
    kept: bool


def pack(
    folder: Path, out: Path, *, algorithm: Algorithm = Algorithm.BLAKE3, progress: Progress | None = None
) -> Packed:
    """Write the archive that sealing `folder` would seal; see `sealing.containers.pack_folder`."""
    return pack_folder(folder, out, algorithm=algorithm, progress=progress)


def seal(
    session: Session,
    folder: Path,
    kind: OfferKind,
    out: Path,
    *,
    entry_point: Sequence[str] = (),
    algorithm: Algorithm | None = None,
    segment_bytes: int = SEGMENT_BYTES,
    progress: Progress | None = None,
) -> SealedFile:
    """Seal a folder, or its archive, into the file `out`; its key goes into this profile's keystore.

    Args:
        algorithm: hash of the segments; None takes the profile's.
    Raises:
        RefusedError: steps `archive.*`: the folder has something that no archive takes.
        BadInputError, WireError: terms that no manifest has, `out` exists, or one's own keys inside.
        DiskError: something cannot be read or written; nothing is left of `out`.
    """
    check_holds_no_secret(session.profile, folder)
    owner = session.profile.owner
    return seal_to_file(
        folder,
        kind,
        out,
        keep=keeper(session.keystore()),
        entropy=os.urandom,
        release=Release(owner.release_url, session.grant_address()),
        entry_point=entry_point,
        algorithm=owner.algorithm if algorithm is None else algorithm,
        segment_bytes=segment_bytes,
        progress=progress,
    )


def keeper(keystore: KeyStore) -> Callable[[bytes, Octets, bytes], None]:
    """Return what puts the secrets of a sealed stream into a keystore."""

    def keep(ciphertext_digest: bytes, content_key: Octets, salt: bytes) -> None:
        keystore.keep_sealed(ciphertext_digest, bytes(content_key), salt)

    return keep


def push(
    session: Session,
    path: Path,
    *,
    to: Sequence[str] = (),
    also: Sequence[str] = (),
    verify: bool = False,
    stages: Stages = _unseen,
) -> Pushed:
    """Store a sealed file and its manifest; what an earlier push brought there is not sent again.

    Before anything is sent the whole file is read and compared with its manifest.

    Args:
        to: schemes of stores, such as `s3` and `ipfs`; the manifest names each, and lies in the first. By
            default where the profile puts new blobs.
        also: locations where the file lies already, such as a web server's; named after the others.
        verify: what the stores have is read back, and put again where it is wrong.
        stages: asked for "checking" and "pushing".
    Raises:
        NotFoundError: no sealed file there, or its key is not in this keystore.
        BadInputError: the file was changed or cut short, a scheme that cannot be written, or another size at
            a location in `also`; no manifest was stored.
        StorageError, DiskError: storing failed; push again.
    """
    sealed = load_sealed(path)
    keystore = session.keystore(create=False)
    try:
        secret = keystore.sealed_secret(sealed.ciphertext_digest)
    except NotFoundError as error:
        raise NotFoundError(
            f"sealed file {path}: its key is not in this keystore",
            hint="push it with the profile that sealed it",
        ) from error
    homes = [_home(session, scheme) for scheme in to or (session.store.scheme,)]
    _check_sizes(session, also, sealed.draft.sealed.ciphertext_bytes)
    uris, kept = _bring(sealed, homes, stages, verify=verify)
    manifest = dataclasses.replace(sealed.draft, locations=(*uris, *also))
    # Before anybody can find the manifest: content whose key was lost could never be served.
    keystore.put(manifest.digest(), secret.content_key, secret.salt)
    with told("store the manifest of", path):
        manifest_uri = homes[0].put([manifest.to_bytes()])
    return Pushed(manifest, manifest_uri, uris[0], kept)


def _bring(
    sealed: SealedFile, homes: Sequence[BlobStore], stages: Stages, *, verify: bool
) -> tuple[list[str], bool]:
    """Return where a sealed file lies in each store, sent where it was not, and whether it was in all."""
    path = sealed.path
    with _state(path, sealed) as state:
        known = [state.get(f"content/{home.scheme}", "") for home in homes]
        lacking = [
            home
            for home, uri in zip(homes, known, strict=True)
            if not _is_stored(home, uri, path, stages, verify=verify)
        ]
        if lacking:
            seen = _marks(path)
            with stages("checking") as draw:
                _check_bytes(sealed, draw)
            for home in lacking:
                with stages("pushing") as draw, told("store", path, todo=_GOES_ON):
                    uri = home.push(path, verify=verify, progress=draw)
                if _marks(path) != seen:
                    raise _changed(path, "another time of change than before it was read")
                state[f"content/{home.scheme}"] = uri
        return [state[f"content/{home.scheme}"] for home in homes], not lacking


def _check_bytes(sealed: SealedFile, progress: Progress | None) -> None:
    """Refuse a file whose bytes are not those of its manifest.

    Raises:
        BadInputError: as said.
    """
    from marketplace.sdk.streams import file_digest

    try:
        with told("read", sealed.path):
            got = file_digest(sealed.path, progress=progress)
    except RefusedError as refusal:
        raise _changed(sealed.path, f"ciphertext digest {refusal.got}", refusal.expected) from None
    if got != sealed.ciphertext_digest:
        raise _changed(sealed.path, f"ciphertext digest {hex_of(got)}", hex_of(sealed.ciphertext_digest))


def _marks(path: Path) -> tuple[int, ...]:
    """Return what the system changes whenever somebody writes into a file, or puts another in its place."""
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _changed(path: Path, got: str, expected: str = "a file that nobody writes") -> BadInputError:
    return BadInputError(
        f"sealed file {path}", got, expected, hint="it was altered: seal again, or take a whole copy"
    )


def _home(session: Session, scheme: str) -> BlobStore:
    from marketplace.storage.registry import WRITABLE

    if scheme not in WRITABLE:
        raise BadInputError("--to", repr(scheme), f"one of {', '.join(WRITABLE)}")
    return session.store.store_of(f"{scheme}:new")


def _check_sizes(session: Session, locations: Sequence[str], expected: int) -> None:
    for uri in locations:
        size = session.store.size(uri)
        if size != expected:
            raise BadInputError(
                f"location {uri}", f"{size} bytes", f"the {expected} bytes of the sealed file"
            )


def publish_sealed(session: Session, path: Path, asked: Asked, *, stages: Stages = _unseen) -> Published:
    """Push a sealed file and list the offer; errors as `push` and `author.publish`."""
    from marketplace.sdk.author import list_content

    pushed = push(session, path, stages=stages)
    return list_content(session, pushed.manifest, (pushed.manifest_uri, pushed.content_uri), asked)


def reseal(
    session: Session, offer: int, *, algorithm: Algorithm | None = None, progress: Progress | None = None
) -> tuple[Published, bytes]:
    """Encrypt an offer's content again, under a new key, as its next version; mark the old one.

    The old version stays for sale, and its key in the keystore for orders that run, until it is closed.

    Args:
        algorithm: hash of the segments; None keeps the old one's.

    Returns:
        What was listed, and the manifest digest of what it takes the place of.
    Raises:
        NotFoundError: no such offer, or its key is not in this keystore.
        BadInputError: it was replaced already, or is compute.
        CiphertextMismatchError, StorageError: no location has the old ciphertext.
        DiskError: the store has no room.
        ContractRefusal: not this wallet's offer.
    """
    from marketplace.sdk.author import list_terms
    from marketplace.sdk.market import manifest_of
    from marketplace.sealing.resealing import reseal_content
    from marketplace.storage.source import StoreSource

    listed = session.reader.get_offer(offer)
    if listed.kind is OfferKind.COMPUTE:
        raise BadInputError(f"offer {offer}", "a compute offer", "an engine, a model or a dataset")
    old, keystore = manifest_of(session, listed), session.keystore(create=False)
    if by := keystore.replaced_by(old.digest()):
        raise BadInputError(f"offer {offer}", f"content that 0x{by.hex()} replaced", "content in use")
    secret = keystore.get(old.digest())
    # The store's words about no location are for readers; here its owner reads them.
    with _owner_told(offer), told("seal again: store", f"offer {offer}", todo=_MAKE_ROOM):
        made = reseal_content(
            session.store,
            StoreSource(
                old.locations,
                session.store.store_of,
                old.sealed.ciphertext_bytes,
                patience=session.store.config.patience,
            ),
            old,
            secret.content_key,
            secret.salt,
            entropy=os.urandom,
            algorithm=algorithm,
            progress=progress,
        )
    keystore.put(made.manifest_digest, made.content_key, made.salt)
    terms = dataclasses.replace(
        listed.terms, manifest_digest=made.manifest_digest, content_digest=made.content_digest
    )
    published = list_terms(session, terms, made.manifest_uri, made.content_uri, replaces=offer)
    keystore.mark_replaced(old.digest(), made.manifest_digest)
    return published, old.digest()


@contextmanager
def _owner_told(offer: int) -> Iterator[None]:
    from marketplace.storage.places import NoLocationError

    try:
        yield
    except NoLocationError as error:
        error.hint = f"seal it from its folder: `cloister author publish FOLDER --replaces {offer}`"
        raise


def _is_stored(home: BlobStore, uri: str, path: Path, stages: Stages, *, verify: bool) -> bool:
    """Whether an earlier push stored the file there, and it is still what it was.

    Raises:
        BlobUnreachableError: the store does not answer, which it would not when sent to either.
    """
    from marketplace.storage.base import BlobUnreachableError

    if not uri:
        return False
    try:
        with stages("comparing") as draw, told("read", path):
            return home.holds(uri, path, verify=verify, progress=draw)
    except BlobUnreachableError:
        raise
    except MarketError:
        return False


@contextmanager
def _state(path: Path, sealed: SealedFile) -> Iterator[dict[str, str]]:
    """Give what earlier pushes of this file came to; what is put into it is kept, whatever happens then."""
    place = path.with_name(path.name + ".push.json")
    mine = {"ciphertext": hex_of(sealed.ciphertext_digest)}
    try:
        found = parse_object(place.read_bytes(), limit=_MAX_STATE_BYTES)
    except (FileNotFoundError, WireError):
        found = {}
    state = {name: str(value) for name, value in found.items()}
    if state.get("ciphertext") != mine["ciphertext"]:  # of another sealing under the same name
        state = mine
    try:
        yield state
    finally:
        with suppress(DiskError):  # without it another push sends again what it need not: no reason to fail
            replace_private(place, dump(state))
