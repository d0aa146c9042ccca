"""Engines as images: one form, the archive's digest, nobody's structures to the kernel (protocol 3.1)."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enclave_runtime.sealed.archive import ArchiveReader
from enclave_runtime.sealed.buffers import Readable
from enclave_runtime.sealed.erofs import BLOCK_BYTES, ROOT_OFFSET, plan
from enclave_runtime.sealed.image import Image, ImageReader, check_image
from enclave_runtime.sealed.mount import MountError, can_mount, mount_image, unmount, write_image
from enclave_runtime.sealed.ranges import MemorySource
from enclave_runtime.sealed.tarformat import Entry, Kind
from enclave_runtime.sealed.unpack import Quota, unpack
from enclave_runtime.wire.errors import RefusedError, WireError
from tests.fakes.sealed_bytes import bytes_of

ENOUGH = Quota(1 << 24)


def drained(reader: Readable, piece: int = 1 << 16) -> bytes:
    out = io.BytesIO()
    buffer = memoryview(bytearray(piece))
    while got := reader.readinto(buffer):
        out.write(buffer[:got])
    return out.getvalue()


def image_of(folder: Path, piece: int = 1 << 16) -> bytes:
    with ImageReader(folder) as reader:
        data = drained(reader, piece)
        assert len(data) == reader.length
    return data


def archive_of(folder: Path) -> bytes:
    with ArchiveReader(folder) as reader:
        return drained(reader)


def checked(data: bytes, quota: Quota = ENOUGH) -> Image:
    return check_image(MemorySource(data), quota)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "many").mkdir()
    for number in range(300):
        (root / "many" / f"{number:03}-{'n' * 40}").write_bytes(b"" if number % 3 else bytes([number % 256]))
    (root / "sub" / "data.bin").write_bytes(bytes_of(3 * BLOCK_BYTES + 5))
    (root / "!first").write_bytes(b"x" * BLOCK_BYTES)
    (root / "run.py").write_text("print(1)\n")
    (root / "run.py").chmod(0o755)
    (root / "\u00e9").write_bytes(b"")
    (root / "sub" / "up").symlink_to("../run.py")
    (root / "sub" / "long").symlink_to("deep/" + "l" * 200)
    return root


GOLDEN = "ea959a8f790c7a09cd8feb9b02f7a3002c28f9a3f9ea78c9372cd3894a2f9bdc"


def test_golden_image(tree: Path) -> None:
    """Fixed for ever, whatever the machine, umask and clock: content digests are made over it."""
    assert hashlib.sha256(image_of(tree)).hexdigest() == GOLDEN
    assert image_of(tree, 7) == image_of(tree)
    with ImageReader(tree) as reader:
        assert reader.entries == 310


def test_is_the_archive_in_another_form(tree: Path, tmp_path: Path) -> None:
    image = checked(image_of(tree))
    archive = drained(image.archive())
    assert archive == archive_of(tree)
    assert image.archive_length() == len(archive)
    (tmp_path / "out").mkdir()
    descriptor = os.open(tmp_path / "out", os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert unpack(image.archive(), descriptor, ENOUGH).entries == len(image.entries)
    finally:
        os.close(descriptor)
    assert image_of(tmp_path / "out") == image_of(tree)


@pytest.fixture
def mounted(tree: Path, tmp_path: Path) -> Iterator[Path]:
    if not can_mount():
        pytest.skip("this process may not mount EROFS images: unpacking is what is left")
    with ImageReader(tree) as reader:
        write_image(reader, tmp_path / "image")
    folder = tmp_path / "mounted"
    folder.mkdir()
    mount_image(tmp_path / "image", folder)
    yield folder
    unmount(folder)


def test_kernel_reads_the_same_tree(mounted: Path, tree: Path) -> None:
    assert archive_of(mounted) == archive_of(tree)
    assert (mounted / "run.py").stat().st_mode & 0o7777 == 0o755
    assert (mounted / "sub").stat().st_nlink == 3
    assert (mounted / "sub" / "data.bin").stat().st_mtime == 0
    with pytest.raises(OSError, match="Read-only"):
        (mounted / "new").touch()


def test_mount_that_fails_says_so(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "image").write_bytes(bytes(8192))
    with pytest.raises(MountError):
        mount_image(tmp_path / "image", tmp_path / "folder")
    with pytest.raises(MountError):
        unmount(tmp_path / "folder")


def test_empty_folder_and_one_that_changes(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    assert checked(image_of(tmp_path / "in")).entries == ()
    (tmp_path / "in" / "a").write_bytes(b"12")
    for change in (b"123", None):
        with ImageReader(tmp_path / "in") as reader:
            if change is None:
                (tmp_path / "in" / "a").unlink()
            else:
                (tmp_path / "in" / "a").write_bytes(change)
            with pytest.raises(RefusedError, match=r"archive\.changed"):
                drained(reader)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    root = tmp_path_factory.mktemp("small")
    (root / "d").mkdir()
    (root / "d" / "f").write_bytes(b"content")
    (root / "l").symlink_to("d/f")
    return image_of(root)


def test_every_byte_counts(small: bytes) -> None:
    """A flipped byte is refused, or is part of a name, a target or a file: other entries, or content."""
    content = small.index(b"content")
    entries = checked(small).entries
    taken = 0
    for position in range(0, len(small), 11):
        bad = bytearray(small)
        bad[position] ^= 1 << (position % 8)
        try:
            other = checked(bytes(bad)).entries
        except RefusedError as refusal:
            assert refusal.step.startswith("archive.")
            continue
        taken += 1
        assert other != entries or content <= position < content + 7, position
    assert taken < 10


def test_every_truncation_of_it(small: bytes) -> None:
    for length in (*range(0, len(small), 61), len(small) - 1):
        with pytest.raises(RefusedError):
            checked(small[:length])
    with pytest.raises(RefusedError):
        checked(small + bytes(BLOCK_BYTES))


def planned(entries: list[Entry]) -> bytes:
    made = plan(entries)
    return made.metadata.ljust(made.length, b"\x00")


FILE, FOLDER, LINK = Kind.FILE, Kind.DIRECTORY, Kind.SYMLINK


@pytest.mark.parametrize(
    ("entries", "step"),
    [
        ([Entry("a", FILE), Entry("a", FILE)], "archive.image"),
        ([Entry("e\u0301", FILE)], "archive.name"),
        ([Entry("a\u202eb", FILE)], "archive.name"),
        ([Entry("a", LINK, target="../x")], "archive.link"),
        ([Entry("a", LINK, target="/etc")], "archive.link"),
        ([Entry("a", LINK, target="x" * 2000)], "archive.image"),
        ([Entry("a", FILE, 1 << 25)], "archive.quota"),
        ([Entry(f"{number:04}", FILE) for number in range(101)], "archive.quota"),
    ],
)
def test_refuses_what_an_archive_must_not_have(entries: list[Entry], step: str) -> None:
    with pytest.raises(RefusedError) as caught:
        checked(planned(entries), Quota(1 << 20, 100))
    assert caught.value.step == step


def test_folder_that_contains_itself_ends() -> None:
    """Inodes come in order, once each, so no circle can be walked."""
    data = bytearray(planned([Entry("d", FOLDER), Entry("d/e", FOLDER)]))
    for number in (1, 2):
        inode = ROOT_OFFSET + 64 * number
        data[inode + 16 : inode + 20] = data[ROOT_OFFSET + 16 : ROOT_OFFSET + 20]
    with pytest.raises(RefusedError, match="got inode"):
        checked(bytes(data))


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 1 << 15), st.binary(min_size=1, max_size=40)), min_size=1))
def test_other_structures_are_refused_or_the_same(small: bytes, changes: list[tuple[int, bytes]]) -> None:
    bad = bytearray(small)
    for at, data in changes:
        at %= len(bad)
        bad[at : at + len(data)] = data[: len(bad) - at]
    try:
        image = checked(bytes(bad))
    except RefusedError:
        return
    assert plan(image.entries).metadata == bad[: len(plan(image.entries).metadata)]


def test_format_has_its_own_limit() -> None:
    with pytest.raises(WireError, match="blocks"):
        plan([Entry("a", FILE, 1 << 45)])
