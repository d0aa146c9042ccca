"""One SQLite file that a service and its command line use at once: made, upgraded, written one at a time."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from marketplace.errors import BadInputError

__all__ = ["Database"]

_WAIT_S: Final = 10.0


class Database:
    """The file at `path`; made when missing, for its owner only, and brought to the newest version.

    Every change is on the disk when its transaction ends.

    Raises:
        BadInputError: the file is of a later version, or no database.
    """

    def __init__(self, path: Path, owner: str, upgrades: Sequence[str]) -> None:
        """Open it.

        Args:
            owner: whose state this is, for messages, such as "broker".
            upgrades: SQL; the first makes version 1 of nothing, the second version 2 of version 1, and so on.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA foreign_keys = ON")
            with self.writing():
                self._upgrade(f"{owner} state {path}", upgrades)
        except sqlite3.DatabaseError as error:
            raise BadInputError(
                f"{owner} state {path}", "a file that SQLite cannot use", f"a {owner}'s state"
            ) from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the one write transaction; it is on the disk when the block ends without an exception."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # some failures end the transaction themselves
                    self._db.execute("ROLLBACK")
                raise

    def _run(self, statement: str, values: Sequence[object] = ()) -> None:
        """Change something, inside `writing`."""
        self._db.execute(statement, values)

    def _maybe(self, query: str, values: Sequence[object] = ()) -> tuple[Any, ...] | None:
        with self._lock:
            row: tuple[Any, ...] | None = self._db.execute(query, values).fetchone()
            return row

    def _one(self, query: str, values: Sequence[object] = ()) -> tuple[Any, ...]:
        row = self._maybe(query, values)
        assert row is not None  # aggregates and pragmas always answer
        return row

    def _all(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(query, values).fetchall()

    def _upgrade(self, name: str, upgrades: Sequence[str]) -> None:
        version, newest = int(self._one("PRAGMA user_version")[0]), len(upgrades)
        if not 0 <= version <= newest:
            raise BadInputError(name, f"version {version}", f"at most {newest}")
        if version == newest:
            return
        for upgrade in upgrades[version:]:
            for statement in upgrade.split(";"):
                self._run(statement)
        self._run(f"PRAGMA user_version = {newest}")
