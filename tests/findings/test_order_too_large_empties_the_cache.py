"""The defect: an order whose content could not fit emptied a provider's cache before it was refused.

Room was made first and counted afterwards: three blobs kept, a fourth that is larger than the cache, and none
was left. The same where what other orders need stood in the way.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from marketplace.storage.cache import CacheFullError, CiphertextCache
from marketplace.storage.local import LocalStore
from tests.fakes.sealed_blob import SealedBlob, sealed_blob

_SEGMENT = 16 << 10


@pytest.fixture(scope="module")
def small() -> list[SealedBlob]:
    return [sealed_blob(4 * _SEGMENT, _SEGMENT, seed) for seed in range(3)]


@pytest.fixture(scope="module")
def large() -> SealedBlob:
    return sealed_blob(13 * _SEGMENT, _SEGMENT, 9)


def cache_of(folder: Path, small: list[SealedBlob], limit: int) -> tuple[LocalStore, CiphertextCache]:
    store, ticks = LocalStore(folder / "store"), count(1)
    cache = CiphertextCache(folder / "cache", limit, lambda _: store, now_ns=lambda: next(ticks) * 10**9)
    for number, blob in enumerate(small):
        cache.hold(bytes([number]) * 32, blob.info, [store.put([blob.stream])])
    return store, cache


def test_what_is_larger_than_the_cache_removes_nothing(
    tmp_path: Path, small: list[SealedBlob], large: SealedBlob
) -> None:
    _, cache = cache_of(tmp_path, small, 3 * len(small[0].stream))
    cache.keep_only([])
    with pytest.raises(CacheFullError, match=f"got {len(large.stream)} bytes"):
        cache.hold(bytes([9]) * 32, large.info, ["file:sha256/" + "0" * 64])
    assert all(cache.has(blob.info) for blob in small)


def test_what_pins_leave_no_room_for_removes_nothing(
    tmp_path: Path, small: list[SealedBlob], large: SealedBlob
) -> None:
    _, cache = cache_of(tmp_path, small, 4 * len(small[0].stream))
    cache.keep_only([bytes([1]) * 32])
    with pytest.raises(CacheFullError, match=f"beside {len(small[0].stream)} that running orders need"):
        cache.hold(bytes([9]) * 32, large.info, ["file:sha256/" + "0" * 64])
    assert all(cache.has(blob.info) for blob in small)


def test_what_fits_removes_no_more_than_it_must(
    tmp_path: Path, small: list[SealedBlob], large: SealedBlob
) -> None:
    store, cache = cache_of(tmp_path, small, len(large.stream) + len(small[0].stream))
    cache.keep_only([])
    cache.hold(bytes([9]) * 32, large.info, [store.put([large.stream])])
    assert [cache.has(blob.info) for blob in small] == [False, False, True]
    assert cache.used_bytes == len(large.stream) + len(small[0].stream)
