"""What a certifier remembers: certificates it issued, evidence to renew from, CVMs it revoked (SQLite).

The service and its command line use the file at once. What has expired is forgotten; a revocation never is.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from enclave_runtime.wire.codec import hex_of
from marketplace.errors import BadInputError

__all__ = ["CertifierStore", "KnownCvm", "Revoked"]

_VERSION: Final = 1
_WAIT_S: Final = 10.0
_MAX_CVMS: Final = 4_096
"""CVMs whose evidence is kept; who showed it longest ago gives way, and must show new evidence."""
_SCHEMA: Final = """
CREATE TABLE issued (
  digest BLOB PRIMARY KEY, cvm_id BLOB NOT NULL, serial BLOB NOT NULL, expires_at INTEGER NOT NULL) STRICT;
CREATE INDEX issued_by_cvm ON issued (cvm_id);
CREATE TABLE known (
  cvm_id BLOB PRIMARY KEY, operator BLOB NOT NULL, bundle BLOB NOT NULL, shown_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL) STRICT;
CREATE TABLE revoked (
  cvm_id BLOB PRIMARY KEY, at INTEGER NOT NULL, reason TEXT NOT NULL, signature BLOB NOT NULL) STRICT;
"""


@dataclass(frozen=True, slots=True)
class KnownCvm:
    """A CVM that was certified, and the evidence that it showed.

    Attributes:
        operator: 20 bytes.
        bundle: bytes of the evidence bundle.
        shown_at: Unix time, in seconds, when it showed it.
        expires_at: of its last certificate, likewise.
    """

    operator: bytes
    bundle: bytes
    shown_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Revoked:
    """A CVM that this certifier does not vouch for any more, and its signature over that, 65 bytes."""

    cvm_id: bytes
    at: int
    reason: str
    signature: bytes


class CertifierStore:
    """The tables in the file at `path`; made when missing, for its owner only.

    Raises:
        BadInputError: the file is of another version, or no database.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            with self._writing():
                self._prepare(path)
        except sqlite3.DatabaseError as error:
            expected = "a certifier's state"
            raise BadInputError(
                f"certifier state {path}", "a file that SQLite cannot use", expected
            ) from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def known(self, cvm_id: bytes) -> KnownCvm | None:
        """Return what a CVM showed, and its last certificate's end."""
        query = "SELECT operator, bundle, shown_at, expires_at FROM known WHERE cvm_id = ?"
        row = self._maybe(query, (cvm_id,))
        return None if row is None else KnownCvm(*row)

    def issue(self, cvm_id: bytes, digest: bytes, serial: int, known: KnownCvm, *, now: int) -> None:
        """Note a certificate with this EIP-712 digest and X.509 serial number; forget what has expired.

        Raises:
            BadInputError: the CVM was revoked meanwhile.
        """
        with self._writing():
            if self.revocation(cvm_id) is not None:
                raise BadInputError("CVM", f"{hex_of(cvm_id)}, which was revoked", "one that is not")
            self._db.execute("DELETE FROM issued WHERE expires_at < ?", (now,))
            self._db.execute("DELETE FROM known WHERE expires_at < ?", (now,))
            self._db.execute(
                "INSERT OR REPLACE INTO issued VALUES (?, ?, ?, ?)",
                (digest, cvm_id, serial.to_bytes(20, "big"), known.expires_at),
            )
            self._db.execute(
                "INSERT OR REPLACE INTO known VALUES (?, ?, ?, ?, ?)",
                (cvm_id, known.operator, known.bundle, known.shown_at, known.expires_at),
            )
            self._db.execute(
                "DELETE FROM known WHERE cvm_id NOT IN"
                " (SELECT cvm_id FROM known ORDER BY shown_at DESC, cvm_id LIMIT ?)",
                (_MAX_CVMS,),
            )

    def revoke(self, revoked: Revoked) -> bool:
        """Note a revocation, for good; return False where the CVM is revoked already."""
        with self._writing():
            if self.revocation(revoked.cvm_id) is not None:
                return False
            values = (revoked.cvm_id, revoked.at, revoked.reason, revoked.signature)
            self._db.execute("INSERT INTO revoked VALUES (?, ?, ?, ?)", values)
            self._db.execute("DELETE FROM known WHERE cvm_id = ?", (revoked.cvm_id,))
            return True

    def revocation(self, cvm_id: bytes) -> Revoked | None:
        """Return the revocation of a CVM, if there is one."""
        row = self._maybe("SELECT cvm_id, at, reason, signature FROM revoked WHERE cvm_id = ?", (cvm_id,))
        return None if row is None else Revoked(*row)

    def revocations(self) -> list[Revoked]:
        """Return every revocation, oldest first."""
        rows = self._all("SELECT cvm_id, at, reason, signature FROM revoked ORDER BY at, cvm_id", ())
        return [Revoked(*row) for row in rows]

    def revoked_serials(self) -> list[tuple[int, int]]:
        """Return (serial number, when it was revoked) of each certificate of a revoked CVM that was kept."""
        query = (
            "SELECT issued.serial, revoked.at FROM issued JOIN revoked USING (cvm_id) ORDER BY issued.serial"
        )
        return [(int.from_bytes(serial, "big"), at) for serial, at in self._all(query, ())]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _prepare(self, path: Path) -> None:
        row = self._maybe("PRAGMA user_version", ())
        version = 0 if row is None else row[0]
        if version == 0:
            for statement in _SCHEMA.split(";"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {_VERSION}")
        elif version != _VERSION:
            raise BadInputError(f"certifier state {path}", f"version {version}", _VERSION)

    def _maybe(self, query: str, values: tuple[object, ...]) -> tuple[Any, ...] | None:
        with self._lock:
            row: tuple[Any, ...] | None = self._db.execute(query, values).fetchone()
            return row

    def _all(self, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(query, values).fetchall()
