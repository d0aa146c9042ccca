"""What a certifier's operator does beside the running service: revoke, and look at what was revoked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from enclave_runtime.wire.errors import WireError
from marketplace.certifier.config import CertifierConfig
from marketplace.certifier.core import revoke
from marketplace.certifier.store import CertifierStore, Revoked
from marketplace.errors import BadInputError, ChainError
from marketplace.service.audit import AuditLog
from marketplace.service.limits import RPC_TIMEOUT_S

__all__ = ["list_revoked", "revoke_cvm"]


def revoke_cvm(config: CertifierConfig, cvm_id: bytes, reason: str) -> Revoked | None:
    """Sign and keep a revocation; None where the CVM is revoked already. The running service obeys at once.

    Args:
        cvm_id: 32 bytes; it need not be one that was certified here.
        reason: for people; it is published.
    Raises:
        BadInputError: no reason, or a long one.
    """
    from marketplace.chain.deployments import Deployment
    from marketplace.chain.reader import Reader
    from marketplace.chain.rpc import Rpc

    deployment = Deployment.load(config.deployment)
    try:
        now = Reader(Rpc(config.rpc, timeout_s=RPC_TIMEOUT_S, retries=1), deployment).now()
    except ChainError:  # a node that is silent must not keep a certifier from taking its word back
        now = int(time.time())
    domain, key = deployment.certificate_domain, config.key.load()
    with _store(config) as store:
        try:
            return revoke(store, AuditLog(config.audit_path), cvm_id, reason, now=now, domain=domain, key=key)
        except WireError as error:
            raise BadInputError("reason", str(error), "a sentence for people") from error


def list_revoked(config: CertifierConfig) -> list[Revoked]:
    """Return every revocation, oldest first."""
    with _store(config) as store:
        return store.revocations()


@contextmanager
def _store(config: CertifierConfig) -> Iterator[CertifierStore]:
    store = CertifierStore(config.store_path)
    try:
        yield store
    finally:
        store.close()
