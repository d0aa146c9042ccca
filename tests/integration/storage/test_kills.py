"""Downloads and uploads killed at random points: the right bytes in the end, and hardly any of them twice."""

from __future__ import annotations

import os
import pickle
import random
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from marketplace.storage.ipfs import IpfsStore
from marketplace.storage.local import LocalStore
from marketplace.storage.patience import Patience
from marketplace.storage.s3 import S3Config, S3Store
from tests.fakes.range_server import Asked, RangeServer, head
from tests.fakes.sealed_blob import sealed_blob
from tests.integration.storage.conftest import IpfsNode

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[3]
KILLS = 10
MIB = 1 << 20


def counted(folder: Path) -> int:
    (count,) = struct.unpack("Q", (folder / "count").read_bytes())
    return int(count)


def run_and_kill(folder: Path, points: list[int], *words: str) -> int:
    """Run the process again and again, killed each time it passes a point; return how often it was killed."""
    (folder / "count").write_bytes(bytes(8))
    command = [sys.executable, str(Path(__file__).with_name("downloading.py")), *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for kills, point in enumerate([*points, sys.maxsize]):
        (folder / "point").write_text(str(point))
        if (code := subprocess.run(command, env=environment).returncode) == 0:
            return kills
        assert code == -signal.SIGKILL
    raise AssertionError("unreachable")


def points_of(size: int, seed: int) -> list[int]:
    chosen = random.Random(seed)
    return sorted(chosen.randrange(size // 50, size * 95 // 100) for _ in range(KILLS))


def few_points(size: int, seed: int) -> list[int]:
    """Return one point in each third: each kill costs what a server had under way, some of it 20 MiB."""
    chosen = random.Random(seed)
    return [chosen.randrange(size * third // 3 + 1, size * (third + 1) * 9 // 30) for third in range(3)]


def paced(asked: Asked) -> None:
    """Answer slowly enough for a kill to come in the middle of several answers."""
    asked.send(head(asked))
    body = memoryview(asked.body)
    for at in range(0, len(body), 256 << 10):
        asked.send(bytes(body[at : at + (256 << 10)]))
        time.sleep(0.004)


def download(folder: Path, mib: int, segment_bytes: int, seed: int) -> float:
    """Return how many times the size was fetched."""
    blob = sealed_blob(mib * MIB, segment_bytes)
    (folder / "info").write_bytes(pickle.dumps(blob.info))
    with RangeServer(blob.stream, paced) as server:
        points = points_of(len(blob.stream), seed)
        kills = run_and_kill(folder, points, "hold", str(folder), server.url)
    assert kills == KILLS
    (done,) = (folder / "cache" / "sealed").iterdir()
    assert done.read_bytes() == blob.stream
    assert list((folder / "cache" / "partial").iterdir()) == []
    return counted(folder) / len(blob.stream)


def test_a_download_killed_ten_times_fetches_hardly_anything_twice(tmp_path: Path) -> None:
    assert download(tmp_path, 32, 32 << 10, seed=1) <= 1.05


@pytest.mark.heavy
@pytest.mark.parametrize("seed", [2, 3])
def test_a_large_download_killed_ten_times(tmp_path: Path, seed: int) -> None:
    assert download(tmp_path, 1024, MIB, seed) <= 1.05


@pytest.mark.heavy
def test_a_push_killed_ten_times_writes_nothing_twice(tmp_path: Path) -> None:
    data = random.Random(4).randbytes(64 * MIB)
    (tmp_path / "file").write_bytes(data)
    points = points_of(len(data), 5)[::3]
    assert run_and_kill(tmp_path, points, "push", str(tmp_path)) == len(points)
    assert counted(tmp_path) <= len(data) + KILLS * MIB
    store = LocalStore(tmp_path / "store")
    uri = store.push(tmp_path / "file")
    assert b"".join(store.open(uri)) == data


def test_a_push_to_ipfs_killed_three_times_goes_on(
    tmp_path: Path, ipfs_nodes: tuple[IpfsNode, IpfsNode]
) -> None:
    data = random.Random(21).randbytes(96 * MIB)
    (tmp_path / "file").write_bytes(data)
    api = ipfs_nodes[0].api
    kills = run_and_kill(tmp_path, few_points(len(data), 22), "push-ipfs", str(tmp_path), api)
    assert kills == 3
    assert counted(tmp_path) <= len(data) + MIB + kills * 16 * MIB  # two calls of eight blocks, and the root
    store = IpfsStore(api, Patience())
    uri = store.push(tmp_path / "file")
    assert b"".join(store.open(uri)) == data


def test_a_push_to_s3_killed_three_times_goes_on(tmp_path: Path, s3_endpoint: str) -> None:
    data = random.Random(23).randbytes(96 * MIB)
    (tmp_path / "file").write_bytes(data)
    kills = run_and_kill(tmp_path, few_points(len(data), 24), "push-s3", str(tmp_path), s3_endpoint)
    assert kills == 3
    assert counted(tmp_path) <= len(data) + kills * 20 * MIB  # four parts of 5 MiB
    store = S3Store(S3Config("blobs", "kills/", s3_endpoint, "us-east-1"), Patience())
    uri = store.push(tmp_path / "file")
    assert b"".join(store.open(uri)) == data


@pytest.mark.heavy
@pytest.mark.parametrize("scheme", ["ipfs", "s3"])
def test_a_download_from_a_server_killed_three_times_goes_on(
    tmp_path: Path, scheme: str, ipfs_nodes: tuple[IpfsNode, IpfsNode], s3_endpoint: str
) -> None:
    blob = sealed_blob(128 * MIB, MIB, seed=25)
    (tmp_path / "info").write_bytes(pickle.dumps(blob.info))
    if scheme == "ipfs":
        where, leaf_bytes = ipfs_nodes[0].api, MIB
        uri = IpfsStore(where, Patience()).put([blob.stream])
    else:
        where, leaf_bytes = s3_endpoint, 0
        uri = S3Store(S3Config("blobs", "kills/", where, "us-east-1"), Patience()).put([blob.stream])
    points = few_points(len(blob.stream), 26)
    kills = run_and_kill(tmp_path, points, f"hold-{scheme}", str(tmp_path), uri, where)
    assert kills == 3
    (done,) = (tmp_path / "cache" / "sealed").iterdir()
    assert done.read_bytes() == blob.stream
    # Of each of four threads a segment; of IPFS also the leaves at both ends of its runs, which come whole.
    runs = (kills + 1) * 16
    assert counted(tmp_path) <= len(blob.stream) + kills * 4 * (MIB + leaf_bytes) + runs * 2 * leaf_bytes
