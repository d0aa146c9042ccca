"""Every Intel SGX quote of the public record, at its own time, under Intel's pinned root (protocol 4.3)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509

from enclave_runtime.attestation.collateral import Collateral, IntelCollateral
from enclave_runtime.attestation.dcap.facts import read_anchors
from enclave_runtime.attestation.dcap.layout import EnclaveBody, canonical_id, parse_quote
from enclave_runtime.attestation.dcap.platform import platform_id_hash
from enclave_runtime.attestation.dcap.registers import SgxRegisters
from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.model import Evidence, TeeKind, VerifiedEvidence
from enclave_runtime.attestation.policy import AppraisalPolicy
from enclave_runtime.attestation.registry import verifier_for
from enclave_runtime.attestation.roots import RootSet
from tests.evidence import vectors
from tests.evidence.vectors import Check

pytestmark = vectors.REQUIRED

OK = vectors.checks("sgx-quote", "ok")
REJECT = vectors.checks("sgx-quote", "reject")
ROWS = [pytest.param(row, id=f"{row['file']}[{row['encoding']}]") for row in vectors.rows("sgx-quote")]


def body_of(quote: bytes) -> EnclaveBody:
    body = parse_quote(quote).body
    assert isinstance(body, EnclaveBody)
    return body


def policy_for(quote: bytes, *statuses: str) -> AppraisalPolicy:
    return AppraisalPolicy(
        root_sets=frozenset({"intel"}),
        measurements=frozenset({SgxRegisters.of(body_of(quote)).measurement()}),
        tcb_statuses=frozenset(statuses or {"UpToDate"}),
    )


def judge(item: Check, *, now: int | None = None, **changes: Any) -> VerifiedEvidence:
    """Hold a row's quote against a policy that its own facts satisfy."""
    quote = vectors.quote_of(item.row)
    given = {
        "policy": policy_for(quote, str(item.check.get("tcb_status"))),
        "expected_report_data": bytes.fromhex(item.row["fields"]["report_data"]),
        "roots": RootSet.intel(),
    }
    return verifier_for(TeeKind.SGX).verify(
        Evidence(TeeKind.SGX, changes.pop("quote", quote)),
        vectors.collateral(item.check["collateral"]),
        now=item.check["now"] if now is None else now,
        **{**given, **changes},
    )


def refused(item: Check, step: Step | None, **changes: Any) -> AttestationError:
    with pytest.raises(AttestationError) as caught:
        judge(item, **changes)
    assert step is None or caught.value.step == step, caught.value
    return caught.value


def test_the_record_is_as_large_as_it_was():
    assert (len(ROWS), len(OK), len(REJECT)) == (5, 3, 2)


@pytest.mark.parametrize("item", OK)
def test_accepts_what_the_record_accepts(item):
    verdict = judge(item)
    assert not verdict.simulated and verdict.root_set == verdict.trust_class == "intel"
    assert verdict.tcb_status == item.check["tcb_status"]
    assert list(verdict.advisory_ids) == item.check["advisory_ids"]
    assert verdict.platform_id_hash == platform_id_hash(bytes.fromhex(item.row["pck"]["ppid"]))
    assert verdict.collateral_expires_at == vectors.window(item.check["collateral"]).last
    assert verdict.facts["fmspc"] == item.row["fmspc"]


@pytest.mark.parametrize("item", OK)
def test_the_default_policy_accepts_only_what_is_up_to_date(item):
    refused(item, Step.TCB, policy=policy_for(vectors.quote_of(item.row)))


@pytest.mark.parametrize("item", REJECT)
def test_refuses_what_the_record_rejects_at_the_right_step(item):
    assert "Debug mode is enabled" in item.check["error"]
    refused(item, Step.DEBUG)


@pytest.mark.parametrize("item", OK)
def test_refuses_a_second_before_and_a_second_after_its_window(item):
    window = vectors.window(item.check["collateral"])
    judge(item, now=window.last - 1)
    for now in (window.first - 1, window.last + 1):
        assert refused(item, None, now=now).step in (Step.CHAIN, Step.REVOCATION, Step.TCB)


@pytest.mark.parametrize("item", OK)
def test_each_binding_and_reference_value_counts(item):
    policy = policy_for(vectors.quote_of(item.row), item.check["tcb_status"])
    refused(item, Step.REPORT_DATA, expected_report_data=b"\xff" * 64)
    refused(item, Step.MEASUREMENT, policy=replace(policy, measurements=frozenset({bytes(32)})))
    refused(item, Step.TCB, policy=replace(policy, min_tcb_eval_number=99))
    refused(item, Step.TCB, policy=replace(policy, platforms=frozenset({bytes(32)})))


@pytest.mark.parametrize("row", ROWS)
def test_reads_the_fields_that_the_record_has(row):
    quote = parse_quote(vectors.quote_of(row))
    body = body_of(vectors.quote_of(row))
    for name, value in row["fields"].items():
        own = getattr(body, name)
        assert own.hex() == value or int.from_bytes(own, "little") == value, name
    assert hashlib.sha256(b"dcap-signed-v1" + quote.signed).hexdigest() == row["canonical_id"]
    assert len(canonical_id(quote)) == 32 and not any(body.reserved)


@pytest.mark.parametrize("item", OK)
def test_a_tdx_verifier_refuses_enclaves_and_the_other_way_round(item):
    quote = vectors.quote_of(item.row)
    with pytest.raises(AttestationError) as caught:
        verifier_for(TeeKind.TDX).verify(
            Evidence(TeeKind.TDX, quote),
            vectors.collateral(item.check["collateral"]),
            roots=RootSet.intel(),
            policy=policy_for(quote, item.check["tcb_status"]),
            expected_report_data=bytes(64),
            now=item.check["now"],
        )
    assert caught.value.step == Step.PARSE
    tdx = vectors.quote_of(vectors.rows("tdx-quote")[0])
    refused(item, Step.PARSE, quote=tdx)


@pytest.mark.parametrize("item", OK)
def test_no_other_collateral_serves(item):
    wrong = vectors.collateral("near-2026-08")
    with pytest.raises(AttestationError):
        verifier_for(TeeKind.SGX).verify(
            Evidence(TeeKind.SGX, vectors.quote_of(item.row)),
            wrong,
            roots=RootSet.intel(),
            policy=policy_for(vectors.quote_of(item.row), item.check["tcb_status"]),
            expected_report_data=bytes.fromhex(item.row["fields"]["report_data"]),
            now=1787894484,
        )


def test_an_impostor_whose_root_bears_intels_name_is_refused():
    # Intel's own synthetic sample: issuer "Intel SGX Root CA", another key.
    folder = vectors.ROOT / "intel" / "intel-qvl"
    info = json.loads((folder / "sgx_tcbInfo.json").read_bytes())
    identity = json.loads((folder / "sgx_qeIdentity.json").read_bytes())
    impostor = IntelCollateral(
        pck_crl_issuer_chain=(folder / "sgx_pckSignChain.pem").read_text(),
        root_ca_crl=(folder / "sgx_rootCaCrl.der").read_bytes(),
        pck_crl=(folder / "sgx_intermediateCaCrl.der").read_bytes(),
        tcb_info_issuer_chain=(folder / "sgx_tcbSignChain.pem").read_text(),
        tcb_info=json.dumps(next(iter(info.values())) if "signature" in info else info),
        tcb_info_signature=bytes(64),
        qe_identity_issuer_chain=(folder / "sgx_tcbSignChain.pem").read_text(),
        qe_identity=json.dumps(identity),
        qe_identity_signature=bytes(64),
    )
    with pytest.raises(AttestationError) as caught:
        read_anchors(impostor, RootSet.intel())
    assert caught.value.step == Step.CHAIN and "44a0196b" in caught.value.expected
    item = OK[0].values[0]
    with pytest.raises(AttestationError) as caught:
        verifier_for(TeeKind.SGX).verify(
            Evidence(TeeKind.SGX, vectors.quote_of(item.row)),
            Collateral(intel=impostor),
            roots=RootSet.intel(),
            policy=policy_for(vectors.quote_of(item.row)),
            expected_report_data=bytes(64),
            now=item.check["now"],
        )
    assert caught.value.step == Step.CHAIN


@pytest.mark.parametrize(
    ("name", "entries"), [("platform-129-20260716.hex", 129), ("platform-57-20260716.hex", 57)]
)
def test_revocation_lists_of_any_size_are_read(name, entries):
    # Intel issued both on one day, numbered alike: only their dates tell which is newer.
    text = (vectors.ROOT / "intel" / "automata" / "crl" / name).read_text().strip()
    collateral = vectors.collateral("near-2026-08").need("intel")
    anchors = read_anchors(
        replace(collateral, pck_crl=bytes.fromhex(text.removeprefix("0x"))), RootSet.intel()
    )
    assert len(anchors.pck_list.serials) == entries
    number = x509.load_der_x509_crl(collateral.pck_crl).extensions.get_extension_for_class(x509.CRLNumber)
    assert number.value.crl_number == 1
