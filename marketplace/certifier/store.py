"""What a certifier remembers: certificates it issued, evidence to renew from, CVMs it revoked (SQLite).

The service and its command line use the file at once. What has expired is forgotten; a revocation never is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from enclave_runtime.wire.codec import hex_of
from marketplace.errors import BadInputError
from marketplace.service.database import Database

__all__ = ["CertifierStore", "KnownCvm", "Revoked"]

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


class CertifierStore(Database):
    """The certifier's tables in the file at `path`; see `Database`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "certifier", (_SCHEMA,))

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
        with self.writing():
            if self.revocation(cvm_id) is not None:
                raise BadInputError("CVM", f"{hex_of(cvm_id)}, which was revoked", "one that is not")
            self._run("DELETE FROM issued WHERE expires_at < ?", (now,))
            self._run("DELETE FROM known WHERE expires_at < ?", (now,))
            self._run(
                "INSERT OR REPLACE INTO issued VALUES (?, ?, ?, ?)",
                (digest, cvm_id, serial.to_bytes(20, "big"), known.expires_at),
            )
            self._run(
                "INSERT OR REPLACE INTO known VALUES (?, ?, ?, ?, ?)",
                (cvm_id, known.operator, known.bundle, known.shown_at, known.expires_at),
            )
            self._run(
                "DELETE FROM known WHERE cvm_id NOT IN"
                " (SELECT cvm_id FROM known ORDER BY shown_at DESC, cvm_id LIMIT ?)",
                (_MAX_CVMS,),
            )

    def revoke(self, revoked: Revoked) -> bool:
        """Note a revocation, for good; return False where the CVM is revoked already."""
        with self.writing():
            if self.revocation(revoked.cvm_id) is not None:
                return False
            values = (revoked.cvm_id, revoked.at, revoked.reason, revoked.signature)
            self._run("INSERT INTO revoked VALUES (?, ?, ?, ?)", values)
            self._run("DELETE FROM known WHERE cvm_id = ?", (revoked.cvm_id,))
            return True

    def revocation(self, cvm_id: bytes) -> Revoked | None:
        """Return the revocation of a CVM, if there is one."""
        row = self._maybe("SELECT cvm_id, at, reason, signature FROM revoked WHERE cvm_id = ?", (cvm_id,))
        return None if row is None else Revoked(*row)

    def revocations(self) -> list[Revoked]:
        """Return every revocation, oldest first."""
        rows = self._all("SELECT cvm_id, at, reason, signature FROM revoked ORDER BY at, cvm_id")
        return [Revoked(*row) for row in rows]

    def revoked_serials(self) -> list[tuple[int, int]]:
        """Return (serial number, when it was revoked) of each certificate of a revoked CVM that was kept."""
        query = (
            "SELECT issued.serial, revoked.at FROM issued JOIN revoked USING (cvm_id) ORDER BY issued.serial"
        )
        return [(int.from_bytes(serial, "big"), at) for serial, at in self._all(query)]
