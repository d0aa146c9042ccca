"""Archives made file systems where they lie: nobody's structures reach the kernel (protocol 3.1)."""

from __future__ import annotations

import ctypes
import hashlib
import io
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enclave_runtime.sealed.archive import ArchiveReader
from enclave_runtime.sealed.buffers import Readable
from enclave_runtime.sealed.erofs import HEAD_BYTES, structures
from enclave_runtime.sealed.image import make_image
from enclave_runtime.sealed.mount import MountError, can_mount, mount_image, unmount
from enclave_runtime.sealed.tarformat import BLOCK_BYTES, Entry, Kind, encode
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


def archive_of(folder: Path) -> bytes:
    with ArchiveReader(folder) as reader:
        return drained(reader)


def image_of(archive: bytes, path: Path, quota: Quota = ENOUGH) -> int:
    with path.open("wb+", buffering=0) as file:
        file.seek(HEAD_BYTES)
        file.write(archive)
        return make_image(file.fileno(), len(archive), quota)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "many").mkdir()
    for number in range(300):
        (root / "many" / f"{number:03}-{'n' * 40}").write_bytes(b"" if number % 3 else bytes([number % 256]))
    (root / "sub" / "data.bin").write_bytes(bytes_of(3 * 4096 + 5))
    (root / "sub" / ("w" * 255)).write_bytes(b"the widest name")
    (root / "!first").write_bytes(b"x" * BLOCK_BYTES)
    (root / "run.py").write_text("print(1)\n")
    (root / "run.py").chmod(0o755)
    (root / "\u00e9").write_bytes(b"")
    (root / "sub" / "up").symlink_to("../run.py")
    (root / "sub" / "long").symlink_to("deep/" + "l" * 200)
    (root / "sub" / "longest").symlink_to("/".join(["l" * 100] * 9))
    return root


GOLDEN = "63eb47b53cff4883e4a91ecb8901a306868a7078124f82180885c89d15210a55"


def test_golden_image(tree: Path, tmp_path: Path) -> None:
    """The same structures on every machine: only these reach a kernel."""
    archive = archive_of(tree)
    assert image_of(archive, tmp_path / "image") == 312
    image = (tmp_path / "image").read_bytes()
    assert hashlib.sha256(image).hexdigest() == GOLDEN
    assert image[HEAD_BYTES : HEAD_BYTES + len(archive)] == archive
    assert len(image) % HEAD_BYTES == 0


def test_what_stood_behind_the_archive_is_gone(tree: Path, tmp_path: Path) -> None:
    archive = archive_of(tree)
    image_of(archive, tmp_path / "image")
    with (tmp_path / "image").open("rb+", buffering=0) as file:
        first = file.read()
        file.write(b"junk" * 5000)
        make_image(file.fileno(), len(archive), ENOUGH)
    assert (tmp_path / "image").read_bytes() == first


@pytest.fixture
def mounted(tree: Path, tmp_path: Path) -> Iterator[Path]:
    if not can_mount(tmp_path):
        pytest.skip("this process may not mount EROFS images: unpacking is what is left")
    image_of(archive_of(tree), tmp_path / "image")
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
    assert all(path.lstat().st_ino for path in (mounted, *mounted.rglob("*")))
    with pytest.raises(OSError, match="Read-only"):
        (mounted / "new").touch()


def test_mapped_file_ends_in_zeros(mounted: Path) -> None:
    """Headers of the next entry follow in the archive's file, and must not show in the last page."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    expected = {f"many/003-{'n' * 40}": b"\x03", "sub/data.bin": bytes_of(3 * 4096 + 5)}
    for name, content in expected.items():
        pages = -(-len(content) // mmap.PAGESIZE) * mmap.PAGESIZE
        with (mounted / name).open("rb") as file:
            at = libc.mmap(None, ctypes.c_size_t(pages), mmap.PROT_READ, mmap.MAP_PRIVATE, file.fileno(), 0)
        try:
            assert ctypes.string_at(at, pages) == content.ljust(pages, b"\x00")
        finally:
            libc.munmap(ctypes.c_void_p(at), ctypes.c_size_t(pages))


def test_mount_in_use_is_said_and_goes_with_its_last_user(tree: Path, tmp_path: Path) -> None:
    if not can_mount(tmp_path):
        pytest.skip("this process may not mount EROFS images")
    image_of(archive_of(tree), tmp_path / "image")
    folder = tmp_path / "mounted"
    folder.mkdir()
    mount_image(tmp_path / "image", folder)
    with (folder / "run.py").open() as file:
        with pytest.raises(MountError, match="busy"):
            unmount(folder)
        assert not any(folder.iterdir())
        assert file.read() == "print(1)\n"


def test_kernel_finds_what_lies_behind_four_gibibytes(tmp_path: Path) -> None:
    if not can_mount(tmp_path):
        pytest.skip("this process may not mount EROFS images")
    image, folder, size = tmp_path / "image", tmp_path / "mounted", (5 << 30) + 3
    with image.open("wb+", buffering=0) as file:
        file.seek(HEAD_BYTES)
        file.write(encode(Entry("large", Kind.FILE, size)))
        file.seek(size - 4, os.SEEK_CUR)  # a hole
        file.write(b"tail" + bytes(-size % BLOCK_BYTES))
        file.write(encode(Entry("small", Kind.FILE, 5)) + b"small".ljust(BLOCK_BYTES, b"\x00") + bytes(1024))
        length = file.tell() - HEAD_BYTES
        assert make_image(file.fileno(), length, Quota(length)) == 2
    folder.mkdir()
    mount_image(image, folder)
    try:
        with (folder / "large").open("rb") as large:
            large.seek(-6, os.SEEK_END)
            assert large.read() == b"\x00\x00tail"
        assert (folder / "small").read_bytes() == b"small"
    finally:
        unmount(folder)


def test_mount_that_fails_says_so(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "image").write_bytes(bytes(8192))
    with pytest.raises(MountError):
        mount_image(tmp_path / "image", tmp_path / "folder")
    with pytest.raises(MountError):
        unmount(tmp_path / "folder")


def test_empty_archive(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    assert image_of(archive_of(tmp_path / "in"), tmp_path / "image") == 0


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    root = tmp_path_factory.mktemp("small")
    (root / "d").mkdir()
    (root / "d" / "f").write_bytes(b"content")
    (root / "l").symlink_to("d/f")
    return archive_of(root)


def refusal_of(archive: bytes, tmp_path: Path, *, unpacked: bool) -> tuple[str, str] | None:
    """Return step and words with which an archive is refused, or None."""
    try:
        if not unpacked:
            image_of(archive, tmp_path / "image")
            return None
        (tmp_path / "out").mkdir()
        descriptor = os.open(tmp_path / "out", os.O_RDONLY | os.O_DIRECTORY)
        try:
            unpack(io.BytesIO(archive), descriptor, ENOUGH)
        finally:
            os.close(descriptor)
    except RefusedError as refusal:
        return refusal.step, refusal.expected
    return None


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, 1 << 15), st.binary(min_size=1, max_size=40)), max_size=3),
    cut=st.integers(0, 1024),
)
def test_refuses_what_unpacking_refuses(
    small: bytes, changes: list[tuple[int, bytes]], cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bad = bytearray(small)
    for at, data in changes:
        at %= len(bad)
        bad[at : at + len(data)] = data[: len(bad) - at]
    del bad[len(bad) - cut :]
    place = tmp_path_factory.mktemp("bad")
    by_image = refusal_of(bytes(bad), place, unpacked=False)
    assert by_image == refusal_of(bytes(bad), place, unpacked=True)
    assert by_image is not None or not cut


FILE, FOLDER, LINK = Kind.FILE, Kind.DIRECTORY, Kind.SYMLINK


def hand_made(*entries: Entry) -> bytes:
    return b"".join(encode(one) + bytes(one.size + -one.size % BLOCK_BYTES) for one in entries) + bytes(1024)


@pytest.mark.parametrize(
    ("entries", "step"),
    [
        ([Entry("a", FILE), Entry("a", FILE)], "archive.order"),
        ([Entry("d/a", FILE)], "archive.order"),
        ([Entry("e\u0301", FILE)], "archive.name"),
        ([Entry("../a", FILE)], "archive.name"),
        ([Entry("a", LINK, target="../x")], "archive.link"),
        ([Entry("a", LINK, target="/etc")], "archive.link"),
        ([Entry("a", FILE, (1 << 20) + 1)], "archive.quota"),
        ([Entry(f"{number:04}", FILE) for number in range(101)], "archive.quota"),
    ],
)
def test_refuses_what_an_archive_must_not_have(entries: list[Entry], step: str, tmp_path: Path) -> None:
    path = tmp_path / "image"
    with pytest.raises(RefusedError) as caught:
        image_of(hand_made(*entries), path, Quota(1 << 20, 100))
    assert caught.value.step == step
    assert not any(path.read_bytes()[:HEAD_BYTES])


def test_format_has_its_own_limit() -> None:
    with pytest.raises(WireError, match="block"):
        structures([(Entry("a", FILE, 1), (1 << 41) + BLOCK_BYTES)], 1 << 42)
