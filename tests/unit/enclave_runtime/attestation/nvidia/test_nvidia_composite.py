"""A CPU's quote and its devices judged together by `appraise`: SIMULATED TDX with SIMULATED GPUs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from enclave_runtime.attestation.appraise import appraise
from enclave_runtime.attestation.bundle import EvidenceBundle
from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.model import Evidence, TeeKind, VerifiedEvidence
from enclave_runtime.attestation.rules import GpuRules, UnsafeAcceptSimulated
from enclave_runtime.attestation.simulated.nvidia.vendor import SimulatedNvidia
from enclave_runtime.attestation.simulated.nvidia.world import GpuWorld
from enclave_runtime.wire.report_data import Purpose, gpu_digest, gpu_nonce
from tests.fakes.cvm import OPERATOR, FakeCvm

CHALLENGE = b"\x66" * 32
VENDOR = SimulatedNvidia.create()
CVM = FakeCvm()
PAIR = GpuWorld(gpus=2)


def judge(case, world: GpuWorld = PAIR, *, asked: bytes | None = None, **rules: object) -> VerifiedEvidence:
    """Judge the evidence of an honest CVM whose devices are those of `world`."""
    nonce = gpu_nonce(CVM.cvm_id, CHALLENGE) if asked is None else asked
    gpu = VENDOR.evidence(nonce, world)
    expected = CVM.keys.report_data(Purpose.CERTIFY, operator=OPERATOR, challenge=CHALLENGE, gpu=gpu)
    quote = case.vendor.quote(case.measured.body(expected))
    evidence = Evidence(TeeKind.TDX, quote, case.measured.event_log, gpu)
    roots = VENDOR.roots.id
    wanted = GpuRules(2, frozenset({roots}), simulated=UnsafeAcceptSimulated(roots))
    return appraise(
        EvidenceBundle(evidence, CVM.keys, OPERATOR, Purpose.CERTIFY, CHALLENGE),
        replace(case.collateral, nvidia=VENDOR.collateral(case.now, world)),
        roots=case.roots,
        policy=replace(case.policy, gpu=replace(wanted, **rules)),
        expected_report_data=expected,
        now=case.now,
    )


def test_a_cvm_with_its_two_gpus_is_one_verdict(case):
    verdict = judge(case)
    assert [device.kind for device in verdict.devices] == ["gpu", "gpu"]
    assert verdict.gpu_root_set == VENDOR.roots.id and "2 x gpu" in verdict.device_words
    assert verdict.gpu_digest != gpu_digest(None)
    assert verdict.collateral_expires_at <= case.now + 86_400  # OCSP's answers are the first to end


@pytest.mark.parametrize(
    "world",
    [
        GpuWorld(gpus=1),
        GpuWorld(gpus=3),
        GpuWorld(gpus=2, switches=1),
        replace(PAIR, other_machine=True),
        replace(PAIR, duplicate=True),
        replace(PAIR, leaf="debug"),
        replace(PAIR, architecture="BLACKWELL", leaf="debug", device=1),
        replace(PAIR, changed=frozenset({22}), device=1),
        replace(PAIR, chain="impostor"),
        replace(PAIR, rim_missing="all"),
        replace(PAIR, revoked="rom"),
    ],
)
def test_bad_devices_refuse_the_whole_cvm(case, world):
    with pytest.raises(AttestationError) as caught:
        judge(case, world)
    assert caught.value.step == Step.GPU


def test_devices_that_answered_another_cvm_or_an_older_challenge_are_refused(case):
    for asked in (gpu_nonce(b"\x07" * 32, CHALLENGE), gpu_nonce(CVM.cvm_id, b"\x07" * 32), CHALLENGE):
        with pytest.raises(AttestationError) as caught:
            judge(case, asked=asked)
        assert caught.value.step == Step.GPU and "nonce" in caught.value.got


def test_only_listed_devices_are_accepted_where_there_is_a_list(case):
    ids = frozenset(device.device_id for device in judge(case).devices)
    judge(case, devices=ids)
    with pytest.raises(AttestationError):
        judge(case, devices=frozenset(sorted(ids)[:1]))
