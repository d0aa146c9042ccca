"""Renewals without a new quote, and revocations that end them (protocol section 4.5)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from coincurve import PrivateKey

from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.wire.codec import bytes_from_hex, from_json, hex_of
from enclave_runtime.wire.cvm import CvmCertificate, Possession, cvm_registry_domain
from enclave_runtime.wire.eip712 import typed_digest
from enclave_runtime.wire.errors import RefusedError, WireError
from enclave_runtime.wire.signatures import address_of, recover_signer, secp256k1_sign
from marketplace.certifier.core import STEP_POSSESSION, STEP_RENEWAL, STEP_REVOKED
from marketplace.certifier.revocation import MAX_REASON, check_list
from marketplace.certifier.store import CertifierStore
from marketplace.chain.certificates import claim_of
from marketplace.service.audit import read_log
from tests.fakes.cvm import OPERATOR, FakeCvm
from tests.unit.marketplace.certifier.conftest import DOMAIN, NOW, REGISTRY, World


def possession(
    cvm: FakeCvm, made_for: bytes, *, key: PrivateKey | None = None, **lies: Any
) -> dict[str, str]:
    """Return the honest body of POST /v1/renew but for what the test lies about."""
    domain = lies.pop("domain", REGISTRY)
    claim = Possession(cvm.cvm_id, OPERATOR, REGISTRY.verifying_contract, made_for)
    signature = secp256k1_sign(key or cvm.signer, typed_digest(domain, replace(claim, **lies)))
    return {
        "cvm_id": hex_of(cvm.cvm_id),
        "challenge": hex_of(made_for),
        "possession": hex_of(signature),
    }


def renew(world: World, cvm: FakeCvm, **lies: Any) -> Any:
    return world.client.post("/v1/renew", json=possession(cvm, world.challenge(), **lies))


@pytest.fixture
def cvm(world: World) -> FakeCvm:
    made = FakeCvm()
    assert world.certify(made, world.challenge()).status_code == 200
    world.chain_time[0] += 1_000
    return made


def test_gives_a_later_certificate_that_claims_the_same(world: World, cvm: FakeCvm) -> None:
    (entry,) = read_log(world.audit_path)
    facts: Any = entry["facts"]
    first = from_json(CvmCertificate, facts["certificate"])
    calls = world.appraiser.calls
    answer = renew(world, cvm)
    assert answer.status_code == 200, answer.text
    later = from_json(CvmCertificate, answer.json()["certificate"])
    assert claim_of(later) == claim_of(first)  # what CvmRegistry.renew compares
    assert (later.evidence_id, later.challenge) == (first.evidence_id, first.challenge)
    assert (later.issued_at, later.expires_at) == (NOW + 1_000, NOW + 4_600)
    signature = bytes_from_hex(answer.json()["signature"], 65)
    assert recover_signer(typed_digest(DOMAIN, later), signature) == address_of(world.key)
    assert world.appraiser.calls == calls + 1  # judged again, under the policy and collateral of now
    assert [one["event"] for one in read_log(world.audit_path)] == ["certified", "renewed"]


def test_a_platform_that_fell_behind_is_renewed_with_the_worse_status(world: World, cvm: FakeCvm) -> None:
    world.appraiser.tcb_status = "SWHardeningNeeded"
    certificate = from_json(CvmCertificate, renew(world, cvm).json()["certificate"])
    assert certificate.tcb_status == 2


def test_evidence_that_verifies_no_more_renews_nothing(world: World, cvm: FakeCvm) -> None:
    world.appraiser.refusal = AttestationError(Step.REVOCATION, "a revoked key", "one in force")
    assert world.refused(renew(world, cvm))["step"] == Step.REVOCATION.value


@pytest.mark.parametrize(
    "lies",
    [
        {"key": PrivateKey()},
        {"operator": b"\x0b" * 20},
        {"cvm_id": b"\x01" * 32},
        {"challenge": b"\x01" * 32},
        {"registry": b"\x0e" * 20},
        {"domain": cvm_registry_domain(1, REGISTRY.verifying_contract)},
    ],
    ids=lambda lies: "-".join(lies),
)
def test_refuses_a_proof_that_is_not_this_cvm_s(world: World, cvm: FakeCvm, lies: dict[str, Any]) -> None:
    assert world.refused(renew(world, cvm, **lies))["step"] == STEP_POSSESSION
    assert renew(world, cvm).status_code == 200


def test_a_proof_serves_once_and_only_for_a_challenge_of_ours(world: World, cvm: FakeCvm) -> None:
    body = possession(cvm, world.challenge())
    assert world.client.post("/v1/renew", json=body).status_code == 200
    world.chain_time[0] += 10
    assert world.refused(world.client.post("/v1/renew", json=body))["step"] == "challenge"
    made_up = possession(cvm, b"\x07" * 32)
    assert world.refused(world.client.post("/v1/renew", json=made_up))["step"] == "challenge"
    foreign = possession(cvm, world.challenge(b"\x0b" * 20))
    assert world.refused(world.client.post("/v1/renew", json=foreign))["step"] == "challenge"


def test_nothing_gained_is_refused(world: World, cvm: FakeCvm) -> None:
    world.appraiser.collateral_expires_at = NOW + 3_600
    assert world.refused(renew(world, cvm))["step"] == STEP_RENEWAL


def test_unknown_expired_and_old_ask_for_evidence(world: World, cvm: FakeCvm) -> None:
    refusal = world.refused(renew(world, FakeCvm()))
    assert refusal["step"] == STEP_RENEWAL and "show evidence" in refusal["expected"]
    store = world.certifier.store
    known = store.known(cvm.cvm_id)
    assert known is not None and known.shown_at == NOW
    for age, words in ((7 * 86_400 - 1, None), (7 * 86_400, "new evidence")):
        old = replace(known, shown_at=world.chain_time[0] - age)
        store.issue(cvm.cvm_id, bytes(32), 1, old, now=NOW)
        answer = renew(world, cvm)
        assert answer.status_code == 200 if words is None else words in world.refused(answer)["expected"]
    world.chain_time[0] += 4_000
    assert "in force" in world.refused(renew(world, cvm))["got"]
    assert world.certify(cvm, world.challenge()).status_code == 200  # new evidence starts it anew


def test_a_revoked_cvm_is_neither_renewed_nor_certified(world: World, cvm: FakeCvm) -> None:
    revoked = world.certifier.revoke(cvm.cvm_id, "its operator said that the key leaked")
    assert revoked is not None
    assert world.certifier.revoke(cvm.cvm_id, "again") is None
    assert world.refused(renew(world, cvm))["step"] == STEP_REVOKED
    refusal = world.refused(world.certify(cvm, world.challenge()))
    assert refusal["step"] == STEP_REVOKED and "leaked" in refusal["got"]
    unseen = FakeCvm()
    world.certifier.revoke(unseen.cvm_id, "announced before it came")
    assert world.refused(world.certify(unseen, world.challenge()))["step"] == STEP_REVOKED
    events = [entry["event"] for entry in read_log(world.audit_path)]
    assert events.count("revoked") == 2


def served(world: World) -> Any:
    return world.client.get("/v1/revocations").json()


def check(world: World, value: Any, **changed: Any) -> list[bytes]:
    arguments = {"domain": DOMAIN, "certifier": address_of(world.key), "now": world.chain_time[0], **changed}
    return [one.cvm_id for one in check_list(value, **arguments)]


def test_the_list_is_signed_and_a_shorter_or_older_one_is_noticed(world: World, cvm: FakeCvm) -> None:
    empty = served(world)
    assert check(world, empty) == []
    world.certifier.revoke(cvm.cvm_id, "stolen")
    full = served(world)
    assert check(world, full, least=1) == [cvm.cvm_id]
    with pytest.raises(RefusedError, match="list 0"):
        check(world, empty, least=1)
    with pytest.raises(RefusedError, match="good until"):
        check(world, full, now=world.chain_time[0] + 86_400)
    with pytest.raises(RefusedError, match="signed by"):
        check(world, full, certifier=b"\x01" * 20)
    with pytest.raises(RefusedError, match="signed by"):
        check(world, full, domain=replace(DOMAIN, chain_id=1))


@pytest.mark.parametrize("member", ["cvm_id", "revoked_at", "reason", "signature", "number", "next_update"])
def test_an_altered_list_is_noticed(world: World, cvm: FakeCvm, member: str) -> None:
    world.certifier.revoke(cvm.cvm_id, "stolen")
    world.certifier.revoke(FakeCvm().cvm_id, "stolen too")
    value = served(world)
    entry = value["revocations"][0]
    other = value["revocations"][1]
    if member in entry:
        entry[member] = entry[member] + 1 if member == "revoked_at" else other[member]
        entry["reason"] = "another" if member == "reason" else entry["reason"]
    else:
        value[member] += 1
    with pytest.raises((RefusedError, WireError)):
        check(world, json.loads(json.dumps(value)))
    del value["revocations"][1]
    with pytest.raises((RefusedError, WireError)):
        check(world, value)


@pytest.mark.parametrize("reason", ["", "x" * (MAX_REASON + 1)])
def test_a_revocation_has_a_reason(world: World, reason: str) -> None:
    with pytest.raises(WireError, match="reason"):
        world.certifier.revoke(FakeCvm().cvm_id, reason)
    assert served(world)["number"] == 0


def test_what_is_known_outlives_a_restart_and_what_expired_is_forgotten(world: World, cvm: FakeCvm) -> None:
    store = world.certifier.store
    path = world.audit_path.parent / "certifier.sqlite3"
    again = CertifierStore(path)
    assert again.known(cvm.cvm_id) == store.known(cvm.cvm_id) is not None
    again.close()
    world.chain_time[0] += 10_000
    world.certify(FakeCvm(), world.challenge())
    assert store.known(cvm.cvm_id) is None
