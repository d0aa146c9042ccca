"""The one call by which services, clients and auditors judge evidence (docs/protocol.md section 4.3)."""

from __future__ import annotations

from enclave_runtime.attestation.bundle import EvidenceBundle
from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.model import VerifiedEvidence
from enclave_runtime.attestation.policy import AppraisalPolicy
from enclave_runtime.attestation.registry import verifier_for
from enclave_runtime.attestation.roots import RootSet

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
        collateral: the vendor's signed statements, from anywhere.
        roots: the trust anchor to believe, from settings, never from the bundle.
        policy: what is accepted.
        expected_report_data: `bundle.keys.report_data(purpose, operator=..., challenge=...)` with the
            caller's own purpose, operator and challenge.
        now: Unix time, in seconds.
    Raises:
        AttestationError: names the first step that failed, what was got and what was expected.
    """
    return verifier_for(bundle.evidence.tee).verify(
        bundle.evidence,
        collateral,
        roots=roots,
        policy=policy,
        expected_report_data=expected_report_data,
        now=now,
    )
