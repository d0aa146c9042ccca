"""What an owner does with a broker's state beside the running service: look, approve, deny, verify.

Works while the service runs and while it does not: both use the same SQLite file and the same audit log.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.signatures import address_of
from marketplace.keybroker.config import BrokerConfig
from marketplace.keybroker.shares import ShareFile, take_share
from marketplace.keybroker.store import Approval, PendingRow, Store
from marketplace.keybroker.wiring import open_keystore
from marketplace.service.audit import AuditLog, Head, checked_log

__all__ = ["check_log", "keep_share", "list_pending", "settle"]


def list_pending(config: BrokerConfig, *, settled: bool = False) -> list[PendingRow]:
    """Return the uses that wait for a person; with `settled`, those that were approved or denied too."""
    with _store(config) as store:
        return store.pending(*(Approval if settled else (Approval.WAITING,)))


def settle(config: BrokerConfig, pending_id: str, decision: Approval, *, at: int) -> PendingRow:
    """Approve or deny one waiting use, and put that into the audit log.

    Args:
        pending_id: as `list_pending` shows it.
        decision: APPROVED or DENIED.
        at: Unix time, in seconds.
    Raises:
        NotFoundError: nothing with this id waits.
        BadInputError: it was decided the other way before.
    """
    with _store(config) as store:
        row = store.settle(pending_id, decision)
        AuditLog(config.audit_path).append(f"{decision.value} by hand", {**row.facts, "id": row.id}, at=at)
    return row


def keep_share(config: BrokerConfig, path: Path, *, at: int) -> ShareFile:
    """Keep the share in the file at `path`, and put that into the audit log.

    Args:
        at: Unix time, in seconds.
    Raises:
        NotFoundError, BadInputError, KeystoreError: as `shares.take_share` and `wiring.open_keystore`.
    """
    taken = take_share(path, open_keystore(config), address_of(config.grant_key.load()))
    facts: JsonObject = {
        "manifest_digest": hex_of(taken.manifest_digest),
        "threshold": hex_of(taken.threshold.digest()),
        "share": taken.number,
    }
    AuditLog(config.audit_path).append("share kept", facts, at=at)
    return taken


def check_log(config: BrokerConfig, known: Head | None = None) -> Head:
    """Return the head of the audit log after following every line.

    Args:
        known: a head that was seen earlier: the log must still go through it.
    Raises:
        AuditError: names the first line that does not follow from the ones before, or from `known`.
        NotFoundError: there is no log yet.
    """
    return checked_log(config.audit_path, known)


@contextmanager
def _store(config: BrokerConfig) -> Iterator[Store]:
    store = Store(config.store_path)
    try:
        yield store
    finally:
        store.close()
