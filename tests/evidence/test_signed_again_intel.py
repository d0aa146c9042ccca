"""Intel's statements, lists, certificates and quotes, spoiled and then signed by those who may.

What a stranger spoils falls at the first signature. Here the SIMULATED vendor signs it again, so that dates
that do not exist, members of other types, doubled extensions and the like reach whatever reads them behind a
good signature, in our own code and in the library. A few cases run always, 200,000 of each under `heavy`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import astuple, fields, replace

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.collateral.intel import IntelCollateral
from enclave_runtime.attestation.dcap import pck
from enclave_runtime.attestation.dcap.ccel import parse_any_log
from enclave_runtime.attestation.dcap.layout import parse_quote
from enclave_runtime.attestation.dcap.rtmr import replay
from enclave_runtime.attestation.model import Evidence
from enclave_runtime.attestation.registry import verifier_for
from enclave_runtime.attestation.simulated.certs import raw_signature
from enclave_runtime.attestation.simulated.intel_world import Form
from tests.evidence.fuzzing import HEAVY_CASES, fuzz
from tests.evidence.mutations import altered_der, altered_json, mutated, signed_der
from tests.fakes.intel_case import IntelCase

CASES = {form: IntelCase(form) for form in (Form.TDX_V4, Form.TDX_V5_15, Form.SGX_V3)}
FORMS = list(CASES)
VENDOR = CASES[Form.TDX_V4].vendor
KEYS = {role: identity.key for role, identity in VENDOR._of.items()}
CERTS = {role: identity.cert for role, identity in VENDOR._of.items()}
INTEL = {form: case.collateral.need("intel") for form, case in CASES.items()}
ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
ISSUERS = {"pck": "pck_ca", "pck_ca": "root", "tcb_signing": "root", "root": "root"}


def judge(form: Form, quote: bytes, collateral: Collateral) -> None:
    """Verify; what is believed is about the very platform and guest of the good world."""
    case = CASES[form]
    verdict = verifier_for(case.tee).verify(
        Evidence(case.tee, quote),
        collateral,
        roots=VENDOR.roots,
        policy=case.policy,
        expected_report_data=case.report_data,
        now=case.now,
    )
    assert verdict.report_data == case.report_data and verdict.tcb_status == "UpToDate"
    assert verdict.measurement == case.measurement()


def packed(form: Form, quote: bytes, intel: IntelCollateral) -> bytes:
    """Return one case as bytes, which can be shown where it fails; Intel's members stand as JSON has them."""
    members = [value.hex() if isinstance(value, bytes) else value for value in astuple(intel)]
    return cbor2.dumps([form.value, quote, json.dumps(members)])


def unpacked(data: bytes) -> None:
    form, quote, members = cbor2.loads(data)
    named = dict(zip((one.name for one in fields(IntelCollateral)), json.loads(members), strict=True))
    judge(Form(form), quote, Collateral(intel=IntelCollateral.from_json(named)))


def signed_statements(dice: random.Random) -> bytes:
    form, name = dice.choice(FORMS), dice.choice(("tcb_info", "qe_identity"))
    text = getattr(INTEL[form], name)
    spoiled = altered_json(dice, text)
    if dice.random() < 0.15:
        spoiled = dice.choice(("", "\ud800")) + mutated(dice, [text.encode()]).decode("latin-1")
    signature = raw_signature(KEYS["tcb_signing"], spoiled.encode("utf-8", "replace"))
    intel = replace(INTEL[form], **{name: spoiled, f"{name}_signature": signature})
    return packed(form, CASES[form].evidence.quote, intel)


def again(role: str, spoiled: bytes) -> bytes:
    """Return a certificate's or list's DER, signed by `role`."""
    return signed_der(spoiled, ECDSA_SHA256, KEYS[role].sign(spoiled, ec.ECDSA(hashes.SHA256())))


def signed_lists(dice: random.Random) -> bytes:
    form, name = dice.choice(FORMS), dice.choice(("root_ca_crl", "pck_crl"))
    tbs = x509.load_der_x509_crl(getattr(INTEL[form], name)).tbs_certlist_bytes
    spoiled = altered_der(dice, tbs) if dice.random() < 0.85 else mutated(dice, [tbs])
    der = again("root" if name == "root_ca_crl" else "pck_ca", spoiled)
    return packed(form, CASES[form].evidence.quote, replace(INTEL[form], **{name: der}))


def pem(der: bytes) -> str:
    import base64

    text = base64.b64encode(der).decode()
    lines = "".join(text[at : at + 64] + "\n" for at in range(0, len(text), 64))
    return f"-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----\n"


def signed_certificates(dice: random.Random) -> bytes:
    """Spoil one certificate: of the quote's chain or of a statement's."""
    form, role = dice.choice(FORMS), dice.choice(("pck", "pck", "pck_ca", "tcb_signing"))
    tbs = CERTS[role].tbs_certificate_bytes
    spoiled = altered_der(dice, tbs) if dice.random() < 0.85 else mutated(dice, [tbs])
    ders = {one: cert.public_bytes(Encoding.DER) for one, cert in CERTS.items()}
    ders[role] = again(ISSUERS[role], spoiled)
    chain = "".join(pem(ders[one]) for one in ("pck", "pck_ca", "root")).encode()
    quote, intel = parse_quote(CASES[form].evidence.quote), INTEL[form]
    section = replace(quote.signatures, cert_data=chain + b"\0" * quote.signatures.cert_data.endswith(b"\0"))
    if role == "tcb_signing":
        issuers = pem(ders["tcb_signing"]) + pem(ders["root"])
        intel = replace(intel, tcb_info_issuer_chain=issuers, qe_identity_issuer_chain=issuers)
    if role == "pck_ca":
        intel = replace(intel, pck_crl_issuer_chain=pem(ders["pck_ca"]) + pem(ders["root"]))
    return packed(form, quote.signed + section.encode(quote.header.version), intel)


def signed_quotes(dice: random.Random) -> bytes:
    """Spoil header and body, or the quoting enclave's report; sign each by its key."""
    form = dice.choice(FORMS)
    quote = parse_quote(CASES[form].evidence.quote)
    signed, section = bytearray(quote.signed), quote.signatures
    for _ in range(dice.randint(1, 3)):
        signed[dice.randrange(len(signed))] = dice.choice((0, 1, 2, 3, 4, 5, 0x7F, 0x80, 0x81, 0xFF))
    spoiled = bytes(signed) if dice.random() < 0.9 else mutated(dice, [quote.signed])
    section = replace(section, signature=raw_signature(VENDOR._attestation_key, spoiled))
    if dice.random() < 0.5:
        spoiled, section = quote.signed, quote.signatures
        report = bytearray(section.qe_report)
        for _ in range(dice.randint(1, 3)):
            report[dice.randrange(len(report))] = dice.randrange(256)
        signature = raw_signature(KEYS["pck"], bytes(report))
        section = replace(section, qe_report=bytes(report), qe_report_signature=signature)
    return packed(form, spoiled + section.encode(quote.header.version), INTEL[form])


PLATFORM = pck.PckExtension(bytes(range(16)), bytes(16), 1, bytes(2), bytes(6))
EXTENSION = pck.encode_extension(PLATFORM, platform_instance_id=bytes(16))


def extension(data: bytes) -> None:
    assert len(pck.read_extension(data).ppid) == 16


LOG = '[{"imr":0,"event_type":1,"digest":"%s","event":"","event_payload":"00"},' % ("00" * 48)
LOG += '{"imr":3,"event_type":134217729,"digest":"%s","event":"app-id","event_payload":"aa"}]' % ("11" * 48)


def log(data: bytes) -> None:
    assert len(replay(parse_any_log(data))) == 4


def some_collateral(dice: random.Random) -> bytes:
    text = CASES[dice.choice(FORMS)].collateral.to_bytes().decode()
    return altered_json(dice, text).encode("utf-8", "surrogatepass")


def collateral(data: bytes) -> None:
    assert isinstance(Collateral.from_bytes(data), Collateral)


Target = tuple[Callable[[bytes], None], Callable[[random.Random], bytes], int]
TARGETS: dict[str, Target] = {
    "TCB info and QE identity": (unpacked, signed_statements, 15),
    "revocation lists": (unpacked, signed_lists, 5),
    "certificates": (unpacked, signed_certificates, 10),
    "quotes": (unpacked, signed_quotes, 25),
    "SGX extension": (extension, lambda dice: altered_der(dice, EXTENSION), 5),
    "event log": (log, lambda dice: altered_json(dice, LOG).encode("utf-8", "replace"), 8),
    "collateral": (collateral, some_collateral, 8),
}
"""Parser, inputs, and how many different refusals 200,000 cases meet at the least."""


@pytest.mark.parametrize("name", TARGETS)
def test_some_cases_raise_nothing_but_our_error(name):
    parse, draw, _ = TARGETS[name]
    fuzz(parse, draw, 200).assert_deep(200, 2)


@pytest.mark.heavy
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", TARGETS)
def test_200_000_cases_raise_nothing_but_our_error(name):
    parse, draw, reasons = TARGETS[name]
    fuzz(parse, draw, HEAVY_CASES).assert_deep(HEAVY_CASES, reasons)
