"""The one call by which services, clients and auditors judge evidence (docs/protocol.md section 4.3)."""

from __future__ import annotations

from dataclasses import replace

from enclave_runtime.attestation.bundle import EvidenceBundle
from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.devices import judge_devices
from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.model import VerifiedEvidence
from enclave_runtime.attestation.policy import AppraisalPolicy
from enclave_runtime.attestation.registry import verifier_for
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.wire import report_data

__all__ = ["appraise"]


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
    return _with_devices(verified, bundle, collateral, policy, now)


def _with_devices(
    verified: VerifiedEvidence,
    bundle: EvidenceBundle,
    collateral: Collateral,
    policy: AppraisalPolicy,
    now: int,
) -> VerifiedEvidence:
    evidence, rules = bundle.evidence.gpu, policy.gpu
    if evidence is None and rules is None:
        return verified
    if rules is None:
        raise AttestationError(Step.GPU, "GPU evidence that no rules of the policy judge", "no GPU evidence")
    if evidence is None:
        raise AttestationError(Step.GPU, "no GPU evidence", f"evidence of {rules.count} GPUs")
    # The quote binds this evidence, and this challenge is the verifier's own: the bundle's words for what it
    # is about give the very bytes that the verifier expected and the hardware signed.
    bound = bundle.keys.report_data(
        bundle.purpose, operator=bundle.operator, challenge=bundle.challenge, gpu=evidence
    )
    if bound != verified.report_data:
        raise AttestationError(
            Step.GPU, "GPU evidence that the quote does not bind", "its digest in report_data"
        )
    roots, devices = judge_devices(
        evidence,
        collateral,
        rules=rules,
        nonce=report_data.gpu_nonce(bundle.keys.cvm_id, bundle.challenge),
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
