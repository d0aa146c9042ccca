"""A provider's cache: shared by orders, within a size, never removed under an order, right after a crash."""

from __future__ import annotations

import errno
import fcntl
import threading
from itertools import count
from pathlib import Path

import pytest

from marketplace.storage.base import BlobNotFoundError, StorageError
from marketplace.storage.cache import CacheFullError, CiphertextCache
from marketplace.storage.local import LocalStore
from marketplace.storage.places import NoLocationError
from tests.fakes.sealed_blob import SealedBlob, sealed_blob

SEGMENT = 16 << 10
ORDERS = [bytes([number]) * 32 for number in range(4)]


@pytest.fixture(scope="module")
def blobs() -> list[SealedBlob]:
    return [sealed_blob(4 * SEGMENT, SEGMENT, seed) for seed in range(4)]


class World:
    """A cache that has room for two blobs, and a store that has all of them."""

    def __init__(self, root: Path, blobs: list[SealedBlob]) -> None:
        self.root = root / "cache"
        self.store = LocalStore(root / "store")
        self.uris = [self.store.put([blob.stream]) for blob in blobs]
        self.blobs = blobs
        self.opened = 0
        self.limit = 2 * len(blobs[0].stream) + 100
        self.cache = self.open()

    def open(self) -> CiphertextCache:
        ticks = count(1)
        return CiphertextCache(self.root, self.limit, self.store_of, now_ns=lambda: next(ticks) * 10**9)

    def store_of(self, uri: str) -> LocalStore:
        self.opened += 1
        return self.store

    def hold(self, order: int, blob: int) -> bytes:
        held = self.cache.hold(ORDERS[order], self.blobs[blob].info, [self.uris[blob]])
        assert held.read_bytes() == self.blobs[blob].stream
        return held.read_bytes()

    def kept(self) -> list[int]:
        return [number for number, blob in enumerate(self.blobs) if self.cache.has(blob.info)]


@pytest.fixture
def world(tmp_path: Path, blobs: list[SealedBlob]) -> World:
    return World(tmp_path, blobs)


def test_fetches_once_for_all_orders(world: World) -> None:
    world.hold(0, 0)
    opened = world.opened
    world.hold(1, 0)
    assert world.opened == opened
    assert world.cache.used_bytes == len(world.blobs[0].stream)
    assert world.cache.path(world.blobs[0].info).read_bytes() == world.blobs[0].stream


def test_removes_what_was_not_used_for_longest(world: World) -> None:
    world.hold(0, 0)
    world.hold(0, 1)
    world.cache.let_go(ORDERS[0])
    world.hold(1, 0)
    world.cache.let_go(ORDERS[1])
    world.hold(2, 2)
    assert world.kept() == [0, 2]


def test_removes_nothing_that_an_order_needs(world: World) -> None:
    world.hold(0, 0)
    world.hold(1, 1)
    with pytest.raises(CacheFullError, match="expected at most") as caught:
        world.hold(2, 2)
    assert "gib" in caught.value.hint
    assert world.kept() == [0, 1]
    world.cache.let_go(ORDERS[0])
    world.hold(2, 2)
    assert world.kept() == [1, 2]


def test_a_blob_of_two_orders_stays_until_both_ended(world: World) -> None:
    world.hold(0, 0)
    world.hold(1, 0)
    world.hold(1, 1)
    world.cache.let_go(ORDERS[0])
    with pytest.raises(CacheFullError):
        world.hold(2, 2)
    assert world.kept() == [0, 1]


def test_pins_outlast_a_crash_and_those_of_ended_orders_do_not(world: World) -> None:
    world.hold(0, 0)
    world.hold(1, 1)
    world.cache = world.open()
    with pytest.raises(CacheFullError):
        world.hold(2, 2)
    world.cache.keep_only([ORDERS[1]])
    world.hold(2, 2)
    assert world.kept() == [1, 2]


def test_refuses_what_is_larger_than_the_cache(world: World) -> None:
    world.limit = 1000
    world.cache = world.open()
    with pytest.raises(CacheFullError):
        world.hold(0, 0)
    assert world.cache.used_bytes == 0


def test_goes_on_after_a_failed_attempt_and_reserves_its_size(world: World, tmp_path: Path) -> None:
    info = world.blobs[0].info
    with pytest.raises(NoLocationError):
        world.cache.hold(ORDERS[0], info, ["file:sha256/" + "0" * 64])
    assert not world.cache.has(info)
    with pytest.raises(BlobNotFoundError):
        world.cache.path(info)
    assert world.cache.used_bytes == len(world.blobs[0].stream)
    world.hold(0, 0)
    assert world.cache.used_bytes == len(world.blobs[0].stream)


def test_a_file_that_was_cut_short_is_fetched_again(world: World) -> None:
    world.hold(0, 0)
    path = world.cache.path(world.blobs[0].info)
    path.chmod(0o600)
    path.write_bytes(b"short")
    world.hold(0, 0)
    path.chmod(0o600)
    path.write_bytes(bytes(len(world.blobs[0].stream)))
    world.cache.forget(world.blobs[0].info)  # the reader, who has the index, found it out
    world.hold(0, 0)


def test_leaves_alone_what_another_process_fetches(world: World) -> None:
    world.hold(0, 0)
    world.cache.let_go(ORDERS[0])
    fetched = world.root / "partial" / ("ab" * 32)
    with open(fetched, "wb") as file:
        file.truncate(len(world.blobs[0].stream))
        fcntl.flock(file, fcntl.LOCK_EX)
        world.hold(1, 1)
        assert fetched.exists()
    assert world.kept() == [1]


def test_threads_share_one_download(world: World) -> None:
    errors: list[BaseException] = []

    def hold(order: int) -> None:
        try:
            world.hold(order, 0)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=hold, args=(order,)) for order in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert list((world.root / "partial").iterdir()) == []
    assert world.cache.used_bytes == len(world.blobs[0].stream)


def test_says_that_the_disk_is_full(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.pwrite", full)
    with pytest.raises(StorageError, match="No space left on device, expected a folder with room") as caught:
        world.hold(0, 0)
    assert "disk" in caught.value.hint
