"""One certifier with everything around it in the test's hands."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from coincurve import PrivateKey
from cryptography.hazmat.primitives.asymmetric import ec

from enclave_runtime.wire.codec import bytes_from_hex, hex_of
from enclave_runtime.wire.cvm import (
    certifier_quorum_domain,
    cvm_registry_domain,
)
from marketplace.certifier.app import create_app
from marketplace.certifier.authority import make_authority
from marketplace.certifier.core import Certifier, Validity
from marketplace.certifier.store import CertifierStore
from marketplace.service.audit import AuditLog, read_log
from marketplace.service.challenges import ChallengeBook
from marketplace.service.limits import RateLimit
from marketplace.service.logs import ServiceLog
from marketplace.service.moments import JudgingTime
from tests.fakes.asgi import AppClient
from tests.fakes.cvm import OPERATOR, FakeCvm, ReportDataAppraiser

NOW = 1_800_000_000
DOMAIN = certifier_quorum_domain(31337, b"\x0c" * 20)
REGISTRY = cvm_registry_domain(31337, b"\x0d" * 20)
CRL_URL = "https://certifier.example/v1/crl"


@dataclass
class World:
    """One certifier with everything around it in the test's hands."""

    client: AppClient
    key: PrivateKey
    appraiser: ReportDataAppraiser
    audit_path: Path
    log: io.StringIO
    seconds: list[float]
    chain_time: list[int]
    certifier: Certifier
    wall: list[int]

    def challenge(self, operator: bytes = OPERATOR) -> bytes:
        answer = self.client.post("/v1/challenge", json={"operator": hex_of(operator)})
        assert answer.status_code == 200
        assert answer.json()["expires_at"] == self.chain_time[0] + 300
        return bytes_from_hex(answer.json()["challenge"], 32)

    def certify(self, cvm: FakeCvm, challenge: bytes, *, operator: bytes = OPERATOR, **bundle: object):  # type: ignore[no-untyped-def]
        made = cvm.bundle(challenge, **{"operator": operator, **bundle})  # type: ignore[arg-type]
        body = {"bundle": json.loads(made.to_bytes()), "operator": hex_of(operator)}
        return self.client.post("/v1/certify", json=body)

    def refused(self, answer) -> dict[str, str]:  # type: ignore[no-untyped-def]
        assert answer.status_code == 403, answer.text
        refusal: dict[str, str] = answer.json()["refusal"]
        last = list(read_log(self.audit_path))[-1]
        assert last["event"] == "refused" and last["facts"]["step"] == refusal["step"]  # type: ignore[index,call-overload]
        return refusal


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., World]:
    def build(*, per_minute: int = 0, limit: int = 1 << 20, max_head_age_s: int | None = None) -> World:
        key, appraiser, log = PrivateKey(), ReportDataAppraiser(), io.StringIO()
        seconds, chain_time, wall = [100.0], [NOW], [NOW]
        certifier = Certifier(
            name="first",
            key=key,
            domain=DOMAIN,
            validity=Validity(3600),
            appraiser=appraiser,
            challenges=ChallengeBook(lambda: seconds[0], os.urandom),
            clock=lambda: chain_time[0],
            time=JudgingTime(lambda: wall[0], max_head_age_s),
            audit=AuditLog(tmp_path / "audit.log"),
            authority=make_authority(
                "first", ec.generate_private_key(ec.SECP256R1()), now=NOW, simulated=False, crl_url=CRL_URL
            ),
            possession=REGISTRY,
            store=CertifierStore(tmp_path / "certifier.sqlite3"),
        )
        app = create_app(
            certifier,
            trust_classes=["intel"],
            log=ServiceLog("certifier", log),
            rate=RateLimit(lambda: seconds[0], per_minute=per_minute, burst=5),
            max_body_bytes=limit,
        )
        path = tmp_path / "audit.log"
        return World(AppClient(app), key, appraiser, path, log, seconds, chain_time, certifier, wall)

    return build


@pytest.fixture
def world(make: Callable[..., World]) -> World:
    return make()
