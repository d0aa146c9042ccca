"""The defect: a blob that had rotted in one's own store stayed rotten, and `push` said it was there already.

`LocalStore.push` took any file under the name for the blob, and `author push` any of the right size.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from enclave_runtime.wire.offers import OfferKind
from marketplace.sdk import containers
from marketplace.storage.base import BlobCorruptError
from marketplace.storage.local import LocalStore
from tests.fakes.sealing_home import make_home, make_rows

DATA = bytes(range(256)) * 10_000


@pytest.mark.parametrize(
    "rotten",
    [b"\x01" + DATA[1:], DATA[:-1], DATA + b"x", b""],
    ids=["flipped", "shorter", "longer", "empty"],
)
def test_a_push_replaces_what_has_rotted(tmp_path: Path, rotten: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    store = LocalStore(tmp_path / "store")
    uri = store.push(path)
    (blob,) = (tmp_path / "store" / "sha256").glob("*/*")
    blob.chmod(0o600)
    blob.write_bytes(rotten)
    assert not store.holds(uri, path)
    if rotten:
        with pytest.raises(BlobCorruptError):
            list(store.open(uri))
    assert store.push(path) == uri
    assert b"".join(store.open(uri)) == DATA
    assert store.holds(uri, path)
    assert list((tmp_path / "store" / "incoming").iterdir()) == []


def test_a_push_of_what_is_right_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    store = LocalStore(tmp_path / "store")
    store.push(path)
    (blob,) = (tmp_path / "store" / "sha256").glob("*/*")
    before = blob.stat()
    store.push(path)
    assert (blob.stat().st_ino, blob.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_author_push_replaces_what_has_rotted(tmp_path: Path) -> None:
    session = make_home(tmp_path / "home")
    rows = make_rows(tmp_path / "rows", 300_000)
    made = containers.seal(session, rows, OfferKind.DATASET, tmp_path / "x.sealed")
    first = containers.push(session, made.path)
    assert containers.push(session, made.path).kept
    store = session.store.store_of(first.content_uri)
    assert isinstance(store, LocalStore)
    blob = store._path(first.content_uri.rpartition("/")[2])
    blob.chmod(0o600)
    with open(blob, "r+b") as file:
        file.seek(1000)
        byte = file.read(1)
        file.seek(1000)
        file.write(bytes([byte[0] ^ 1]))
    again = containers.push(session, made.path)
    assert not again.kept
    assert b"".join(store.open(first.content_uri)) == made.path.read_bytes()
    assert containers.push(session, made.path).kept
