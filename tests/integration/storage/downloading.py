"""A process that downloads into a cache, or pushes a file, until it is done or killed. For test_kills.

usage: python downloading.py hold FOLDER URL      FOLDER/info is a pickled SealedInfo
       python downloading.py push FOLDER          FOLDER/file goes into FOLDER/store
       python downloading.py push-ipfs FOLDER API, push-s3 FOLDER ENDPOINT
       python downloading.py hold-ipfs FOLDER URI API, hold-s3 FOLDER URI ENDPOINT
FOLDER/count grows by every byte that was read from the network, or written to the store, as it happens; of a
push to a server by every block and part that begins to be sent. FOLDER/point is the count at which this
process kills itself, whatever its other threads do then: who watches from outside may be too late.
"""

from __future__ import annotations

import mmap
import os
import pickle
import signal
import struct
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from marketplace.storage import s3parts
from marketplace.storage.base import BlobStore, Chunk
from marketplace.storage.body import HttpRun
from marketplace.storage.cache import CiphertextCache
from marketplace.storage.cid import Cid
from marketplace.storage.ipfs import IpfsStore
from marketplace.storage.kubo import Kubo
from marketplace.storage.local import LocalStore
from marketplace.storage.network import NetworkPolicy
from marketplace.storage.patience import Patience
from marketplace.storage.ranges import Ranges
from marketplace.storage.s3 import S3Config, S3Store
from marketplace.storage.s3calls import S3Calls
from marketplace.storage.web import WebStore


class Count:
    """A number in a file, which outlasts its writer; the writer does not outlast its point."""

    def __init__(self, folder: Path) -> None:
        with open(folder / "count", "r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8)
        self._point = int((folder / "point").read_text())
        self._lock = threading.Lock()

    def add(self, number: int) -> None:
        with self._lock:
            now = struct.unpack("Q", self._map[:])[0] + number
            self._map[:] = struct.pack("Q", now)
            if now >= self._point:
                os.kill(os.getpid(), signal.SIGKILL)


def hold(folder: Path, url: str) -> None:
    hold_from(folder, url, WebStore(Ranges(NetworkPolicy(dangerous_allow_loopback=True), Patience())))


def hold_from(folder: Path, uri: str, store: BlobStore) -> None:
    count = Count(folder)
    readinto = HttpRun.readinto

    def counted(self: HttpRun, buffer: memoryview) -> int:
        got = readinto(self, buffer)
        count.add(got)
        return got

    HttpRun.readinto = counted  # type: ignore[method-assign]
    info = pickle.loads((folder / "info").read_bytes())
    CiphertextCache(folder / "cache", 1 << 40, lambda _: store).hold(bytes(32), info, [uri])


def s3_at(endpoint: str) -> S3Store:
    return S3Store(S3Config("blobs", "kills/", endpoint, "us-east-1"), Patience())


def push_ipfs(folder: Path, api: str) -> None:
    count = Count(folder)
    put = Kubo.put_blocks

    def counted(self: Kubo, codec: int, blocks: Sequence[tuple[Cid, Chunk]]) -> None:
        count.add(sum(len(block) for _, block in blocks))
        put(self, codec, blocks)

    Kubo.put_blocks = counted  # type: ignore[method-assign]
    IpfsStore(api, Patience()).push(folder / "file")


def push_s3(folder: Path, endpoint: str) -> None:
    count = Count(folder)
    once = S3Calls._once

    def counted(self: S3Calls, name: str, method: Any, named: dict[str, Any]) -> Any:
        if name == "upload_part":
            count.add(len(named["Body"]))
        return once(self, name, method, named)

    S3Calls._once = counted  # type: ignore[method-assign]
    s3parts.PART_BYTES = 5 << 20  # type: ignore[misc]
    s3_at(endpoint).push(folder / "file")


def push(folder: Path) -> None:
    count = Count(folder)
    pwrite = os.pwrite

    def counted(descriptor: int, data: memoryview, offset: int) -> int:
        done = pwrite(descriptor, data, offset)
        count.add(done)
        return done

    os.pwrite = counted  # type: ignore[assignment]
    LocalStore(folder / "store").push(folder / "file")


if __name__ == "__main__":
    command, folder, *words = sys.argv[1:]
    {
        "hold": hold,
        "push": push,
        "push-ipfs": push_ipfs,
        "push-s3": push_s3,
        "hold-ipfs": lambda folder, uri, api: hold_from(folder, uri, IpfsStore(api, Patience())),
        "hold-s3": lambda folder, uri, endpoint: hold_from(folder, uri, s3_at(endpoint)),
    }[command](Path(folder), *words)
