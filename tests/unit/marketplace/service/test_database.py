"""The file that a service and its command line share: versions, upgrades, one writer (service.database)."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from marketplace.errors import BadInputError
from marketplace.service.database import Database

FIRST = "CREATE TABLE items (name TEXT PRIMARY KEY) STRICT;"
SECOND = "CREATE TABLE more (name TEXT NOT NULL REFERENCES items) STRICT; INSERT INTO items VALUES ('new');"


class Items(Database):
    def __init__(self, path: Path, *upgrades: str) -> None:
        super().__init__(path, "shelf", upgrades or (FIRST,))

    def add(self, name: str) -> None:
        self._run("INSERT INTO items VALUES (?)", (name,))

    def names(self) -> list[str]:
        return [name for (name,) in self._all("SELECT name FROM items ORDER BY name")]


def test_is_made_for_its_owner_only_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "state" / "shelf.sqlite3"
    made = Items(path)
    with made.writing():
        made.add("one")
    made.close()
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    assert Items(path).names() == ["one"]


def test_an_older_file_is_upgraded_and_keeps_what_it_had(tmp_path: Path) -> None:
    path = tmp_path / "shelf.sqlite3"
    old = Items(path)
    with old.writing():
        old.add("one")
    old.close()
    new = Items(path, FIRST, SECOND)
    assert new.names() == ["new", "one"]
    with pytest.raises(sqlite3.IntegrityError), new.writing():  # foreign keys count
        new._run("INSERT INTO more VALUES ('nobody')")
    assert Items(path, FIRST, SECOND).names() == ["new", "one"], "upgraded twice"


@pytest.mark.parametrize("version", [2, -1])
def test_a_file_of_another_version_is_refused(tmp_path: Path, version: int) -> None:
    path = tmp_path / "shelf.sqlite3"
    with sqlite3.connect(path) as raw:
        raw.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(BadInputError, match=f"shelf state .*version {version}, expected at most 1"):
        Items(path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shelf.sqlite3"
    path.write_bytes(b"a letter to nobody in particular, long enough for a header" * 40)
    with pytest.raises(BadInputError, match="a shelf's state"):
        Items(path)


def test_an_upgrade_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "shelf.sqlite3"
    Items(path).close()
    with pytest.raises(BadInputError):
        Items(path, FIRST, "INSERT INTO items VALUES ('half'); INSERT INTO nowhere VALUES (1)")
    assert Items(path).names() == []


def test_what_raises_inside_writing_leaves_nothing(tmp_path: Path) -> None:
    items = Items(tmp_path / "shelf.sqlite3")
    with pytest.raises(RuntimeError), items.writing():
        items.add("one")
        raise RuntimeError
    with items.writing():
        items.add("two")
    assert items.names() == ["two"]


def test_writers_take_turns_over_threads_and_files(tmp_path: Path) -> None:
    path = tmp_path / "shelf.sqlite3"
    doors = [Items(path), Items(path)]

    def write(number: int) -> None:
        door = doors[number % 2]
        with door.writing():
            door.add(f"{len(door.names()):02}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert doors[0].names() == [f"{number:02}" for number in range(12)]
