"""Challenge -> verify -> certificate, over HTTP, with every refusal (protocol section 4.5)."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.wire.codec import bytes_from_hex, from_json, hex_of
from enclave_runtime.wire.cvm import (
    CvmCertificate,
    root_set_hash,
)
from enclave_runtime.wire.eip712 import encode_type, sol_fields, typed_digest
from enclave_runtime.wire.report_data import Purpose
from enclave_runtime.wire.signatures import address_of, recover_signer
from marketplace.service.audit import read_log
from tests.fakes.cvm import DEV_ROOT, MEASUREMENT, OPERATOR, FakeCvm
from tests.unit.marketplace.certifier.conftest import DOMAIN, NOW, World


def test_certificate_says_what_was_verified_under_the_quorums_domain(world: World) -> None:
    cvm = FakeCvm()
    challenge = world.challenge()
    answer = world.certify(cvm, challenge)
    assert answer.status_code == 200, answer.text
    certificate = from_json(CvmCertificate, answer.json()["certificate"])
    keys = cvm.keys.digests
    assert (certificate.cvm_id, certificate.signer) == (cvm.cvm_id, keys.signer)
    assert (certificate.hpke, certificate.statement, certificate.tls) == (keys.hpke, keys.statement, keys.tls)
    assert (certificate.operator, certificate.challenge) == (OPERATOR, challenge)
    assert (certificate.measurement, certificate.root_set) == (MEASUREMENT, root_set_hash("intel"))
    assert (certificate.tee, certificate.tcb_status) == (1, 1)
    assert (certificate.issued_at, certificate.expires_at) == (NOW, NOW + 3600)
    signature = bytes_from_hex(answer.json()["signature"], 65)
    assert recover_signer(typed_digest(DOMAIN, certificate), signature) == address_of(world.key)
    entry = list(read_log(world.audit_path))[-1]
    assert entry["event"] == "certified" and entry["facts"]["certificate"] == answer.json()["certificate"]  # type: ignore[index,call-overload]


def test_signature_recovers_with_another_eip712_implementation(world: World) -> None:
    answer = world.certify(FakeCvm(), world.challenge()).json()
    certificate = from_json(CvmCertificate, answer["certificate"])
    members = encode_type(CvmCertificate).split("(")[1].rstrip(")").split(",")
    fields = [dict(zip(("type", "name"), member.split(" "), strict=True)) for member in members]
    values = [getattr(certificate, field.name) for field in sol_fields(CvmCertificate)]
    message = {field["name"]: value for field, value in zip(fields, values, strict=True)}
    signable = encode_typed_data(
        {
            "name": DOMAIN.name,
            "version": DOMAIN.version,
            "chainId": DOMAIN.chain_id,
            "verifyingContract": hex_of(DOMAIN.verifying_contract),
        },
        {"CvmCertificate": fields},
        {k: hex_of(v) if isinstance(v, bytes) and len(v) == 20 else v for k, v in message.items()},
    )
    assert bytes.fromhex(Account.recover_message(signable, signature=answer["signature"])[2:]) == address_of(
        world.key
    )


def test_expiry_is_bounded_by_the_collaterals(world: World) -> None:
    world.appraiser.collateral_expires_at = NOW + 600
    assert world.certify(FakeCvm(), world.challenge()).json()["certificate"]["expires_at"] == NOW + 600


def test_refuses_when_collateral_leaves_too_little_time(world: World) -> None:
    world.appraiser.collateral_expires_at = NOW + 59
    assert world.refused(world.certify(FakeCvm(), world.challenge()))["step"] == "certificate.validity"


def test_times_are_chain_time_whatever_the_process_clock_says(world: World) -> None:
    challenge = world.challenge()
    world.chain_time[0] = NOW + 90 * 86_400  # somebody warped the chain between challenge and evidence
    answer = world.certify(FakeCvm(), challenge).json()["certificate"]
    assert (answer["issued_at"], answer["expires_at"]) == (NOW + 90 * 86_400, NOW + 90 * 86_400 + 3600)


def test_refuses_a_challenge_used_twice(world: World) -> None:
    challenge = world.challenge()
    assert world.certify(FakeCvm(), challenge).status_code == 200
    assert world.refused(world.certify(FakeCvm(), challenge))["step"] == "challenge"


def test_challenge_survives_a_refusal_so_that_an_honest_retry_works(world: World) -> None:
    challenge = world.challenge()
    world.appraiser.refusal = AttestationError(Step.TCB, "TCB status OutOfDate", "one of ['UpToDate']")
    refusal = world.refused(world.certify(FakeCvm(), challenge))
    assert refusal == {
        "step": Step.TCB.value,
        "got": "TCB status OutOfDate",
        "expected": "one of ['UpToDate']",
    }
    world.appraiser.refusal = None
    assert world.certify(FakeCvm(), challenge).status_code == 200


def test_refuses_an_expired_challenge(world: World) -> None:
    challenge = world.challenge()
    world.seconds[0] += 301
    assert "expired" in world.refused(world.certify(FakeCvm(), challenge))["got"]


def test_refuses_a_challenge_of_its_own_that_was_made_for_another_operator(world: World) -> None:
    challenge = world.challenge(b"\x0b" * 20)
    assert world.refused(world.certify(FakeCvm(), challenge))["step"] == "challenge"


def test_refuses_a_challenge_that_it_never_made(world: World) -> None:
    assert world.refused(world.certify(FakeCvm(), b"\x01" * 32))["step"] == "challenge"


def test_refuses_a_quote_made_for_another_purpose(world: World) -> None:
    answer = world.certify(FakeCvm(), world.challenge(), purpose=Purpose.RELEASE)
    assert world.refused(answer)["step"] == Step.REPORT_DATA.value


def test_refuses_another_operators_cvm(world: World) -> None:
    cvm, challenge = FakeCvm(), world.challenge(b"\x0b" * 20)
    made = cvm.bundle(challenge, operator=OPERATOR)  # the victim's quote
    body = {"bundle": json.loads(made.to_bytes()), "operator": hex_of(b"\x0b" * 20)}
    assert world.refused(world.client.post("/v1/certify", json=body))["step"] == Step.REPORT_DATA.value


def test_refuses_keys_that_the_quote_does_not_bind(world: World) -> None:
    challenge, mine = world.challenge(), FakeCvm()
    bundle = json.loads(FakeCvm().bundle(challenge).to_bytes())
    bundle["keys"] = json.loads(mine.bundle(challenge).to_bytes())["keys"]
    answer = world.client.post("/v1/certify", json={"bundle": bundle, "operator": hex_of(OPERATOR)})
    assert world.refused(answer)["step"] == Step.REPORT_DATA.value


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/challenge", {}),
        ("/v1/challenge", {"operator": "0x12"}),
        ("/v1/challenge", {"operator": 7}),
        ("/v1/challenge", {"operator": hex_of(OPERATOR), "more": 1}),
        ("/v1/certify", {}),
        ("/v1/certify", {"bundle": {}, "operator": hex_of(OPERATOR)}),
        ("/v1/certify", {"bundle": [], "operator": hex_of(OPERATOR)}),
        ("/v1/certify", {"bundle": "text", "operator": hex_of(OPERATOR)}),
    ],
)
def test_malformed_requests_are_answered_400_and_not_audited(world: World, path: str, body: object) -> None:
    assert world.client.post(path, json=body).status_code == 400
    assert not world.audit_path.exists() or not list(read_log(world.audit_path))


def test_malformed_json_and_oversize_bodies(make: Callable[..., World]) -> None:
    world = make(limit=2000)
    assert world.client.post("/v1/certify", content=b"{").status_code == 400
    assert world.client.post("/v1/certify", content=b"{" + b" " * 2000 + b"}").status_code == 413


def test_rate_is_limited_per_address(make: Callable[..., World]) -> None:
    client = make(per_minute=60).client
    statuses = {
        client.post("/v1/challenge", json={"operator": hex_of(OPERATOR)}).status_code for _ in range(7)
    }
    assert statuses == {200, 429}


def test_says_who_it_is_and_that_it_is_well(world: World) -> None:
    health = world.client.get("/healthz").json()
    assert health["ok"] is True and health["simulated"] is False and health["trust_classes"] == ["intel"]
    about = world.client.get("/v1/certifier").json()
    assert about["address"] == hex_of(address_of(world.key)) and about["chain_id"] == 31337
    world.certify(FakeCvm(), world.challenge())
    assert world.client.get("/v1/audit").json()["entries"] == 1


def test_simulated_verdicts_say_so_in_the_audit_log(world: World) -> None:
    world.appraiser.root_set = DEV_ROOT
    world.certify(FakeCvm(), world.challenge())
    facts = list(read_log(world.audit_path))[-1]["facts"]
    assert facts["trust_class"] == f"SIMULATED ({DEV_ROOT})"  # type: ignore[index,call-overload]


def test_key_is_in_no_answer_and_no_log(world: World) -> None:
    answer = world.certify(FakeCvm(), world.challenge())
    seen = answer.text + world.log.getvalue() + world.audit_path.read_text()
    assert world.key.secret.hex() not in seen
