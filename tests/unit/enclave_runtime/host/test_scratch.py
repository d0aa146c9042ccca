"""Plaintext lies below one folder, can be counted, and goes at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from enclave_runtime.host.scratch import Scratch
from enclave_runtime.loader.effects import InputFaultError
from enclave_runtime.sealed.archive import ArchiveReader
from enclave_runtime.sealed.mount import MountError, can_mount
from tests.fakes.sealed_order import _read, engine_and_data


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    return Scratch(tmp_path)


@pytest.fixture
def mounting(tmp_path: Path) -> Iterator[Scratch]:
    if not can_mount(tmp_path):
        pytest.skip("this process may not mount EROFS images: the other tests unpack")
    scratch = Scratch(tmp_path, mounts=True)
    yield scratch
    scratch.remove_all(keep_result=False)


def mounts_below(path: Path) -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [line for line in lines if line.split()[1].startswith(str(path))]


def archive(tmp_path: Path, **files: bytes) -> bytes:
    folder = tmp_path.parent / "source"
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    with ArchiveReader(folder) as reader:
        return _read(reader)


def put(scratch: Scratch, index: int, data: bytes) -> None:
    sink = scratch.open_sink(index)
    view = sink.reserve(0, len(data))
    view[:] = data
    sink.commit(0, view)


def test_refuses_a_folder_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"another order's")
    with pytest.raises(ValueError, match="expected an empty one"):
        Scratch(tmp_path)


def test_unpacks_each_input_once_and_drops_its_archive(scratch: Scratch, tmp_path: Path) -> None:
    data = archive(tmp_path, a=b"1", b=b"2")
    for index in range(2):
        put(scratch, index, data)
    assert scratch.count_plaintext() == 2
    scratch.unpack((len(data), len(data)))
    scratch.unpack((len(data), len(data)))
    assert (scratch.input_dir(1) / "b").read_bytes() == b"2"
    assert scratch.count_plaintext() == 4


def test_names_the_input_whose_archive_is_none_and_goes_on_after_a_repair(
    scratch: Scratch, tmp_path: Path
) -> None:
    good, bad = archive(tmp_path, a=b"1"), b"\x01" * 1024
    put(scratch, 0, good)
    put(scratch, 1, bad)
    with pytest.raises(InputFaultError) as fault:
        scratch.unpack((len(good), len(bad)))
    assert fault.value.input_index == 1
    assert fault.value.refusal.step.startswith("archive.")
    put(scratch, 1, good)
    scratch.unpack((len(good), len(good)))


def test_removes_everything_and_counts_what_is_left(scratch: Scratch, tmp_path: Path) -> None:
    put(scratch, 0, b"x" * 10)
    scratch.result_file.write_bytes(b"sealed")
    (tmp_path / "stray").mkdir()
    (tmp_path / "stray" / "file").write_bytes(b"y")
    assert scratch.remove_all(keep_result=True) == 0
    assert (scratch.count_plaintext(), scratch.read_result(2)) == (0, b"aled")
    assert scratch.remove_all(keep_result=False) == 0
    assert not scratch.result_file.exists()


def test_a_sink_that_was_closed_writes_into_no_other_file(scratch: Scratch, tmp_path: Path) -> None:
    sink = scratch.open_sink(0)
    view = sink.reserve(0, 4)
    scratch.remove_all(keep_result=False)
    other = tmp_path / "other"
    descriptor = os.open(other, os.O_RDWR | os.O_CREAT)  # likely the same number
    try:
        os.write(descriptor, b"kept")
        with pytest.raises(OSError, match="closed"):
            sink.commit(0, view)
        with pytest.raises(OSError, match="closed"):
            sink.read_at(0, view)
        sink.discard()
        assert other.read_bytes() == b"kept"
    finally:
        os.close(descriptor)


def test_symbolic_links_count_as_files(scratch: Scratch) -> None:
    (scratch.input_dir(0)).mkdir()
    (scratch.input_dir(0) / "link").symlink_to("nowhere")
    assert scratch.count_plaintext() == 1


def test_real_inputs_fit(scratch: Scratch) -> None:
    order = engine_and_data()
    assert scratch.capacity_bytes > sum(item.manifest.sealed.plaintext_bytes for item in order.inputs)


def test_mounts_each_input_where_it_lies_and_takes_it_away(mounting: Scratch, tmp_path: Path) -> None:
    data = archive(tmp_path, a=b"1", b=b"2")
    for index in range(2):
        put(mounting, index, data)
    late = mounting.open_sink(1)
    late.commit(0, _filled(late.reserve(0, len(data)), data))
    mounting.unpack((len(data), len(data)))
    mounting.unpack((len(data), len(data)))
    found = mounts_below(tmp_path)
    assert len(found) == 2
    assert all({"ro", "nosuid", "nodev"} <= set(line.split()[3].split(",")) for line in found)
    late.discard()  # by whoever gives the order up later
    assert (mounting.input_dir(1) / "b").read_bytes() == b"2"
    assert mounting.count_plaintext() == 6  # four files, and the archives that they lie in
    assert mounting.remove_all(keep_result=True) == 0
    assert (mounts_below(tmp_path), mounting.count_plaintext()) == ([], 0)


def test_hostile_archive_never_reaches_the_kernel(mounting: Scratch, tmp_path: Path) -> None:
    good = archive(tmp_path, a=b"1")
    bad = bytearray(good)
    bad[100:107] = b"0004755"  # a set-user-id bit
    put(mounting, 0, good)
    put(mounting, 1, bytes(bad))
    with pytest.raises(InputFaultError) as fault:
        mounting.unpack((len(good), len(bad)))
    assert (fault.value.input_index, fault.value.refusal.step) == (1, "archive.format")
    assert len(mounts_below(tmp_path)) == 1
    assert mounting.remove_all(keep_result=False) == 0
    assert mounts_below(tmp_path) == []


def test_mount_that_is_still_used_counts_as_left(mounting: Scratch, tmp_path: Path) -> None:
    data = archive(tmp_path, a=b"1")
    put(mounting, 0, data)
    mounting.unpack((len(data),))
    with (mounting.input_dir(0) / "a").open():
        assert mounting.remove_all(keep_result=False) == 1
    assert mounting.remove_all(keep_result=False) == 0


def test_unpacks_where_nothing_may_be_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("enclave_runtime.host.scratch.can_mount", lambda _: True)
    monkeypatch.setattr("enclave_runtime.host.scratch.mount_image", _refuses)
    scratch = Scratch(tmp_path, mounts=True)
    data = archive(tmp_path, a=b"1")
    put(scratch, 0, data)
    scratch.unpack((len(data),))
    assert (scratch.input_dir(0) / "a").read_bytes() == b"1"
    assert not any((tmp_path / "plain" / "archives").iterdir())
    assert mounts_below(tmp_path) == []


def _refuses(*_: object) -> None:
    raise MountError("mount: no")


def _filled(view: memoryview, data: bytes) -> memoryview:
    view[:] = data
    return view
