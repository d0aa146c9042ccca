"""The defect: a `file:` location that the system refused to read ended the whole transfer.

PermissionError, IsADirectoryError and the like went through as they were; the next location was never asked.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from marketplace.storage import local
from marketplace.storage.base import BlobCorruptError, BlobStore, BlobUnreachableError, StorageError
from marketplace.storage.local import LocalStore
from marketplace.storage.partial import PartialFile
from marketplace.storage.patience import Patience
from marketplace.storage.places import NoLocationError
from marketplace.storage.source import StoreSource
from marketplace.storage.transfer import Transfer, transfer
from tests.fakes.sealed_blob import SealedBlob, sealed_blob

HOW = Patience(tries=2, first_pause_s=0.01)
SEGMENT = 16 << 10


@pytest.fixture(scope="module")
def blob() -> SealedBlob:
    return sealed_blob(8 * SEGMENT, SEGMENT)


class Two:
    """Two stores with the same blob: the first one's URI is told apart by its letters."""

    def __init__(self, folder: Path, blob: SealedBlob) -> None:
        self.bad, self.good = LocalStore(folder / "bad"), LocalStore(folder / "good")
        self.uri = self.bad.put([blob.stream])
        self.good.put([blob.stream])
        (self.file,) = (folder / "bad" / "sha256").glob("*/*")
        self.blob = blob

    def store_of(self, uri: str) -> BlobStore:
        return Named(self.bad) if uri.startswith("bad+") else self.good  # type: ignore[return-value]

    def fetch(self, path: Path, *, alone: bool = False) -> Transfer:
        partial = PartialFile(path, self.blob.info)
        try:
            where = ["bad+" + self.uri, *([] if alone else [self.uri])]
            done = transfer(where, self.store_of, self.blob.info, partial, patience=HOW)
            partial.finish(path.with_suffix(".done"))
        finally:
            partial.close()
        assert path.with_suffix(".done").read_bytes() == self.blob.stream
        return done


class Named:
    """A store whose URIs carry a letter more."""

    def __init__(self, store: LocalStore) -> None:
        self.store = store

    def size(self, uri: str) -> int:
        return self.store.size(uri.removeprefix("bad+"))

    def run(self, uri: str, offset: int, length: int) -> local.FileRun:
        return self.store.run(uri.removeprefix("bad+"), offset, length)


class Faulty(FileIO):
    """A file on a disk that fails once it is read."""

    def readinto(self, buffer: Any) -> int:
        raise OSError(errno.EIO, "Input/output error")

    def read(self, size: int | None = -1) -> bytes:
        raise OSError(errno.EIO, "Input/output error")


def forbid(two: Two, patch: pytest.MonkeyPatch) -> None:
    def opened(path: Path, mode: str, **how: Any) -> FileIO:
        if path == two.file:  # the system lets root read anything, so it is said here
            raise PermissionError(errno.EACCES, "Permission denied")
        return FileIO(path, mode, **how)

    patch.setattr(local, "FileIO", opened)


def into_a_folder(two: Two, patch: pytest.MonkeyPatch) -> None:
    two.file.unlink()
    two.file.mkdir()


def into_no_folder(two: Two, patch: pytest.MonkeyPatch) -> None:
    two.file.unlink()
    two.file.parent.rmdir()
    two.file.parent.write_bytes(b"")


def break_disk(two: Two, patch: pytest.MonkeyPatch) -> None:
    def opened(path: Path, mode: str, **how: Any) -> FileIO:
        return (Faulty if path == two.file else FileIO)(path, mode, **how)

    patch.setattr(local, "FileIO", opened)


FAULTS = [forbid, into_a_folder, into_no_folder, break_disk]


@pytest.mark.parametrize("fault", FAULTS)
def test_the_next_location_is_asked(
    tmp_path: Path,
    blob: SealedBlob,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[Two, pytest.MonkeyPatch], None],
) -> None:
    two = Two(tmp_path, blob)
    fault(two, monkeypatch)
    done = two.fetch(tmp_path / "x")
    ((uri, why),) = done.faults
    assert uri == "bad+" + two.uri
    assert ": got " in why
    assert "expected a blob" in why
    buffer = bytearray(1000)
    source = StoreSource(["bad+" + two.uri, two.uri], two.store_of, len(blob.stream), patience=HOW)
    assert source.read_at(5, memoryview(buffer)) == 1000
    assert buffer == blob.stream[5:1005]


@pytest.mark.parametrize("fault", FAULTS)
def test_one_that_stands_alone_is_named(
    tmp_path: Path,
    blob: SealedBlob,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[Two, pytest.MonkeyPatch], None],
) -> None:
    two = Two(tmp_path, blob)
    fault(two, monkeypatch)
    with pytest.raises(NoLocationError, match="expected a blob") as caught:
        two.fetch(tmp_path / "x", alone=True)
    assert caught.value.hint


def test_the_errors_are_those_of_stores(
    tmp_path: Path, blob: SealedBlob, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = Two(tmp_path, blob)
    break_disk(two, monkeypatch)
    with pytest.raises(BlobUnreachableError, match="got Input/output error, expected") as caught:
        list(two.bad.open(two.uri))
    assert "another location" in caught.value.hint
    into_a_folder(two, monkeypatch)
    monkeypatch.undo()
    with pytest.raises(BlobCorruptError, match="got a folder, expected a blob"):
        two.bad.size(two.uri)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="expected a folder for blobs") as caught:
        LocalStore(tmp_path / "file" / "store")
    assert caught.value.hint


def test_what_cannot_be_swept_refuses_nothing(tmp_path: Path) -> None:
    (tmp_path / "incoming" / "folder").mkdir(parents=True)
    assert LocalStore(tmp_path).put([b"x"])
