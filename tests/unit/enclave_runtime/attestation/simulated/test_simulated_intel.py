"""The simulated Intel vendor is byte-exact: Intel's users' library takes its quotes, under its root only."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import dcap_qvl
import pytest
from cryptography import x509

from enclave_runtime.attestation.dcap import layout, pck
from enclave_runtime.attestation.errors import AttestationError
from enclave_runtime.attestation.simulated.certs import ORGANIZATION
from enclave_runtime.attestation.simulated.intel_world import Form, World
from enclave_runtime.attestation.simulated.issuer import SimulatedVendor
from enclave_runtime.wire.errors import WireError
from tests.fakes.intel_case import NOW, VENDOR, IntelCase

FORMS = tuple(Form)
FLAGS = [field.name for field in fields(World) if field.type == "bool"]
# Orders that a form has no place for: bits of TDs in enclaves, a service TD where the report names none.
NOT_OF_SGX = {"sept_ve", "alien_module", "service_td"}
HARMLESS = {"smt"}


def library(case: IntelCase, root: bytes | None = None) -> str:
    package = dcap_qvl.QuoteCollateralV3.from_json(case.collateral.need("intel").to_bytes().decode())
    quote = case.evidence.quote
    return str(dcap_qvl.verify_with_root_ca(quote, package, root or VENDOR.root_der, NOW).status)


@pytest.mark.parametrize("form", FORMS)
def test_intels_library_takes_its_quotes_under_its_root_only(form):
    case = IntelCase(form)
    assert library(case) == "UpToDate"
    with pytest.raises(ValueError, match="Verification failed"):
        library(case, SimulatedVendor.create().root_der)


@pytest.mark.parametrize("form", FORMS)
def test_intels_library_reads_what_was_put_in(form):
    case = IntelCase(form)
    theirs = dcap_qvl.parse_quote(case.evidence.quote)
    assert theirs.header.version == form.version and theirs.is_sgx() == form.sgx
    assert theirs.report.report_data == case.report_data
    assert ("mr_service_td" in dir(theirs.report)) == (form is Form.TDX_V5_15)
    ours = layout.parse_quote(case.evidence.quote)
    assert ours.signed + ours.signatures.encode(form.version) == case.evidence.quote


def test_every_certificate_says_whose_it_is_not():
    intel = IntelCase(Form.TDX_V4).collateral.need("intel")
    chain = pck.parse_chain(layout.parse_quote(IntelCase(Form.TDX_V4).evidence.quote).signatures.cert_data)
    signers = x509.load_pem_x509_certificates(intel.tcb_info_issuer_chain.encode())
    for cert in (*chain, *signers):
        assert ORGANIZATION in cert.subject.rfc4514_string() and "NOT INTEL" in ORGANIZATION


def test_a_quoting_enclave_is_endorsed_once_and_not_after_a_restart():
    case = IntelCase(Form.TDX_V4)
    first = layout.parse_quote(case.evidence.quote).signatures
    second = layout.parse_quote(case.requote(report_data=bytes(64)).evidence.quote).signatures
    assert replace(first, signature=b"") == replace(second, signature=b"")
    again = SimulatedVendor.from_state(VENDOR.to_state())
    third = layout.parse_quote(again.quote(case.body)).signatures
    assert third.attestation_key != first.attestation_key and third.cert_data == first.cert_data


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", FLAGS)
def test_each_order_is_news_that_the_verifier_refuses(form, name):
    case = IntelCase(form).order(World(**{name: True}))
    placeless = (form.sgx and name in NOT_OF_SGX) or (name == "service_td" and form is not Form.TDX_V5_15)
    if name in HARMLESS or placeless:
        case.verify()
        return
    with pytest.raises(AttestationError):
        case.verify()


def test_news_leave_the_vendor_as_it_was():
    IntelCase(Form.TDX_V4).order(World(pck_expired=True, ca_revoked=True, tcb_status="Revoked"))
    assert IntelCase(Form.TDX_V4).verify().tcb_status == "UpToDate"
    info = json.loads(VENDOR.collateral(NOW).need("intel").tcb_info)
    assert info["tcbLevels"][0]["tcbStatus"] == "UpToDate"


def test_a_body_of_the_other_tee_is_refused():
    for form in (Form.TDX_V4, Form.TDX_V5_10):
        with pytest.raises(WireError, match="simulated quote"):
            VENDOR.quote(IntelCase(Form.SGX_V3).body, form=form)
    with pytest.raises(WireError, match="simulated quote"):
        VENDOR.quote(IntelCase(Form.TDX_V4).body, form=Form.SGX_V3)
