"""Two certifiers and a key broker against the real contracts: what they sign counts; what they read is so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from coincurve import PrivateKey

from enclave_runtime.sealed.wrap import open_with
from enclave_runtime.wire.codec import bytes_from_hex, from_json, hex_of
from enclave_runtime.wire.cvm import CvmCertificate, Possession, TcbStatus, TeeKind
from enclave_runtime.wire.eip712 import typed_digest
from enclave_runtime.wire.grant import Grant
from enclave_runtime.wire.hashes import keccak256
from enclave_runtime.wire.orders import OrderPreimage, OrderStart, RuntimePolicy, inputs_root
from enclave_runtime.wire.signatures import address_of, secp256k1_sign
from marketplace.chain.devchain import DevChain
from marketplace.chain.refusals import ContractRefusal
from marketplace.domain.draft import OrderDraft, draft_order
from marketplace.domain.order import runtime_policy
from marketplace.domain.release import ReleaseStep
from tests.fakes.cvm import FakeCvm
from tests.fakes.simulated_tdx import SimulatedTdx
from tests.integration.chain_world import PARAMS, World
from tests.integration.services_kit import CONTENT_KEY, SALT, BrokerHome, Service, certifier_home, serving

pytestmark = [pytest.mark.contracts, pytest.mark.integration]

Signed = tuple[CvmCertificate, bytes]


@pytest.fixture(scope="module")
def tdx() -> SimulatedTdx:
    return SimulatedTdx()


@pytest.fixture(scope="module")
def world(tdx: SimulatedTdx) -> Iterator[World]:
    with DevChain.start() as chain:
        made = World(chain)
        made.ready_provider()
        accepted = (tdx.measurement, tdx.root_set, TeeKind.TDX, TcbStatus.UP_TO_DATE)
        made.governors.accept_profile(*accepted, "test")
        yield made


@pytest.fixture(scope="module")
def certifiers(
    tmp_path_factory: pytest.TempPathFactory, world: World, tdx: SimulatedTdx
) -> Iterator[list[Service]]:
    folder = tmp_path_factory.mktemp("certifiers")
    configs = []
    for name in ("first", "second"):
        key = PrivateKey()
        world.governors.add_certifier(address_of(key))
        where = {"deployment": world.deployment, "now": world.reader.now()}
        configs.append(certifier_home(folder / name, tdx, world.chain.url, key, **where))  # type: ignore[arg-type]
    with serving("certifier", configs[0]) as first, serving("certifier", configs[1]) as second:
        yield [first, second]


def certify(service: Service, tdx: SimulatedTdx, cvm: FakeCvm, operator: bytes) -> Signed:
    asked = service.post("/v1/challenge", {"operator": hex_of(operator)}).json()
    bundle = tdx.bundle(cvm, bytes_from_hex(asked["challenge"], 32), operator=operator)
    body = {"bundle": json.loads(bundle.to_bytes()), "operator": hex_of(operator)}
    answer = service.post("/v1/certify", body).json()
    return from_json(CvmCertificate, answer["certificate"]), bytes_from_hex(answer["signature"], 65)


def register(world: World, cvm: FakeCvm, certificates: list[Signed]) -> None:
    operator, challenge = world.keys["operator"].address, keccak256(b"possess")
    proof = Possession(cvm.cvm_id, operator, world.deployment.cvm_registry, challenge)
    possession = secp256k1_sign(cvm.signer, typed_digest(world.deployment.possession_domain, proof))
    world.operators.register_cvm(cvm.keys.digests, operator, challenge, possession, certificates)


def order(world: World, tdx: SimulatedTdx) -> tuple[OrderPreimage, RuntimePolicy]:
    compute, inputs = world.offers()
    policy = runtime_policy(frozenset({tdx.root_set}), frozenset({TeeKind.TDX}), frozenset({tdx.measurement}))
    draft = OrderDraft(
        client=world.keys["client"].address,
        compute=compute,
        inputs=inputs,
        config_digest=keccak256(b"config"),
        result_key_digest=keccak256(b"result key"),
        policy=policy,
        max_seconds=600,
        salt=keccak256(b"services"),
    )
    return draft_order(draft, PARAMS, now=world.reader.now()), policy


def test_quorum_takes_two_certifiers_word_and_not_one(
    world: World, certifiers: list[Service], tdx: SimulatedTdx
) -> None:
    cvm, operator = FakeCvm(), world.keys["operator"].address
    signed = [certify(service, tdx, cvm, operator) for service in certifiers]
    with pytest.raises(ContractRefusal):
        register(world, cvm, signed[:1])
    register(world, cvm, signed)
    record = world.reader.cvm(cvm.cvm_id)
    assert record is not None and record.usable(world.reader.now() + 60)
    assert (record.operator, record.measurement) == (operator, tdx.measurement)


def renewed(service: Service, world: World, cvm: FakeCvm, operator: bytes) -> Signed:
    """Return a later certificate, for which the CVM makes no quote."""
    asked = service.post("/v1/challenge", {"operator": hex_of(operator)}).json()
    challenge = bytes_from_hex(asked["challenge"], 32)
    proof = Possession(cvm.cvm_id, operator, world.deployment.cvm_registry, challenge)
    possession = secp256k1_sign(cvm.signer, typed_digest(world.deployment.possession_domain, proof))
    body = {"cvm_id": hex_of(cvm.cvm_id), "challenge": hex_of(challenge), "possession": hex_of(possession)}
    answer = service.post("/v1/renew", body).json()
    return from_json(CvmCertificate, answer["certificate"]), bytes_from_hex(answer["signature"], 65)


def test_a_renewal_without_a_quote_prolongs_what_the_chain_knows(
    world: World, certifiers: list[Service], tdx: SimulatedTdx
) -> None:
    snapshot = world.chain.snapshot()
    try:
        cvm, operator = FakeCvm(), world.keys["operator"].address
        register(world, cvm, [certify(service, tdx, cvm, operator) for service in certifiers])
        first = world.reader.cvm(cvm.cvm_id)
        world.chain.warp(600)
        register(world, cvm, [renewed(service, world, cvm, operator) for service in certifiers])
        later = world.reader.cvm(cvm.cvm_id)
        assert first is not None and later is not None
        assert later.expires_at >= first.expires_at + 600
        assert (later.operator, later.signer, later.measurement) == (operator, first.signer, tdx.measurement)
    finally:
        world.chain.revert(snapshot)


def test_certificates_go_by_warped_chain_time(
    world: World, certifiers: list[Service], tdx: SimulatedTdx
) -> None:
    snapshot = world.chain.snapshot()
    try:
        world.chain.warp(86_400)
        certificate, _ = certify(certifiers[0], tdx, FakeCvm(), world.keys["operator"].address)
        assert certificate.issued_at == world.reader.now()
    finally:
        world.chain.revert(snapshot)


def test_broker_releases_while_the_order_runs_and_not_before_or_after(
    world: World, certifiers: list[Service], tdx: SimulatedTdx, tmp_path: Path
) -> None:
    cvm, operator = FakeCvm(), world.keys["operator"].address
    register(world, cvm, [certify(service, tdx, cvm, operator) for service in certifiers])
    preimage, policy = order(world, tdx)
    owner = BrokerHome(
        tmp_path / "owner-a",
        tdx,
        [],
        PrivateKey(keccak256(b"cloister test key owner_a grants")),
        rpcs=(world.chain.url, world.chain.url.replace("127.0.0.1", "localhost")),
        deployment=world.deployment,
        now=world.reader.now(),
        manifest=preimage.inputs[1].manifest_digest,
        engine=preimage.inputs[0].content_digest,
        other=preimage.inputs[2].manifest_digest,
        client=preimage.terms.client,
        seller=world.keys["owner_a"].address,
    ).write()
    config = owner.config.read_text()
    owner.config.write_text(config.replace("[chain]", '[chain]\nconfirmed = "head"'))
    owner.activate()

    with serving("keybroker", owner.config) as broker:

        def ask() -> tuple[int, dict[str, object]]:
            answer = broker.post("/v1/release", owner.body(broker, cvm, preimage, operator))
            return answer.status_code, answer.json()

        def refused(words: str) -> bool:
            status, answer = ask()
            refusal = answer["refusal"]
            assert isinstance(refusal, dict)
            return status == 403 and refusal["step"] == ReleaseStep.RUNNING and words in refusal["got"]

        assert refused("NONE")
        world.clients.place(preimage, policy, "file:packet")
        assert refused("PLACED")
        world.operators.accept(preimage, policy, world.reader.cvm_index(cvm.cvm_id))
        assert refused("ACCEPTED")
        start = OrderStart(world.id_of(preimage), cvm.cvm_id, inputs_root(preimage.terms.inputs))
        signature = secp256k1_sign(cvm.signer, typed_digest(world.deployment.order_domain, start))
        world.operators.start(start, signature)
        status, answer = ask()
        assert status == 200, answer
        grant = Grant.from_bytes(str(answer["grant"]).encode())
        assert open_with(cvm.hpke, grant.sealed_key, grant.conditions.to_bytes()) == CONTENT_KEY + SALT
        world.chain.warp(86_400)
        world.anyone.expire(preimage.terms)
        assert refused("EXPIRED")
