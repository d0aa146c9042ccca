"""The calls by which services, clients and auditors judge evidence (docs/protocol.md section 4.3)."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeGuard

from enclave_runtime.attestation.bundle import EvidenceBundle
from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.devices import judge_devices
from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.model import Evidence, VerifiedEvidence
from enclave_runtime.attestation.policy import AppraisalPolicy
from enclave_runtime.attestation.registry import verifier_for
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.wire import report_data

__all__ = ["appraise", "appraise_service"]


def appraise(
    bundle: EvidenceBundle,
    collateral: Collateral,
    *,
    roots: RootSet,
    policy: AppraisalPolicy,
    expected_report_data: bytes,
    now: int,
) -> VerifiedEvidence:
    """Return the verdict on `bundle` at Unix time `now`, in seconds.

    Args:
        bundle: from the CVM, by way of anybody.
        collateral: the vendors' signed statements, from anywhere.
        roots: the trust anchor to believe for the CPU, from settings, never from the bundle; those for GPUs
            are in the policy's GPU rules.
        policy: what is accepted.
        expected_report_data: `bundle.keys.report_data(purpose, operator=..., challenge=..., gpu=
            bundle.evidence.gpu)` with the caller's own purpose, operator and challenge.
        now: Unix time, in seconds.
    Raises:
        AttestationError: names the first step that failed, what was got and what was expected.
    """
    # (0) to (8): the CPU's evidence, by its vendor's rules.
    verified = verifier_for(bundle.evidence.tee).verify(
        bundle.evidence,
        collateral,
        roots=roots,
        policy=policy,
        expected_report_data=expected_report_data,
        now=now,
    )
    # (9) The GPU evidence binds the same: exactly the devices that policy asks for, and none unasked.
    evidence = bundle.evidence.gpu
    if not _are_judged(evidence, policy):
        return verified
    # The quote binds this evidence, and this challenge is the verifier's own: the bundle's words for what it
    # is about give the very bytes that the verifier expected and the hardware signed.
    bound = bundle.keys.report_data(
        bundle.purpose, operator=bundle.operator, challenge=bundle.challenge, gpu=evidence
    )
    if bound != verified.report_data:
        raise AttestationError(
            Step.GPU, "GPU evidence that the quote does not bind", "its digest in report_data"
        )
    nonce = report_data.gpu_nonce(bundle.keys.cvm_id, bundle.challenge)
    return _with_devices(verified, evidence, collateral, policy, nonce, now)


def appraise_service(
    evidence: Evidence,
    collateral: Collateral,
    *,
    roots: RootSet,
    policy: AppraisalPolicy,
    expected_report_data: bytes,
    nonce: bytes,
    now: int,
) -> VerifiedEvidence:
    """Return the verdict on a service's own evidence, which is in no bundle, at Unix time `now`, in seconds.

    Args:
        evidence, collateral, roots, policy: as for `appraise`.
        expected_report_data: with the digest of `evidence.gpu` in it, of the caller's own making.
        nonce: that the devices must have answered, 32 bytes.
    Raises:
        AttestationError: names the first step that failed, what was got and what was expected.
    """
    verified = verifier_for(evidence.tee).verify(
        evidence, collateral, roots=roots, policy=policy, expected_report_data=expected_report_data, now=now
    )
    if not _are_judged(evidence.gpu, policy):
        return verified
    return _with_devices(verified, evidence.gpu, collateral, policy, nonce, now)


def _are_judged(evidence: bytes | None, policy: AppraisalPolicy) -> TypeGuard[bytes]:
    """Return whether there are devices to judge.

    Raises:
        AttestationError: step (9): devices without rules, or rules without devices.
    """
    if policy.gpu is None and evidence is not None:
        raise AttestationError(Step.GPU, "GPU evidence that no rules of the policy judge", "no GPU evidence")
    if policy.gpu is not None and evidence is None:
        raise AttestationError(Step.GPU, "no GPU evidence", f"evidence of {policy.gpu.count} GPUs")
    return evidence is not None


def _with_devices(
    verified: VerifiedEvidence,
    evidence: bytes,
    collateral: Collateral,
    policy: AppraisalPolicy,
    nonce: bytes,
    now: int,
) -> VerifiedEvidence:
    assert policy.gpu is not None
    roots, devices = judge_devices(
        evidence,
        collateral,
        rules=policy.gpu,
        nonce=nonce,
        on_simulated_cpu=verified.simulated,
        now=now,
    )
    ends = [device.collateral_expires_at for device in devices if device.collateral_expires_at is not None]
    return replace(
        verified,
        devices=devices,
        gpu_digest=report_data.gpu_digest(evidence),
        gpu_root_set=roots.id,
        collateral_expires_at=min((verified.collateral_expires_at, *ends)),
    )
