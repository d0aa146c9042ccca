"""What a certifier shows of where it runs: evidence over its own keys, or that it has none (section 4.5)."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest

from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.model import Evidence, TeeKind, VerifiedEvidence
from enclave_runtime.attestation.policy import AppraisalPolicy, UnsafeAcceptSimulated
from enclave_runtime.attestation.registry import verifier_for
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.errors import RefusedError
from enclave_runtime.wire.report_data import Purpose
from marketplace.certifier.app import certifier_identity, create_app
from marketplace.service.attesting import NOT_IN_A_CVM, check_attestation, hourly_challenge
from marketplace.service.limits import RateLimit
from marketplace.service.logs import ServiceLog
from tests.fakes.asgi import AppClient
from tests.fakes.cvm import FakeCvm
from tests.fakes.simulated_tdx import SimulatedTdx
from tests.unit.marketplace.certifier.conftest import NOW, World


@pytest.fixture(scope="module")
def tdx() -> SimulatedTdx:
    return SimulatedTdx()


@pytest.fixture
def attested(world: World, tdx: SimulatedTdx) -> AppClient:
    """The same certifier in a SIMULATED CVM."""

    def attest(report_data: bytes) -> Evidence:
        quote = tdx.vendor.quote(tdx.measured.body(report_data))
        return Evidence(TeeKind.TDX, quote, tdx.measured.event_log)

    log, rate = ServiceLog("certifier", world.log), RateLimit(lambda: 0.0, per_minute=0)
    return AppClient(create_app(world.certifier, trust_classes=["intel"], log=log, rate=rate, attest=attest))


def fresh(client: AppClient, challenge: bytes) -> Any:
    answer = client.post("/v1/attestation", json={"challenge": hex_of(challenge)})
    assert answer.status_code == 200, answer.text
    return answer.json()


def judge(tdx: SimulatedTdx, evidence: Evidence, expected: bytes) -> VerifiedEvidence:
    policy = AppraisalPolicy(
        root_sets=frozenset({tdx.root_set}),
        measurements=frozenset({tdx.measurement}),
        simulated=UnsafeAcceptSimulated(tdx.root_set),
    )
    return verifier_for(evidence.tee).verify(
        evidence,
        tdx.collateral(NOW),
        roots=tdx.vendor.roots,
        policy=policy,
        expected_report_data=expected,
        now=NOW,
    )


def check(
    world: World, tdx: SimulatedTdx, body: Any, challenge: bytes, **lies: Any
) -> VerifiedEvidence | None:
    identity = replace(certifier_identity(world.certifier), **lies)
    return check_attestation(body, identity, challenge, lambda *shown: judge(tdx, *shown))


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
