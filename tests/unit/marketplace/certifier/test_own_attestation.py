"""What a certifier shows of where it runs: evidence over its own keys, or that it has none (section 4.5)."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest

from enclave_runtime.attestation.appraise import appraise_service
from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.model import Evidence, TeeKind, VerifiedEvidence
from enclave_runtime.attestation.policy import AppraisalPolicy, UnsafeAcceptSimulated
from enclave_runtime.attestation.rules import GpuRules
from enclave_runtime.attestation.rules import UnsafeAcceptSimulated as UnsafeAcceptSimulatedGpu
from enclave_runtime.attestation.simulated.nvidia.vendor import SimulatedNvidia
from enclave_runtime.attestation.simulated.nvidia.world import GpuWorld
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.errors import EnclaveError, RefusedError
from enclave_runtime.wire.report_data import Purpose
from marketplace.certifier.app import certifier_identity, create_app
from marketplace.service.attesting import NOT_IN_A_CVM, AskDevices, check_attestation, hourly_challenge
from marketplace.service.limits import RateLimit
from marketplace.service.logs import ServiceLog
from tests.fakes.asgi import AppClient
from tests.fakes.cvm import FakeCvm
from tests.fakes.simulated_tdx import SimulatedTdx
from tests.unit.marketplace.certifier.conftest import NOW, World

PAIR = GpuWorld(gpus=2)


@pytest.fixture(scope="module")
def tdx() -> SimulatedTdx:
    return SimulatedTdx()


@pytest.fixture
def attested(world: World, tdx: SimulatedTdx) -> AppClient:
    """The same certifier in a SIMULATED CVM."""
    return in_a_cvm(world, tdx)


def in_a_cvm(world: World, tdx: SimulatedTdx, devices: AskDevices | None = None) -> AppClient:
    def attest(report_data: bytes) -> Evidence:
        quote = tdx.vendor.quote(tdx.measured.body(report_data))
        return Evidence(TeeKind.TDX, quote, tdx.measured.event_log)

    log, rate = ServiceLog("certifier", world.log), RateLimit(lambda: 0.0, per_minute=0)
    certifier = world.certifier
    return AppClient(
        create_app(certifier, trust_classes=["intel"], log=log, rate=rate, attest=attest, devices=devices)
    )


@pytest.fixture(scope="module")
def gpus() -> tuple[SimulatedNvidia, GpuRules]:
    vendor = SimulatedNvidia.create()
    named = vendor.roots.id
    return vendor, GpuRules(2, frozenset({named}), simulated=UnsafeAcceptSimulatedGpu(named))


def fresh(client: AppClient, challenge: bytes) -> Any:
    answer = client.post("/v1/attestation", json={"challenge": hex_of(challenge)})
    assert answer.status_code == 200, answer.text
    return answer.json()


def judge(
    tdx: SimulatedTdx,
    evidence: Evidence,
    expected: bytes,
    nonce: bytes,
    gpus: tuple[SimulatedNvidia, GpuRules] | None = None,
) -> VerifiedEvidence:
    policy = AppraisalPolicy(
        root_sets=frozenset({tdx.root_set}),
        measurements=frozenset({tdx.measurement}),
        simulated=UnsafeAcceptSimulated(tdx.root_set),
        gpu=None if gpus is None else gpus[1],
    )
    collateral = tdx.collateral(NOW)
    if gpus is not None:
        collateral = replace(collateral, nvidia=gpus[0].collateral(NOW, PAIR))
    return appraise_service(
        evidence,
        collateral,
        roots=tdx.vendor.roots,
        policy=policy,
        expected_report_data=expected,
        nonce=nonce,
        now=NOW,
    )


def check(
    world: World,
    tdx: SimulatedTdx,
    body: Any,
    challenge: bytes,
    gpus: tuple[SimulatedNvidia, GpuRules] | None = None,
    **lies: Any,
) -> VerifiedEvidence | None:
    identity = replace(certifier_identity(world.certifier), **lies)

    def appraise(evidence: Evidence, bound: bytes, nonce: bytes) -> VerifiedEvidence:
        return judge(tdx, evidence, bound, nonce, gpus)

    return check_attestation(body, identity, challenge, appraise)


def test_in_a_cvm_the_evidence_binds_the_certifier_s_keys_and_the_challenge(
    world: World, attested: AppClient, tdx: SimulatedTdx
) -> None:
    challenge = os.urandom(32)
    body = fresh(attested, challenge)
    assert body["purpose"] == "serve" and body["in_cvm"] is True
    verdict = check(world, tdx, body, challenge)
    assert verdict is not None and verdict.measurement == tdx.measurement and verdict.simulated
    assert attested.get("/healthz").json()["in_cvm"] is True


def test_without_a_cvm_it_says_so_in_words_and_signs_that(world: World, tdx: SimulatedTdx) -> None:
    challenge = os.urandom(32)
    body = fresh(world.client, challenge)
    assert body["statement"] == NOT_IN_A_CVM and body["evidence"] is None
    assert check(world, tdx, body, challenge) is None
    assert world.client.get("/healthz").json()["in_cvm"] is False


def test_whoever_brings_no_challenge_gets_that_of_the_hour(
    world: World, attested: AppClient, tdx: SimulatedTdx
) -> None:
    first = attested.get("/v1/attestation").json()
    assert check(world, tdx, first, hourly_challenge(NOW)) is not None
    world.chain_time[0] += 3_600
    assert attested.get("/v1/attestation").json()["challenge"] != first["challenge"]


@pytest.mark.parametrize(
    "lies",
    [
        {"address": b"\x01" * 20},
        {"x509_root_sha256": b"\x01" * 32},
        {"chain_id": 1},
        {"contract": b"\x01" * 20},
        {"name": "second"},
        {"kind": "keybroker"},
    ],
    ids=lambda lies: "-".join(lies),
)
def test_another_service_s_attestation_is_refused(
    world: World, attested: AppClient, tdx: SimulatedTdx, lies: dict[str, Any]
) -> None:
    challenge = os.urandom(32)
    with pytest.raises(RefusedError, match="service"):
        check(world, tdx, fresh(attested, challenge), challenge, **lies)


@pytest.mark.parametrize(
    "member", ["challenge", "purpose", "at", "in_cvm", "statement", "evidence", "signature"]
)
def test_an_altered_or_replayed_answer_is_refused(
    world: World, attested: AppClient, tdx: SimulatedTdx, member: str
) -> None:
    challenge = os.urandom(32)
    body, other = fresh(attested, challenge), fresh(world.client, os.urandom(32))
    other |= {"purpose": "certify", "at": 1}
    with pytest.raises(RefusedError):
        check(world, tdx, body | {member: other[member]}, challenge)
    with pytest.raises(RefusedError, match="challenge"):
        check(world, tdx, body, os.urandom(32))


def test_evidence_over_other_keys_does_not_verify(world: World, tdx: SimulatedTdx) -> None:
    """A CVM's own quote, made for another purpose, is nothing that a certifier can show."""
    challenge, cvm = os.urandom(32), FakeCvm()
    quote = tdx.bundle(cvm, challenge, purpose=Purpose.CONNECT).evidence
    log, rate = ServiceLog("certifier", world.log), RateLimit(lambda: 0.0, per_minute=0)
    app = create_app(world.certifier, trust_classes=[], log=log, rate=rate, attest=lambda _: quote)
    with pytest.raises(AttestationError) as refused:
        check(world, tdx, fresh(AppClient(app), challenge), challenge)
    assert refused.value.step == Step.REPORT_DATA.value


@pytest.mark.parametrize("body", [{}, {"challenge": "0x00"}, {"challenge": "0x" + "00" * 32, "more": 1}])
def test_a_malformed_challenge_is_a_bad_request(attested: AppClient, body: dict[str, object]) -> None:
    assert attested.post("/v1/attestation", json=body).status_code == 400


def test_in_a_composite_cvm_the_gpus_answer_for_this_service_and_challenge(
    world: World, tdx: SimulatedTdx, gpus: tuple[SimulatedNvidia, GpuRules]
) -> None:
    client = in_a_cvm(world, tdx, lambda nonce: gpus[0].evidence(nonce, PAIR))
    challenge = os.urandom(32)
    body = fresh(client, challenge)
    verdict = check(world, tdx, body, challenge, gpus)
    assert verdict is not None and len(verdict.devices) == 2 and verdict.gpu_root_set == gpus[0].roots.id
    assert "with GPUs" in body["statement"] and client.get("/healthz").json()["with_gpus"] is True
    hourly = client.get("/v1/attestation").json()
    assert check(world, tdx, hourly, hourly_challenge(NOW), gpus) is not None


def test_gpus_that_answered_another_are_refused(
    world: World, tdx: SimulatedTdx, gpus: tuple[SimulatedNvidia, GpuRules]
) -> None:
    """GPUs of another machine, or of another time, though quote and signature are this service's."""
    stale = gpus[0].evidence(b"\x07" * 32, PAIR)
    challenge = os.urandom(32)
    with pytest.raises(AttestationError, match="nonce"):
        check(world, tdx, fresh(in_a_cvm(world, tdx, lambda _: stale), challenge), challenge, gpus)


def test_gpus_are_shown_exactly_where_the_reader_asks_for_them(
    world: World, attested: AppClient, tdx: SimulatedTdx, gpus: tuple[SimulatedNvidia, GpuRules]
) -> None:
    challenge = os.urandom(32)
    with pytest.raises(AttestationError, match="no GPU evidence"):
        check(world, tdx, fresh(attested, challenge), challenge, gpus)
    client = in_a_cvm(world, tdx, lambda nonce: gpus[0].evidence(nonce, PAIR))
    body = fresh(client, challenge)
    with pytest.raises(AttestationError, match="no rules"):
        check(world, tdx, body, challenge)
    unsigned = body | {"evidence": body["evidence"] | {"gpu": None}}
    with pytest.raises(RefusedError):
        check(world, tdx, unsigned, challenge)


def test_a_gpu_that_does_not_answer_is_an_error_and_no_evidence_without_it(
    world: World, tdx: SimulatedTdx
) -> None:
    def lost(nonce: bytes) -> bytes:
        raise EnclaveError("GPU 1: the GPU is gone from the bus")

    answer = in_a_cvm(world, tdx, lost).post("/v1/attestation", json={"challenge": "0x" + "11" * 32})
    assert answer.status_code >= 500 and "evidence" not in answer.json()
