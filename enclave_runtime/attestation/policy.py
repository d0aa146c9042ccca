"""What a relying party accepts (docs/protocol.md section 4.3, steps 4, 5 and 7).

A policy is a small value. Two compose with `&` into one that accepts only what both accept. A policy that
allows nothing refuses everything, and says so, before any evidence is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from enclave_runtime.attestation.errors import AttestationError, Cause, Step
from enclave_runtime.attestation.intel_rules import IntelRules
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.attestation.rules import GpuRules, SnpRules, UnsafeAcceptSimulated

__all__ = ["UP_TO_DATE", "AppraisalPolicy", "UnsafeAcceptSimulated"]

UP_TO_DATE = "UpToDate"


@dataclass(frozen=True, slots=True)
class AppraisalPolicy:
    """Allow-lists; each must hold. Debug is refused always and has no setting.

    Attributes:
        root_sets: ids of accepted trust anchors.
        measurements: accepted launch measurements, 32 bytes each (the reference values).
        tcb_statuses: accepted words of the vendor about the platform's patches.
        min_tcb_eval_number: floor for the collateral's evaluation data number: keeps a host from
            serving collateral of before a TCB recovery.
        platforms: accepted `platform_id_hash` values, or None for any platform.
        rejected_advisories: advisories that refuse even an accepted TCB status.
        extra_td_attributes: bits of TD_ATTRIBUTES accepted beside SEPT_VE_DISABLE (little endian).
        accept_mixed_eval_numbers: TCB info and QE identity may differ in their evaluation number, as
            Intel's do for some weeks of a TCB recovery; the floor then holds for the lower one.
        simulated: the loud acknowledgement without which `dev:` roots are refused.
        intel: what is accepted of Intel's platforms.
        snp: what is accepted of SEV-SNP platforms.
        gpu: the GPUs that a CVM must have, or None for none: GPU evidence is then refused, since nobody
            would judge it.
    """

    root_sets: frozenset[str]
    measurements: frozenset[bytes]
    tcb_statuses: frozenset[str] = frozenset({UP_TO_DATE})
    min_tcb_eval_number: int = 0
    platforms: frozenset[bytes] | None = None
    rejected_advisories: frozenset[str] = frozenset()
    extra_td_attributes: int = 0
    accept_mixed_eval_numbers: bool = False
    simulated: UnsafeAcceptSimulated | None = field(default=None)
    intel: IntelRules = field(default_factory=IntelRules)
    snp: SnpRules = field(default_factory=SnpRules)
    gpu: GpuRules | None = None

    def __and__(self, other: AppraisalPolicy) -> AppraisalPolicy:
        """Return the policy that accepts what both accept; composing never widens."""
        return AppraisalPolicy(
            root_sets=self.root_sets & other.root_sets,
            measurements=self.measurements & other.measurements,
            tcb_statuses=self.tcb_statuses & other.tcb_statuses,
            min_tcb_eval_number=max(self.min_tcb_eval_number, other.min_tcb_eval_number),
            platforms=_both(self.platforms, other.platforms),
            rejected_advisories=self.rejected_advisories | other.rejected_advisories,
            extra_td_attributes=self.extra_td_attributes & other.extra_td_attributes,
            accept_mixed_eval_numbers=self.accept_mixed_eval_numbers and other.accept_mixed_eval_numbers,
            simulated=self.simulated if self.simulated == other.simulated else None,
            intel=self.intel & other.intel,
            snp=self.snp & other.snp,
            gpu=_both_gpu(self.gpu, other.gpu),
        )

    def check_roots(self, roots: RootSet) -> None:
        """Refuse a policy that allows nothing, and a trust anchor that it does not name.

        Raises:
            AttestationError: step `policy` or (1).
        """
        for name in ("root_sets", "measurements", "tcb_statuses", "platforms"):
            allowed = getattr(self, name)
            if allowed is not None and not allowed:
                raise AttestationError(Step.POLICY, f"an empty list of {name}", "at least one accepted value")
        if self.gpu is not None and not self.gpu.root_sets:
            raise AttestationError(Step.POLICY, "GPU rules that accept no GPU", "an accepted GPU root set")
        if roots.id not in self.root_sets:
            raise AttestationError(Step.CHAIN, f"root set {roots.id}", f"one of {sorted(self.root_sets)}")
        acknowledged = self.simulated is not None and self.simulated.root_set == roots.id
        if roots.simulated and not acknowledged:
            raise AttestationError(
                Step.CHAIN,
                f"SIMULATED root set {roots.id}",
                "UnsafeAcceptSimulated for it in the policy",
                Cause.SIMULATED,
            )

    def check_tcb(self, status: str, advisories: tuple[str, ...], eval_numbers: tuple[int, int]) -> None:
        """Refuse a platform whose patch level is not accepted.

        Args:
            status: the vendor's word.
            advisories: advisories that apply to the platform.
            eval_numbers: of the TCB info and of the QE identity.
        Raises:
            AttestationError: step (4).
        """
        lowest = min(eval_numbers)
        if lowest < self.min_tcb_eval_number:
            raise AttestationError(
                Step.TCB, f"TCB evaluation number {lowest}", f"at least {self.min_tcb_eval_number}"
            )
        if eval_numbers[0] != eval_numbers[1] and not self.accept_mixed_eval_numbers:
            raise AttestationError(
                Step.TCB,
                f"evaluation number {eval_numbers[0]} of TCB info, {eval_numbers[1]} of QE identity",
                "one number in both",
            )
        if status not in self.tcb_statuses:
            expected = f"one of {sorted(self.tcb_statuses)}"
            raise AttestationError(Step.TCB, f"TCB status {status}", expected, Cause.TCB_STATUS)
        rejected = sorted(self.rejected_advisories.intersection(advisories))
        if rejected:
            got, expected = f"advisories {rejected}", "none of the rejected advisories"
            raise AttestationError(Step.TCB, got, expected, Cause.ADVISORY)

    def check_platform(self, platform_id_hash: bytes) -> None:
        """Refuse hardware outside the platform list, where there is one.

        Raises:
            AttestationError: step (4).
        """
        if self.platforms is not None and platform_id_hash not in self.platforms:
            raise AttestationError(
                Step.TCB,
                f"platform 0x{platform_id_hash.hex()}",
                f"one of {len(self.platforms)} listed platforms",
                Cause.PLATFORM,
            )

    def check_measurement(self, measurement: bytes) -> None:
        """Refuse a runtime that is not a reference value.

        Raises:
            AttestationError: step (7).
        """
        if measurement not in self.measurements:
            expected = sorted(value.hex() for value in self.measurements)
            raise AttestationError(
                Step.MEASUREMENT,
                measurement.hex(),
                f"one of {len(expected)} reference values: {expected[:4]}",
            )


def _both(first: frozenset[bytes] | None, second: frozenset[bytes] | None) -> frozenset[bytes] | None:
    if first is None or second is None:
        return second if first is None else first
    return first & second


def _both_gpu(first: GpuRules | None, second: GpuRules | None) -> GpuRules | None:
    if first is not None and second is not None:
        return first & second
    one = first or second
    return None if one is None else one.refusing()
