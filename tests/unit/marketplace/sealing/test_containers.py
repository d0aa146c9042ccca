"""Sealed files of an owner's own, fetched and sealed again (docs/protocol.md sections 3.3, 3.5 and 5.3)."""

from __future__ import annotations

import os
import random
import secrets
from dataclasses import replace
from pathlib import Path

import pytest

from enclave_runtime.sealed.header import CiphertextMismatchError
from enclave_runtime.sealed.manifest import Manifest, Release
from enclave_runtime.sealed.tree import NO_SALT
from enclave_runtime.wire.errors import RefusedError
from enclave_runtime.wire.offers import OfferKind
from marketplace.errors import BadInputError, NotFoundError
from marketplace.sealing.containers import (
    SealedFile,
    is_sealed,
    load_sealed,
    pack_folder,
    part_of,
    seal_to_file,
)
from marketplace.sealing.disk import DiskError
from marketplace.sealing.folders import SealedContent, digest_archive, digest_folder
from marketplace.sealing.newfile import was_interrupted
from marketplace.sealing.opening import open_to_folder
from marketplace.sealing.resealing import reseal_content
from marketplace.storage.local import LocalStore
from marketplace.storage.source import StoreSource

SEGMENT = 1 << 12
RELEASE = Release(None, b"\x07" * 20)
Kept = dict[bytes, tuple[bytes, bytes]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("content") / "rows"
    path.mkdir()
    (path / "rows.bin").write_bytes(random.Random(5).randbytes(60_000))
    (path / "readme").write_text("rows\n")
    return path


@pytest.fixture
def kept() -> Kept:
    return {}


def sealed(folder: Path, out: Path, kept: Kept, kind: OfferKind = OfferKind.DATASET) -> SealedFile:
    def keep(digest: bytes, key: bytes | bytearray | memoryview, salt: bytes) -> None:
        assert not out.exists()
        kept[digest] = bytes(key), salt

    entry = ("python", "readme") if kind is OfferKind.ENGINE else ()
    return seal_to_file(
        folder,
        kind,
        out,
        keep=keep,
        entropy=secrets.token_bytes,
        release=RELEASE,
        entry_point=entry,
        segment_bytes=SEGMENT,
    )


def test_packed_archive_has_the_folders_digest(folder: Path, tmp_path: Path) -> None:
    made = pack_folder(folder, tmp_path / "rows.tar")
    assert made.digest == digest_folder(folder, OfferKind.ENGINE)
    assert made.digest == digest_archive(tmp_path / "rows.tar", OfferKind.ENGINE)
    assert (made.entries, made.length) == (2, (tmp_path / "rows.tar").stat().st_size)
    assert not is_sealed(tmp_path / "rows.tar")


def test_sealed_file_opens_with_the_key_that_was_kept(folder: Path, tmp_path: Path, kept: Kept) -> None:
    made = sealed(folder, tmp_path / "x", kept)
    assert is_sealed(made.path) and load_sealed(made.path) == made
    key, salt = kept[made.ciphertext_digest]
    store = LocalStore(tmp_path / "blobs")
    uri = store.put([made.path.read_bytes()])
    open_to_folder(store, uri, made.draft.sealed, key, salt, tmp_path / "out")
    assert (tmp_path / "out" / "rows.bin").read_bytes() == (folder / "rows.bin").read_bytes()
    assert salt != NO_SALT and not made.draft.locations
    assert sorted(os.listdir(tmp_path)) == ["blobs", "out", "x", "x.json"]


def test_an_archive_seals_to_the_same_content_as_its_folder(folder: Path, tmp_path: Path, kept: Kept) -> None:
    pack_folder(folder, tmp_path / "rows.tar")
    first = sealed(folder, tmp_path / "x", kept, OfferKind.ENGINE)
    second = sealed(tmp_path / "rows.tar", tmp_path / "y", kept, OfferKind.ENGINE)
    assert first.draft.sealed.content_digest == second.draft.sealed.content_digest
    good = (tmp_path / "rows.tar").read_bytes()
    for bad in (good[:-512], b"x" * 2048, good[:100] + b"7" + good[101:], b""):
        (tmp_path / "bad.tar").write_bytes(bad)
        with pytest.raises(RefusedError, match="archive"):
            sealed(tmp_path / "bad.tar", tmp_path / "z", kept)
        assert not (tmp_path / "z").exists()


def test_a_sealing_that_dies_starts_again_under_another_salt_and_key(
    folder: Path, tmp_path: Path, kept: Kept
) -> None:
    def dies(done: int, total: int) -> None:
        if done > total // 2:
            os._exit(9)

    child = os.fork()
    if not child:
        seal_to_file(
            folder,
            OfferKind.DATASET,
            tmp_path / "x",
            keep=lambda *_: os._exit(1),
            entropy=secrets.token_bytes,
            release=RELEASE,
            segment_bytes=SEGMENT,
            progress=dies,
        )
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    half = part_of(tmp_path / "x").read_bytes()
    assert len(half) > SEGMENT and not (tmp_path / "x").exists() and was_interrupted(tmp_path / "x")
    with pytest.raises(NotFoundError) as caught:
        load_sealed(tmp_path / "x")
    assert "seal again" in caught.value.hint
    made = sealed(folder, tmp_path / "x", kept)
    assert made.path.read_bytes()[: len(half)] != half
    assert made.path.read_bytes()[20:52] != half[20:52]  # the header's salt
    assert sorted(os.listdir(tmp_path)) == ["x", "x.json"]


def test_key_that_cannot_be_kept_leaves_no_sealed_file(folder: Path, tmp_path: Path) -> None:
    def full(*_: object) -> None:
        raise OSError("disk full")

    with pytest.raises(DiskError, match="full"):
        seal_to_file(
            folder, OfferKind.DATASET, tmp_path / "x", keep=full, entropy=secrets.token_bytes, release=RELEASE
        )
    assert not os.listdir(tmp_path)


def test_refuses_to_replace_and_what_does_not_belong_together(
    folder: Path, tmp_path: Path, kept: Kept
) -> None:
    made, other = sealed(folder, tmp_path / "x", kept), sealed(folder, tmp_path / "y", kept)
    for action in (lambda: sealed(folder, made.path, kept), lambda: pack_folder(folder, made.path)):
        with pytest.raises(BadInputError, match="exists"):
            action()
    with pytest.raises(RefusedError, match="content"):
        # The other's manifest: the sizes are the same, the bytes are not.
        (tmp_path / "x.json").write_bytes((tmp_path / "y.json").read_bytes())
        store = LocalStore(tmp_path / "blobs")
        uri = store.put([other.path.read_bytes()])
        key, _ = kept[other.ciphertext_digest]
        open_to_folder(store, uri, load_sealed(made.path).draft.sealed, key, bytes(32), tmp_path / "out")
    other.path.write_bytes(other.path.read_bytes() + b"x")
    with pytest.raises(BadInputError, match="got"):
        load_sealed(other.path)


@pytest.mark.parametrize("kind", [OfferKind.DATASET, OfferKind.ENGINE])
def test_sealed_again_under_a_new_key(kind: OfferKind, folder: Path, tmp_path: Path, kept: Kept) -> None:
    old = sealed(folder, tmp_path / "x", kept, kind)
    key, salt = kept[old.ciphertext_digest]
    store = LocalStore(tmp_path / "blobs")
    uri = store.put([old.path.read_bytes()])
    manifest = old.draft
    listed = replace(manifest, locations=("file:sha256/" + "0" * 64, uri))

    def again(manifest: Manifest, key: bytes, salt: bytes) -> SealedContent:
        source = StoreSource(manifest.locations, lambda _: store, manifest.sealed.ciphertext_bytes)
        return reseal_content(store, source, manifest, key, salt, entropy=secrets.token_bytes)

    new = again(listed, key, salt)
    assert new.content_key != key and new.content_uri != uri
    assert (new.content_digest == manifest.sealed.content_digest) is (kind is OfferKind.ENGINE)
    open_to_folder(store, new.content_uri, new.manifest.sealed, new.content_key, new.salt, tmp_path / "out")
    assert (tmp_path / "out" / "rows.bin").read_bytes() == (folder / "rows.bin").read_bytes()
    with pytest.raises(RefusedError, match=r"sealed\.key"):
        again(listed, secrets.token_bytes(32), salt)
    with pytest.raises(RefusedError, match=r"sealed\.content"):
        again(listed, key, secrets.token_bytes(32))
    bad = bytearray(old.path.read_bytes())
    bad[9000] ^= 1
    altered = replace(manifest, locations=(store.put([bad]),))
    with pytest.raises(CiphertextMismatchError):
        again(altered, key, salt)
