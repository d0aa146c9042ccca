"""Nitro documents of an issuer of our own: the good one verifies, every bad world is refused at its step."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import cbor2
import pytest

from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.model import Evidence, TeeKind, VerifiedEvidence
from enclave_runtime.attestation.nitro.document import parse_document
from enclave_runtime.attestation.nitro.verify import NitroVerifier
from enclave_runtime.attestation.policy import AppraisalPolicy
from enclave_runtime.attestation.registry import verifier_for
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.attestation.rules import UnsafeAcceptSimulated
from tests.fakes.cose_issuers import NOW, SimulatedNitro

DATA = bytes(range(64))


def verify(
    issuer: SimulatedNitro, document: bytes, *, now: int = NOW, log: bytes | None = None, **changes: Any
):
    roots = changes.pop("roots", issuer.roots)
    expected = changes.pop("report_data", DATA)
    members = {
        "root_sets": frozenset({roots.id}),
        "measurements": frozenset({parse_document(issuer.document(DATA)).measurement()}),
        "tcb_statuses": frozenset({"Unrated"}),
        "simulated": UnsafeAcceptSimulated(issuer.roots.id),
    }
    return NitroVerifier().verify(
        Evidence(TeeKind.NITRO, document, log),
        Collateral(),
        roots=roots,
        policy=AppraisalPolicy(**(members | changes)),
        expected_report_data=expected,
        now=now,
    )


def refused(step: Step, call: Callable[[], VerifiedEvidence]) -> AttestationError:
    with pytest.raises(AttestationError) as caught:
        call()
    assert caught.value.step == step, caught.value
    return caught.value


@pytest.fixture(scope="module")
def issuer() -> SimulatedNitro:
    return SimulatedNitro()


def test_a_good_document_is_believed(issuer):
    verdict = verify(issuer, issuer.document(DATA))
    assert isinstance(verifier_for(TeeKind.NITRO), NitroVerifier)
    assert verdict.simulated and verdict.trust_class.startswith("SIMULATED")
    assert (verdict.tcb_status, verdict.report_data) == ("Unrated", DATA)
    assert verdict.collateral_expires_at == NOW + 3 * 3600
    other = verify(issuer, issuer.document(DATA, module_id="i-0123456789abcdef0-enc00000000"))
    assert other.platform_id_hash == verdict.platform_id_hash, "the instance, not the enclave"
    assert other.canonical_id != verdict.canonical_id


@pytest.mark.parametrize(
    "changes",
    [
        {"module_id": 5},
        {"module_id": ""},
        {"digest": "SHA256"},
        {"timestamp": -1},
        {"timestamp": True},
        {"pcrs": {0: bytes(48)}},
        {"pcrs": {n: bytes(32) for n in range(16)}},
        {"pcrs": {n: bytes(48) for n in range(40)}},
        {"certificate": b""},
        {"certificate": bytes(1025)},
        {"cabundle": []},
        {"cabundle": [bytes(1)] * 9},
        {"user_data": bytes(513)},
        {"nonce": "text"},
        {"public_key": bytes(1025)},
        {"another": 1},
        {"certificate": "-"},
    ],
)
def test_members_outside_the_specification_are_refused(issuer, changes):
    refused(Step.PARSE, lambda: verify(issuer, issuer.document(DATA, **changes)))


@pytest.mark.parametrize("header", [{}, {1: -7}, {1: -36}, {1: -35, 4: b"x"}, [], {1: True}])
def test_other_headers_are_refused(issuer, header):
    refused(Step.PARSE, lambda: verify(issuer, issuer.document(DATA, header=header)))


def test_the_envelope_has_one_form(issuer):
    good = issuer.document(DATA)
    for spoiled in (good + b"\x00", b"\xd2" + good, cbor2.dumps([*cbor2.loads(good)[:3], bytes(95)])):
        refused(Step.PARSE, lambda spoiled=spoiled: verify(issuer, spoiled))
    header, _, payload, signature = cbor2.loads(good)
    refused(Step.PARSE, lambda: verify(issuer, cbor2.dumps([header, {1: 1}, payload, signature])))
    refused(Step.PARSE, lambda: verify(issuer, issuer.document(DATA, tag=19)))


def test_a_chain_of_another_root_is_refused(issuer):
    other = SimulatedNitro()
    refused(Step.CHAIN, lambda: verify(issuer, other.document(DATA)))
    real = RootSet.nitro()
    refused(
        Step.CHAIN, lambda: verify(issuer, issuer.document(DATA), roots=real, root_sets=frozenset({real.id}))
    )
    refused(Step.CHAIN, lambda: verify(issuer, issuer.document(DATA), simulated=None))


@pytest.mark.parametrize(
    "bad",
    [{"path_length": 0}, {"region_is_ca": False}, {"leaf_is_ca": True}],
    ids=lambda bad: next(iter(bad)),
)
def test_a_certificate_that_oversteps_is_refused(bad):
    issuer = SimulatedNitro(**bad)
    refused(Step.CHAIN, lambda: verify(issuer, issuer.document(DATA)))


def test_a_missing_or_swapped_link_is_refused(issuer):
    members = issuer.members(DATA)
    for bundle in (members["cabundle"][:1], members["cabundle"][::-1], members["cabundle"][1:]):
        refused(Step.CHAIN, lambda bundle=bundle: verify(issuer, issuer.document(DATA, cabundle=bundle)))
    other = SimulatedNitro().members(DATA)
    refused(Step.CHAIN, lambda: verify(issuer, issuer.document(DATA, certificate=other["certificate"])))


@pytest.mark.parametrize(
    "shift, ok", [(-61, False), (-60, True), (0, True), (3 * 3600, True), (3 * 3600 + 1, False)]
)
def test_dates_hold_to_the_second(issuer, shift, ok):
    document = issuer.document(DATA, timestamp=(NOW - 60) * 1000)
    if ok:
        verify(issuer, document, now=NOW + shift)
    else:
        refused(Step.CHAIN, lambda: verify(issuer, document, now=NOW + shift))


def test_a_document_of_the_future_or_of_before_its_key_is_refused(issuer):
    verify(issuer, issuer.document(DATA, timestamp=(NOW + 300) * 1000))
    for at in (NOW + 301, NOW - 61):
        refused(Step.CHAIN, lambda at=at: verify(issuer, issuer.document(DATA, timestamp=at * 1000)))


def test_a_key_that_expired_long_ago_is_refused():
    issuer = SimulatedNitro(leaf_until=datetime.fromtimestamp(NOW - 30, UTC))
    refused(Step.CHAIN, lambda: verify(issuer, issuer.document(DATA)))


def test_the_signature_is_over_these_bytes(issuer):
    header, unprotected, payload, _ = cbor2.loads(issuer.document(DATA))
    _, _, _, other = cbor2.loads(issuer.document(bytes(64)))
    refused(Step.SIGNATURE, lambda: verify(issuer, cbor2.dumps([header, unprotected, payload, other])))


def test_unrated_platforms_need_a_policy_that_says_so(issuer):
    refused(Step.TCB, lambda: verify(issuer, issuer.document(DATA), tcb_statuses=frozenset({"UpToDate"})))
    refused(Step.TCB, lambda: verify(issuer, issuer.document(DATA), platforms=frozenset({bytes(32)})))
    refused(Step.TCB, lambda: verify(issuer, issuer.document(DATA), min_tcb_eval_number=1))


def test_debug_log_measurement_and_binding():
    issuer = SimulatedNitro(debug=True)
    refused(Step.DEBUG, lambda: verify(issuer, issuer.document(DATA)))
    issuer = SimulatedNitro()
    good = issuer.document(DATA)
    refused(Step.EVENT_LOG, lambda: verify(issuer, good, log=b"{}"))
    refused(Step.MEASUREMENT, lambda: verify(issuer, good, measurements=frozenset({bytes(32)})))
    registers = issuer.members(DATA)["pcrs"]
    for number in (0, 1, 2, 8):
        changed = registers | {number: b"\xff" * 48}
        refused(Step.MEASUREMENT, lambda changed=changed: verify(issuer, issuer.document(DATA, pcrs=changed)))
    assert verify(issuer, issuer.document(DATA, pcrs=registers | {3: b"\xff" * 48})), (
        "the parent's role is not ours"
    )
    for place in (0, 20, 52, 63):
        spoiled = bytearray(DATA)
        spoiled[place] ^= 1
        refused(Step.REPORT_DATA, lambda spoiled=spoiled: verify(issuer, good, report_data=bytes(spoiled)))
    for given in (None, b"", DATA + b"\x00"):
        refused(Step.REPORT_DATA, lambda given=given: verify(issuer, issuer.document(DATA, user_data=given)))


def test_evidence_of_another_kind_is_refused(issuer):
    with pytest.raises(AttestationError, match="tdx"):
        NitroVerifier().verify(
            Evidence(TeeKind.TDX, issuer.document(DATA)),
            Collateral(),
            roots=issuer.roots,
            policy=AppraisalPolicy(
                frozenset({issuer.roots.id}),
                frozenset({bytes(32)}),
                simulated=UnsafeAcceptSimulated(issuer.roots.id),
            ),
            expected_report_data=DATA,
            now=NOW,
        )
