"""A verdict on a platform is remembered for what it depends on, and for nothing else."""

from __future__ import annotations

from dataclasses import fields, replace
from types import SimpleNamespace

import dcap_qvl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enclave_runtime.attestation.dcap import facts, layout, platform, qvl
from enclave_runtime.attestation.dcap.memo import Memo
from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.intel_rules import IntelRules
from enclave_runtime.attestation.model import Evidence
from enclave_runtime.attestation.simulated.intel_world import Form, World
from enclave_runtime.attestation.simulated.issuer import SimulatedVendor
from tests.fakes.intel_case import NOW, VENDOR, IntelCase

FORMS = tuple(Form)
GUEST_TD = ("mrtd", "mr_config_id", "mr_owner", "mr_owner_config", "rtmr0", "rtmr1", "rtmr2", "rtmr3")


@pytest.fixture(autouse=True)
def nothing_known():
    platform.forget()


@pytest.fixture
def runs(monkeypatch):
    """Return a list that grows by one for each call of dcap-qvl."""
    seen: list[int] = []
    real = qvl.run

    def counted(quote, collateral, root_der, now):
        seen.append(now)
        return real(quote, collateral, root_der, now)

    monkeypatch.setattr(qvl, "run", counted)
    return seen


def refused(case: IntelCase, step: Step) -> AttestationError:
    with pytest.raises(AttestationError) as caught:
        case.verify()
    assert caught.value.step == step, caught.value
    return caught.value


@pytest.mark.parametrize("form", FORMS)
def test_quotes_of_one_platform_are_judged_once(runs, form):
    case = IntelCase(form)
    first = case.verify()
    for number in range(5):
        case.requote(report_data=bytes([number]) * 64)
        case.report_data = bytes([number]) * 64
        case.now = NOW + number
        assert replace(case.verify(), canonical_id=first.canonical_id, report_data=b"") == replace(
            first, report_data=b""
        )
    assert len(runs) == 1


@pytest.mark.parametrize("form", FORMS)
def test_each_quotes_own_signature_counts_on_a_known_platform(runs, form):
    case = IntelCase(form)
    case.verify()
    good = case.evidence.quote
    signed = len(layout.parse_quote(good).signed)
    for at in (signed + 4, signed + 4 + 63, signed - 1, signed - 64):
        case.raw(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        refused(case, Step.SIGNATURE)
    case.raw(good[: signed + 4] + bytes(64) + good[signed + 68 :])
    refused(case, Step.SIGNATURE)


@pytest.mark.parametrize("form", FORMS)
def test_what_the_vendor_judges_is_judged_again_when_it_changes(runs, form):
    case = IntelCase(form)
    case.verify()
    case.order(World(debug=True))
    refused(case, Step.DEBUG)
    case.order(World(pck_revoked=True))
    refused(case, Step.REVOCATION)
    case.order(World(tcb_status="OutOfDate"))
    refused(case, Step.TCB)
    case.order(World())
    assert case.verify().tcb_status == "UpToDate"
    assert len(runs) >= 4


def test_a_verdict_ends_with_what_it_rests_on(runs):
    case = IntelCase(Form.TDX_V4)
    last = case.verify().collateral_expires_at
    for case.now in (last, last + 10 * 365 * 86400, NOW - 3601, 0):
        refused(case, Step.REVOCATION)
    case.now = last - 1
    case.verify()


def test_another_root_knows_nothing_of_it(runs):
    case = IntelCase(Form.TDX_V4)
    case.verify()
    other = SimulatedVendor.create()
    roots = other.roots
    with pytest.raises(AttestationError) as caught:
        platform.platform_of(
            case.evidence.quote,
            layout.parse_quote(case.evidence.quote),
            case.collateral.need("intel"),
            roots,
            NOW,
        )
    assert caught.value.step == Step.CHAIN and len(runs) == 1


def test_refusals_are_not_remembered(runs):
    case = IntelCase(Form.TDX_V4).order(World(unbound_key=True))
    for _ in range(3):
        refused(case, Step.SIGNATURE)
    assert len(runs) == 3


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), form=st.sampled_from(FORMS))
def test_the_library_judges_none_of_the_guests_own_fields(data, form):
    case = IntelCase(form)
    sizes = dict(zip((field.name for field in fields(case.body)), case.body.SIZES, strict=True))
    names = ("mr_enclave", "mr_signer", "config_id", "isv_prod_id", "isv_svn", "config_svn", "isv_family_id")
    names = (*names, "isv_ext_prod_id") if form.sgx else GUEST_TD
    drawn = {
        name: data.draw(st.binary(min_size=sizes[name], max_size=sizes[name]))
        for name in (*names, "report_data")
        if name != "isv_ext_prod_id"
    }
    package = dcap_qvl.QuoteCollateralV3.from_json(case.collateral.need("intel").to_bytes().decode())
    before = dcap_qvl.verify_with_root_ca(case.evidence.quote, package, VENDOR.root_der, NOW)
    case.requote(**drawn)
    after = dcap_qvl.verify_with_root_ca(case.evidence.quote, package, VENDOR.root_der, NOW)
    assert (before.status, before.advisory_ids, before.ppid) == (after.status, after.advisory_ids, after.ppid)


@pytest.mark.parametrize("name", ["mrtd", "report_data", "td_attributes", "rtmr3"])
def test_two_parsers_that_read_differently_end_it(monkeypatch, name):
    real = qvl.run
    theirs = {"mrtd": "mr_td", "rtmr3": "rt_mr3"}.get(name, name)

    def misread(quote, collateral, root_der, now):
        verdict = real(quote, collateral, root_der, now)
        names = [other for other in dir(verdict.report) if not other.startswith("_")]
        report = SimpleNamespace(**{other: getattr(verdict.report, other) for other in names})
        setattr(report, theirs, b"another")
        return replace(verdict, report=report)

    monkeypatch.setattr(qvl, "run", misread)
    assert name in refused(IntelCase(Form.TDX_V4), Step.PARSE).got


def interrupt(*_):
    raise KeyboardInterrupt


def test_a_panic_of_the_library_is_a_refusal(monkeypatch):
    panic = type("PanicException", (BaseException,), {})

    def give_up(*_):
        raise panic("index out of bounds")

    monkeypatch.setattr(dcap_qvl, "verify_with_root_ca", give_up)
    assert "gave up" in refused(IntelCase(Form.TDX_V4), Step.CHAIN).got
    monkeypatch.setattr(
        dcap_qvl, "verify_with_root_ca", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt())
    )
    with pytest.raises(KeyboardInterrupt):
        IntelCase(Form.TDX_V4).verify()


def test_statements_of_another_shape_are_refused():
    intel = IntelCase(Form.TDX_V4).collateral.need("intel")
    for text in ("", "[]", "{}", "null", intel.tcb_info.replace("20,", "true,"), "[" * 100_000):
        with pytest.raises(AttestationError) as caught:
            facts.read_statements(replace(intel, tcb_info=text))
        assert caught.value.step == Step.PARSE


def test_evidence_of_another_kind_is_refused_by_both():
    case = IntelCase(Form.SGX_V3)
    case.evidence = Evidence(IntelCase(Form.TDX_V4).tee, case.evidence.quote)
    refused(case, Step.PARSE)


def test_a_memo_forgets_what_was_used_longest_ago():
    memo = Memo[int](2)
    memo.put(b"a", 1)
    memo.put(b"b", 2)
    assert memo.get(b"a") == 1
    memo.put(b"c", 3)
    assert (memo.get(b"a"), memo.get(b"b"), memo.get(b"c")) == (1, None, 3)
    memo.clear()
    assert memo.get(b"a") is None


def test_rules_compose_to_what_both_accept():
    one = IntelRules(10, frozenset({b"a"}), False, frozenset({b"x", b"y"}), 0b11)
    two = IntelRules(None, frozenset({b"b"}), True, frozenset({b"y"}), 0b10)
    assert one & two == IntelRules(10, frozenset({b"a", b"b"}), True, frozenset({b"y"}), 0b10)
    assert IntelRules() & IntelRules() == IntelRules()
    assert (IntelRules() & one).mr_seams == one.mr_seams


def test_attribute_bits_of_enclaves_pass_where_rules_name_them():
    case = IntelCase(Form.SGX_V3).requote(attributes=b"\x15" + bytes(15))
    case.policy = replace(case.policy, measurements=frozenset({case.measurement()}))
    refused(case, Step.DEBUG)
    case.policy = replace(case.policy, intel=IntelRules(extra_sgx_attributes=0x10))
    assert case.verify().facts["attributes"].startswith("15")


@pytest.mark.parametrize("form", FORMS)
def test_facts_say_what_the_platform_is(form):
    verdict = IntelCase(form).order(World(smt=True)).verify()
    assert verdict.facts["hyper-threading"] == "yes" and verdict.facts["platform type"] == "scalable"
    assert verdict.facts["fmspc"] == "00906ed50000"
    assert all(isinstance(value, str) for value in verdict.facts.values())
