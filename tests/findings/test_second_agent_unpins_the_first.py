"""The defect: an agent that started removed the pins of the orders that another one ran in the same cache.

`keep_only` knew its own journal's orders alone; what the other agent's orders needed went when room was made.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from marketplace.storage.cache import CacheFullError, CiphertextCache
from marketplace.storage.local import LocalStore
from tests.fakes.sealed_blob import SealedBlob, sealed_blob

ROOT = Path(__file__).resolve().parents[2]
_SEGMENT = 16 << 10
_FIRST, _SECOND = b"\x01" * 32, b"\x02" * 32
_HOLDS = """
import pickle, sys
from pathlib import Path
from marketplace.storage.cache import CiphertextCache
from marketplace.storage.local import LocalStore
root, limit, uri = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
store = LocalStore(root / "store")
cache = CiphertextCache(root / "cache", limit, lambda _: store)
cache.hold(b"\\x01" * 32, pickle.loads((root / "info").read_bytes()), [uri])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def blobs() -> list[SealedBlob]:
    return [sealed_blob(4 * _SEGMENT, _SEGMENT, seed) for seed in range(3)]


def test_what_a_living_process_holds_stays_and_what_a_dead_one_held_goes(
    tmp_path: Path, blobs: list[SealedBlob]
) -> None:
    store = LocalStore(tmp_path / "store")
    uris = [store.put([blob.stream]) for blob in blobs]
    (tmp_path / "info").write_bytes(pickle.dumps(blobs[0].info))
    limit = 2 * len(blobs[0].stream) + 100
    command = [sys.executable, "-c", _HOLDS, str(tmp_path), str(limit), uris[0]]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"
            cache = CiphertextCache(tmp_path / "cache", limit, lambda _: store)
            cache.keep_only([])
            cache.hold(_SECOND, blobs[1].info, [uris[1]])
            with pytest.raises(CacheFullError):
                cache.hold(_SECOND, blobs[2].info, [uris[2]])
            assert cache.has(blobs[0].info)
        finally:
            other.kill()
    cache.keep_only([_SECOND])
    cache.hold(_SECOND, blobs[2].info, [uris[2]])
    assert not cache.has(blobs[0].info)


def test_a_new_start_removes_its_own(tmp_path: Path, blobs: list[SealedBlob]) -> None:
    store = LocalStore(tmp_path / "store")
    cache = CiphertextCache(tmp_path / "cache", 1 << 30, lambda _: store)
    for order in (_FIRST, _SECOND):
        cache.hold(order, blobs[0].info, [store.put([blobs[0].stream])])
    cache.keep_only([_SECOND])
    assert [path.name for path in (tmp_path / "cache" / "pins").iterdir()] == [_SECOND.hex()]
    cache.let_go(_SECOND)
    assert not list((tmp_path / "cache" / "pins").iterdir())
    cache.hold(_SECOND, blobs[0].info, [])
    assert len(list((tmp_path / "cache" / "pins").iterdir())) == 1
