"""From settings to a broker on real files, real nodes and the real verifier."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from marketplace.errors import BadInputError, ChainError
from marketplace.keybroker.activation import policy_digest, require_active
from marketplace.keybroker.config import BrokerConfig
from marketplace.keybroker.core import Broker
from marketplace.keybroker.shares import StoreRing
from marketplace.keybroker.store import Store
from marketplace.keybroker.views import ChainView
from marketplace.service.appraisal import PolicyAppraiser
from marketplace.service.audit import AuditLog
from marketplace.service.challenges import ChallengeBook
from marketplace.service.keyfiles import read_passphrase
from marketplace.service.limits import RPC_TIMEOUT_S
from marketplace.service.logs import ServiceLog
from marketplace.service.moments import JudgingTime, head_age_of

if TYPE_CHECKING:
    from fastapi import FastAPI

    from marketplace.chain.deployments import Deployment
    from marketplace.sealing.keystore import KeyStore

__all__ = ["build_app", "build_broker", "open_keystore"]


def build_broker(config: BrokerConfig, log: ServiceLog) -> Broker:
    """Return the broker that `config` describes; its store is open.

    Raises:
        NotFoundError, BadInputError: a policy that is not in force, a file that is missing or cannot be used,
            or a node of another chain.
        KeystoreError: the keystore does not open.
    """
    from marketplace.chain.deployments import Deployment

    deployment = Deployment.load(config.deployment)
    store, digest = Store(config.store_path), policy_digest(config)
    try:
        require_active(store, digest)
        return _broker(config, log, deployment, store, digest)
    except BaseException:
        store.close()
        raise


def _broker(
    config: BrokerConfig, log: ServiceLog, deployment: Deployment, store: Store, digest: bytes
) -> Broker:
    return Broker(
        policy=config.policy,
        policy_digest=digest,
        by_hand=config.by_hand,
        domain=deployment.order_domain,
        keys=StoreRing(open_keystore(config)),
        grant_key=config.grant_key.load(),
        appraiser=PolicyAppraiser(config.policy.appraisal, config.collateral),
        views=_views(config, deployment, log),
        time=JudgingTime(lambda: int(time.time()), head_age_of(config.max_head_age_s, deployment.chain_id)),
        challenges=ChallengeBook(time.monotonic, os.urandom, config.limits.challenge_lifetime_s),
        store=store,
        audit=AuditLog(config.audit_path),
    )


def build_app(config: BrokerConfig, log: ServiceLog) -> tuple[FastAPI, Callable[[], None]]:
    """Return the application that `config` describes, and what closes its files.

    Raises:
        NotFoundError, BadInputError, KeystoreError: as `build_broker`.
    """
    from marketplace.keybroker.app import create_app

    if config.policy.unsafe_accept_simulated:
        log.warning("SIMULATED TEEs are accepted: their operator can read what is released")
    broker = build_broker(config, log)
    limits = config.limits
    rate, most = limits.rate(time.monotonic), limits.max_body_bytes
    return create_app(broker, log=log, rate=rate, max_body_bytes=most), broker.store.close


def open_keystore(config: BrokerConfig) -> KeyStore:
    """Return the keystore that the settings name, open.

    Raises:
        NotFoundError, BadInputError: no keystore, or no passphrase for it.
        KeystoreError: it does not open.
    """
    from marketplace.sealing.keystore import KeyStore

    keystore = config.keystore
    if keystore.passphrase_file is None:
        raise BadInputError("keystore: passphrase_file", "nothing", "the file with its passphrase")
    passphrase = read_passphrase(keystore.passphrase_file)
    return KeyStore.open(keystore.file, passphrase, entropy=os.urandom, create=False)


def _views(config: BrokerConfig, deployment: Deployment, log: ServiceLog) -> list[ChainView]:
    from marketplace.chain.devchain import DEV_CHAIN_IDS
    from marketplace.chain.reader import Reader
    from marketplace.chain.rpc import Rpc
    from marketplace.keybroker.nodes import NodeView

    if config.confirmed == "head" and deployment.chain_id not in DEV_CHAIN_IDS:
        raise BadInputError(
            "chain: confirmed",
            f'"head" on chain {deployment.chain_id}',
            '"finalized": a real chain can take back its newest blocks',
        )
    confirmed = "latest" if config.confirmed == "head" else config.confirmed
    views: list[ChainView] = []
    for number, url in enumerate(config.rpcs, start=1):
        reader = Reader(Rpc(url, timeout_s=RPC_TIMEOUT_S, retries=1), deployment)
        try:
            reader.node.check_chain()
        except ChainError:
            log.warning("node does not answer yet; no key leaves without it", node=number)
        views.append(NodeView(reader, confirmed))
    return views
