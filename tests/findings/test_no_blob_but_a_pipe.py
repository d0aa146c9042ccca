"""What can lie under a blob's name in a folder: a pipe, a device, a link."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from marketplace.storage.base import (
    BlobCorruptError,
)
from marketplace.storage.local import LocalStore
from tests.fakes.endless_server import given_up

DATA = bytes(range(256)) * 400


def pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


def link_to_pipe(path: Path, outside: Path) -> None:
    os.mkfifo(outside)
    path.symlink_to(outside)


def link_to_file(path: Path, outside: Path) -> None:
    outside.write_bytes(DATA)
    path.symlink_to(outside)


def link_to_itself(path: Path, _: Path) -> None:
    path.symlink_to(path)


def device(path: Path, _: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("put", [pipe, link_to_pipe, link_to_file, link_to_itself, device])
def test_what_is_no_file_is_not_opened(tmp_path: Path, put: Callable[[Path, Path], None]) -> None:
    """Before: a pipe under a blob's name kept its reader waiting for ever; links led out of the store."""
    store = LocalStore(tmp_path / "store")
    source = tmp_path / "source"
    source.write_bytes(DATA)
    uri = store.push(source)
    (blob,) = (tmp_path / "store" / "sha256").glob("*/*")
    blob.unlink()
    put(blob, tmp_path / "outside")
    for ask in (store.size, lambda uri: store.run(uri, 0, 1), lambda uri: list(store.open(uri))):
        error = given_up(lambda ask=ask: ask(uri), 20)  # type: ignore[misc]
        assert isinstance(error, BlobCorruptError)
    assert not store.holds(uri, source)
    assert store.push(source) == uri
    assert b"".join(store.open(uri)) == DATA and not blob.is_symlink()


def test_a_pipe_among_what_is_on_its_way_stops_no_store(tmp_path: Path) -> None:
    """Before: opening the store waited for somebody to write into the pipe."""
    LocalStore(tmp_path / "store")
    os.mkfifo(tmp_path / "store" / "incoming" / "x")
    (tmp_path / "store" / "incoming" / "y").symlink_to(tmp_path / "nowhere")
    opened: list[LocalStore] = []
    thread = threading.Thread(target=lambda: opened.append(LocalStore(tmp_path / "store")), daemon=True)
    thread.start()
    thread.join(20)
    assert opened
