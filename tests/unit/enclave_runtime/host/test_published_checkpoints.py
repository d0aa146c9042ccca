"""What an engine publishes while it runs: taken, sealed, listed in the result (protocol section 7(8))."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from enclave_runtime.engines.limits import DEFAULT_LIMITS
from enclave_runtime.engines.outputs import OutputRefusedError
from enclave_runtime.engines.publishing import Publishing, measure
from enclave_runtime.host import checkpoints as room
from enclave_runtime.host.checkpoints import Checkpoints
from enclave_runtime.host.scratch import Scratch
from enclave_runtime.loader.effects import EngineTask
from enclave_runtime.sealed.header import SealedInfo
from enclave_runtime.sealed.published import PublishedList
from enclave_runtime.sealed.sink import MemorySink
from enclave_runtime.sealed.tree import Algorithm
from enclave_runtime.sealed.unpack import Quota, unpack
from enclave_runtime.sealed.unseal import FileSource, Unsealer, unseal
from enclave_runtime.wire.errors import WireError

KEY, SALT = b"\x11" * 32, b"\x22" * 32


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    (tmp_path / "scratch").mkdir()
    made = Scratch(tmp_path / "scratch")
    made.result_dir.mkdir(mode=0o700)
    return made


@pytest.fixture
def output(tmp_path: Path) -> Path:
    (tmp_path / "output" / "checkpoints").mkdir(parents=True)
    return tmp_path / "output"


def task() -> EngineTask:
    return EngineTask("training", ("python", "x"), b"{}", 60.0, bytearray(KEY), SALT, Algorithm.SHA256)


def checkpoints(scratch: Scratch, room_bytes: int = 1 << 24) -> Checkpoints:
    return Checkpoints(scratch, task(), DEFAULT_LIMITS, room_bytes)


def declare(output: Path, name: str, **files: bytes) -> None:
    """Write a folder aside and rename it, as an engine does."""
    aside = output / "checkpoints" / f"new-{name}"
    aside.mkdir()
    for file, data in files.items():
        (aside / file).write_bytes(data)
    aside.rename(output / "checkpoints" / name)


def watched(output: Path, take: Callable[[int, str], bool], until: Callable[[], bool]) -> None:
    descriptor = os.open(output, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with Publishing(descriptor, take):
            deadline = time.monotonic() + 60
            while not until():
                assert time.monotonic() < deadline
                time.sleep(0.02)
    finally:
        os.close(descriptor)


def opened(path: Path, info: SealedInfo, folder: Path) -> Path:
    sink = MemorySink(info.plaintext_bytes)
    with path.open("rb") as file:
        unseal(FileSource(file.fileno()), Unsealer(info, KEY, SALT, sink))
    folder.mkdir()
    descriptor = os.open(folder, os.O_RDONLY)
    unpack(io.BytesIO(sink.view()), descriptor, Quota(1 << 20))
    os.close(descriptor)
    return folder


def test_takes_numbered_folders_in_order_and_leaves_the_rest(
    output: Path, scratch: Scratch, tmp_path: Path
) -> None:
    made = checkpoints(scratch)
    declare(output, "10", model=b"ten")
    declare(output, "9", model=b"nine", log=b"")
    (output / "checkpoints" / "half").mkdir()
    (output / "checkpoints" / "007").mkdir()
    (output / "other").write_bytes(b"stays")
    watched(output, made.take, lambda: made.count == 2)
    assert [one.name for one in made.listed().published] == ["9", "10"]
    assert sorted(os.listdir(output / "checkpoints")) == ["007", "half"]
    assert os.listdir(scratch.result_dir) == []
    for index, content in enumerate((b"nine", b"ten")):
        one = made.one(index)
        assert one.sealed.algorithm is Algorithm.SHA256
        folder = opened(scratch.published_file(index), one.sealed, tmp_path / f"opened-{index}")
        assert (folder / "model").read_bytes() == content
        assert scratch.read_published(index, 0) == scratch.published_file(index).read_bytes()
    assert content not in scratch.published_file(1).read_bytes()


def test_a_number_is_taken_once(output: Path, scratch: Scratch) -> None:
    made = checkpoints(scratch)
    declare(output, "1", model=b"first")

    def again() -> bool:
        if made.count == 1 and not (output / "checkpoints" / "1").exists():
            declare(output, "1", model=b"second")
            declare(output, "2", model=b"third")
        return made.count == 2

    watched(output, made.take, again)
    assert (output / "checkpoints" / "1" / "model").read_bytes() == b"second"
    assert [one.name for one in made.listed().published] == ["1", "2"]


def test_hostile_folders_are_left_for_the_end(output: Path, scratch: Scratch) -> None:
    made = checkpoints(scratch)
    (output / "checkpoints" / "0").symlink_to("/etc")
    declare(output, "1", model=b"x")
    (output / "checkpoints" / "1" / "link").symlink_to("/etc/passwd")
    os.mkfifo(output / "checkpoints" / "2")
    deep = output / "checkpoints" / "3"
    for _ in range(9):
        deep = deep / "d"
    deep.mkdir(parents=True)
    declare(output, "4", model=b"good")
    watched(output, made.take, lambda: made.count == 1)
    assert made.one(0).name == "4"
    assert sorted(os.listdir(output / "checkpoints")) == ["0", "1", "2", "3"]
    assert not (scratch.result_dir / "checkpoints" / "1").exists()


def test_waits_for_room_until_the_host_has_fetched(output: Path, scratch: Scratch) -> None:
    made = checkpoints(scratch, 60_000)
    declare(output, "1", model=bytes(20_000))
    declare(output, "2", model=bytes(20_000))
    watched(output, made.take, lambda: made.count == 1)
    assert (output / "checkpoints" / "2" / "model").exists()
    made.stored(0)
    made.stored(0)
    assert not scratch.published_file(0).exists()
    watched(output, made.take, lambda: made.count == 2)
    with pytest.raises(IndexError):
        made.stored(2)


def test_what_cannot_be_sealed_stays_in_the_result(output: Path, scratch: Scratch) -> None:
    made = checkpoints(scratch)
    scratch.published_file(0).mkdir()  # a tmpfs that refuses
    declare(output, "1", model=b"kept")
    descriptor = os.open(output / "checkpoints" / "1", os.O_RDONLY | os.O_DIRECTORY)
    assert made.take(descriptor, "1")
    os.close(descriptor)
    assert made.count == 0
    assert (scratch.result_dir / "checkpoints" / "1" / "model").read_bytes() == b"kept"


def test_no_more_than_a_number_of_them_and_none_without_a_key(
    output: Path, scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MAX_PUBLISHED", 1)
    what = task()
    made = Checkpoints(scratch, what, DEFAULT_LIMITS, 1 << 24)
    for name in ("1", "2"):
        declare(output, name, model=b"x")
    watched(output, made.take, lambda: made.count == 1)
    monkeypatch.setattr(room, "MAX_PUBLISHED", 2)
    what.content_key[:] = bytes(32)  # erased meanwhile
    descriptor = os.open(output / "checkpoints" / "2", os.O_RDONLY | os.O_DIRECTORY)
    assert made.take(descriptor, "2") is False
    os.close(descriptor)
    assert made.count == 1


def test_measures_before_it_moves_anything(output: Path) -> None:
    declare(output, "1", a=bytes(10), b=bytes(5))
    descriptor = os.open(output / "checkpoints" / "1", os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert measure(descriptor, 2) == (15, 2)
        with pytest.raises(OutputRefusedError, match="more than 1"):
            measure(descriptor, 1)
    finally:
        os.close(descriptor)


def test_looks_at_nothing_without_somebody_who_takes(output: Path) -> None:
    before = set(threading.enumerate())
    with Publishing(-1, None):
        assert set(threading.enumerate()) <= before


def test_list_round_trip_and_refusals(output: Path, scratch: Scratch) -> None:
    made = checkpoints(scratch)
    declare(output, "1", model=b"x")
    watched(output, made.take, lambda: made.count == 1)
    data = made.listed().to_bytes()
    assert PublishedList.from_bytes(data) == made.listed()
    for bad in (
        data.replace(b'"name":"1"', b'"name":"x"'),
        data.replace(b'"version":1', b'"version":2'),
        data[:-1],
        b"{}",
        b" " * (1 << 20),
    ):
        with pytest.raises(WireError):
            PublishedList.from_bytes(bad)
    one = made.one(0)
    with pytest.raises(WireError, match="twice"):
        PublishedList((one, one))
