"""Every numbered step of docs/protocol.md section 8, with something wrong that it finds first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from enclave_runtime.wire.dsse import sign_statement
from enclave_runtime.wire.eip712 import typed_digest
from enclave_runtime.wire.hashes import sha256
from enclave_runtime.wire.orders import Outcome
from enclave_runtime.wire.report import OrderReport
from enclave_runtime.wire.signatures import secp256k1_sign
from marketplace.sdk.verdict import Held, Verdict
from marketplace.sdk.verify import verify_order
from tests.fakes.audited_order import CERTIFIERS, DOMAIN, NOW, VENDOR, Audited, anchor, evidence_for, make
from tests.fakes.cvm import FakeCvm

OTHER = sha256(b"something else")


@pytest.fixture(scope="module")
def honest() -> Audited:
    return make()


def verdict_of(order: Audited) -> Verdict:
    return verify_order(order.bundle, order.facts, order.anchor, order.held)


def assert_fails_at(order: Audited, number: int, step: str, *, also: tuple[int, ...] = ()) -> None:
    """The step fails with its own name; earlier ones, but those in `also`, still pass."""
    verdict = verdict_of(order)
    assert not verdict.passed
    line = verdict.lines[number - 1]
    assert not line.passed and line.detail.startswith(step + ":"), line
    assert "got" in line.detail and "expected" in line.detail
    for earlier in verdict.lines[: number - 1]:
        assert earlier.passed or earlier.number in also, earlier


def test_passes_and_says_simulated_given_an_honest_order(honest: Audited) -> None:
    verdict = verdict_of(honest)
    assert verdict.passed, [line for line in verdict.lines if not line.passed]
    assert [line.number for line in verdict.lines] == list(range(1, 11))
    assert verdict.simulated and verdict.trust_class.startswith("SIMULATED (dev:")
    assert "SIMULATED" in verdict.lines[5].detail
    assert "only the client can open it" in verdict.lines[8].detail


def test_passes_given_an_honest_refusal() -> None:
    verdict = verdict_of(make(outcome=Outcome.REFUSED))
    assert verdict.passed, [line for line in verdict.lines if not line.passed]
    assert "REFUSED at keys-missing" in verdict.lines[3].detail
    assert "before any engine ran" in verdict.lines[4].detail
    assert "no result left the CVM" in verdict.lines[8].detail


def test_an_empty_verdict_is_no_pass() -> None:
    assert not Verdict((), "not verified").passed


# (1) the chain
def test_step_1_refuses_terms_that_are_not_the_orders(honest: Audited) -> None:
    facts = replace(honest.facts, terms=replace(honest.facts.terms, deposit=1))
    assert_fails_at(replace(honest, facts=facts), 1, "chain.order")


def test_step_1_refuses_another_orders_bundle(honest: Audited) -> None:
    assert_fails_at(replace(honest, bundle=replace(honest.bundle, order_id=OTHER)), 1, "chain.bundle")


def test_step_1_refuses_an_order_that_was_never_reported_on(honest: Audited) -> None:
    facts = replace(honest.facts, state="EXPIRED", terminal=None)
    assert_fails_at(replace(honest, facts=facts), 1, "chain.events")


def test_step_1_refuses_a_state_that_the_report_did_not_lead_to(honest: Audited) -> None:
    assert_fails_at(replace(honest, facts=replace(honest.facts, state="FAILED")), 1, "chain.state")


# (2) preimages
def test_step_2_refuses_a_changed_price(honest: Audited) -> None:
    preimage = honest.bundle.preimage
    cheap = replace(preimage.compute, price=replace(preimage.compute.price, fixed_price=1))
    bundle = replace(honest.bundle, preimage=replace(preimage, compute=cheap))
    assert_fails_at(replace(honest, bundle=bundle), 2, "order.compute-terms")


def test_step_2_refuses_a_changed_configuration(honest: Audited) -> None:
    packet = replace(honest.bundle.packet, config=b"{}")
    assert_fails_at(replace(honest, bundle=replace(honest.bundle, packet=packet)), 2, "order packet: config")


# (3) keys
def test_step_3_refuses_evidence_of_another_cvm(honest: Audited) -> None:
    first = honest.bundle.certified[0]
    foreign = replace(first, bundle=evidence_for(FakeCvm(), first.certificate.challenge))
    bundle = replace(honest.bundle, certified=(foreign, honest.bundle.certified[1]))
    assert_fails_at(replace(honest, bundle=bundle), 3, "keys.cvm")


def test_step_3_refuses_a_bundle_without_evidence(honest: Audited) -> None:
    assert_fails_at(replace(honest, bundle=replace(honest.bundle, certified=())), 3, "keys.evidence")


def test_step_3_refuses_a_start_that_another_key_signed(honest: Audited) -> None:
    forged = secp256k1_sign(CERTIFIERS[0], sha256(b"start"))
    assert_fails_at(replace(honest, bundle=replace(honest.bundle, start_signature=forged)), 3, "keys.start")


def test_step_3_refuses_a_missing_start(honest: Audited) -> None:
    assert_fails_at(replace(honest, bundle=replace(honest.bundle, start_signature=None)), 3, "keys.start")


def test_step_3_refuses_a_report_that_another_cvm_signed(honest: Audited) -> None:
    assert honest.bundle.report is not None
    forged = replace(
        honest.bundle.report,
        signature=secp256k1_sign(FakeCvm().signer, typed_digest(DOMAIN, honest.bundle.report.summary)),
    )
    assert_fails_at(replace(honest, bundle=replace(honest.bundle, report=forged)), 3, "keys.summary")


def test_step_3_refuses_a_statement_under_another_statement_key(honest: Audited) -> None:
    assert honest.bundle.integrity is not None
    statement = honest.bundle.integrity.envelope.statement()
    forged = replace(honest.bundle.integrity, envelope=sign_statement(statement, FakeCvm().statement))
    assert_fails_at(replace(honest, bundle=replace(honest.bundle, integrity=forged)), 3, "keys.statement")


def test_step_3_refuses_a_statement_that_the_summary_does_not_name(honest: Audited) -> None:
    assert honest.bundle.integrity is not None and honest.bundle.report is not None
    swapped = replace(honest.bundle.report, envelope=honest.bundle.integrity.envelope)
    order = replace(honest, bundle=replace(honest.bundle, report=swapped))
    assert_fails_at(order, 3, "keys.statement-digest")


# (4) summary and statement
def test_step_4_refuses_a_summary_that_the_contract_did_not_take(honest: Audited) -> None:
    assert honest.facts.terminal is not None
    facts = replace(honest.facts, terminal=replace(honest.facts.terminal, seconds_used=8))
    assert_fails_at(replace(honest, facts=facts), 4, "report.summary")


@pytest.mark.parametrize(
    ("lie", "step"),
    [
        ({"order_id": OTHER}, "report.order"),
        ({"chain_id": 1}, "report.chain"),
        ({"cvm_id": OTHER}, "report.cvm"),
        ({"inputs_root": OTHER}, "report.inputs"),
        ({"config_digest": OTHER}, "report.config"),
        ({"engine_digest": OTHER}, "report.engine"),
        ({"prices": ()}, "report.prices"),
        ({"result": None}, "report.result"),
        ({"outcome": Outcome.FAILED}, "report.outcome"),
        ({"seconds": 8}, "report.seconds"),
        ({"units": 1}, "report.units"),
    ],
)
def test_step_4_refuses_a_statement_that_says_something_else(lie: dict[str, object], step: str) -> None:
    assert_fails_at(make(report=lie), 4, step)


def test_step_4_refuses_a_refusal_that_blames_another_input() -> None:
    order = make(outcome=Outcome.REFUSED, refusal={"attributable_input": 2})
    assert_fails_at(order, 4, "report.input-at-fault")


# (5) integrity
def test_step_5_refuses_a_missing_checkpoint(honest: Audited) -> None:
    facts = replace(honest.facts, checkpoint=None, checkpoint_at=None)
    assert_fails_at(replace(honest, facts=facts), 5, "integrity.report")


def test_step_5_refuses_a_missing_integrity_report(honest: Audited) -> None:
    assert_fails_at(replace(honest, bundle=replace(honest.bundle, integrity=None)), 5, "integrity.report")


@pytest.mark.parametrize(
    ("lie", "step"),
    [
        ({"order_id": OTHER}, "integrity.order"),
        ({"cvm_id": OTHER}, "integrity.cvm"),
        ({"config_digest": OTHER}, "integrity.config"),
        ({"result_key_digest": OTHER}, "integrity.result-key"),
        ({"runtime_policy_digest": OTHER}, "integrity.policy"),
        ({"inputs": ()}, "integrity.inputs"),
    ],
)
def test_step_5_refuses_an_integrity_report_about_something_else(lie: dict[str, object], step: str) -> None:
    assert_fails_at(make(integrity=lie), 5, step)


def test_step_5_refuses_a_report_that_builds_on_another_integrity_report() -> None:
    assert_fails_at(make(report={"integrity_digest": OTHER}), 5, "integrity.digest")


def test_step_5_refuses_a_refusal_beside_a_checkpoint(honest: Audited) -> None:
    refused = make(outcome=Outcome.REFUSED)
    facts = replace(refused.facts, checkpoint=honest.facts.checkpoint, checkpoint_at=NOW)
    bundle = replace(refused.bundle, integrity=make().bundle.integrity)
    line = verdict_of(replace(refused, facts=facts, bundle=bundle)).lines[4]
    assert not line.passed and line.detail.startswith("integrity.outcome")


# (6) evidence
def flipped(data: bytes, position: int) -> bytes:
    changed = bytearray(data)
    changed[position] ^= 1
    return bytes(changed)


def with_quote(order: Audited, change: Callable[[bytes], bytes]) -> Audited:
    first = order.bundle.certified[0]
    evidence = replace(first.bundle.evidence, quote=change(first.bundle.evidence.quote))
    altered = replace(first, bundle=replace(first.bundle, evidence=evidence))
    return replace(order, bundle=replace(order.bundle, certified=(altered, order.bundle.certified[1])))


def test_step_6_refuses_a_quote_with_one_bit_flipped(honest: Audited) -> None:
    assert_fails_at(with_quote(honest, lambda quote: flipped(quote, 600)), 6, "evidence.3.signature")


def test_step_6_refuses_a_replayed_quote_for_another_challenge(honest: Audited) -> None:
    first, second = honest.bundle.certified
    replayed = replace(first, bundle=second.bundle)
    order = replace(honest, bundle=replace(honest.bundle, certified=(replayed, second)))
    assert_fails_at(order, 6, "evidence.8.report_data")


def test_step_6_refuses_a_simulated_root_that_the_auditor_did_not_acknowledge(honest: Audited) -> None:
    assert_fails_at(replace(honest, anchor=anchor(simulated=None)), 6, "evidence.1.chain")


def test_step_6_refuses_collateral_whose_dates_are_over(honest: Audited) -> None:
    late = replace(anchor(), collateral=VENDOR.collateral(NOW - 10 * 365 * 86_400))
    verdict = verdict_of(replace(honest, anchor=late))
    assert not verdict.lines[5].passed and not verdict.lines[6].passed


@pytest.mark.parametrize(
    ("lie", "step"),
    [
        ({"evidence_id": OTHER}, "evidence.id"),
        ({"measurement": OTHER}, "evidence.certificate"),
        ({"tcb_status": 2}, "evidence.certificate"),
        ({"platform_id": OTHER}, "evidence.certificate"),
        ({"expires_at": NOW + 30}, "evidence.time"),
    ],
)
def test_step_6_refuses_a_certificate_that_the_evidence_does_not_make(
    lie: dict[str, object], step: str
) -> None:
    assert_fails_at(make(certificate=lie), 6, step)


def test_step_6_refuses_certifiers_that_the_quorum_does_not_know(honest: Audited) -> None:
    facts = replace(honest.facts, certifiers=honest.facts.certifiers[:1])
    assert_fails_at(replace(honest, facts=facts), 6, "evidence.quorum")


def test_step_6_counts_a_certifier_once(honest: Audited) -> None:
    first = honest.bundle.certified[0]
    assert_fails_at(
        replace(honest, bundle=replace(honest.bundle, certified=(first, first))), 6, "evidence.quorum"
    )


def test_step_6_refuses_a_threshold_of_nobody(honest: Audited) -> None:
    facts = replace(honest.facts, threshold=0, certifiers=())
    assert_fails_at(replace(honest, facts=facts), 6, "evidence.quorum")


# (7) measurement
def test_step_7_refuses_a_measurement_that_is_not_the_registrys(honest: Audited) -> None:
    facts = replace(honest.facts, cvm=replace(honest.facts.cvm, measurement=OTHER))
    assert_fails_at(replace(honest, facts=facts), 7, "measurement.registry")


def test_step_7_says_so_where_the_chain_does_not_accept_it_any_more(honest: Audited) -> None:
    facts = replace(honest.facts, cvm=replace(honest.facts.cvm, reference=False))
    verdict = verdict_of(replace(honest, facts=facts))
    assert verdict.passed and "no longer" in verdict.lines[6].detail


def test_step_7_refuses_a_measurement_that_is_no_reference_value_of_ours(honest: Audited) -> None:
    verdict = verdict_of(replace(honest, anchor=anchor(measurements=frozenset({OTHER}))))
    assert not verdict.lines[5].passed and "evidence.7.measurement" in verdict.lines[5].detail
    assert verdict.lines[6].detail.startswith("measurement.evidence")


# (8) digests
def test_step_8_refuses_manifests_in_another_order(honest: Audited) -> None:
    engine, first, second = honest.bundle.manifests
    bundle = replace(honest.bundle, manifests=(engine, second, first))
    assert_fails_at(replace(honest, bundle=bundle), 8, "digests.1.manifest-bytes")


def test_step_8_refuses_a_missing_manifest(honest: Audited) -> None:
    bundle = replace(honest.bundle, manifests=honest.bundle.manifests[:2])
    assert_fails_at(replace(honest, bundle=bundle), 8, "digests.manifests")


def test_step_8_refuses_a_report_on_other_content(honest: Audited) -> None:
    assert honest.bundle.report is not None
    stated = OrderReport.from_statement(honest.bundle.report.envelope.statement()).inputs
    lines = (stated[0], replace(stated[1], content_digest=OTHER), stated[2])
    assert_fails_at(make(report={"inputs": lines}, integrity={"inputs": lines}), 8, "digests.1.content")


def test_step_8_compares_the_auditors_own_copies(honest: Audited) -> None:
    own = honest.bundle.preimage.inputs[0].content_digest
    held = replace(honest.held, content={0: own})
    assert "1 compared with our own copies" in verdict_of(replace(honest, held=held)).lines[7].detail
    assert_fails_at(replace(honest, held=replace(honest.held, content={0: OTHER})), 8, "digests.0.own-copy")


# (9) result
def test_step_9_refuses_a_result_that_is_not_there(honest: Audited) -> None:
    assert_fails_at(replace(honest, held=Held()), 9, "result.fetched")


def test_step_9_refuses_another_result(honest: Audited) -> None:
    assert_fails_at(replace(honest, held=Held({}, OTHER)), 9, "result.ciphertext")


# (10) wiped
def test_step_10_refuses_a_cvm_that_never_said_that_it_wiped(honest: Audited) -> None:
    assert_fails_at(replace(honest, bundle=replace(honest.bundle, wiped=None)), 10, "wiped.statement")


def test_step_10_refuses_a_forged_wiped(honest: Audited) -> None:
    assert honest.bundle.wiped is not None
    forged = sign_statement(honest.bundle.wiped.statement(), FakeCvm().statement)
    order = replace(honest, bundle=replace(honest.bundle, wiped=forged))
    assert_fails_at(order, 10, "wiped.signature")


@pytest.mark.parametrize(
    ("lie", "step"),
    [
        ({"cvm_id": OTHER}, "wiped.cvm"),
        ({"order_id": OTHER}, "wiped.order"),
        ({"order_id": None}, "wiped.order"),
        ({"statement_key": OTHER}, "wiped.statement-key"),
        ({"terminal_digest": OTHER}, "wiped.terminal"),
        ({"plaintext_files": 1}, "wiped.plaintext-files"),
    ],
)
def test_step_10_refuses_a_wiped_about_something_else(lie: dict[str, object], step: str) -> None:
    assert_fails_at(make(wiped=lie), 10, step)
