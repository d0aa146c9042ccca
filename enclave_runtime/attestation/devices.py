"""Step (9): the devices of a CVM by the rules of the party that asks (docs/protocol.md section 4.3)."""

from __future__ import annotations

from enclave_runtime.attestation.collateral import Collateral, NvidiaCollateral
from enclave_runtime.attestation.errors import AttestationError, Cause, Step
from enclave_runtime.attestation.model import VerifiedDevice
from enclave_runtime.attestation.nvidia.refusals import Check, DeviceError
from enclave_runtime.attestation.roots import GpuRoots
from enclave_runtime.attestation.rules import GpuRules

__all__ = ["judge_devices"]


def judge_devices(
    evidence: bytes,
    collateral: Collateral,
    *,
    rules: GpuRules,
    nonce: bytes,
    on_simulated_cpu: bool,
    now: int,
) -> tuple[GpuRoots, tuple[VerifiedDevice, ...]]:
    """Return the devices that `evidence` proves, and the roots that they ended in.

    Args:
        evidence: bytes of `nvidia.evidence.GpuEvidence`, bound by a verified quote.
        collateral: with NVIDIA's part.
        rules: which devices there must be, under which roots; each of them is tried.
        nonce: that every device must have answered, 32 bytes.
        on_simulated_cpu: whether the quote's root is simulated. SIMULATED devices are believed only there: a
            hardware root set in a certificate must not stand for devices that are software.
        now: Unix time, in seconds.
    Raises:
        AttestationError: step (9), or (9)'s own of the vendor's rules.
    """
    if collateral.nvidia is None:
        got, expected = "no NVIDIA collateral", "NVIDIA's signed statements"
        raise AttestationError(Step.GPU, got, expected, Cause.COLLATERAL_NONE)
    refusal: AttestationError | None = None
    for root_set in sorted(rules.root_sets):
        roots = GpuRoots.parse(root_set)
        try:
            rules.check_roots(roots)
            if roots.simulated and not on_simulated_cpu:
                raise AttestationError(
                    Step.GPU, f"SIMULATED GPU root set {roots.id} beside a hardware root", "a SIMULATED CPU"
                )
            return roots, _verify(evidence, collateral.nvidia, roots, rules, nonce, now)
        except AttestationError as error:
            # Under another root than its own, evidence says no more than that: another reason comes first.
            if refusal is None or _is_of_chain(refusal):
                refusal = error
    raise refusal or AttestationError(Step.GPU, "GPU rules that accept no GPU", "an accepted GPU root set")


def _is_of_chain(refusal: AttestationError) -> bool:
    return isinstance(refusal, DeviceError) and refusal.check is Check.CHAIN


def _verify(
    evidence: bytes, collateral: NvidiaCollateral, roots: GpuRoots, rules: GpuRules, nonce: bytes, now: int
) -> tuple[VerifiedDevice, ...]:
    # Loads when first asked for: it runs outside the CVM and needs an XML library.
    from enclave_runtime.attestation.nvidia.verify import verify_devices

    return verify_devices(evidence, collateral, roots=roots, rules=rules, nonce=nonce, now=now)
