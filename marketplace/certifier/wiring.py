"""From settings to a certifier on real files, a real chain and the real verifier."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from marketplace.certifier.config import DEVICES, CertifierConfig
from marketplace.certifier.core import Certifier, Validity
from marketplace.certifier.rootfiles import open_authority
from marketplace.certifier.store import CertifierStore
from marketplace.errors import BadInputError, ChainError
from marketplace.service.appraisal import PolicyAppraiser
from marketplace.service.attesting import AskDevices, Attest
from marketplace.service.audit import AuditLog
from marketplace.service.challenges import ChallengeBook
from marketplace.service.limits import RPC_TIMEOUT_S
from marketplace.service.logs import ServiceLog
from marketplace.service.moments import JudgingTime, head_age_of

if TYPE_CHECKING:
    from fastapi import FastAPI

    from enclave_runtime.attestation.model import Attester, DeviceAttester

__all__ = ["build_app", "build_certifier"]


def build_certifier(config: CertifierConfig, log: ServiceLog) -> Certifier:
    """Return the certifier that `config` describes.

    Raises:
        NotFoundError, BadInputError: a file that is missing or cannot be used, or a node of another chain.
    """
    from marketplace.chain.deployments import Deployment
    from marketplace.chain.reader import Reader
    from marketplace.chain.rpc import Rpc

    deployment = Deployment.load(config.deployment)
    policy = config.policy
    reader = Reader(Rpc(config.rpc, timeout_s=RPC_TIMEOUT_S, retries=1), deployment)
    try:
        reader.node.check_chain()
    except ChainError:
        log.warning("the chain node does not answer yet; nothing is certified without its time")
    config.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Certifier(
        name=config.name,
        key=config.key.load(),
        domain=deployment.certificate_domain,
        validity=Validity(config.validity_s, evidence_s=config.evidence_s),
        appraiser=PolicyAppraiser(lambda _root_set: policy, config.collateral),
        challenges=ChallengeBook(time.monotonic, os.urandom, config.limits.challenge_lifetime_s),
        clock=reader.now,
        time=JudgingTime(lambda: int(time.time()), head_age_of(config.max_head_age_s, deployment.chain_id)),
        audit=AuditLog(config.audit_path),
        # A new root is good from a day before: chain time may lag behind this machine's.
        authority=open_authority(
            config.x509, config.name, now=int(time.time()), simulated=policy.simulated is not None
        ),
        possession=deployment.possession_domain,
        store=CertifierStore(config.store_path),
    )


def attesters_of(
    device: str, find: Callable[[], tuple[Attester, DeviceAttester | None]] | None = None
) -> tuple[Attest | None, AskDevices | None]:
    """Return what makes evidence of the CVM that this process runs in, and of its GPUs; None without one.

    Args:
        device: one of `DEVICES`.
        find: looks for both; default: on this machine.
    Raises:
        EnclaveError: the settings say that this is a CVM, and the kernel gives no evidence, or GPUs fail.
        BadInputError: no such device.
    """
    from enclave_runtime.attestation.machine import find_attesters

    if device not in DEVICES:
        raise BadInputError("attestation: device", device, " or ".join(DEVICES))
    if device == "none":
        return None, None
    attester, gpus = (find or find_attesters)()
    return attester.evidence, None if gpus is None else gpus.evidence


def build_app(config: CertifierConfig, log: ServiceLog) -> tuple[FastAPI, Callable[[], None]]:
    """Return the application that `config` describes, and what closes its files.

    Raises:
        NotFoundError, BadInputError: as `build_certifier`.
    """
    from marketplace.certifier.app import create_app

    if config.policy.simulated is not None:
        log.warning("SIMULATED TEEs are accepted", root_set=config.policy.simulated.root_set)
    limits, certifier = config.limits, build_certifier(config, log)
    attest, devices = attesters_of(config.device)
    app = create_app(
        certifier,
        trust_classes=sorted(config.policy.root_sets),
        log=log,
        rate=limits.rate(time.monotonic),
        max_body_bytes=limits.max_body_bytes,
        attest=attest,
        devices=devices,
    )
    return app, certifier.store.close
