"""What a broker remembers: uses, grants, and uses that wait for a person (SQLite).

A use is one row per (order, input, CVM), written through to the disk before its grant leaves. One write
transaction at a time, over threads and processes, counts, decides and records, so that two requests can
never both be the last use.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from enclave_runtime.wire.canonical import JsonObject, dump, parse_object
from enclave_runtime.wire.grant import KeyRequest
from enclave_runtime.wire.hashes import tagged
from marketplace.errors import BadInputError, NotFoundError
from marketplace.service.database import Database

__all__ = ["PENDING_ID_DIGITS", "Approval", "GrantRow", "PendingRow", "Store"]

PENDING_ID_DIGITS: Final = 16
_SCHEMA: Final = """
CREATE TABLE uses (
  order_id BLOB NOT NULL, input_index INTEGER NOT NULL, cvm_id BLOB NOT NULL,
  manifest_digest BLOB NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (order_id, input_index, cvm_id)) STRICT;
CREATE INDEX uses_by_content ON uses (manifest_digest, order_id);
CREATE TABLE grants (
  request_digest BLOB PRIMARY KEY, order_id BLOB NOT NULL, input_index INTEGER NOT NULL, cvm_id BLOB NOT NULL,
  sealed_grant BLOB NOT NULL, facts BLOB NOT NULL, at INTEGER NOT NULL, audited INTEGER NOT NULL DEFAULT 0,
  FOREIGN KEY (order_id, input_index, cvm_id) REFERENCES uses) STRICT;
CREATE INDEX grants_by_use ON grants (order_id, input_index, cvm_id);
CREATE TABLE pending (
  id TEXT PRIMARY KEY, order_id BLOB NOT NULL, input_index INTEGER NOT NULL, cvm_id BLOB NOT NULL,
  facts BLOB NOT NULL, state TEXT NOT NULL, at INTEGER NOT NULL,
  UNIQUE (order_id, input_index, cvm_id)) STRICT;
"""
_POLICY_SCHEMA: Final = """
CREATE TABLE active_policy (
  place INTEGER PRIMARY KEY CHECK (place = 0), digest BLOB NOT NULL, at INTEGER NOT NULL) STRICT;
"""
_UPGRADES: Final = (_SCHEMA, _POLICY_SCHEMA)
"""What makes version 1 of nothing, version 2 of version 1, and so on."""


class Approval(StrEnum):
    """What has become of a use that waits for a person."""

    WAITING = "waiting"
    APPROVED = "approved"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class GrantRow:
    """A grant as it was issued, byte for byte; `audited` once the audit log has it."""

    grant: bytes
    facts: JsonObject
    at: int
    audited: bool


@dataclass(frozen=True, slots=True)
class PendingRow:
    """A use that the policy would grant and a person has to approve; `facts` is what to look at."""

    id: str
    facts: JsonObject
    state: Approval
    at: int


class Store(Database):
    """The broker's tables in the file at `path`; see `Database`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "broker", _UPGRADES)

    def active_policy(self) -> bytes | None:
        """Return the digest of the policy in force, or None."""
        row = self._maybe("SELECT digest FROM active_policy")
        return None if row is None else bytes(row[0])

    def activate(self, digest: bytes, *, at: int) -> None:
        """Put the policy with this digest in force, at this Unix time."""
        with self.writing():
            self._run("INSERT OR REPLACE INTO active_policy VALUES (0, ?, ?)", (digest, at))

    def deactivate(self) -> None:
        """Put no policy in force."""
        with self.writing():
            self._run("DELETE FROM active_policy")

    def uses(self, manifest_digest: bytes, *, but: bytes) -> int:
        """Return how many orders other than `but` were given the key of this content."""
        return int(
            self._one(
                "SELECT count(DISTINCT order_id) FROM uses WHERE manifest_digest = ? AND order_id <> ?",
                (manifest_digest, but),
            )[0]
        )

    def is_used(self, request: KeyRequest) -> bool:
        """Return whether this input was released to this CVM for this order before."""
        query = "SELECT 1 FROM uses WHERE order_id = ? AND input_index = ? AND cvm_id = ?"
        return self._maybe(query, _use(request)) is not None

    def grants_of(self, request: KeyRequest) -> int:
        """Return how many different requests of one use were granted."""
        query = "SELECT count(*) FROM grants WHERE order_id = ? AND input_index = ? AND cvm_id = ?"
        return int(self._one(query, _use(request))[0])

    def record(self, request: KeyRequest, digest: bytes, grant: bytes, facts: JsonObject, *, at: int) -> None:
        """Write the use, unless this (order, input, CVM) has one, and the grant; inside `writing`."""
        self._run(
            "INSERT INTO uses VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (*_use(request), request.manifest_digest, at),
        )
        self._run(
            "INSERT INTO grants VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
            (digest, *_use(request), grant, dump(facts), at),
        )

    def grant(self, digest: bytes) -> GrantRow | None:
        """Return the grant that answered the request with this digest."""
        row = self._maybe(
            "SELECT sealed_grant, facts, at, audited FROM grants WHERE request_digest = ?", (digest,)
        )
        return None if row is None else GrantRow(row[0], parse_object(row[1]), row[2], bool(row[3]))

    def mark_audited(self, digest: bytes) -> None:
        """Note that the audit log has the grant for this request; inside `writing`."""
        self._run("UPDATE grants SET audited = 1 WHERE request_digest = ?", (digest,))

    def ask(self, request: KeyRequest, facts: JsonObject, *, at: int) -> PendingRow:
        """Queue a use for a person, inside `writing`."""
        row = PendingRow(_pending_id(request), facts, Approval.WAITING, at)
        self._run(
            "INSERT INTO pending VALUES (?, ?, ?, ?, ?, ?, ?)",
            (row.id, *_use(request), dump(facts), row.state.value, at),
        )
        return row

    def forget_waiting(self, *, before: int) -> None:
        """Drop uses that nobody decided on and that came in before this Unix time; inside `writing`."""
        self._run("DELETE FROM pending WHERE state = ? AND at < ?", (Approval.WAITING.value, before))

    def asked(self, request: KeyRequest) -> PendingRow | None:
        """Return what has become of the use that this request is about, if it was queued."""
        row = self._maybe(
            "SELECT id, facts, state, at FROM pending WHERE order_id = ? AND input_index = ? AND cvm_id = ?",
            _use(request),
        )
        return None if row is None else _pending(row)

    def pending(self, *states: Approval) -> list[PendingRow]:
        """Return the queued uses in any of `states`, oldest first."""
        marks = ", ".join("?" * len(states))
        rows = self._all(
            f"SELECT id, facts, state, at FROM pending WHERE state IN ({marks}) ORDER BY at, id",  # noqa: S608 - marks only
            [state.value for state in states],
        )
        return [_pending(row) for row in rows]

    def settle(self, pending_id: str, state: Approval) -> PendingRow:
        """Approve or deny a waiting use; once, for good.

        Raises:
            NotFoundError: no such request.
            BadInputError: it was settled the other way before.
        """
        with self.writing():
            row = self._maybe("SELECT id, facts, state, at FROM pending WHERE id = ?", (pending_id,))
            if row is None:
                raise NotFoundError(
                    f"no request {pending_id[:64]!r} has come in", hint="list them with `pending`"
                )
            known = _pending(row)
            if known.state not in (Approval.WAITING, state):
                raise BadInputError(
                    f"request {known.id}", f"one that was {known.state.value}", "a waiting one"
                )
            self._run("UPDATE pending SET state = ? WHERE id = ?", (state.value, known.id))
        return PendingRow(known.id, known.facts, state, known.at)


def _use(request: KeyRequest) -> tuple[bytes, int, bytes]:
    return request.order_id, request.input_index, request.cvm_id


def _pending_id(request: KeyRequest) -> str:
    """Return a short name that a person can type."""
    order_id, index, cvm_id = _use(request)
    return tagged("release-approval/v1", order_id, bytes([index]), cvm_id).hex()[:PENDING_ID_DIGITS]


def _pending(row: tuple[Any, ...]) -> PendingRow:
    pending_id, facts, state, at = row
    return PendingRow(pending_id, parse_object(facts), Approval(state), at)
