"""AMD's and NVIDIA's reports, certificates, answers and manifests, spoiled and signed by those who may.

As test_signed_again_intel.py: the SIMULATED vendors sign what was spoiled, so that it reaches what stands
behind a good signature. AMD's certificates alone stay as they were signed: RSA of 4096 bits is too slow, and
their readers, which come first, are called by themselves. A few cases run always, 200,000 of each under
`heavy`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from enclave_runtime.attestation.collateral import AmdCollateral, Collateral, NvidiaCollateral
from enclave_runtime.attestation.nvidia import dice as nvidia_dice
from enclave_runtime.attestation.nvidia.chain import load
from enclave_runtime.attestation.nvidia.evidence import Device, DeviceKind, GpuEvidence
from enclave_runtime.attestation.nvidia.identity import identify
from enclave_runtime.attestation.nvidia.ocsp import check_certificate, parse_answers
from enclave_runtime.attestation.nvidia.rim import verified_rim
from enclave_runtime.attestation.nvidia.verify import verify_devices
from enclave_runtime.attestation.rules import GpuRules, UnsafeAcceptSimulated
from enclave_runtime.attestation.sev_snp.certificates import parse_certificate, parse_crl
from enclave_runtime.attestation.sev_snp.layout import SIGNED_BYTES, encode_report
from enclave_runtime.attestation.sev_snp.vek import parse_vek
from enclave_runtime.attestation.simulated.nvidia import reports
from enclave_runtime.attestation.simulated.nvidia.certs import issue, new_key, raw_signature
from enclave_runtime.attestation.simulated.nvidia.manifests import signed_manifest
from enclave_runtime.attestation.simulated.nvidia.vendor import SimulatedNvidia
from enclave_runtime.attestation.simulated.nvidia.world import GOOD
from enclave_runtime.attestation.simulated.snp import SnpWorld
from enclave_runtime.wire.errors import WireError
from tests.evidence.fuzzing import HEAVY_CASES, fuzz
from tests.evidence.mutations import altered_der, altered_json, der_value, mutated, signed_der
from tests.evidence.snp_case import REPORT_DATA, SnpCase, vendor

NOW = 1_790_000_000
NONCE = bytes(range(32))
NVIDIA = SimulatedNvidia.create()
KIND, REPORT, CHAIN = NVIDIA.answers(NONCE, GOOD)[0]
STATEMENTS = NVIDIA.collateral(NOW, GOOD)
ROLES = NVIDIA._chain_roles(0, GOOD)
LEAF_KEY = NVIDIA._identity(ROLES[0].removesuffix("rom") + "leaf key").key
ISSUERS = [NVIDIA._identity(role) for role in (*ROLES, ROLES[-1])]
"""Who signed each certificate of the device's chain, from the leaf's issuer up to the root by itself."""
ECDSA_SHA384 = bytes.fromhex("300a06082a8648ce3d040303")
LIKELY = (0, 1, 2, 3, 4, 5, 0x7F, 0x80, 0x81, 0xFF)


def sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    return key.sign(data, ec.ECDSA(hashes.SHA384()))


def in_place(dice: random.Random, data: bytes) -> bytes:
    """Return `data` with one to three bytes set, mostly to values at an edge."""
    spoiled = bytearray(data)
    for _ in range(dice.randint(1, 3)):
        spoiled[dice.randrange(len(spoiled))] = dice.choice(LIKELY)
    return bytes(spoiled)


def signed_snp_reports(dice: random.Random) -> bytes:
    good = snp_report()[:SIGNED_BYTES]
    spoiled = in_place(dice, good)
    return encode_report(spoiled, *decode_dss_signature(sign(vendor("Genoa")._ec["vcek"], spoiled)))


@cache
def snp_report() -> bytes:
    return bytes(SnpCase().report or b"")


@cache
def amd() -> AmdCollateral:
    return vendor("Genoa").collateral(NOW).need("amd")


def snp_report_reader(data: bytes) -> None:
    verdict = SnpCase(report=data, collateral=Collateral(amd=amd())).verify()
    assert verdict.report_data == REPORT_DATA == data[0x50:0x90]
    assert data[0x90:0xC0] == snp_report()[0x90:0xC0], "another launch"


def amd_certificates(dice: random.Random) -> bytes:
    good = dice.choice((amd().vek, amd().vek, amd().ask))
    return altered_der(dice, good) if dice.random() < 0.85 else mutated(dice, [good])


def amd_certificate_reader(data: bytes) -> None:
    found = parse_certificate(data)
    assert found.not_before < 1 << 40 and found.signature
    if found.common_name in ("SEV-VCEK", "SEV-VLEK"):
        assert len(parse_vek(found).hwid) <= 64


def amd_lists(dice: random.Random) -> bytes:
    return altered_der(dice, revoking()) if dice.random() < 0.85 else mutated(dice, [revoking()])


@cache
def revoking() -> bytes:
    """Return a list that names somebody."""
    return vendor("Genoa").collateral(NOW, SnpWorld(vek_revoked=True, ask_revoked=True)).need("amd").crl


def amd_list_reader(data: bytes) -> None:
    found = parse_crl(data)
    assert found.this_update < 1 << 40 and all(serial >= 0 for serial in found.revoked())


def judge(
    chain: tuple[bytes, ...], report: bytes, collateral: NvidiaCollateral, *, ocsp_required: bool = True
) -> None:
    roots = NVIDIA.roots
    simulated = UnsafeAcceptSimulated(roots.id)
    rules = GpuRules(1, frozenset({roots.id}), ocsp_required=ocsp_required, simulated=simulated)
    evidence = GpuEvidence((Device(DeviceKind.GPU, report, chain),)).to_bytes()
    (verdict,) = verify_devices(evidence, collateral, roots=roots, rules=rules, nonce=NONCE, now=NOW)
    assert verdict.kind == "gpu" and report[4:36] == NONCE


def signed_gpu_reports(dice: random.Random) -> bytes:
    good = REPORT[:-96]
    opaque = 45 + int.from_bytes(good[42:45], "little") + 32
    kind = dice.random()
    if kind < 0.4:  # the opaque data, where most numbers stand
        spoiled = good[:opaque] + in_place(dice, good[opaque:])
    elif kind < 0.6:  # of another length, which is told
        data = mutated(dice, [good[opaque + 2 :]])
        spoiled = good[:opaque] + len(data).to_bytes(2, "little") + data
    else:
        spoiled = in_place(dice, good)
    return spoiled + raw_signature(LEAF_KEY, spoiled)


def gpu_report_reader(data: bytes) -> None:
    judge(CHAIN, data, STATEMENTS)


def signed_gpu_certificates(dice: random.Random) -> bytes:
    place = dice.randrange(len(CHAIN))
    tbs = load(CHAIN[place]).tbs_certificate_bytes
    spoiled = altered_der(dice, tbs) if dice.random() < 0.85 else mutated(dice, [tbs])
    ders = list(CHAIN)
    ders[place] = signed_der(spoiled, ECDSA_SHA384, sign(ISSUERS[place].key, spoiled))
    return cbor2.dumps(ders)


def gpu_certificate_reader(data: bytes) -> None:
    ders = tuple(cbor2.loads(data))
    assert len(identify.__wrapped__(ders).device_id) == 32
    judge(ders, REPORT, STATEMENTS)


ROM_KEY = bytes.fromhex("3076301006072a8648ce3d020106052b81040022036200") + b"\x04" * 97
DICE = [reports.dice_extension(kind, ROM_KEY, b"\x11" * 48, "good") for kind in ("HOPPER", "BLACKWELL")]


def dice_reader(data: bytes) -> None:
    refusals = []
    for read in (nvidia_dice._tcb_info, nvidia_dice._composite):
        try:
            read(data)
        except WireError as error:
            refusals.append(error)
    if len(refusals) == 2:
        raise refusals[len(data) % 2]


@cache
def answers() -> list[bytes]:
    """Return what is signed in two answers about the leaf: that it is good, and that it is revoked."""
    issuer, found = ISSUERS[0], []
    responder = issue("DEV SIMULATED OCSP Responder", new_key(), issuer, ca=False, ocsp=True)
    first, last = (datetime.fromtimestamp(NOW + seconds, UTC) for seconds in (-3600, 3600))
    for status in (ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED):
        revoked = status is ocsp.OCSPCertStatus.REVOKED
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=load(CHAIN[0]),
            issuer=issuer.cert,
            algorithm=hashes.SHA384(),
            cert_status=status,
            this_update=first,
            next_update=last,
            revocation_time=first if revoked else None,
            revocation_reason=x509.ReasonFlags.key_compromise if revoked else None,
        )
        built = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, responder.cert)
        found.append(built.sign(responder.key, hashes.SHA384()).tbs_response_bytes)
    return found


def signed_answers(dice: random.Random) -> bytes:
    tbs = dice.choice(answers())
    spoiled = altered_der(dice, tbs) if dice.random() < 0.85 else mutated(dice, [tbs])
    basic = signed_der(spoiled, ECDSA_SHA384, sign(ISSUERS[0].key, spoiled))
    oid = bytes.fromhex("06092b0601050507300101")
    inner = der_value(0x30, oid + der_value(4, basic))
    return der_value(0x30, b"\x0a\x01\x00" + der_value(0xA0, inner))


def answer_reader(data: bytes) -> None:
    issuer = ISSUERS[0].cert.public_bytes(Encoding.DER)
    until = check_certificate(load(CHAIN[0]), issuer, parse_answers((data,)), required=True, now=NOW)
    assert until is not None and until >= NOW


VALUES = (
    "",
    "x",
    "-1",
    "0",
    "1",
    "63",
    "64",
    "1" * 400,
    "٣",
    "True",
    "true",
    "\x00",
    "\ud7ff",
    "&amp;",
    "&x;",
    "<!--",
)
PIECES = (
    '" alternatives="2',
    '" index="0',
    '"><ns0:Payload></ns0:Payload><x a="',
    '"></ns0:Meta><ns0:Meta product="',
    '" xmlns:x="y',
    '" x:y="z',
    '"><![CDATA[x]]><y a="',
    '"><?x y?><z a="',
    '" size="47',
    '" type="Other',
)


def signed_manifests(dice: random.Random) -> bytes:
    """Return a manifest with strange rows, and with pieces of XML let in where its writer has names."""
    words = [GOOD.chip, GOOD.driver]
    for place in dice.sample((0, 1), dice.randrange(3)):
        more = dice.choice((*VALUES, *PIECES))
        words[place] = more if dice.random() < 0.3 else words[place] + more
    values = dict(reports.golden("driver", GOOD.chip, GOOD.driver))
    for _ in range(dice.randrange(4)):
        values[dice.choice((-1, 0, 1, 63, 64, 10**9, *values))] = bytes(dice.choice((0, 1, 47, 48, 49, 400)))
    blocks = 64 if dice.random() < 0.6 else dice.choice((0, 1, 63, 65, 200))
    made = signed_manifest(*words, values, blocks, RIM_CHAIN[0].key, tuple(one.der for one in RIM_CHAIN))
    return made if dice.random() < 0.8 else mutated(dice, [made])


RIM_CHAIN = NVIDIA._rim_chain(NOW, GOOD)


def manifest_reader(data: bytes) -> None:
    found = verified_rim.__wrapped__(data)
    assert found.chain.ders[0] == RIM_CHAIN[0].der
    judge(CHAIN, REPORT, replace(STATEMENTS, rims=(data, *STATEMENTS.rims[1:])), ocsp_required=False)


def some_gpu_evidence(dice: random.Random) -> bytes:
    text = GpuEvidence((Device(DeviceKind.GPU, REPORT, CHAIN),)).to_bytes().decode()
    return altered_json(dice, text).encode("utf-8", "surrogatepass")


def gpu_evidence_reader(data: bytes) -> None:
    assert GpuEvidence.from_bytes(data).to_bytes() == data


Target = tuple[Callable[[bytes], None], Callable[[random.Random], bytes], int]
TARGETS: dict[str, Target] = {
    "SEV-SNP report": (snp_report_reader, signed_snp_reports, 25),
    "AMD certificate": (amd_certificate_reader, amd_certificates, 15),
    "AMD list": (amd_list_reader, amd_lists, 10),
    "GPU report": (gpu_report_reader, signed_gpu_reports, 20),
    "GPU certificate": (gpu_certificate_reader, signed_gpu_certificates, 10),
    "DICE extension": (dice_reader, lambda dice: altered_der(dice, dice.choice(DICE)), 6),
    "OCSP answer": (answer_reader, signed_answers, 6),
    "manifest": (manifest_reader, signed_manifests, 15),
    "GPU evidence": (gpu_evidence_reader, some_gpu_evidence, 10),
}
"""Parser, inputs, and how many different refusals 200,000 cases meet at the least."""


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@pytest.mark.parametrize("name", TARGETS)
def test_some_cases_raise_nothing_but_our_error(name):
    parse, draw, _ = TARGETS[name]
    fuzz(parse, draw, 200).assert_deep(200, 2)


@pytest.mark.heavy
@pytest.mark.timeout(3600)
@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@pytest.mark.parametrize("name", TARGETS)
def test_200_000_cases_raise_nothing_but_our_error(name):
    parse, draw, reasons = TARGETS[name]
    fuzz(parse, draw, HEAVY_CASES).assert_deep(HEAVY_CASES, reasons)
