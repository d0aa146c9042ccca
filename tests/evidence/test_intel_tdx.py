"""Every Intel TDX quote of the public record, at its own time, under Intel's pinned root (protocol 4.3).

Nothing here knows the simulated vendor but the tests that set one against the other.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.dcap.layout import TdBody, canonical_id, parse_quote
from enclave_runtime.attestation.dcap.registers import TdxRegisters
from enclave_runtime.attestation.dcap.rtmr import parse_log, replay
from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.model import Evidence, TeeKind, VerifiedEvidence
from enclave_runtime.attestation.policy import AppraisalPolicy, UnsafeAcceptSimulated
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.attestation.simulated.issuer import SimulatedVendor
from enclave_runtime.attestation.tdx.verify import TdxVerifier, platform_id_hash
from tests.evidence import vectors
from tests.evidence.vectors import Check
from tests.fakes.collateral import intel_with

pytestmark = vectors.REQUIRED

# What the record calls each reason, and the step that it is of ours.
REASONS = {
    "No matching TCB level found": Step.TCB,
    "CertNotValidYet": Step.CHAIN,
    "Debug mode is enabled": Step.DEBUG,
    "SEPT_VE_DISABLE is not enabled": Step.DEBUG,
    "Invalid MR service TD": Step.DEBUG,
}
# A capture followed by a line of log text: no normaliser makes a quote of it.
NOT_EXACT = "intel/go-tdx-guest/tdx_prod_quote_SPR_E4.dat"


def named(rows: Iterable[dict[str, Any]]) -> list[Any]:
    return [pytest.param(row, id=f"{row['file']}[{row['encoding']}]") for row in rows]


def policy_for(quote: bytes, *statuses: str) -> AppraisalPolicy:
    body = parse_quote(quote).body
    assert isinstance(body, TdBody)
    return AppraisalPolicy(
        root_sets=frozenset({"intel"}),
        measurements=frozenset({TdxRegisters.of(body).measurement()}),
        tcb_statuses=frozenset(statuses or {"UpToDate"}),
        # One public collateral set was fetched in the middle of a TCB recovery: 20 beside 19.
        accept_mixed_eval_numbers=True,
    )


def verify(
    quote: bytes,
    collateral: Collateral,
    now: int,
    policy: AppraisalPolicy,
    *,
    report_data: str,
    event_log: bytes | None = None,
    roots: RootSet | None = None,
) -> VerifiedEvidence:
    return TdxVerifier().verify(
        Evidence(TeeKind.TDX, quote, event_log),
        collateral,
        roots=roots or RootSet.intel(),
        policy=policy,
        expected_report_data=bytes.fromhex(report_data),
        now=now,
    )


def judge(item: Check, *, now: int | None = None, **changes: Any) -> VerifiedEvidence:
    """Hold a row's quote against a policy that its own facts satisfy."""
    quote = vectors.quote_of(item.row)
    given = {
        "policy": policy_for(quote, "UpToDate", "OutOfDate"),
        "report_data": item.row["fields"]["report_data"],
        "event_log": vectors.event_log(item.row),
    }
    collateral = vectors.collateral(item.check["collateral"])
    return verify(quote, collateral, item.check["now"] if now is None else now, **{**given, **changes})


def refused(step: Step | None, item: Check, **changes: Any) -> AttestationError:
    with pytest.raises(AttestationError) as caught:
        judge(item, **changes)
    assert step is None or caught.value.step == step, caught.value
    return caught.value


OK = vectors.checks("tdx-quote", "ok")
REJECT = vectors.checks("tdx-quote", "reject")


def test_the_record_is_as_large_as_it_was():
    assert (len(vectors.rows("tdx-quote")), len(OK), len(REJECT)) == (22, 12, 27)


@pytest.mark.parametrize("item", OK)
def test_accepts_what_the_record_accepts(item):
    verdict = judge(item)
    fields, check = item.row["fields"], item.check
    assert not verdict.simulated and verdict.root_set == verdict.trust_class == "intel"
    assert verdict.tcb_status == check["tcb_status"] and list(verdict.advisory_ids) == check["advisory_ids"]
    assert verdict.report_data.hex() == fields["report_data"]
    assert verdict.platform_id_hash == platform_id_hash(bytes.fromhex(item.row["pck"]["ppid"]))
    assert verdict.collateral_expires_at == vectors.window(check["collateral"]).last


@pytest.mark.parametrize("item", OK)
def test_the_default_statuses_accept_only_what_is_up_to_date(item):
    policy = policy_for(vectors.quote_of(item.row))
    if item.check["tcb_status"] == "UpToDate":
        judge(item, policy=policy)
    else:
        refused(Step.TCB, item, policy=policy)


@pytest.mark.parametrize("item", REJECT)
def test_refuses_what_the_record_rejects_at_the_right_step(item):
    if item.row["file"] == NOT_EXACT:
        with pytest.raises(AttestationError) as caught:
            verify(vectors.raw_bytes(item.row), vectors.collateral("gtg2023-5080"), 1, POLICY, report_data="")
        assert caught.value.step == Step.PARSE
        return
    (step,) = {step for words, step in REASONS.items() if words in item.check["error"]}
    refused(step, item)


POLICY = AppraisalPolicy(root_sets=frozenset({"intel"}), measurements=frozenset({bytes(32)}))


@pytest.mark.parametrize("item", OK)
def test_refuses_a_second_before_and_a_second_after_its_window(item):
    window = vectors.window(item.check["collateral"])
    judge(item, now=window.last - 1)  # webpki ends a revocation list at its nextUpdate, not after it
    for now in (window.first - 1, window.last + 1):
        assert refused(None, item, now=now).step in (Step.CHAIN, Step.REVOCATION, Step.TCB)


@pytest.mark.parametrize("item", OK)
def test_each_binding_and_reference_value_counts(item):
    policy = policy_for(vectors.quote_of(item.row), "UpToDate", "OutOfDate")
    refused(Step.REPORT_DATA, item, report_data="ff" * 64)
    refused(Step.MEASUREMENT, item, policy=replace(policy, measurements=frozenset({bytes(32)})))
    refused(Step.TCB, item, policy=replace(policy, min_tcb_eval_number=99))
    refused(Step.TCB, item, policy=replace(policy, platforms=frozenset({bytes(32)})))
    refused(Step.POLICY, item, policy=replace(policy, measurements=frozenset()))


@pytest.mark.parametrize("item", OK)
def test_a_real_quote_is_refused_under_a_simulated_root(item):
    roots = SimulatedVendor.create().roots
    policy = replace(
        policy_for(vectors.quote_of(item.row)),
        root_sets=frozenset({roots.id}),
        simulated=UnsafeAcceptSimulated(roots.id),
    )
    refused(Step.CHAIN, item, roots=roots, policy=policy)


@pytest.mark.parametrize("item", OK)
def test_flipped_bits_are_refused_or_leave_the_identity_alone(item):
    quote, dice = vectors.quote_of(item.row), random.Random(item.name)
    policy, collateral = (
        policy_for(quote, "UpToDate", "OutOfDate"),
        vectors.collateral(item.check["collateral"]),
    )
    report_data, signed = item.row["fields"]["report_data"], len(parse_quote(quote).signed)
    places = [
        60,
        *(dice.randrange(signed) for _ in range(20)),
        *(dice.randrange(len(quote)) for _ in range(20)),
    ]
    for place in places:
        spoiled = bytearray(quote)
        spoiled[place] ^= 1 << dice.randrange(8)
        try:
            verdict = verify(bytes(spoiled), collateral, item.check["now"], policy, report_data=report_data)
        except AttestationError:
            continue
        assert place >= signed and verdict.canonical_id == canonical_id(parse_quote(quote))


@pytest.mark.parametrize("row", named(r for r in vectors.rows("tdx-quote") if r["file"] != NOT_EXACT))
def test_reads_the_fields_that_the_record_has(row):
    quote = parse_quote(vectors.quote_of(row))
    assert isinstance(quote.body, TdBody) and quote.header.version == row["quote_version"]
    fields = dict(row["fields"])
    assert quote.service_td[:16].hex() == fields.pop("tee_tcb_svn2", "")
    assert quote.service_td[16:].hex() == fields.pop("mr_service_td", "")
    assert {name: getattr(quote.body, name).hex() for name in fields} == fields
    assert hashlib.sha256(b"dcap-signed-v1" + quote.signed).hexdigest() == row["canonical_id"]


@pytest.mark.parametrize("row", named(r for r in vectors.rows("tdx-quote") if vectors.is_padded(r)))
def test_zero_padding_is_refused_until_somebody_takes_it_off_by_name(row):
    with pytest.raises(AttestationError) as caught:
        verify(vectors.raw_bytes(row), vectors.collateral("qvl-2025-06"), 1, POLICY, report_data="")
    assert caught.value.step == Step.PARSE and "trailing" in caught.value.got


@pytest.mark.parametrize(
    "row", named(r for r in vectors.rows("tdx-quote") if vectors.event_log(r) is not None)
)
def test_event_logs_replay_where_the_record_has_them(row):
    log = vectors.event_log(row)
    assert log is not None
    body = parse_quote(vectors.quote_of(row)).body
    assert isinstance(body, TdBody) and replay(parse_log(log)) == body.rtmrs


@pytest.mark.parametrize("row", named(vectors.rows("sgx-quote")))
def test_sgx_quotes_are_no_tdx_evidence(row):
    with pytest.raises(AttestationError) as caught:
        verify(vectors.raw_bytes(row), vectors.collateral("qvl-2025-06"), 1, POLICY, report_data="")
    assert caught.value.step == Step.PARSE


def test_a_root_that_only_bears_intels_name_is_refused():
    # Intel's own synthetic sample: issuer "Intel SGX Root CA", another key.
    folder = vectors.ROOT / "intel" / "intel-qvl"
    with pytest.raises(AttestationError) as caught:
        verify(
            (folder / "tdx_quote.dat").read_bytes(),
            vectors.collateral("qvl-2025-06"),
            1,
            POLICY,
            report_data="",
        )
    assert caught.value.step in (Step.PARSE, Step.CHAIN)


def test_collateral_whose_root_only_bears_intels_name_is_refused():
    item = next(p.values[0] for p in OK)
    chain = (vectors.ROOT / "intel" / "intel-qvl" / "tdx_tcbSignChain.pem").read_text()
    good = vectors.collateral(item.check["collateral"])
    quote = vectors.quote_of(item.row)
    with pytest.raises(AttestationError) as caught:
        verify(
            quote,
            intel_with(good, tcb_info_issuer_chain=chain),
            item.check["now"],
            policy_for(quote),
            report_data=item.row["fields"]["report_data"],
        )
    assert caught.value.step == Step.CHAIN and "collateral" in caught.value.got
