"""One broker with everything around it in the test's hands."""

from __future__ import annotations

import io
import itertools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from coincurve import PrivateKey

from enclave_runtime.attestation.model import TeeKind
from enclave_runtime.sealed.wrap import open_with
from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.codec import bytes_from_hex, hex_of, to_json
from enclave_runtime.wire.cvm import TcbStatus
from enclave_runtime.wire.eip712 import Domain
from enclave_runtime.wire.grant import Grant
from enclave_runtime.wire.hashes import sha256
from enclave_runtime.wire.orders import OrderPreimage, order_id
from enclave_runtime.wire.report_data import Purpose
from marketplace.domain.release_policy import ReleasePolicy
from marketplace.keybroker.app import create_app
from marketplace.keybroker.core import Broker
from marketplace.keybroker.shares import HeldShare
from marketplace.keybroker.store import Store
from marketplace.service.appraisal import Appraiser
from marketplace.service.audit import AuditLog, read_log
from marketplace.service.challenges import ChallengeBook
from marketplace.service.limits import RateLimit
from marketplace.service.logs import ServiceLog
from marketplace.service.moments import JudgingTime
from tests.fakes.asgi import AppClient
from tests.fakes.cvm import MEASUREMENT, OPERATOR, FakeCvm, ReportDataAppraiser
from tests.fakes.order_world import CLIENT, DOMAIN, NOW, SELLER, FakeChain, named, order_preimage
from tests.fakes.simulated_tdx import SimulatedTdx

CONTENT_KEY = sha256(b"the content key") + sha256(b"the salt")
DATASET_A = 1
POLICY_DIGEST = sha256(b"the policy in force")

POLICY = ReleasePolicy(
    trust_classes=frozenset({"intel"}),
    tees=frozenset({TeeKind.TDX}),
    worst_tcb=TcbStatus.UP_TO_DATE,
    measurements=frozenset({MEASUREMENT}),
    engines=frozenset({named("engine content")}),
    clients=frozenset({CLIENT}),
    other_inputs=frozenset({named("dataset B manifest")}),
    listed_by=frozenset({SELLER}),
    max_uses=2,
)


class DictRing:
    """A `KeyRing` in memory."""

    def __init__(self) -> None:
        self.keys = {named("dataset A manifest"): CONTENT_KEY}

        self.shares: dict[bytes, HeldShare] = {}

    def content_key(self, manifest_digest: bytes) -> bytes | None:
        return self.keys.get(manifest_digest)

    def share(self, manifest_digest: bytes) -> HeldShare | None:
        return self.shares.get(manifest_digest)


def opened(grant: Grant, cvm: FakeCvm) -> bytes:
    """Return what the grant seals, as the CVM that it is for opens it."""
    return open_with(cvm.hpke, grant.sealed_key, grant.conditions.to_bytes())


@dataclass
class World:
    """A broker, its client, and the parts that it believes or refuses."""

    broker: Broker
    client: AppClient
    appraiser: ReportDataAppraiser
    chains: list[FakeChain]
    grant_key: PrivateKey
    ring: DictRing
    log: io.StringIO
    audit_path: Path
    seconds: list[float]
    wall: list[int]

    def running(
        self, *, salt: int = 1, other: str = "dataset B", operator: bytes = OPERATOR
    ) -> tuple[FakeCvm, OrderPreimage]:
        """Return a CVM and the order that runs on it."""
        cvm, preimage = FakeCvm(), order_preimage(self.grant_key, salt=salt, other=other)
        for chain in self.chains:
            chain.run(order_id(DOMAIN, preimage.terms), cvm.cvm_id, operator)
        return cvm, preimage

    def challenge(self) -> bytes:
        return bytes_from_hex(self.client.get("/v1/challenge").json()["challenge"], 32)

    def body(
        self,
        cvm: FakeCvm,
        preimage: OrderPreimage,
        challenge: bytes | None = None,
        *,
        index: int = DATASET_A,
        purpose: Purpose = Purpose.RELEASE,
        bundle_challenge: bytes | None = None,
        operator: bytes = OPERATOR,
        domain: Domain = DOMAIN,
        **lies: object,
    ) -> JsonObject:
        """Return a request body, honest but for what the test asks."""
        challenge = self.challenge() if challenge is None else challenge
        signed = cvm.request(domain, preimage, index, challenge, **lies)
        bundle = cvm.bundle(bundle_challenge or challenge, purpose=purpose, operator=operator)
        place: JsonObject = {"chain_id": domain.chain_id, "order_book": hex_of(domain.verifying_contract)}
        return {
            "request": signed.to_json(),
            "bundle": json.loads(bundle.to_bytes()),
            "order": {"domain": place, "preimage": to_json(preimage)},
            "challenge": hex_of(challenge),
        }

    def judging(self, appraiser: Appraiser) -> World:
        """Return the same world, whose broker has this appraiser in place of the fake one."""
        broker = replace(self.broker, appraiser=appraiser)
        rate = RateLimit(lambda: self.seconds[0], per_minute=0)
        app = create_app(broker, log=ServiceLog("keybroker", self.log), rate=rate)
        return replace(self, broker=broker, client=AppClient(app))

    def quoted_body(self, tdx: SimulatedTdx, cvm: FakeCvm, preimage: OrderPreimage) -> JsonObject:
        """Return an honest body with a SIMULATED quote that the real verifier judges."""
        made = self.body(cvm, preimage)
        bundle = tdx.bundle(cvm, bytes_from_hex(str(made["challenge"]), 32), purpose=Purpose.RELEASE)
        return {**made, "bundle": json.loads(bundle.to_bytes())}

    def release(self, body: JsonObject) -> httpx.Response:
        return self.client.post("/v1/release", json=body)

    def granted(self, body: JsonObject) -> Grant:
        answer = self.release(body)
        assert answer.status_code == 200, answer.text
        return Grant.from_bytes(answer.json()["grant"].encode())

    def refused(self, body: JsonObject) -> dict[str, str]:
        """Return the refusal, after checking that it is in the audit log and that nothing was released."""
        grants = self.events().count("granted")
        answer = self.release(body)
        assert answer.status_code == 403, answer.text
        refusal: dict[str, str] = answer.json()["refusal"]
        assert set(refusal) == {"step", "got", "expected"}
        last: Any = self.entries()[-1]
        assert last["event"] == "refused" and last["facts"]["step"] == refusal["step"]
        assert self.events().count("granted") == grants
        return refusal

    def entries(self) -> list[Any]:
        return list(read_log(self.audit_path)) if self.audit_path.exists() else []

    def events(self) -> list[str]:
        return [entry["event"] for entry in self.entries()]


Make = Callable[..., World]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    stores: list[Store] = []
    numbers = itertools.count()

    def build(
        *,
        by_hand: bool = False,
        views: int = 2,
        state: Path | None = None,
        grant_key: PrivateKey | None = None,
        chains: list[FakeChain] | None = None,
        max_head_age_s: int | None = None,
        **policy: object,
    ) -> World:
        state = state or tmp_path / f"broker-{next(numbers)}"
        store = Store(state / "broker.sqlite3")
        store.activate(POLICY_DIGEST, at=1)
        stores.append(store)
        log, seconds, wall = io.StringIO(), [100.0], [NOW]
        chains = chains or [FakeChain() for _ in range(views)]
        appraiser, ring = ReportDataAppraiser(), DictRing()
        broker = Broker(
            policy=replace(POLICY, **policy),  # type: ignore[arg-type]
            policy_digest=POLICY_DIGEST,
            by_hand=by_hand,
            domain=DOMAIN,
            keys=ring,
            grant_key=grant_key or PrivateKey(),
            appraiser=appraiser,
            views=chains,
            time=JudgingTime(lambda: wall[0], max_head_age_s),
            challenges=ChallengeBook(lambda: seconds[0], os.urandom),
            store=store,
            audit=AuditLog(state / "audit.log"),
        )
        rate = RateLimit(lambda: seconds[0], per_minute=0)
        app = create_app(broker, log=ServiceLog("keybroker", log), rate=rate)
        path = state / "audit.log"
        made = AppClient(app)
        return World(broker, made, appraiser, chains, broker.grant_key, ring, log, path, seconds, wall)

    yield build
    for store in stores:
        store.close()


@pytest.fixture
def world(make: Make) -> World:
    return make()
