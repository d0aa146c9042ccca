"""Folders to archives and back: one form, nothing outside the root (docs/protocol.md sections 3.1 and 10)."""

from __future__ import annotations

import hashlib
import io
import os
import random
import socket
import stat
import tarfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_runtime.sealed.archive import ArchiveReader
from enclave_runtime.sealed.buffers import ViewReader
from enclave_runtime.sealed.tarformat import (
    BLOCK_BYTES,
    Entry,
    Kind,
    decode_header,
    encode,
    link_fault,
    name_fault,
)
from enclave_runtime.sealed.unpack import Quota, Unpacked, unpack
from enclave_runtime.wire.errors import RefusedError, WireError

ENOUGH = Quota(content_bytes=1 << 24)
END = bytes(1024)


def pack(folder: Path, piece: int = 1 << 16) -> bytes:
    out = io.BytesIO()
    buffer = memoryview(bytearray(piece))
    with ArchiveReader(folder) as reader:
        while got := reader.readinto(buffer):
            out.write(buffer[:got])
        assert len(out.getvalue()) == reader.length
    return out.getvalue()


def unpack_to(data: bytes, folder: Path, quota: Quota = ENOUGH) -> Unpacked:
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return unpack(ViewReader(data), descriptor, quota)
    finally:
        os.close(descriptor)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "sub" / "data.bin").write_bytes(random.Random(1).randbytes(3000))
    (root / "sub-file").write_bytes(b"")
    (root / "run.py").write_text("print('hello')\n")
    (root / "run.py").chmod(0o4751)
    (root / ("é" * 60)).write_bytes(b"x" * 512)
    (root / "sub" / "deep" / ("n" * 120)).write_bytes(b"y" * 513)
    (root / "sub" / "up").symlink_to("../run.py")
    (root / "sub" / "over").symlink_to("deep/" + "n" * 120)
    return root


GOLDEN = "c6380ed47bc23f38dfb89aa16dfa8221716d38c360c639b2957113aac00d52aa"


def test_golden_archive(tree: Path) -> None:
    """Fixed for ever, whatever the machine, umask and clock: content digests are made over it."""
    assert hashlib.sha256(pack(tree)).hexdigest() == GOLDEN


def test_times_owners_order_of_creation_and_modes_do_not_matter(tree: Path, tmp_path: Path) -> None:
    before = pack(tree)
    for path in tree.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(0o700 if path.stat().st_mode & stat.S_IXUSR else 0o600)
            os.utime(path, (1_000_000, 1_000_000))
    assert pack(tree) == before
    (tree / "sub" / "data.bin").chmod(0o700)
    assert pack(tree) != before


@pytest.mark.parametrize("piece", [1, 7, 511, 1 << 20])
def test_reads_in_pieces_of_any_size(tree: Path, piece: int) -> None:
    assert pack(tree, piece) == pack(tree)


def test_unpacks_what_it_packed(tree: Path, tmp_path: Path) -> None:
    data = pack(tree)
    result = unpack_to(data, tmp_path / "out")
    assert pack(tmp_path / "out") == data
    assert result == Unpacked(3000 + 15 + 512 + 513, 10)
    out = tmp_path / "out"
    assert stat.S_IMODE((out / "run.py").stat().st_mode) == 0o755
    assert stat.S_IMODE((out / "sub-file").stat().st_mode) == 0o644
    assert stat.S_IMODE((out / "sub").stat().st_mode) == 0o755
    assert (out / "sub" / "data.bin").stat().st_mtime == 0
    assert (out / "sub").stat().st_mtime == 0
    assert (out / "sub" / "over").read_bytes() == b"y" * 513


def test_other_tools_read_it(tree: Path, tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(pack(tree))) as tar:
        names = tar.getnames()
        members = [member for member in tar.getmembers() if member.isfile()]
        contents = {member.name: (tar.extractfile(member) or io.BytesIO()).read() for member in members}
    expected = sorted(
        (path.relative_to(tree).as_posix() for path in tree.rglob("*")),
        key=lambda name: [part.encode() for part in name.split("/")],
    )
    assert names == expected
    assert contents["sub/data.bin"] == (tree / "sub" / "data.bin").read_bytes()
    assert contents["é" * 60] == b"x" * 512


def test_sizes_above_8_gib_have_one_form() -> None:
    entry = Entry("big", Kind.FILE, (1 << 33) + 5)
    data = encode(entry)
    assert decode_header(data[:-BLOCK_BYTES], data[-BLOCK_BYTES:]) == entry
    assert tarfile.TarInfo.frombuf(data[-BLOCK_BYTES:], "utf-8", "strict").size == 0


def test_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    assert pack(tmp_path / "in") == END
    assert unpack_to(END, tmp_path / "out") == Unpacked(0, 0)


def make_pipe(root: Path) -> None:
    os.mkfifo(root / "culprit")


def make_socket(root: Path) -> None:
    here = Path.cwd()
    os.chdir(root)  # socket paths are short; a test's folder may not be
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("culprit")
    finally:
        os.chdir(here)


def make_absolute_link(root: Path) -> None:
    (root / "culprit").symlink_to("/etc/passwd")


def make_leaving_link(root: Path) -> None:
    (root / "sub").mkdir()
    (root / "sub" / "culprit").symlink_to("../../outside")


def make_sly_link(root: Path) -> None:
    (root / "here").mkdir()
    (root / "culprit").symlink_to("here/../../outside")


def make_hard_link(root: Path) -> None:
    (root / "culprit").write_bytes(b"x")
    os.link(root / "culprit", root / "zz")


def make_bad_bytes(root: Path) -> None:
    (root / os.fsdecode(b"culprit\xff")).write_bytes(b"")


def make_control_name(root: Path) -> None:
    (root / "culprit\n").write_bytes(b"")


def make_decomposed_name(root: Path) -> None:
    (root / "culprit\u0301e\u0301").write_bytes(b"")


@pytest.mark.parametrize(
    ("make", "step"),
    [
        (make_pipe, "archive.type"),
        (make_socket, "archive.type"),
        (make_absolute_link, "archive.link"),
        (make_leaving_link, "archive.link"),
        (make_sly_link, "archive.link"),
        (make_hard_link, "archive.link"),
        (make_bad_bytes, "archive.name"),
        (make_control_name, "archive.name"),
        (make_decomposed_name, "archive.name"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_refuses_to_pack_with_the_name(make: object, step: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    assert callable(make)
    make(root)
    with pytest.raises(RefusedError) as caught:
        ArchiveReader(root)
    assert caught.value.step == step
    assert "culprit" in caught.value.got


@pytest.mark.parametrize(
    ("change", "step", "named"),
    [
        ("grow", "archive.changed", True),
        ("shrink", "archive.changed", False),
        ("shrink-late", "archive.changed", True),
        ("replace", "archive.type", True),
    ],
)
def test_refuses_file_that_changes_meanwhile(change: str, step: str, named: bool, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(bytes(5001))
    buffer = memoryview(bytearray(1000))
    with ArchiveReader(tmp_path) as reader:
        if change == "shrink-late":
            reader.readinto(buffer)
        if change == "replace":
            victim.unlink()
            os.mkfifo(victim)
        else:
            victim.write_bytes(bytes(6000 if change == "grow" else 700))
        with pytest.raises(RefusedError) as caught:
            while reader.readinto(buffer):
                pass
    assert caught.value.step == step
    assert ("victim" in caught.value.got) is named


def hostile(*entries: Entry, content: bytes = b"") -> bytes:
    return b"".join(encode(entry) for entry in entries) + content + END


def flag(letter: bytes, name: str = "a") -> bytes:
    """A header of another type with a right checksum."""
    block = bytearray(encode(Entry(name, Kind.FILE)))
    block[156:157] = letter
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\x00 " % sum(block)
    return bytes(block)


FILE, FOLDER, LINK = Kind.FILE, Kind.DIRECTORY, Kind.SYMLINK
HOSTILE = {
    "absolute": (hostile(Entry("/etc/x", FILE)), "archive.name"),
    "up": (hostile(Entry("../x", FILE)), "archive.name"),
    "up-inside": (hostile(Entry("a", FOLDER), Entry("a/../../x", FILE)), "archive.name"),
    "dot": (hostile(Entry("./x", FILE)), "archive.name"),
    "empty-name": (hostile(Entry("", FILE)), "archive.name"),
    "long-name": (hostile(Entry("a" * 255 + "/" + "b" * 1000, FILE)), "archive.name"),
    "4k-name": (hostile(Entry("a" * 4096, FILE)), "archive.format"),
    "control": (hostile(Entry("a\x01", FILE)), "archive.name"),
    "bidi": (hostile(Entry("a\u202eb", FILE)), "archive.name"),
    "decomposed": (hostile(Entry("e\u0301", FILE)), "archive.name"),
    "deep": (hostile(*(Entry("/".join("d" * n), FOLDER) for n in range(1, 66))), "archive.name"),
    "link-absolute": (hostile(Entry("a", LINK, target="/etc")), "archive.link"),
    "link-up": (hostile(Entry("a", LINK, target="../x")), "archive.link"),
    "link-sly": (hostile(Entry("a", LINK, target="b/../../x")), "archive.link"),
    "link-empty": (hostile(Entry("a", LINK, target="")), "archive.link"),
    "hard-link": (flag(b"1") + END, "archive.format"),
    "char-device": (flag(b"3") + END, "archive.format"),
    "block-device": (flag(b"4") + END, "archive.format"),
    "pipe": (flag(b"6") + END, "archive.format"),
    "gnu-sparse": (flag(b"S") + END, "archive.format"),
    "old-file": (flag(b"\x00") + END, "archive.format"),
    "duplicate": (hostile(Entry("a", FILE), Entry("a", FILE)), "archive.order"),
    "unsorted": (hostile(Entry("b", FILE), Entry("a", FILE)), "archive.order"),
    "no-parent": (hostile(Entry("a/b", FILE)), "archive.order"),
    "below-file": (hostile(Entry("a", FILE), Entry("a/b", FILE)), "archive.order"),
    "below-link": (hostile(Entry("a", LINK, target="b"), Entry("a/b", FILE)), "archive.order"),
    "back-into": (hostile(Entry("a", FOLDER), Entry("b", FOLDER), Entry("a/c", FILE)), "archive.order"),
    "quota": (hostile(Entry("a", FILE, 1 << 25)), "archive.quota"),
    "quota-huge": (hostile(Entry("a", FILE, (1 << 62) - 1)), "archive.quota"),
    "cut-file": (encode(Entry("a", FILE, 100)) + b"x" * 50, "archive.format"),
    "cut-end": (encode(Entry("a", FILE)) + bytes(512), "archive.format"),
    "no-end": (encode(Entry("a", FILE)), "archive.format"),
    "nothing": (b"", "archive.format"),
    "after-end": (END + b"\x00", "archive.format"),
    "half-end": (bytes(512) + encode(Entry("a", FILE)), "archive.format"),
    "dirty-padding": (hostile(Entry("a", FILE, 1), content=b"xx" + bytes(510)), "archive.format"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_refuses_to_unpack_and_leaves_nothing(case: str, tmp_path: Path) -> None:
    data, step = HOSTILE[case]
    good = encode(Entry("!first", FOLDER)) + encode(Entry("!first/file", FILE, 3)) + b"abc" + bytes(509)
    good += encode(Entry("!link", LINK, target="!first"))
    with pytest.raises(RefusedError) as caught:
        unpack_to(good + data if data else data, tmp_path / "out")
    assert caught.value.step == step
    assert "!first" not in str(caught.value)
    assert os.listdir(tmp_path / "out") == []
    assert sorted(os.listdir(tmp_path)) == ["out"]


@settings(max_examples=50, deadline=None)
@given(position=st.integers(0, 3 * BLOCK_BYTES - 1), value=st.integers(0, 255))
def test_any_other_header_byte_is_refused_or_another_entry(position: int, value: int) -> None:
    original = encode(Entry("é", FILE, 7))
    data = bytearray(original)
    data[position] = value
    try:
        entry = decode_header(bytes(data[:-BLOCK_BYTES]), bytes(data[-BLOCK_BYTES:]))
    except WireError:
        return
    assert encode(entry) == data


@settings(max_examples=50, deadline=None)
@given(garbage=st.binary(min_size=512, max_size=512), pax=st.sampled_from([b"", b"x"]))
def test_random_headers_raise_only_our_error(garbage: bytes, pax: bytes) -> None:
    head = b"".join((flag(b"x")[:124], b"00000000014", flag(b"x")[135:512], garbage)) if pax else b""
    with pytest.raises(WireError):
        decode_header(head, garbage)


def test_quota_of_entries_and_use_of_a_used_folder(tmp_path: Path) -> None:
    data = hostile(*(Entry(f"{n:04}", FILE) for n in range(50)))
    with pytest.raises(RefusedError) as caught:
        unpack_to(data, tmp_path / "out", Quota(content_bytes=0, entries=49))
    assert caught.value.step == "archive.quota"
    assert unpack_to(data, tmp_path / "out", Quota(content_bytes=0, entries=50)).entries == 50
    with pytest.raises(ValueError, match="empty"):
        unpack_to(data, tmp_path / "out")
    assert len(os.listdir(tmp_path / "out")) == 50


@pytest.mark.parametrize(
    ("name", "target", "allowed"),
    [
        ("a", "b", True),
        ("a", "missing/b", True),
        ("d/a", "../b", True),
        ("d/a", "..", True),
        ("d/a", "../..", False),
        ("d/a", "../../b", False),
        ("a", "..", False),
        ("a", "b/..", False),
        ("a", ".", False),
        ("a", "b//c", False),
        ("a", "b/", False),
    ],
)
def test_links(name: str, target: str, allowed: bool) -> None:
    assert (link_fault(name, target) is None) is allowed


def test_name_faults_do_not_repeat_the_name() -> None:
    for name in ("/secret", "secret/../x", "secret\x00", "se\udcffcret", "s" * 300, "e\u0301secret"):
        fault = name_fault(name)
        assert fault is not None
        assert "secret" not in fault


def test_memory_does_not_grow_with_the_archive(tmp_path: Path) -> None:
    with open(tmp_path / "big", "wb") as file:
        file.truncate(64 << 20)

    def run() -> Iterator[int]:
        with ArchiveReader(tmp_path) as reader:
            while got := reader.readinto(buffer):
                yield got

    tracemalloc.start()
    try:
        buffer = memoryview(bytearray(1 << 20))
        assert sum(run()) > 64 << 20
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()
