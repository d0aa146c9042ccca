"""Evidence bundles and collateral as bytes from strangers; root sets as settings."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_runtime.attestation.appraise import appraise
from enclave_runtime.attestation.bundle import MAX_BUNDLE_BYTES, EvidenceBundle
from enclave_runtime.attestation.collateral import MAX_COLLATERAL_BYTES, Collateral
from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.model import MAX_QUOTE_BYTES, Evidence, TeeKind
from enclave_runtime.attestation.policy import UnsafeAcceptSimulated
from enclave_runtime.attestation.roots import RootSet, root_set_hash
from enclave_runtime.wire import cvm, report_data
from enclave_runtime.wire.canonical import dump
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import sha256
from enclave_runtime.wire.identity import HPKE_PUBLIC_BYTES, CvmPublic
from enclave_runtime.wire.report_data import Purpose
from enclave_runtime.wire.signatures import spki

P256 = [spki(ec.derive_private_key(number, ec.SECP256R1()).public_key()) for number in (3, 4)]
KEYS = CvmPublic(b"\x11" * 20, b"\x22" * HPKE_PUBLIC_BYTES, *P256)
OPERATOR, CHALLENGE = b"\x55" * 20, b"\x66" * 32


def bundle_of(evidence: Evidence) -> EvidenceBundle:
    return EvidenceBundle(evidence, KEYS, OPERATOR, Purpose.CERTIFY, CHALLENGE)


@settings(max_examples=25, deadline=None)
@given(st.binary(min_size=1, max_size=200), st.none() | st.binary(min_size=1, max_size=50))
def test_bundle_survives_its_encoding(quote, log):
    bundle = bundle_of(Evidence(TeeKind.TDX, quote, log))
    assert EvidenceBundle.from_bytes(bundle.to_bytes()) == bundle


def spoil(**changes) -> bytes:
    value = json.loads(bundle_of(Evidence(TeeKind.TDX, b"q")).to_bytes())
    return dump({name: item for name, item in {**value, **changes}.items() if item != "absent"})


@pytest.mark.parametrize(
    "data",
    [
        spoil(extra=1),
        spoil(gpu="absent"),
        spoil(type="cloister/evidence/v2"),
        spoil(tee="tdx2"),
        spoil(purpose="other"),
        spoil(quote=""),
        spoil(quote="0x"),
        spoil(quote="aa"),
        spoil(quote="0xAA"),
        spoil(quote="0xa a"),
        spoil(quote=None),
        spoil(quote="0x" + "00" * (MAX_QUOTE_BYTES + 1)),
        spoil(event_log="0x"),
        spoil(operator="0x" + "55" * 19),
        spoil(challenge="0x" + "66" * 33),
        spoil(keys=[]),
        spoil(keys={"signer": "0x" + "11" * 20}),
        spoil(keys=KEYS.to_json() | {"signer": "0x" + "11" * 21}),
        spoil(keys=KEYS.to_json() | {"tls_spki": "0x3000"}),
        b" " + spoil(),
        b"x" * (MAX_BUNDLE_BYTES + 1),
    ],
)
def test_refuses_what_is_no_bundle(data):
    with pytest.raises(WireError):
        EvidenceBundle.from_bytes(data)


def test_bundle_shows_keys_as_the_cvm_does_on_its_socket():
    value = json.loads(bundle_of(Evidence(TeeKind.TDX, b"q")).to_bytes())
    assert value["keys"] == KEYS.to_json()
    assert (value["quote"], value["event_log"]) == ("0x71", None)


def test_keys_bind_to_the_64_bytes():
    bound = KEYS.report_data(Purpose.RELEASE, operator=OPERATOR, challenge=CHALLENGE)
    assert bound == report_data.bind(
        Purpose.RELEASE,
        signer=KEYS.signer,
        cvm_id=KEYS.cvm_id,
        operator=OPERATOR,
        challenge=CHALLENGE,
    )


@pytest.mark.parametrize(
    ("purpose", "operator", "challenge", "hpke"),
    [
        (Purpose.RELEASE, OPERATOR, CHALLENGE, KEYS.hpke),
        (Purpose.CERTIFY, b"\x56" * 20, CHALLENGE, KEYS.hpke),
        (Purpose.CERTIFY, OPERATOR, b"\x67" * 32, KEYS.hpke),
        (Purpose.CERTIFY, OPERATOR, CHALLENGE, b"\x23" * 1216),
    ],
    ids=["another purpose", "another operator", "another challenge", "another key"],
)
def test_appraise_refuses_a_quote_made_for_anything_else(case, purpose, operator, challenge, hpke):
    made_for = KEYS.report_data(Purpose.CERTIFY, operator=OPERATOR, challenge=CHALLENGE)
    quote = case.vendor.quote(replace(case.body, report_data=made_for))
    bundle = bundle_of(Evidence(TeeKind.TDX, quote))

    def judge(expected: bytes):
        return appraise(
            bundle,
            case.collateral,
            roots=case.roots,
            policy=case.policy,
            expected_report_data=expected,
            now=case.now,
        )

    assert judge(made_for).report_data == made_for
    keys = replace(KEYS, hpke=hpke)
    with pytest.raises(AttestationError) as refused:
        judge(keys.report_data(purpose, operator=operator, challenge=challenge))
    assert refused.value.step == Step.REPORT_DATA


def test_collateral_survives_its_encoding_and_drops_a_chain_of_its_own(case):
    data = case.collateral.intel.to_bytes()
    assert Collateral.from_bytes(data) == case.collateral
    more = {**json.loads(data), "pck_certificate_chain": "-----BEGIN CERTIFICATE-----"}
    assert Collateral.from_bytes(json.dumps(more, indent=2).encode()) == case.collateral


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"{",
        b"[" * 100_000,
        b'{"pck_crl": 1}',
        b'{"a": 1, "a": 2}',
        b" " * (MAX_COLLATERAL_BYTES + 1),
    ],
)
def test_refuses_what_is_no_collateral(data):
    with pytest.raises(WireError, match="collateral"):
        Collateral.from_bytes(data)


def test_refuses_collateral_with_binary_that_is_not_hex(case):
    value = {**json.loads(case.collateral.intel.to_bytes()), "pck_crl": "zz"}
    with pytest.raises(WireError, match="pck_crl"):
        Collateral.from_bytes(json.dumps(value).encode())


def test_root_sets_have_one_spelling():
    root = RootSet.dev(b"der")
    assert root.simulated and root.id == "dev:" + sha256(b"der").hex() and RootSet.parse(root.id) == root
    intel = RootSet.intel()
    assert not intel.simulated and RootSet.parse("intel") == intel and intel.key_sha256 is not None
    assert root.chain_id == root_set_hash(root.id) == cvm.root_set_hash(root.id) != intel.chain_id
    for bad in ("Intel", "dev:", "dev:" + "0" * 63, "dev:" + "A" * 64, "dev:" + "0" * 64 + "\n", ""):
        with pytest.raises(WireError, match="root set"):
            RootSet.parse(bad)
    with pytest.raises(WireError):
        UnsafeAcceptSimulated("intel")


def test_tee_kinds_have_the_numbers_of_the_wire():
    assert {kind: kind.wire for kind in TeeKind}[TeeKind.SEV_SNP] == cvm.TeeKind.SEV_SNP
    assert [kind.name for kind in TeeKind] == [kind.name for kind in cvm.TeeKind if kind]
