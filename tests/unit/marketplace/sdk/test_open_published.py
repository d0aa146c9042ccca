"""What an engine published while it ran, opened with its result: each by its own digests (section 7(8))."""

from __future__ import annotations

import io
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from enclave_runtime.sealed.archive import ArchiveReader
from enclave_runtime.sealed.published import LIST_NAME, PublishedList, PublishedOne
from enclave_runtime.sealed.stream import seal
from marketplace.sdk.results import _open_published
from marketplace.storage.base import StorageError
from marketplace.storage.registry import StorageConfig
from marketplace.storage.stores import Stores

KEY, SALT = os.urandom(32), os.urandom(32)


@pytest.fixture
def session(tmp_path: Path) -> Any:
    return SimpleNamespace(store=Stores(StorageConfig(tmp_path / "blobs")))


def published(tmp_path: Path, session: Any, name: str) -> tuple[PublishedOne, str]:
    source = tmp_path / f"source-{name}"
    source.mkdir()
    (source / "weights").write_text(f"epoch {name}")
    out = io.BytesIO()
    with ArchiveReader(source) as archive:
        info = seal(archive, out, archive.length, KEY, digest_salt=SALT, entropy=os.urandom)
    return PublishedOne(name, info), session.store.put([out.getvalue()])


def opened(session: Any, folder: Path, ones: list[PublishedOne], places: tuple[str, ...]) -> None:
    folder.mkdir()
    if ones:
        (folder / LIST_NAME).write_bytes(PublishedList(tuple(ones)).to_bytes())
    _open_published(session, places, bytearray(KEY + SALT), folder, None)


def test_opens_each_under_its_number(session: Any, tmp_path: Path) -> None:
    (one, first), (two, second) = (published(tmp_path, session, name) for name in ("7", "12"))
    opened(session, tmp_path / "out", [one, two], (first, second))
    for name in ("7", "12"):
        assert (tmp_path / "out" / "checkpoints" / name / "weights").read_text() == f"epoch {name}"


def test_a_result_without_any_has_no_folder_for_them(session: Any, tmp_path: Path) -> None:
    opened(session, tmp_path / "out", [], ("file:whatever",))
    assert list((tmp_path / "out").iterdir()) == []


def test_what_cannot_be_had_is_named_and_the_rest_is_opened(session: Any, tmp_path: Path) -> None:
    made = [published(tmp_path, session, str(name)) for name in range(5)]
    bad = bytearray(b"".join(session.store.open(made[2][1])))
    bad[100] ^= 1
    # Swapped, altered, lost, and one place too few: nothing is opened that the list does not name.
    places = (made[1][1], made[0][1], session.store.put([bad]), "file:sha256/" + "0" * 64)
    with pytest.raises(StorageError, match="5 of 5 checkpoints cannot be had: checkpoint 0") as caught:
        opened(session, tmp_path / "out", [one for one, _ in made], places)
    assert "the provider names no place" in str(caught.value) or "checkpoint 4" not in str(caught.value)
    assert "all else is opened" in caught.value.hint
    assert not list((tmp_path / "out" / "checkpoints").iterdir())
    good = (made[0][1], "", made[2][1])
    with pytest.raises(StorageError, match=r"1 of 3 .*checkpoint 1: the provider names no place"):
        opened(session, tmp_path / "again", [one for one, _ in made[:3]], good)
    assert sorted(os.listdir(tmp_path / "again" / "checkpoints")) == ["0", "2"]
