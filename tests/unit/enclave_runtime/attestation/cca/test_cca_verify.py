"""CCA tokens of a platform of our own: the good ones verify, every bad world is refused at its step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from enclave_runtime.attestation.cca.token import parse_token
from enclave_runtime.attestation.cca.verify import NO_EXPIRY, CcaVerifier, measurement_of
from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.collateral.cca import CcaCollateral, CcaPlatformKey
from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.model import Evidence, TeeKind, VerifiedEvidence
from enclave_runtime.attestation.policy import AppraisalPolicy
from enclave_runtime.attestation.registry import verifier_for
from enclave_runtime.attestation.roots import RootSet
from tests.fakes.cose_issuers import Realm

DATA = bytes(range(64))


def verify(realm: Realm, token: bytes, *, log: bytes | None = None, **changes: Any) -> VerifiedEvidence:
    roots, expected = changes.pop("roots", RootSet.cca(realm.spki)), changes.pop("report_data", DATA)
    spki, instance = changes.pop("spki", realm.spki), changes.pop("instance", realm.instance_id)
    members = {
        "root_sets": frozenset({roots.id}),
        "measurements": frozenset({measurement_of(parse_token(realm.token(DATA)))}),
        "tcb_statuses": frozenset({"Unrated"}),
    }
    return CcaVerifier().verify(
        Evidence(TeeKind.CCA, token, log),
        Collateral(cca=CcaCollateral((CcaPlatformKey(instance, spki),))),
        roots=roots,
        policy=AppraisalPolicy(**(members | changes)),
        expected_report_data=expected,
        now=0,
    )


def refused(step: Step, call: Callable[[], VerifiedEvidence]) -> None:
    with pytest.raises(AttestationError) as caught:
        call()
    assert caught.value.step == step, caught.value


@pytest.fixture(scope="module")
def realm() -> Realm:
    return Realm()


@pytest.mark.parametrize("current", [True, False], ids=["current", "legacy"])
def test_a_good_token_is_believed(current):
    realm = Realm(current=current)
    verdict = verify(realm, realm.token(DATA))
    assert isinstance(verifier_for(TeeKind.CCA), CcaVerifier)
    assert (verdict.root_set, verdict.simulated) == (RootSet.cca(realm.spki).id, False)
    assert (verdict.report_data, verdict.tcb_status) == (DATA, "Unrated")
    assert verdict.collateral_expires_at == NO_EXPIRY


@pytest.mark.parametrize(
    "half, changes",
    [
        ("platform", {10: bytes(31)}),
        ("platform", {256: bytes(32)}),
        ("platform", {2396: b""}),
        ("platform", {2395: -1}),
        ("platform", {2395: 1 << 16}),
        ("platform", {2401: bytes(1025)}),
        ("platform", {2399: []}),
        ("platform", {2399: [5]}),
        ("platform", {2399: [{1: 5, 2: bytes(32), 5: bytes(32)}]}),
        ("platform", {2399: [{2: bytes(31), 5: bytes(32)}]}),
        ("platform", {2402: "md5"}),
        ("realm", {10: bytes(63)}),
        ("realm", {44235: bytes(63)}),
        ("realm", {44236: "sha-1"}),
        ("realm", {44238: bytes(31)}),
        ("realm", {44239: [bytes(32)] * 3}),
        ("realm", {44239: [bytes(48)] * 4}),
        ("realm", {44240: 5}),
        ("realm", {44237: b"\x04" + bytes(96)}),
        ("realm", {44237: b"\x04" + bytes(10)}),
        ("realm", {44237: cbor2.dumps({1: 2, -1: 1, -2: bytes(32), -3: bytes(32)})}),
        ("realm", {44237: b"\xff"}),
    ],
)
def test_members_outside_the_specification_are_refused(realm, half, changes):
    refused(Step.PARSE, lambda: verify(realm, realm.token(DATA, **{half: changes})))


def test_the_envelope_has_one_form(realm):
    good = realm.token(DATA)
    inner = cbor2.loads(good).value
    for spoiled in (
        good + b"\x00",
        realm.token(DATA, tag=400),
        cbor2.dumps(inner),
        cbor2.dumps(cbor2.CBORTag(907, {44234: inner[44234]})),
        cbor2.dumps(cbor2.CBORTag(907, inner | {1: 2})),
        cbor2.dumps(cbor2.CBORTag(907, inner | {44234: 5})),
        cbor2.dumps(cbor2.CBORTag(907, inner | {44234: cbor2.dumps(cbor2.loads(inner[44234]).value)})),
    ):
        refused(Step.PARSE, lambda spoiled=spoiled: verify(realm, spoiled))


def test_only_the_pinned_key_of_the_platform_counts(realm):
    token, other = realm.token(DATA), Realm()
    refused(Step.CHAIN, lambda: verify(realm, token, spki=other.spki))
    refused(Step.CHAIN, lambda: verify(realm, token, instance=b"\x01" + bytes(32)))
    refused(Step.SIGNATURE, lambda: verify(realm, token, spki=other.spki, roots=RootSet.cca(other.spki)))
    strange = (
        rsa.generate_private_key(65537, 2048)
        .public_key()
        .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )
    for spki in (b"no key", strange):
        refused(Step.CHAIN, lambda spki=spki: verify(realm, token, spki=spki, roots=RootSet.cca(spki)))


def test_halves_of_two_tokens_do_not_make_one(realm):
    first, second = (
        cbor2.loads(one.token(DATA)).value for one in (realm, Realm(instance_id=realm.instance_id))
    )
    mixed = cbor2.dumps(cbor2.CBORTag(907, {44234: first[44234], 44241: second[44241]}))
    refused(Step.SIGNATURE, lambda: verify(realm, mixed))
    # The realm's half of another challenge, under the same key, is that other challenge's.
    other = cbor2.loads(realm.token(bytes(64))).value
    mixed = cbor2.dumps(cbor2.CBORTag(907, {44234: first[44234], 44241: other[44241]}))
    refused(Step.REPORT_DATA, lambda: verify(realm, mixed))


def test_a_platform_that_vouches_for_another_realm_is_refused():
    realm = Realm(vouches_for_other=True)
    refused(Step.SIGNATURE, lambda: verify(realm, realm.token(DATA)))


@pytest.mark.parametrize("lifecycle, ok", [(0x2FFF, 0), (0x3000, 1), (0x30FF, 1), (0x3100, 0), (0x6001, 0)])
def test_only_a_secured_platform_is_believed(lifecycle, ok):
    realm = Realm(lifecycle=lifecycle)
    if ok:
        verify(realm, realm.token(DATA))
    else:
        refused(Step.DEBUG, lambda: verify(realm, realm.token(DATA)))


def test_policy_measurement_and_binding(realm):
    good = realm.token(DATA)
    refused(Step.TCB, lambda: verify(realm, good, tcb_statuses=frozenset({"UpToDate"})))
    refused(Step.TCB, lambda: verify(realm, good, platforms=frozenset({bytes(32)})))
    refused(Step.EVENT_LOG, lambda: verify(realm, good, log=b"{}"))
    for half, changes in (
        ("realm", {44238: bytes(32)}),
        ("realm", {44235: bytes(64)}),
        ("platform", {2401: b"another"}),
        ("platform", {2396: bytes(32)}),
        ("platform", {2399: [{1: "RMM", 2: bytes(32), 5: b"\x08" * 32}]}),
    ):
        token = realm.token(DATA, **{half: changes})
        refused(Step.MEASUREMENT, lambda token=token: verify(realm, token))
    extended = realm.token(DATA, realm={44239: [b"\x77" * 32] * 4})
    assert verify(realm, extended), "what a realm extends later is no part of what was started"
    for place in (0, 20, 52, 63):
        spoiled = bytearray(DATA)
        spoiled[place] ^= 1
        refused(Step.REPORT_DATA, lambda spoiled=spoiled: verify(realm, good, report_data=bytes(spoiled)))
