"""A process that downloads into a cache, or pushes a file, until it is done or killed. For test_kills.

usage: python downloading.py hold FOLDER URL      FOLDER/info is a pickled SealedInfo
       python downloading.py push FOLDER          FOLDER/file goes into FOLDER/store
FOLDER/count grows by every byte that was read from the network, or written to the store, as it happens.
"""

from __future__ import annotations

import mmap
import os
import pickle
import struct
import sys
import threading
from pathlib import Path

from marketplace.storage.body import HttpRun
from marketplace.storage.cache import CiphertextCache
from marketplace.storage.local import LocalStore
from marketplace.storage.network import NetworkPolicy
from marketplace.storage.patience import Patience
from marketplace.storage.ranges import Ranges
from marketplace.storage.web import WebStore


class Count:
    """A number in a file, which outlasts its writer."""

    def __init__(self, path: Path) -> None:
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8)
        self._lock = threading.Lock()

    def add(self, number: int) -> None:
        with self._lock:
            self._map[:] = struct.pack("Q", struct.unpack("Q", self._map[:])[0] + number)


def hold(folder: Path, url: str) -> None:
    count = Count(folder / "count")
    readinto = HttpRun.readinto

    def counted(self: HttpRun, buffer: memoryview) -> int:
        got = readinto(self, buffer)
        count.add(got)
        return got

    HttpRun.readinto = counted  # type: ignore[method-assign]
    info = pickle.loads((folder / "info").read_bytes())
    store = WebStore(Ranges(NetworkPolicy(dangerous_allow_loopback=True), Patience()))
    cache = CiphertextCache(folder / "cache", 1 << 40, lambda _: store)
    cache.hold(bytes(32), info, [url])


def push(folder: Path) -> None:
    count = Count(folder / "count")
    pwrite = os.pwrite

    def counted(descriptor: int, data: memoryview, offset: int) -> int:
        done = pwrite(descriptor, data, offset)
        count.add(done)
        return done

    os.pwrite = counted  # type: ignore[assignment]
    LocalStore(folder / "store").push(folder / "file")


if __name__ == "__main__":
    {"hold": hold, "push": push}[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
