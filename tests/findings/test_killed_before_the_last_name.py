"""The defect: killed between "read-only" and its last name, a download or a push could never be gone on with.

Whoever runs as root did not see it: the system lets root open a read-only file for writing.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from marketplace.storage.cache import CiphertextCache
from marketplace.storage.local import LocalStore
from tests.fakes.sealed_blob import sealed_blob

DATA = bytes(range(256)) * 10_000


@pytest.fixture(autouse=True)
def nobody_is_root(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: Callable[..., int] = os.open

    def as_others(path: Any, flags: int, *rest: int, **named: Any) -> int:
        if flags & os.O_RDWR and os.path.exists(path) and not os.stat(path).st_mode & 0o200:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, flags, *rest, **named)

    monkeypatch.setattr(os, "open", as_others)


def killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_push_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    store = LocalStore(tmp_path / "store")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "rename", killed)
        store.push(path)
    assert b"".join(store.open(store.push(path))) == DATA


def test_a_download_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blob, store = sealed_blob(100_000, 16 << 10), LocalStore(tmp_path / "store")
    uri = store.put([blob.stream])
    cache = CiphertextCache(tmp_path / "cache", 1 << 30, lambda _: store)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "rename", killed)
        cache.hold(bytes(32), blob.info, [uri])
    assert cache.hold(bytes(32), blob.info, [uri]).read_bytes() == blob.stream
