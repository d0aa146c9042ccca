"""`cloister attest show` on any file: explained in words or refused by our own error, whatever it holds."""

from __future__ import annotations

import random

import cbor2
import pytest

from enclave_runtime.attestation.bundle import EvidenceBundle
from enclave_runtime.attestation.model import Evidence, TeeKind
from enclave_runtime.attestation.nvidia.evidence import Device, DeviceKind, GpuEvidence
from enclave_runtime.attestation.simulated.intel_world import Form
from enclave_runtime.attestation.simulated.nvidia.vendor import SimulatedNvidia
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.report_data import Purpose
from marketplace.errors import MarketError
from marketplace.sdk.attest_reading import recognise
from marketplace.sdk.attest_words import explain
from tests.evidence.fuzzing import HEAVY_CASES, fuzz
from tests.evidence.mutations import altered_cbor, altered_der, altered_json, mutated
from tests.evidence.snp_case import SnpCase
from tests.fakes.cose_issuers import Realm, SimulatedNitro
from tests.fakes.cvm import OPERATOR, FakeCvm
from tests.fakes.intel_case import IntelCase

NVIDIA = SimulatedNvidia.create()
KIND, REPORT, CHAIN = NVIDIA.answers(bytes(32))[0]
ISSUER, REALM = SimulatedNitro(), Realm()
INTEL = [IntelCase(form).evidence.quote for form in Form]
SNP = bytes(SnpCase().report or b"")
GPUS = GpuEvidence((Device(DeviceKind.GPU, REPORT, CHAIN),)).to_bytes()
BINARY = [*INTEL, SNP, ISSUER.document(bytes(64)), REALM.token(bytes(64)), REPORT]


def bundles() -> list[str]:
    """Return bundles around evidence of several kinds, with GPUs and without."""
    cvm = FakeCvm()
    made = [
        EvidenceBundle(Evidence(tee, quote, gpu=gpu), cvm.keys, OPERATOR, Purpose.CERTIFY, bytes(32))
        for tee, quote, gpu in (
            (TeeKind.TDX, INTEL[0], GPUS),
            (TeeKind.SEV_SNP, SNP, None),
            (TeeKind.NITRO, ISSUER.document(bytes(64)), None),
        )
    ]
    return [bundle.to_bytes().decode() for bundle in made]


BUNDLES = bundles()


def file(dice: random.Random) -> bytes:
    """Return a file of any kind, spoiled where it hurts: as bytes, as text, or behind its lengths."""
    kind = dice.randrange(6)
    if kind == 0:
        return mutated(dice, BINARY)
    if kind == 1:
        return mutated(dice, [dice.choice(BINARY).hex().encode(), *(one.encode() for one in BUNDLES)])
    if kind == 2:
        return altered_json(dice, dice.choice((*BUNDLES, GPUS.decode()))).encode("utf-8", "replace")
    if kind == 3:
        members = ISSUER.members(bytes(64))
        place = dice.randrange(3)
        ders = [members["certificate"], *members["cabundle"]]
        ders[place] = altered_der(dice, ders[place])
        return ISSUER.document(bytes(64), certificate=ders[0], cabundle=ders[1:])
    if kind == 4:
        return ISSUER.sign(cbor2.dumps(altered_cbor(dice, ISSUER.members(bytes(64)))))
    place = dice.randrange(len(CHAIN))
    ders = (*CHAIN[:place], altered_der(dice, CHAIN[place]), *CHAIN[place + 1 :])
    return GpuEvidence((Device(DeviceKind.GPU, REPORT, tuple(der for der in ders if der)),)).to_bytes()


def show(data: bytes) -> None:
    try:
        found = recognise(data)
    except MarketError as error:
        raise WireError(f"{error}") from error
    shown = explain(found)
    assert shown.size <= len(data) and all(part.title for part in shown.parts)
    assert all(isinstance(value, str) for part in shown.parts for value in part.facts.values())


TARGETS = {"show": (show, file, 40)}
"""Reader, inputs, and how many different refusals 200,000 cases meet at the least."""


def test_some_files_raise_nothing_but_our_error():
    fuzz(show, file, 300).assert_deep(300, 5)


@pytest.mark.heavy
@pytest.mark.timeout(3600)
def test_200_000_files_raise_nothing_but_our_error():
    fuzz(show, file, HEAVY_CASES).assert_deep(HEAVY_CASES, TARGETS["show"][2])
