"""The content-addressed folder, and the table of schemes (docs/protocol.md section 10)."""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from marketplace.errors import BadInputError, NotFoundError
from marketplace.storage.base import (
    BlobCorruptError,
    BlobNotFoundError,
    BlobStore,
    BlobTooLargeError,
    NotConfiguredError,
    StorageError,
    UnknownSchemeError,
    read_blob,
    scheme_of,
)
from marketplace.storage.local import LocalStore
from marketplace.storage.registry import SCHEMES, StorageConfig, store_for

DATA = bytes(range(256)) * 10_000


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def blob_file(store: LocalStore, uri: str) -> Path:
    return store._path(uri.rpartition("/")[2])


@pytest.mark.parametrize("data", [b"", b"x", DATA], ids=["empty", "byte", "segments"])
def test_gives_back_what_was_put(store: LocalStore, data: bytes) -> None:
    uri = store.put([data[:7], memoryview(data)[7:]])
    assert uri == "file:sha256/" + hashlib.sha256(data).hexdigest()
    assert store.size(uri) == len(data)
    assert store.exists(uri)
    assert b"".join(store.open(uri)) == data
    assert store.put([data]) == uri


def test_uri_names_content_and_no_place(tmp_path: Path) -> None:
    first, second = LocalStore(tmp_path / "a"), LocalStore(tmp_path / "b")
    assert first.put([b"x"]) == second.put([b"x"])
    assert str(tmp_path) not in first.put([b"x"])


def test_takes_each_chunk_before_asking_for_the_next(store: LocalStore) -> None:
    buffer = bytearray(4)

    def reused() -> Iterator[memoryview]:
        for letter in b"abcd":
            buffer[:] = bytes([letter]) * 4
            yield memoryview(buffer)

    assert b"".join(store.open(store.put(reused()))) == b"aaaabbbbccccdddd"


@pytest.mark.parametrize(
    ("offset", "length"), [(0, 1), (5, 2_000_000), (len(DATA), 0), (len(DATA) - 1, 1), (9, None)]
)
def test_gives_parts(store: LocalStore, offset: int, length: int | None) -> None:
    uri = store.put([DATA])
    end = None if length is None else offset + length
    assert b"".join(store.open(uri, offset=offset, length=length)) == DATA[offset:end]


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, -1), (0, len(DATA) + 1), (len(DATA) + 1, None)])
def test_refuses_parts_outside(store: LocalStore, offset: int, length: int | None) -> None:
    uri = store.put([DATA])
    with pytest.raises(BadInputError, match="range"):
        store.open(uri, offset=offset, length=length)


@pytest.mark.parametrize("at", [0, 1_500_000, len(DATA) - 1])
def test_never_gives_a_whole_corrupt_blob(store: LocalStore, at: int) -> None:
    uri = store.put([DATA])
    path = blob_file(store, uri)
    path.chmod(0o644)
    path.write_bytes(DATA[:at] + bytes([DATA[at] ^ 1]) + DATA[at + 1 :])
    given = 0
    with pytest.raises(BlobCorruptError, match="expected " + hashlib.sha256(DATA).hexdigest()):
        for piece in store.open(uri):
            given += len(piece)
    assert given < len(DATA)


def test_says_cut_when_a_file_shrinks_while_it_is_read(store: LocalStore) -> None:
    uri = store.put([DATA])
    pieces = store.open(uri, offset=1)
    path = blob_file(store, uri)
    path.chmod(0o644)
    path.write_bytes(DATA[:100])
    with pytest.raises(BlobCorruptError, match="less"):
        list(pieces)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "file:",
        "file:/etc/passwd",
        "file:///etc/passwd",
        "file:sha256/../../etc",
        "file:sha256/" + "A" * 64,
        "file:sha256/" + "a" * 63,
        "file:sha256/" + "a" * 64 + "\n",
        "ipfs:sha256/" + "a" * 64,
    ],
)
def test_refuses_other_uris(store: LocalStore, uri: str) -> None:
    for call in (store.open, store.size, store.exists, store.delete):
        with pytest.raises(BadInputError):
            call(uri)


def test_missing_blob(store: LocalStore) -> None:
    uri = "file:sha256/" + "a" * 64
    assert not store.exists(uri)
    store.delete(uri)
    for call in (store.open, store.size):
        with pytest.raises(BlobNotFoundError) as caught:
            call(uri)
        assert isinstance(caught.value, NotFoundError)
        assert uri in str(caught.value)
    uri = store.put([b"x"])
    store.delete(uri)
    assert not store.exists(uri)


def test_failed_put_leaves_nothing(tmp_path: Path) -> None:
    store = LocalStore(tmp_path, max_blob_bytes=10)

    def dying() -> Iterator[bytes]:
        yield b"12345"
        raise OSError("source died")

    with pytest.raises(OSError, match="source died"):
        store.put(dying())
    with pytest.raises(BlobTooLargeError):
        store.put([b"12345", b"678901"])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    store.put([b"1234567890"])


def test_next_run_removes_what_a_killed_one_left_but_not_what_another_writes(tmp_path: Path) -> None:
    LocalStore(tmp_path)
    (tmp_path / "incoming" / "dead").write_bytes(b"half")
    living = tmp_path / "incoming" / "living"
    with open(living, "xb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        LocalStore(tmp_path)
        assert [path.name for path in (tmp_path / "incoming").iterdir()] == ["living"]
    LocalStore(tmp_path)
    assert list((tmp_path / "incoming").iterdir()) == []


def test_many_writers_of_one_blob(store: LocalStore) -> None:
    uris: list[str] = []
    threads = [threading.Thread(target=lambda: uris.append(store.put([DATA]))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(uris) == 8
    assert len(set(uris)) == 1
    assert b"".join(store.open(uris[0])) == DATA


def test_reads_small_blobs_whole(store: LocalStore) -> None:
    uri = store.put([b"small"])
    assert read_blob(store, uri, limit=5) == b"small"
    with pytest.raises(BlobTooLargeError):
        read_blob(store, uri, limit=4)


def test_table_of_schemes(tmp_path: Path) -> None:
    config = StorageConfig(tmp_path)
    found: BlobStore = store_for("file:sha256/" + "a" * 64, config)
    assert found.scheme == "file"
    assert set(SCHEMES) == {"file", "ipfs", "s3", "https", "http"}
    for scheme in ("ipfs", "s3"):
        with pytest.raises(NotConfiguredError, match=rf"{scheme}.*expected \[storage\.{scheme}\]"):
            store_for(f"{scheme}:x", config)
    with pytest.raises(UnknownSchemeError, match="unknown scheme"):
        store_for("gopher:x", config)


@pytest.mark.parametrize(
    "uri", ["", ":", "file:", "nothing", "a b:c", "fi/le:x", "file:é", "file:" + "x" * 3000]
)
def test_refuses_what_is_no_uri(uri: str) -> None:
    with pytest.raises(BadInputError):
        scheme_of(uri)


def test_a_push_gives_what_a_put_gives(store: LocalStore, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    heard: list[tuple[int, int]] = []
    uri = store.push(path, progress=lambda *now: heard.append(now))
    assert uri == store.put([DATA])
    assert b"".join(store.open(uri)) == DATA
    assert heard.count((len(DATA), len(DATA))) == 2  # hashed, then copied
    assert {size for _, size in heard} == {len(DATA)}
    assert list((tmp_path / "store" / "incoming").iterdir()) == []


def test_a_push_goes_on_where_a_killed_one_was(store: LocalStore, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)

    heard: list[int] = []

    def killed(done: int, size: int) -> None:
        heard.append(done)
        if heard.count(done) == 2:  # the second reading
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.push(path, progress=killed)
    (left,) = (tmp_path / "store" / "incoming").iterdir()
    assert left.read_bytes() == DATA[: left.stat().st_size]
    left.write_bytes(DATA[: 1 << 20][:-7] + b"garbage" + b"x" * len(DATA) * 2)
    again = LocalStore(tmp_path / "store")
    assert left.exists()
    assert b"".join(again.open(again.push(path))) == DATA
    assert not left.exists()


def test_a_push_writes_into_nothing_that_another_one_finished(store: LocalStore, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    name = hashlib.sha256(DATA).hexdigest()
    aside, final = tmp_path / "store" / "incoming" / f"push-{name}", store._path(name)
    final.parent.mkdir()
    with open(aside, "w+b") as other:
        other.write(b"what another push wrote")
        other.flush()
        fcntl.flock(other, fcntl.LOCK_EX)
        pushing = threading.Thread(target=store.push, args=(path,))
        pushing.start()
        pushing.join(0.5)
        assert pushing.is_alive()
        os.rename(aside, final)
        fcntl.flock(other, fcntl.LOCK_UN)
        pushing.join()
        other.seek(0)
        assert other.read() == b"what another push wrote"
    assert final.read_bytes() == DATA


def test_a_push_that_nobody_came_back_for_is_swept_away(store: LocalStore, tmp_path: Path) -> None:
    left = tmp_path / "store" / "incoming" / "push-abc"
    left.write_bytes(b"x")
    os.utime(left, (0, 0))
    LocalStore(tmp_path / "store")
    assert not left.exists()


def test_a_push_of_a_file_that_changes_is_refused(store: LocalStore, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)

    heard: list[int] = []

    def changed(done: int, size: int) -> None:
        heard.append(done)
        if done < size and size in heard:
            with open(path, "r+b") as file:
                file.seek(len(DATA) - 1)
                file.write(b"!")

    with pytest.raises(StorageError, match="second reading"):
        store.push(path, progress=changed)
    assert list((tmp_path / "store" / "incoming").iterdir()) == []


def test_a_push_takes_no_more_than_it_may(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(11))
    with pytest.raises(BlobTooLargeError):
        LocalStore(tmp_path / "store", max_blob_bytes=10).push(path)


def test_gives_a_run_into_the_readers_memory(store: LocalStore) -> None:
    uri = store.put([DATA])
    run = store.run(uri, 5, 1000)
    buffer = memoryview(bytearray(2000))
    assert run.readinto(buffer) == 1000
    assert run.readinto(buffer[1000:]) == 0
    run.close()
    assert buffer[:1000] == DATA[5:1005]
    with pytest.raises(BadInputError, match="range"):
        store.run(uri, 5, len(DATA))
