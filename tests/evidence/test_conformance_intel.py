"""The conformance list for Intel evidence: each id is a line's words and the form of the quote.

Every case is one order to the SIMULATED vendor, whose quotes and collateral are byte-exact: the same code
judges real evidence (test_intel_tdx, test_intel_sgx). Where dcap-qvl lets something pass, the case says so
and holds the library to it: a later version that refuses by itself is noticed.
"""

from __future__ import annotations

import dcap_qvl
import pytest

from enclave_runtime.attestation.dcap import layout
from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.registry import verifier_for
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.attestation.simulated.intel_world import Form, World
from enclave_runtime.wire.report_data import TAG, Purpose
from tests.evidence.intel_lines import each, policy, put
from tests.fakes.cvm import OPERATOR, FakeCvm
from tests.fakes.intel_case import NOW, IntelCase

ALL = tuple(Form)


def library(case: IntelCase) -> str:
    """Return the status that bare dcap-qvl gives, or the word "refuses"."""
    package = dcap_qvl.QuoteCollateralV3.from_json(case.collateral.need("intel").to_bytes().decode())
    try:
        verdict = dcap_qvl.verify_with_root_ca(case.evidence.quote, package, case.vendor.root_der, case.now)
    except ValueError:
        return "refuses"
    return str(verdict.status)


def refused(case: IntelCase, step: Step) -> AttestationError:
    with pytest.raises(AttestationError) as caught:
        case.verify()
    assert caught.value.step == step, caught.value
    assert caught.value.got and caught.value.expected
    return caught.value


@pytest.mark.parametrize("form", ALL)
def test_the_good_world_is_accepted_and_says_simulated(form):
    verdict = IntelCase(form).verify()
    assert verdict.simulated and verdict.tcb_status == "UpToDate" and verdict.advisory_ids == ()
    assert verdict.facts["quote version"] == str(form.version)
    assert verdict.facts.get("td report") == {
        Form.SGX_V3: None,
        Form.TDX_V5_15: "1.5",
    }.get(form, "1.0")


@pytest.mark.parametrize(
    ("line", "form"), [pytest.param(line, form, id=words) for words, line, form in each()]
)
def test_line(line, form):
    case = IntelCase(form)
    line.spoil(case)
    refused(case, line.step)
    if line.library_accepts:
        assert library(case) != "refuses"
    elif case.collateral.intel is not None and line.step is not Step.PARSE:
        assert library(case) == "refuses"


# parse: truncated at every field boundary, length fields overflow


def boundaries(form: Form) -> list[int]:
    """Return where each field of the quote starts."""
    body = layout.EnclaveBody if form.sgx else layout.TdBody
    ends = [0, 2, 4, 8, 10, 12, 28, 48]
    ends += [50, 54] if form.version == 5 else []
    for size in body.SIZES:
        ends.append(ends[-1] + size)
    ends += [ends[-1] + 16, ends[-1] + 64] if form is Form.TDX_V5_15 else []
    tail = [4, 64, 64, *([2, 4] if form.version > 3 else []), 384, 64, 2, 32, 2, 4]
    for size in tail:
        ends.append(ends[-1] + size)
    return ends


@pytest.mark.parametrize("form", ALL)
def test_parse_truncated_at_every_field_boundary(form):
    case = IntelCase(form)
    quote = case.evidence.quote
    ends = boundaries(form)
    assert quote[ends[-1] :].startswith(b"-----BEGIN CERTIFICATE-----")
    for end in ends[1:]:
        for size in (end - 1, end, end + 1):
            refused(case.raw(quote[:size]), Step.PARSE)


def lengths(form: Form) -> list[tuple[int, int]]:
    """Return (offset, size) of each length field."""
    ends = boundaries(form)
    signature = len(layout.parse_quote(IntelCase(form).evidence.quote).signed)
    fields = [(signature, 4), (ends[-5], 2), (ends[-2], 4)]
    if form.version > 3:
        fields.append((signature + 4 + 128 + 2, 4))
    if form.version == 5:
        fields.append((50, 4))
    return fields


@pytest.mark.parametrize("form", ALL)
def test_parse_length_fields_overflow(form):
    case = IntelCase(form)
    quote = case.evidence.quote
    for at, size in lengths(form):
        right = int.from_bytes(quote[at : at + size], "little")
        top = (1 << 8 * size) - 1
        for wrong in {0, right - 1, right + 1, right * 2, top, top >> 1, top - right} - {right}:
            spoiled = put(at, (wrong & top).to_bytes(size, "little"))(quote)
            refused(case.raw(spoiled), Step.PARSE)


# binding: one quote serves one signer, operator, purpose and challenge


@pytest.mark.parametrize("form", ALL)
def test_binding_domain_swap_and_nonce(form):
    cvm, other = FakeCvm(), FakeCvm()
    right = {"operator": OPERATOR, "challenge": b"\x01" * 32}
    bound = cvm.keys.report_data(Purpose.CERTIFY, **right)
    assert bound.endswith(TAG)
    case = IntelCase(form).requote(report_data=bound)
    case.report_data = bound
    case.verify()
    for expected in (
        cvm.keys.report_data(Purpose.RELEASE, **right),  # a certifier's quote shown to a broker
        cvm.keys.report_data(Purpose.CONNECT, **right),
        cvm.keys.report_data(Purpose.CERTIFY, operator=b"\x0b" * 20, challenge=b"\x01" * 32),
        cvm.keys.report_data(Purpose.CERTIFY, operator=OPERATOR, challenge=b"\x02" * 32),
        cvm.keys.report_data(Purpose.CERTIFY, **right, gpu=b"GPU evidence"),
        other.keys.report_data(Purpose.CERTIFY, **right),
    ):
        case.report_data = expected
        refused(case, Step.REPORT_DATA)


# policy: TCB each status


@pytest.mark.parametrize("form", ALL)
@pytest.mark.parametrize(
    "status",
    [
        "SWHardeningNeeded",
        "ConfigurationNeeded",
        "ConfigurationAndSWHardeningNeeded",
        "OutOfDate",
        "OutOfDateConfigurationNeeded",
        "Revoked",
    ],
)
def test_policy_tcb_each_status(form, status):
    case = IntelCase(form).order(World(tcb_status=status))
    refused(case, Step.TCB)
    policy(tcb_statuses=frozenset({"UpToDate", status}))(case)
    if status == "Revoked":
        refused(case, Step.TCB)
        return
    verdict = case.verify()
    assert verdict.tcb_status == library(case) == status
    assert verdict.advisory_ids == ("DEV-SIMULATED-SA-00001",)


# time: every accept at window - 1 and window + 1


@pytest.mark.parametrize("form", ALL)
def test_time_window_minus_1_and_plus_1(form):
    case = IntelCase(form)
    last, first = case.verify().collateral_expires_at, NOW - 3600
    for case.now in (first, last - 1):
        case.verify()
    for case.now in (first - 1, last + 1):
        refused(case, Step.REVOCATION)


# simulator: accepted only where its root is named


@pytest.mark.parametrize("form", ALL)
def test_simulator_only_with_explicit_root_set(form):
    case = IntelCase(form)
    policy(simulated=None)(case)
    assert "SIMULATED" in refused(case, Step.CHAIN).got
    case = IntelCase(form)
    policy(root_sets=frozenset({"intel"}), simulated=None)(case)
    refused(case, Step.CHAIN)
    with pytest.raises(AttestationError) as caught:
        verifier_for(case.tee).verify(
            case.evidence,
            case.collateral,
            roots=RootSet.intel(),
            policy=case.policy,
            expected_report_data=case.report_data,
            now=NOW,
        )
    assert caught.value.step == Step.CHAIN and "44a0196b" in caught.value.expected
