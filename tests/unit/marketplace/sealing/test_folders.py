"""From a folder to published ciphertext and back (docs/protocol.md sections 3.1 to 3.5)."""

from __future__ import annotations

import itertools
import random
import secrets
from pathlib import Path

import pytest

from enclave_runtime.sealed.header import HEADER_BYTES, CiphertextMismatchError
from enclave_runtime.sealed.manifest import MAX_MANIFEST_BYTES, Manifest
from enclave_runtime.sealed.sink import MemorySink
from enclave_runtime.sealed.tree import NO_SALT, Algorithm
from enclave_runtime.sealed.unpack import Quota
from enclave_runtime.wire.errors import RefusedError, WireError
from enclave_runtime.wire.offers import OfferKind
from marketplace.errors import BadInputError
from marketplace.sealing.folders import SealedContent, digest_folder, seal_folder
from marketplace.sealing.opening import open_blob, open_to_folder
from marketplace.storage.base import BlobCorruptError, BlobNotFoundError, read_blob
from marketplace.storage.local import LocalStore

GRANT_KEY = b"\x07" * 20
URL = "http://127.0.0.1:8443"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "engine"
    (root / "data").mkdir(parents=True)
    (root / "train.py").write_text("print('trained')\n")
    (root / "data" / "rows.bin").write_bytes(random.Random(1).randbytes(50_000))
    return root


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "blobs")


def seal_engine(folder: Path, store: LocalStore, segment_bytes: int = 1 << 20) -> SealedContent:
    return seal_folder(
        folder,
        OfferKind.ENGINE,
        store,
        entropy=secrets.token_bytes,
        release_url=URL,
        grant_key=GRANT_KEY,
        entry_point=("python", "train.py"),
        segment_bytes=segment_bytes,
    )


def seal_dataset(folder: Path, store: LocalStore, segment_bytes: int = 1 << 12) -> SealedContent:
    return seal_folder(
        folder,
        OfferKind.DATASET,
        store,
        entropy=secrets.token_bytes,
        release_url=None,
        grant_key=GRANT_KEY,
        segment_bytes=segment_bytes,
    )


def test_engine_round_trip_through_a_store(folder: Path, store: LocalStore, tmp_path: Path) -> None:
    sealed = seal_engine(folder, store)
    manifest = Manifest.from_bytes(read_blob(store, sealed.manifest_uri, limit=MAX_MANIFEST_BYTES))
    assert manifest == sealed.manifest
    assert manifest.digest() == sealed.manifest_digest
    assert manifest.locations == (sealed.content_uri,)
    assert manifest.sealed.ciphertext_bytes == store.size(sealed.content_uri)
    result = open_to_folder(
        store, sealed.content_uri, manifest.sealed, sealed.content_key, sealed.salt, tmp_path / "out"
    )
    assert result.entries == 3
    assert (tmp_path / "out" / "data" / "rows.bin").read_bytes() == (
        folder / "data" / "rows.bin"
    ).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blobs", "engine", "out"]


def test_engine_digest_is_bare_and_equals_the_source_that_others_read(
    folder: Path, store: LocalStore
) -> None:
    first, second = seal_engine(folder, store), seal_engine(folder, store)
    assert first.salt == NO_SALT
    assert first.content_digest == second.content_digest == digest_folder(folder, OfferKind.ENGINE)
    assert first.content_key != second.content_key
    assert first.content_uri != second.content_uri
    (folder / "train.py").write_text("print('trainee')\n")
    assert digest_folder(folder, OfferKind.ENGINE) != first.content_digest


def test_dataset_digest_hides_its_content(folder: Path, store: LocalStore) -> None:
    first, second = seal_dataset(folder, store), seal_dataset(folder, store)
    assert first.content_digest != second.content_digest
    again = digest_folder(folder, OfferKind.DATASET, first.salt, segment_bytes=1 << 12)
    assert again == first.content_digest
    for kind, salt in (
        (OfferKind.DATASET, NO_SALT),
        (OfferKind.MODEL, b"short"),
        (OfferKind.ENGINE, first.salt),
    ):
        with pytest.raises(BadInputError, match="salt"):
            digest_folder(folder, kind, salt)


def test_fips_profile(folder: Path, store: LocalStore) -> None:
    sealed = seal_folder(
        folder,
        OfferKind.MODEL,
        store,
        entropy=secrets.token_bytes,
        release_url=URL,
        grant_key=GRANT_KEY,
        algorithm=Algorithm.SHA256,
    )
    sink = MemorySink(sealed.manifest.sealed.plaintext_bytes)
    open_blob(store, sealed.content_uri, sealed.manifest.sealed, sealed.content_key, sealed.salt, sink)
    assert sealed.content_digest == digest_folder(
        folder, OfferKind.MODEL, sealed.salt, algorithm=Algorithm.SHA256
    )


def test_secrets_are_not_printed(folder: Path, store: LocalStore) -> None:
    sealed = seal_dataset(folder, store)
    for secret in (sealed.content_key, sealed.salt):
        assert repr(secret) not in repr(sealed)
        assert secret.hex() not in repr(sealed)
        assert secret not in b"".join(store.open(sealed.content_uri))
        assert secret.hex().encode() not in b"".join(store.open(sealed.manifest_uri))


def test_progress_rises_to_the_end(folder: Path, store: LocalStore, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    seal_folder(
        folder,
        OfferKind.DATASET,
        store,
        entropy=secrets.token_bytes,
        release_url=None,
        grant_key=GRANT_KEY,
        segment_bytes=1 << 12,
        progress=lambda *done: seen.append(done),
    )
    assert all(before < after for before, after in itertools.pairwise(seen))
    assert seen[-1][0] == seen[-1][1]
    seen.clear()
    digest_folder(folder, OfferKind.ENGINE, progress=lambda *done: seen.append(done))
    assert seen[-1][0] == seen[-1][1]


@pytest.mark.parametrize(
    ("kind", "entry_point", "error"),
    [
        (OfferKind.ENGINE, (), WireError),
        (OfferKind.ENGINE, ("python", "missing.py"), BadInputError),
        (OfferKind.ENGINE, ("missing",), BadInputError),
        (OfferKind.ENGINE, ("../train.py",), WireError),
        (OfferKind.DATASET, ("python", "train.py"), WireError),
        (OfferKind.COMPUTE, (), WireError),
    ],
)
def test_refuses_before_anything_is_stored(
    kind: OfferKind, entry_point: tuple[str, ...], error: type[Exception], folder: Path, tmp_path: Path
) -> None:
    store = LocalStore(tmp_path / "empty")
    with pytest.raises(error):
        seal_folder(
            folder,
            kind,
            store,
            entropy=secrets.token_bytes,
            release_url=URL,
            grant_key=GRANT_KEY,
            entry_point=entry_point,
        )
    assert not [path for path in (tmp_path / "empty").rglob("*") if path.is_file()]


def test_refused_folder_publishes_nothing(folder: Path, tmp_path: Path) -> None:
    (folder / "leaving").symlink_to("/etc/passwd")
    store = LocalStore(tmp_path / "empty")
    with pytest.raises(RefusedError, match="leaving"):
        seal_engine(folder, store)
    assert not [path for path in (tmp_path / "empty").rglob("*") if path.is_file()]


@pytest.mark.parametrize("attack", ["flip", "cut", "swap", "splice"])
def test_altered_blob_is_the_stores_fault_and_leaves_nothing(
    attack: str, folder: Path, store: LocalStore, tmp_path: Path
) -> None:
    sealed, other = seal_dataset(folder, store), seal_dataset(folder, store)
    info = sealed.manifest.sealed
    good = b"".join(store.open(sealed.content_uri))
    bad = bytearray(good)
    at, size = HEADER_BYTES, (1 << 12) + 16
    if attack == "flip":
        bad[at + 100] ^= 1
    elif attack == "cut":
        del bad[-1:]
    elif attack == "swap":
        bad[at : at + size], bad[at + size : at + 2 * size] = (
            bad[at + size : at + 2 * size],
            bad[at : at + size],
        )
    else:
        spliced = b"".join(store.open(other.content_uri))
        bad[at : at + size] = spliced[at : at + size]
    uri = store.put([bad])
    for sink_folder in ("one", "two"):
        with pytest.raises(CiphertextMismatchError):
            open_to_folder(store, uri, info, sealed.content_key, sealed.salt, tmp_path / sink_folder)
        assert not (tmp_path / sink_folder).exists()
    open_to_folder(store, sealed.content_uri, info, sealed.content_key, sealed.salt, tmp_path / "one")


def test_opening_with_other_secrets_is_refused(folder: Path, store: LocalStore, tmp_path: Path) -> None:
    sealed, other = seal_dataset(folder, store), seal_dataset(folder, store)
    info = sealed.manifest.sealed
    for key, salt, step in (
        (other.content_key, sealed.salt, "sealed.key"),
        (sealed.content_key, other.salt, "sealed.content"),
    ):
        with pytest.raises(RefusedError) as caught:
            open_to_folder(store, sealed.content_uri, info, key, salt, tmp_path / "out")
        assert caught.value.step == step
        assert not (tmp_path / "out").exists()
    with pytest.raises(RefusedError) as caught:
        quota = Quota(content_bytes=100)
        open_to_folder(
            store, sealed.content_uri, info, sealed.content_key, sealed.salt, tmp_path / "out", quota=quota
        )
    assert caught.value.step == "archive.quota"
    assert not (tmp_path / "out").exists()


def test_missing_and_rotten_blobs(folder: Path, store: LocalStore, tmp_path: Path) -> None:
    sealed = seal_engine(folder, store)
    info = sealed.manifest.sealed
    with pytest.raises(BlobNotFoundError):
        open_to_folder(
            store, "file:sha256/" + "0" * 64, info, sealed.content_key, sealed.salt, tmp_path / "out"
        )
    path = store._path(sealed.content_uri.rpartition("/")[2])
    path.chmod(0o600)
    rotten = bytearray(path.read_bytes())
    rotten[1000] ^= 1
    path.write_bytes(rotten)
    with pytest.raises((CiphertextMismatchError, BlobCorruptError)):
        open_to_folder(store, sealed.content_uri, info, sealed.content_key, sealed.salt, tmp_path / "out")
    assert not (tmp_path / "out").exists()
