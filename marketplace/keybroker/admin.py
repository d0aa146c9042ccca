"""What an owner does with a broker's state beside the running service: look, approve, deny, explain, verify.

Works while the service runs and while it does not: both use the same SQLite file and the same audit log.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from marketplace.domain.release_policy import ReleasePolicy, explain
from marketplace.errors import NotFoundError
from marketplace.keybroker.config import BrokerConfig
from marketplace.keybroker.store import Approval, PendingRow, Store
from marketplace.service.audit import AuditLog, Head, verify_log

__all__ = ["check_log", "explained", "list_pending", "settle"]


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


def explained(policy: ReleasePolicy, *, by_hand: bool) -> list[str]:
    """Return in sentences who could get a key, and why."""
    lines = explain(policy)
    lines.append(
        "For every node the order must be RUNNING with this CVM, in a finalized block and at the head."
    )
    if by_hand:
        lines.append("Then a person must still approve each use by hand.")
    return lines


def check_log(config: BrokerConfig) -> Head:
    """Return the head of the audit log after following every line.

    Raises:
        AuditError: names the first line that does not follow from the ones before.
        NotFoundError: there is no log yet.
    """
    try:
        return verify_log(config.audit_path)
    except FileNotFoundError as error:
        raise NotFoundError(f"no audit log at {config.audit_path}") from error


@contextmanager
def _store(config: BrokerConfig) -> Iterator[Store]:
    store = Store(config.store_path)
    try:
        yield store
    finally:
        store.close()
