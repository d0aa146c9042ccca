"""A sealed archive opened in one pass: its files are not there before every digest was compared."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from enclave_runtime.sealed.archive import ArchiveReader
from enclave_runtime.sealed.header import CiphertextMismatchError
from enclave_runtime.sealed.ranges import MemorySource
from enclave_runtime.wire.errors import RefusedError
from marketplace.sealing.opening import open_source
from tests.fakes.sealed_bytes import KEY, SALT, bytes_of, sealed_stream


class Watching:
    """A source that notes what is in a folder at every read."""

    def __init__(self, stream: bytes, folder: Path) -> None:
        self._source, self._folder = MemorySource(stream), folder
        self.seen: set[str] = set()
        self.within: set[str] = set()

    def read_at(self, offset: int, buffer: memoryview) -> int:
        self.seen |= set(os.listdir(self._folder))
        self.within |= {path.name for path in self._folder.glob(".part-*/*")}
        return self._source.read_at(offset, buffer)


@pytest.fixture
def archive(tmp_path: Path) -> bytes:
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "first").write_bytes(b"1")
    (tmp_path / "tree" / "sub" / "large").write_bytes(bytes_of(400_000))
    with ArchiveReader(tmp_path / "tree") as reader:
        buffer = memoryview(bytearray(reader.length))
        assert reader.readinto(buffer) == reader.length
    return bytes(buffer)


def test_files_come_when_every_digest_was_compared(archive: bytes, tmp_path: Path) -> None:
    stream, info = sealed_stream(archive)
    folder = tmp_path / "out"
    folder.mkdir()
    source = Watching(stream, folder)
    assert open_source(source, info, KEY, SALT, folder).entries == 3
    assert all(name.startswith(".part-") for name in source.seen), "nothing by its own name"
    assert "first" in source.within, "written while the rest is read"
    assert sorted(os.listdir(folder)) == ["first", "sub"]
    assert (folder / "sub" / "large").read_bytes() == bytes_of(400_000)


@pytest.mark.parametrize("place", [-1, 200_000])
def test_nothing_is_left_where_a_segment_is_wrong(archive: bytes, tmp_path: Path, place: int) -> None:
    stream, info = sealed_stream(archive)
    altered = bytearray(stream)
    altered[place] ^= 1
    with pytest.raises(CiphertextMismatchError):
        open_source(MemorySource(bytes(altered)), info, KEY, SALT, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_is_left_where_the_digest_is_another(archive: bytes, tmp_path: Path) -> None:
    stream, info = sealed_stream(archive)
    with pytest.raises(RefusedError, match=r"sealed\.content"):
        open_source(MemorySource(stream), info, KEY, bytes(31) + b"\x01", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_refuses_a_folder_with_anything_in_it(archive: bytes, tmp_path: Path) -> None:
    stream, info = sealed_stream(archive)
    with pytest.raises(ValueError, match="not empty"):
        open_source(MemorySource(stream), info, KEY, SALT, tmp_path / "tree")
    assert sorted(os.listdir(tmp_path / "tree")) == ["first", "sub"]
