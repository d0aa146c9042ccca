"""The agent's memory: one SQLite file, written before the world is told (protocol sections 7 and 10).

It holds no secret and nothing that the chain or the CVM could not tell again; it makes the agent find
its CVMs and transactions after a crash. `synchronous=FULL`: what was written is there after power loss.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marketplace.errors import MarketError

__all__ = ["CvmRow", "JobRow", "Journal"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    order_id BLOB PRIMARY KEY, preimage TEXT NOT NULL, cvm TEXT, note TEXT NOT NULL DEFAULT '',
    done INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS cvms (
    name TEXT PRIMARY KEY, socket TEXT UNIQUE, pid INTEGER, cvm_id BLOB,
    registered INTEGER NOT NULL DEFAULT 0, order_id BLOB UNIQUE, ended INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS transactions (
    hash TEXT PRIMARY KEY, order_id BLOB NOT NULL, purpose TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS facts (
    order_id BLOB NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (order_id, name)
) STRICT;
CREATE INDEX IF NOT EXISTS open_jobs ON jobs(done) WHERE done = 0;
CREATE INDEX IF NOT EXISTS living_cvms ON cvms(ended) WHERE ended = 0;
CREATE TABLE IF NOT EXISTS cursor (one INTEGER PRIMARY KEY CHECK (one = 1), block INTEGER NOT NULL) STRICT;
"""


@dataclass(frozen=True, slots=True)
class JobRow:
    """One order that this agent has seen; `preimage` is canonical JSON."""

    order_id: bytes
    preimage: str
    cvm: str | None
    note: str
    done: bool


@dataclass(frozen=True, slots=True)
class CvmRow:
    """One CVM that this agent launched; `order_id` once it was promised to an order."""

    name: str
    socket: str
    pid: int
    cvm_id: bytes | None
    registered: bool
    order_id: bytes | None
    ended: bool


class Journal:
    """Append and read; safe to use from several threads of one agent."""

    def __init__(self, path: Path) -> None:
        """Open or create the journal at `path` (mode 0600)."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=True)
        self._path = path
        self._owned = -1
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
        self._lock = threading.Lock()
        self._run("PRAGMA journal_mode=WAL")
        self._run("PRAGMA synchronous=FULL")
        for statement in _SCHEMA.split(";"):
            self._run(statement)

    def own(self) -> None:
        """Keep other agents from working on this journal until it is closed or this process ends.

        Raises:
            MarketError: another process does.
        """
        descriptor = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            hint = "one agent for a journal; stop the other, or give this one a journal of its own"
            raise MarketError(f"journal {self._path}: another agent works on it", hint=hint) from None
        self._owned = descriptor

    def close(self) -> None:
        """Close the file; nothing is lost without it."""
        with self._lock:
            self._db.close()
            if self._owned >= 0:
                os.close(self._owned)
                self._owned = -1

    def see_order(self, order_id: bytes, preimage: str) -> None:
        """Remember an order; a second time changes nothing."""
        self._run("INSERT OR IGNORE INTO jobs(order_id, preimage) VALUES (?, ?)", order_id, preimage)

    def open_jobs(self) -> list[JobRow]:
        """Return the orders that still need looking at, oldest first."""
        return [_job(row) for row in self._run("SELECT * FROM jobs WHERE done = 0 ORDER BY rowid")]

    def jobs(self) -> list[JobRow]:
        """Return every order seen, oldest first."""
        return [_job(row) for row in self._run("SELECT * FROM jobs ORDER BY rowid")]

    def finish(self, order_id: bytes, note: str) -> None:
        """Nothing is left to do for this order; say why."""
        self._run("UPDATE jobs SET done = 1, note = ? WHERE order_id = ?", note, order_id)

    def note(self, order_id: bytes, note: str) -> None:
        """Remember the last thing said about an order."""
        self._run("UPDATE jobs SET note = ? WHERE order_id = ?", note, order_id)

    def intend(self, name: str) -> None:
        """Remember that a CVM is about to be launched under this name."""
        self._run("INSERT INTO cvms(name) VALUES (?)", name)

    def intended(self) -> list[str]:
        """Return the names under which a launch was begun and nothing more is known."""
        rows = self._run("SELECT name FROM cvms WHERE socket IS NULL AND ended = 0 ORDER BY rowid")
        return [str(row[0]) for row in rows]

    def launched(self, name: str, socket: str, pid: int) -> None:
        """Remember a CVM before anything is asked of it."""
        self._run("UPDATE cvms SET socket = ?, pid = ? WHERE name = ?", socket, pid, name)

    def never_launched(self, name: str) -> None:
        """There is no CVM of this name."""
        self._run("UPDATE cvms SET ended = 1 WHERE name = ? AND socket IS NULL", name)

    def registered(self, socket: str, cvm_id: bytes) -> None:
        """The CVM's certificate is on chain."""
        self._run("UPDATE cvms SET cvm_id = ?, registered = 1 WHERE socket = ?", cvm_id, socket)

    def promise(self, socket: str, order_id: bytes) -> bool:
        """Bind a free CVM to an order before `accept` is sent: one CVM, one order.

        Returns:
            False where another order has this CVM, it has ended, or this order has another.
        """
        with self._writing() as db:
            taken = db.execute(
                "SELECT 1 FROM cvms WHERE order_id = ? OR (socket = ? AND (order_id IS NOT NULL OR ended))",
                (order_id, socket),
            ).fetchone()
            if taken is None:
                db.execute("UPDATE cvms SET order_id = ? WHERE socket = ?", (order_id, socket))
                db.execute("UPDATE jobs SET cvm = ? WHERE order_id = ?", (socket, order_id))
        return taken is None

    def release(self, order_id: bytes) -> None:
        """Take a promise back: only for an order that this CVM was never accepted for."""
        with self._writing() as db:
            db.execute("UPDATE cvms SET order_id = NULL WHERE order_id = ?", (order_id,))
            db.execute("UPDATE jobs SET cvm = NULL WHERE order_id = ?", (order_id,))

    def ended(self, socket: str) -> None:
        """The CVM's process is gone."""
        self._run("UPDATE cvms SET ended = 1 WHERE socket = ?", socket)

    def cvms(self) -> list[CvmRow]:
        """Return the CVMs that have not ended, oldest first."""
        rows = self._run("SELECT * FROM cvms WHERE ended = 0 AND socket IS NOT NULL ORDER BY rowid")
        return [_cvm(row) for row in rows]

    def cvm_of(self, order_id: bytes) -> CvmRow | None:
        """Return the CVM promised to an order, ended or not."""
        rows = self._run("SELECT * FROM cvms WHERE order_id = ?", order_id)
        return _cvm(rows[0]) if rows else None

    def sent(self, order_id: bytes, purpose: str, tx_hash: str) -> None:
        """Remember a transaction before it is waited for."""
        self._run("INSERT OR IGNORE INTO transactions VALUES (?, ?, ?)", tx_hash, order_id, purpose)

    def transactions(self, order_id: bytes) -> list[tuple[str, str]]:
        """Return (purpose, hash) of what was sent for an order, oldest first."""
        rows = self._run("SELECT purpose, hash FROM transactions WHERE order_id = ? ORDER BY rowid", order_id)
        return [(row[0], row[1]) for row in rows]

    def was_sent(self, order_id: bytes, purpose: str) -> bool:
        """Return whether a transaction with this purpose may have gone out."""
        return any(known == purpose for known, _ in self.transactions(order_id))

    def set_fact(self, order_id: bytes, name: str, value: str) -> None:
        """Remember one public fact of an order, such as a blob's location."""
        self._run("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", order_id, name, value)

    def fact(self, order_id: bytes, name: str) -> str | None:
        """Return a remembered fact."""
        rows = self._run("SELECT value FROM facts WHERE order_id = ? AND name = ?", order_id, name)
        return rows[0][0] if rows else None

    def cursor(self) -> int:
        """Return the block up to which placed orders were read."""
        rows = self._run("SELECT block FROM cursor")
        return int(rows[0][0]) if rows else 0

    def move_cursor(self, block: int) -> None:
        """Remember the block up to which placed orders were read."""
        self._run("INSERT OR REPLACE INTO cursor VALUES (1, ?)", block)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Hold one write transaction: all of it is on the disk when the block ends, or nothing."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # some failures end the transaction themselves
                    self._db.execute("ROLLBACK")
                raise

    def _run(self, statement: str, *values: object) -> list[Any]:
        with self._lock:
            return self._db.execute(statement, values).fetchall()


def _job(row: Any) -> JobRow:
    order_id, preimage, cvm, note, done = row
    return JobRow(order_id, preimage, cvm, note, bool(done))


def _cvm(row: Any) -> CvmRow:
    name, socket, pid, cvm_id, registered, order_id, ended = row
    return CvmRow(name, socket, pid, cvm_id, bool(registered), order_id, bool(ended))
