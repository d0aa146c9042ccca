"""One numbered step after another: what passes, and what each refuses (protocol section 4.3)."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enclave_runtime.attestation.dcap import layout
from enclave_runtime.attestation.dcap.rtmr import Event, encode_log
from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.model import Evidence, TeeKind
from enclave_runtime.attestation.policy import AppraisalPolicy, UnsafeAcceptSimulated
from enclave_runtime.attestation.registry import VERIFIERS, verifier_for
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.attestation.simulated.certs import raw_signature
from enclave_runtime.attestation.simulated.issuer import SimulatedVendor, World
from tests.fakes.collateral import intel_with

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
SIGNATURE_AT = 48 + 584 + 4
STATUSES = [
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
]


def refused(case, step: Step) -> AttestationError:
    with pytest.raises(AttestationError) as caught:
        case.verify()
    assert caught.value.step == step, caught.value
    assert caught.value.got and caught.value.expected
    return caught.value


def test_accepts_a_simulated_quote_under_its_own_root_and_says_simulated(case):
    verdict = case.verify()
    assert verdict.simulated and verdict.root_set == case.roots.id
    assert verdict.trust_class == f"SIMULATED ({case.roots.id})"
    assert verdict.measurement == case.measured.registers.measurement()
    assert verdict.report_data == case.report_data
    assert (verdict.tcb_status, verdict.advisory_ids, verdict.tcb_eval_number) == ("UpToDate", (), 20)
    assert case.now < verdict.collateral_expires_at <= case.now + 30 * 86400


# policy and (1): trust anchors


@pytest.mark.parametrize("name", ["root_sets", "measurements", "tcb_statuses", "platforms"])
def test_an_empty_policy_refuses_before_anything_else(case, name):
    case.policy = replace(case.policy, **{name: frozenset()})
    case.evidence = Evidence(TeeKind.TDX, b"not even a quote")
    assert name in refused(case, Step.POLICY).got


def test_a_dev_root_without_the_acknowledgement_is_refused(case):
    case.policy = replace(case.policy, simulated=None)
    assert "UnsafeAcceptSimulated" in refused(case, Step.CHAIN).expected
    case.policy = replace(case.policy, simulated=UnsafeAcceptSimulated("dev:" + "0" * 64))
    refused(case, Step.CHAIN)


def test_a_root_set_that_the_policy_does_not_name_is_refused(case):
    case.policy = replace(case.policy, root_sets=frozenset({"intel"}))
    assert case.roots.id in refused(case, Step.CHAIN).got


def test_a_simulated_quote_is_refused_under_intels_pinned_root(case):
    case.roots = RootSet.intel()
    case.policy = replace(case.policy, root_sets=frozenset({"intel"}))
    assert "44a0196b" in refused(case, Step.CHAIN).expected


def test_a_quote_of_another_simulated_vendor_is_refused(case):
    other = SimulatedVendor.create()
    case.evidence = Evidence(TeeKind.TDX, other.quote(case.body))
    refused(case, Step.CHAIN)


def test_collateral_of_another_vendor_is_refused(case):
    case.collateral = SimulatedVendor.create().collateral(case.now)
    refused(case, Step.CHAIN)


# (0) parse


@pytest.mark.parametrize(
    ("label", "spoil"),
    [
        ("trailing byte", lambda quote: quote + b"\x00"),
        ("zero padding", lambda quote: quote + bytes(3000)),
        ("cut", lambda quote: quote[:-1]),
        ("another version", lambda quote: b"\x05" + quote[1:]),
        ("SGX", lambda quote: quote[:4] + bytes(4) + quote[8:]),
        ("another key type", lambda quote: quote[:2] + b"\x03" + quote[3:]),
        ("another vendor", lambda quote: quote[:12] + bytes(16) + quote[28:]),
        (
            "glue in the PEM",
            lambda quote: quote.replace(b"-----END CERTIFICATE-----\n", b"-----END CERTIFICATE-----\r"),
        ),
    ],
)
def test_bytes_that_are_not_exactly_one_tdx_quote_are_refused(with_quote, case, label, spoil):
    refused(with_quote(spoil(case.evidence.quote)), Step.PARSE)


def test_every_truncation_is_refused_at_parsing(with_quote, case):
    quote = case.evidence.quote
    for size in range(1, len(quote), 37):
        refused(with_quote(quote[:size]), Step.PARSE)


def test_a_tee_without_rules_is_refused(case, monkeypatch):
    monkeypatch.delitem(VERIFIERS, TeeKind.SEV_SNP, raising=False)
    with pytest.raises(AttestationError) as caught:
        verifier_for(TeeKind.SEV_SNP)
    assert caught.value.step == Step.PARSE and "sev-snp" in caught.value.got
    case.evidence = replace(case.evidence, tee=TeeKind.SGX)
    refused(case, Step.PARSE)


# (2) revocation, and the dates of collateral


def test_a_revoked_pck_is_refused(case):
    case.collateral = case.vendor.collateral(case.now, World(pck_revoked=True))
    refused(case, Step.REVOCATION)


def test_expired_collateral_is_refused(case):
    case.collateral = case.vendor.collateral(case.now, World(expired=True))
    refused(case, Step.REVOCATION)
    fresh = case.vendor.collateral(case.now)
    case.collateral = intel_with(
        case.collateral, root_ca_crl=fresh.intel.root_ca_crl, pck_crl=fresh.intel.pck_crl
    )
    assert "TCBInfo expired" in refused(case, Step.TCB).got


@pytest.mark.parametrize("name", ["root_ca_crl", "pck_crl"])
def test_a_revocation_list_of_the_future_is_refused(case, name):
    future = case.vendor.collateral(case.now + 10 * 86400)
    case.collateral = intel_with(case.collateral, **{name: getattr(future.intel, name)})
    assert "issued at" in refused(case, Step.REVOCATION).got


def test_revocation_lists_that_do_not_parse_or_are_swapped_are_refused(case):
    good = case.collateral
    case.collateral = intel_with(good, pck_crl=b"\x30\x00")
    refused(case, Step.REVOCATION)
    case.collateral = intel_with(good, pck_crl=good.intel.root_ca_crl)
    refused(case, Step.REVOCATION)


def test_certificates_and_lists_of_an_unknown_version_are_refusals_and_no_crash(case):
    # cryptography raises InvalidVersion, which is no ValueError: found by fuzzing.
    good = case.collateral
    case.collateral = intel_with(
        good, pck_crl=good.intel.pck_crl.replace(b"\x02\x01\x01", b"\x02\x01\x05", 1)
    )
    refused(case, Step.REVOCATION)
    der = case.vendor.root_der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x12", 1)
    body = base64.encodebytes(der).decode()
    pem = f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n"
    case.collateral = intel_with(good, qe_identity_issuer_chain=pem)
    refused(case, Step.CHAIN)


def test_the_window_of_collateral_ends_when_it_says_and_begins_when_it_was_issued(case):
    expires_at, issued_at = case.verify().collateral_expires_at, case.now - 3600
    for inside in (issued_at, expires_at - 1):
        case.now = inside
        case.verify()
    for outside in (issued_at - 1, expires_at + 1):
        case.now = outside
        refused(case, Step.REVOCATION)


# (3) signatures


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bit=st.integers(0, (48 + 584 + 4 + 128 + 6 + 448 + 34) * 8 - 1))
def test_any_flipped_bit_up_to_the_certificates_is_refused(vendor, case, bit):
    quote = bytearray(case.vendor.quote(case.body))
    quote[bit // 8] ^= 1 << bit % 8
    case.evidence = Evidence(TeeKind.TDX, bytes(quote))
    with pytest.raises(AttestationError):
        case.verify()


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, (1 << 16) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_behind_the_body_is_refused_or_leaves_the_identity_alone(case, position, bit):
    good = case.verify()
    quote = bytearray(case.evidence.quote)
    behind = 48 + 584
    quote[behind + position % (len(quote) - behind)] ^= 1 << bit
    spoiled = replace(case, evidence=Evidence(TeeKind.TDX, bytes(quote)))
    try:
        verdict = spoiled.verify()
    except AttestationError:
        return
    assert verdict.canonical_id == good.canonical_id and verdict.report_data == good.report_data


def test_the_second_valid_signature_has_the_same_identity(with_quote, case):
    good, quote = case.verify(), case.evidence.quote
    at = SIGNATURE_AT + 32
    twin = P256_ORDER - int.from_bytes(quote[at : at + 32], "big")
    other = quote[:at] + twin.to_bytes(32, "big") + quote[at + 32 :]
    assert other != quote
    assert with_quote(other).verify().canonical_id == good.canonical_id


def test_a_body_signed_by_nobody_is_refused(with_quote, case):
    quote = bytearray(case.evidence.quote)
    quote[SIGNATURE_AT : SIGNATURE_AT + 64] = bytes(64)
    refused(with_quote(bytes(quote)), Step.SIGNATURE)


def test_an_attestation_key_that_the_quoting_enclave_did_not_bind_is_refused(with_quote, case):
    # Another vendor object signs with its own attestation key under the same PCK: the splice must not pass.
    again = SimulatedVendor.from_state(case.vendor.to_state())
    ours, theirs = case.evidence.quote, again.quote(case.body)
    spliced = theirs[: SIGNATURE_AT + 128] + ours[SIGNATURE_AT + 128 :]
    assert "QE report hash mismatch" in refused(with_quote(spliced), Step.SIGNATURE).got


# (4) TCB


@pytest.mark.parametrize("status", STATUSES)
def test_a_tcb_status_passes_only_where_policy_names_it(case, status):
    case.collateral = case.vendor.collateral(case.now, World(tcb_status=status))
    assert status in refused(case, Step.TCB).got
    case.policy = replace(case.policy, tcb_statuses=frozenset({status}))
    verdict = case.verify()
    assert verdict.tcb_status == status and verdict.advisory_ids == ("DEV-SIMULATED-SA-00001",)
    case.policy = replace(case.policy, rejected_advisories=frozenset(verdict.advisory_ids))
    refused(case, Step.TCB)


def test_a_revoked_tcb_is_refused_whatever_policy_says(case):
    case.collateral = case.vendor.collateral(case.now, World(tcb_status="Revoked"))
    case.policy = replace(case.policy, tcb_statuses=frozenset({"Revoked", "UpToDate"}))
    refused(case, Step.TCB)


def test_collateral_below_the_floor_is_refused(case):
    case.policy = replace(case.policy, min_tcb_eval_number=21)
    assert "20" in refused(case, Step.TCB).got
    case.collateral = case.vendor.collateral(case.now, World(eval_number=21))
    assert case.verify().tcb_eval_number == 21


def test_mixed_evaluation_numbers_need_a_setting_and_keep_the_floor(case):
    newer = case.vendor.collateral(case.now, World(eval_number=21))
    case.collateral = intel_with(
        case.collateral, tcb_info=newer.intel.tcb_info, tcb_info_signature=newer.intel.tcb_info_signature
    )
    assert "one number" in refused(case, Step.TCB).expected
    case.policy = replace(case.policy, accept_mixed_eval_numbers=True)
    assert case.verify().tcb_eval_number == 20
    case.policy = replace(case.policy, min_tcb_eval_number=21)
    refused(case, Step.TCB)


@pytest.mark.parametrize(("name", "value"), [("fmspc", "00906ed50001"), ("pceId", "0001"), ("id", "SGX")])
def test_collateral_about_another_platform_is_refused(case, name, value):
    info = json.loads(case.collateral.intel.tcb_info)
    text = json.dumps({**info, name: value}, separators=(",", ":"))
    key = case.vendor._of["tcb_signing"].key
    case.collateral = intel_with(
        case.collateral, tcb_info=text, tcb_info_signature=raw_signature(key, text.encode())
    )
    refused(case, Step.TCB)


@pytest.mark.parametrize("name", ["tcb_info_signature", "qe_identity_signature"])
def test_statements_that_the_vendor_did_not_sign_are_refused(case, name):
    case.collateral = intel_with(case.collateral, **{name: bytes(64)})
    refused(case, Step.TCB)


def test_a_platform_list_refuses_other_hardware(case):
    platform = case.verify().platform_id_hash
    case.policy = replace(case.policy, platforms=frozenset({bytes(32)}))
    assert platform.hex() in refused(case, Step.TCB).got
    case.policy = replace(case.policy, platforms=frozenset({platform}))
    case.verify()


# (5) debug and the other attribute bits


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        (1 << 28 | 1, "debug off"),
        (1 << 28 | 1 << 4, "monitoring off"),
        (0, "SEPT_VE_DISABLE"),
        (1 << 28 | 1 << 30, "only bits"),
        (1 << 28 | 1 << 63, "only bits"),
        (1 << 28 | 1 << 40, "reserved"),
    ],
)
def test_attribute_bits_that_open_a_td_are_refused(case, bits, words):
    body = replace(case.body, td_attributes=bits.to_bytes(8, "little"))
    case.evidence = Evidence(TeeKind.TDX, case.vendor.quote(body))
    assert words in refused(case, Step.DEBUG).expected


def test_an_attribute_bit_passes_where_policy_names_it(case):
    body = replace(case.body, td_attributes=(1 << 28 | 1 << 30).to_bytes(8, "little"))
    case.evidence = Evidence(TeeKind.TDX, case.vendor.quote(body))
    case.policy = replace(case.policy, extra_td_attributes=1 << 30)
    refused(case, Step.MEASUREMENT)  # the attributes are part of the measurement too


# (6) event log


def test_an_event_log_that_does_not_replay_is_refused(case):
    events = [*case.measured.events, Event.runtime(2, "one-more", b"x")]
    case.evidence = replace(case.evidence, event_log=encode_log(events))
    assert refused(case, Step.EVENT_LOG).got.startswith("RTMR2")
    case.evidence = replace(case.evidence, event_log=b"[{}]")
    refused(case, Step.EVENT_LOG)


def test_no_event_log_is_fine_since_the_registers_are_in_the_measurement(case):
    case.evidence = replace(case.evidence, event_log=None)
    case.verify()


# (7) measurement


@pytest.mark.parametrize(
    "register",
    ["mrtd", "rtmr0", "rtmr1", "rtmr2", "mr_config_id", "mr_owner", "mr_owner_config", "xfam"],
)
def test_every_launch_register_is_in_the_measurement(case, register):
    value = getattr(case.body, register)
    body = replace(case.body, **{register: bytes([value[0] ^ 0x20]) + value[1:]})
    case.evidence = Evidence(TeeKind.TDX, case.vendor.quote(body))
    assert case.measured.registers.measurement().hex() in refused(case, Step.MEASUREMENT).expected


# (8) report_data and (9) GPU


@pytest.mark.parametrize(("at", "words"), [(0, "signer"), (20, "digest of keys"), (63, "tag")])
def test_report_data_for_anything_else_is_refused(case, at, words):
    expected = bytearray(case.report_data)
    expected[at] ^= 1
    case.report_data = bytes(expected)
    assert words in refused(case, Step.REPORT_DATA).got


def test_report_data_of_a_wrong_length_is_refused(case):
    case.report_data = case.report_data[:63]
    refused(case, Step.REPORT_DATA)


def test_gpu_evidence_is_not_this_vendors_to_judge(case):
    verdict = case.verify()
    case.evidence = replace(case.evidence, gpu=b"report")
    assert case.verify() == verdict and verdict.devices == () and verdict.gpu_digest == bytes(32)


def test_policies_compose_to_what_both_accept(case):
    wide = AppraisalPolicy(
        root_sets=frozenset({"intel", case.roots.id}),
        measurements=case.policy.measurements | {bytes(32)},
        tcb_statuses=frozenset({"UpToDate", "OutOfDate"}),
        min_tcb_eval_number=7,
        simulated=UnsafeAcceptSimulated(case.roots.id),
    )
    both = wide & case.policy
    assert both == replace(case.policy, min_tcb_eval_number=7)
    assert (wide & replace(case.policy, simulated=None)).simulated is None
    case.policy = wide & replace(case.policy, measurements=frozenset({b"\x01" * 32}))
    refused(case, Step.POLICY)


def test_layout_constants_agree_with_the_offsets_used_here(case):
    assert layout.TdBody.size() == 584 and layout.EnclaveBody.size() == 384
    assert (
        layout.parse_quote(case.evidence.quote).signatures.signature
        == (case.evidence.quote[SIGNATURE_AT : SIGNATURE_AT + 64])
    )
