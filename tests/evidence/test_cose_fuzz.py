"""Structure-aware fuzzing of what reads Nitro documents and CCA tokens: nothing but our own error comes out.

Bases are the record's documents and tokens, where they are at hand, and those of issuers of our own, who also
sign what was spoiled: cases then reach what stands behind a signature. A few cases run always, 200,000 of
each target under the `heavy` mark. cbor2 writes and reads beside, which the verifiers do not use.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from enclave_runtime.attestation.cca.token import parse_token
from enclave_runtime.attestation.cca.verify import CcaVerifier, measurement_of
from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.collateral.cca import CcaCollateral, CcaPlatformKey
from enclave_runtime.attestation.cose.cbor import Cbor, Tagged, decode
from enclave_runtime.attestation.cose.sign1 import parse_sign1
from enclave_runtime.attestation.model import Evidence, TeeKind, VerifiedEvidence
from enclave_runtime.attestation.nitro.chain import verified_chain
from enclave_runtime.attestation.nitro.document import parse_document
from enclave_runtime.attestation.nitro.verify import NitroVerifier
from enclave_runtime.attestation.policy import AppraisalPolicy
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.attestation.rules import UnsafeAcceptSimulated
from tests.evidence import cose_vectors
from tests.evidence.cose_vectors import CcaVector, NitroVector
from tests.evidence.fuzzing import HEAVY_CASES, fuzz
from tests.evidence.mutations import altered_cbor, altered_der, mutated
from tests.fakes.cose_issuers import NOW, Realm, SimulatedNitro, sign1

Target = Callable[[bytes], None]
Draw = Callable[[random.Random], bytes]

DATA = bytes(range(64))
ISSUER, REALMS = SimulatedNitro(), (Realm(), Realm(current=False))
REAL = [item for item in cose_vectors.documents() if item.check["result"] == "ok" and not item.is_debug][:1]
REAL_TOKENS = [item for item in cose_vectors.tokens() if item.expected == "ok"]
DOCUMENTS = [ISSUER.document(DATA), *(item.document for item in REAL)]
TOKENS = [*(realm.token(DATA) for realm in REALMS), *(item.token for item in REAL_TOKENS)]
MEMBERS = ISSUER.members(DATA)
CERTIFICATES = [one.public_bytes(Encoding.DER) for one in ISSUER.certificates]


def payload(dice: random.Random, members: Any) -> bytes:
    """Return spoiled members: most often as a tree that still reads, else as bytes."""
    if dice.random() < 0.75:
        return cbor2.dumps(altered_cbor(dice, members))
    return mutated(dice, [cbor2.dumps(members)])


def some_cbor(dice: random.Random) -> bytes:
    bases = cbor_bases()
    if dice.random() < 0.5:
        return mutated(dice, bases)
    return cbor2.dumps(altered_cbor(dice, cbor2.loads(dice.choice(bases))))


@cache
def cbor_bases() -> list[bytes]:
    halves = [cbor2.loads(token).value for token in TOKENS]
    payloads = [cbor2.loads(half).value[2] for both in halves for half in both.values()]
    return [*DOCUMENTS, *TOKENS, *payloads, *(cbor2.loads(one)[2] for one in DOCUMENTS)]


def cbor_reader(data: bytes) -> None:
    try:
        value = decode(data)
    finally:
        # What somebody signed whole may have lists without a count; it holds no more than the other.
        decode(data, is_signed=True)
    assert cbor2.dumps(written(value)) == data, "what is read has one spelling"


def written(value: Cbor) -> Any:
    if isinstance(value, Tagged):
        return cbor2.CBORTag(value.tag, written(value.value))
    if isinstance(value, list):
        return [written(one) for one in value]
    return {key: written(one) for key, one in value.items()} if isinstance(value, dict) else value


def some_envelope(dice: random.Random) -> bytes:
    tree = cbor2.loads(dice.choice(DOCUMENTS))
    altered = altered_cbor(dice, tree)
    if dice.random() < 0.4 and isinstance(tree, list):
        header: Any = altered_cbor(dice, {1: dice.choice((-7, -35))})
        altered = [cbor2.dumps(header), *tree[1:3], dice.choice((tree[3], tree[3][:64]))]
    data = cbor2.dumps(cbor2.CBORTag(18, altered) if dice.random() < 0.5 else altered)
    return data if dice.random() < 0.8 else mutated(dice, [data])


def envelope_reader(data: bytes) -> None:
    signed = parse_sign1(decode(data), is_tagged=data[:1] == b"\xd2")
    key = ISSUER.certificates[2].public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey) and len(signed.identity()) == 32
    assert len(signed.signature) == (64 if signed.algorithm == -7 else 96)


def some_document(dice: random.Random) -> bytes:
    base = dice.choice(DOCUMENTS)
    if dice.random() < 0.2:
        return mutated(dice, [base])
    header, unprotected, members, signature = cbor2.loads(base)
    return cbor2.dumps([header, unprotected, payload(dice, cbor2.loads(members)), signature])


def document_reader(data: bytes) -> None:
    document = parse_document(data)
    members = cbor2.loads(cbor2.loads(data)[2])
    assert document.pcrs == members["pcrs"] and len(document.measurement()) == 32
    assert (document.user_data or b"") == (members.get("user_data") or b"")
    assert [document.certificate, *document.cabundle] == [members["certificate"], *members["cabundle"]]
    assert isinstance(document.is_debug, bool) and document.platform() is not None


def some_signed_document(dice: random.Random) -> bytes:
    return ISSUER.sign(payload(dice, MEMBERS))


@cache
def nitro_policy() -> AppraisalPolicy:
    return AppraisalPolicy(
        root_sets=frozenset({ISSUER.roots.id}),
        measurements=frozenset({parse_document(ISSUER.document(DATA)).measurement()}),
        tcb_statuses=frozenset({"Unrated"}),
        simulated=UnsafeAcceptSimulated(ISSUER.roots.id),
    )


def nitro_verdict(data: bytes) -> VerifiedEvidence:
    return NitroVerifier().verify(
        Evidence(TeeKind.NITRO, data),
        Collateral(),
        roots=ISSUER.roots,
        policy=nitro_policy(),
        expected_report_data=DATA,
        now=NOW,
    )


def nitro_verifier(data: bytes) -> None:
    assert nitro_verdict(data).report_data == DATA
    members = cbor2.loads(cbor2.loads(data)[2])
    # What is believed says what the policy wants, by whatever else it was accompanied.
    assert members["user_data"] == DATA and members["certificate"] == MEMBERS["certificate"]
    assert all(members["pcrs"][number] == MEMBERS["pcrs"][number] for number in (0, 1, 2, 8))


def some_chain(dice: random.Random) -> bytes:
    """Return root, region and leaf, one of them spoiled and then signed as it is by whom it names."""
    place = dice.randrange(3)
    tbs = ISSUER.certificates[place].tbs_certificate_bytes
    spoiled = altered_der(dice, tbs) if dice.random() < 0.8 else mutated(dice, [tbs])
    key = ISSUER._keys[max(0, place - 1)]
    signature = key.sign(spoiled, ec.ECDSA(hashes.SHA384()))
    body = spoiled + bytes.fromhex("300a06082a8648ce3d040303")
    body += b"\x03" + bytes([len(signature) + 1, 0]) + signature
    ders = [*CERTIFICATES]
    ders[place] = b"\x30\x82" + (len(body) & 0xFFFF).to_bytes(2, "big") + body
    return cbor2.dumps(ders)


def chain_reader(data: bytes) -> None:
    *bundle, leaf = cbor2.loads(data)
    chain = verified_chain.__wrapped__(leaf, tuple(bundle))
    assert chain.key.curve.name == "secp384r1" and chain.not_before >= 0


def some_token(dice: random.Random) -> bytes:
    base = dice.choice(TOKENS)
    if dice.random() < 0.2:
        return mutated(dice, [base])
    token = cbor2.loads(base)
    number = dice.choice(list(token.value))
    half = cbor2.loads(token.value[number])
    half.value[2] = payload(dice, cbor2.loads(half.value[2]))
    return cbor2.dumps(cbor2.CBORTag(token.tag, token.value | {number: cbor2.dumps(half)}))


def token_reader(data: bytes) -> None:
    token = parse_token(data)
    halves = {number: cbor2.loads(half).value for number, half in cbor2.loads(data).value.items()}
    platform, realm = (cbor2.loads(halves[number][2]) for number in (44234, 44241))
    assert token.platform.instance_id == platform[256] and token.realm.challenge == realm[10]
    assert token.realm.initial_measurement == realm[44238] and list(token.realm.extended) == realm[44239]
    assert len(measurement_of(token)) == 32


def some_signed_token(dice: random.Random) -> bytes:
    place, number = dice.randrange(len(REALMS)), dice.choice((44234, 44241))
    realm, halves = REALMS[place], dict(signed_halves(place))
    key, members = {
        44234: (realm.platform_key, realm.platform_members()),
        44241: (realm.realm_key, realm.realm_members(DATA)),
    }[number]
    halves[number] = cbor2.dumps(cbor2.CBORTag(18, sign1(key, payload(dice, members))))
    return cbor2.dumps(cbor2.CBORTag(907 if realm.current else 399, halves))


@cache
def signed_halves(place: int) -> dict[int, bytes]:
    return cbor2.loads(TOKENS[place]).value


def cca_verifier(data: bytes) -> None:
    realm = REALMS[0] if data[:3] == cbor2.dumps(cbor2.CBORTag(907, 0))[:3] else REALMS[1]
    roots = RootSet.cca(realm.spki)
    verdict = CcaVerifier().verify(
        Evidence(TeeKind.CCA, data),
        Collateral(cca=CcaCollateral((CcaPlatformKey(realm.instance_id, realm.spki),))),
        roots=roots,
        policy=AppraisalPolicy(
            root_sets=frozenset({roots.id}),
            measurements=frozenset({measurement_of(parse_token(realm.token(DATA)))}),
            tcb_statuses=frozenset({"Unrated"}),
        ),
        expected_report_data=DATA,
        now=0,
    )
    said = cbor2.loads(cbor2.loads(cbor2.loads(data).value[44241]).value[2])
    assert said[10] == verdict.report_data == DATA and said[44238] == realm.realm_members(DATA)[44238]


def recorded(item: NitroVector | CcaVector, data: bytes) -> tuple[Target, Draw, int]:
    """Return a target that verifies an item of the record at its time: what verifies is what was signed."""
    verify = item.verification()
    identity = verify().canonical_id

    def parse(spoiled: bytes) -> None:
        assert verify(spoiled).canonical_id == identity

    return parse, lambda dice: mutated(dice, [data]), 20


TARGETS: dict[str, tuple[Target, Draw, int]] = {
    "CBOR": (cbor_reader, some_cbor, 20),
    "COSE_Sign1": (envelope_reader, some_envelope, 40),
    "Nitro document": (document_reader, some_document, 60),
    "Nitro document signed again": (nitro_verifier, some_signed_document, 60),
    "Nitro chain signed again": (chain_reader, some_chain, 30),
    "CCA token": (token_reader, some_token, 50),
    "CCA token signed again": (cca_verifier, some_signed_token, 50),
}
"""Parser, inputs, and how many different refusals 200,000 cases meet at the least."""
TARGETS |= {f"Nitro document of the record, {one.name}": recorded(one, one.document) for one in REAL}
TARGETS |= {f"CCA token of the record, {one.name}": recorded(one, one.token) for one in REAL_TOKENS[:1]}


@pytest.mark.parametrize("name", TARGETS)
def test_some_cases_raise_nothing_but_our_error(name):
    parse, draw, _ = TARGETS[name]
    fuzz(parse, draw, 300).assert_deep(300, 5)


@pytest.mark.heavy
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", TARGETS)
def test_200_000_cases_raise_nothing_but_our_error(name):
    parse, draw, reasons = TARGETS[name]
    fuzz(parse, draw, HEAVY_CASES).assert_deep(HEAVY_CASES, reasons)
