"""What a relying party accepts of each vendor beyond what all have in common: data only (section 4.3).

Two rules compose with `&` into one that accepts only what both accept. Nothing is accepted by default that a
known attack makes worthless (docs/threat-model.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from enclave_runtime.attestation.errors import AttestationError, Cause, Step
from enclave_runtime.attestation.roots import GpuRoots, RootSet
from enclave_runtime.attestation.snp_rules import SnpRules
from enclave_runtime.wire.errors import WireError

__all__ = ["MAX_GPUS", "MAX_SWITCHES", "GpuRules", "SnpRules", "UnsafeAcceptSimulated"]

MAX_GPUS = 8
MAX_SWITCHES = 4


@dataclass(frozen=True, slots=True)
class UnsafeAcceptSimulated:
    """Accept evidence of one SIMULATED platform: software whose operator can read all that it protects.

    Without this value no `dev:` root is ever accepted, whatever else the policy says.

    Attributes:
        root_set: id of the one development root that is meant, "dev:<hex>".
    """

    root_set: str

    def __post_init__(self) -> None:
        if not RootSet.parse(self.root_set).simulated:
            raise WireError(f"UnsafeAcceptSimulated: got {self.root_set!r}, expected a 'dev:' root set")


@dataclass(frozen=True, slots=True)
class GpuRules:
    """Which GPUs a CVM must have; debug is refused always, and so is a measurement that no RIM knows.

    Attributes:
        count: exact number of GPUs, 1 to `MAX_GPUS`.
        root_sets: ids of accepted `GpuRoots`; an empty set refuses everything.
        switches: exact number of NVSwitches, 0 to `MAX_SWITCHES`.
        architectures: accepted words for the GPUs' architecture.
        modes: accepted modes: "spt" (one GPU), "mpt" (links between GPUs protected), "ppcie" (links in the
            clear: it wants attested switches, and trust in what lies between them).
        min_driver: floor for the driver's version, in numbers, such as (550, 90, 7).
        min_firmware: floors for the VBIOS: pairs of chip ("GH100") and version in numbers.
        ocsp_required: every certificate above the leaf needs a fresh OCSP answer; otherwise only answers
            that are there count, and whoever brings the collateral decides which are.
        rim_dates_at_signing: judge the certificates of a manifest's signer at the beginning of the signer's
            own, not now: for drivers whose manifests outlived their signers. Revocation counts all the same.
        devices: accepted `VerifiedDevice.device_id` values, or None for any device.
        simulated: the loud acknowledgement without which `dev:` roots are refused.
    """

    count: int
    root_sets: frozenset[str]
    switches: int = 0
    architectures: frozenset[str] = frozenset({"HOPPER", "BLACKWELL"})
    modes: frozenset[str] = frozenset({"spt", "mpt"})
    min_driver: tuple[int, ...] = ()
    min_firmware: frozenset[tuple[str, tuple[int, ...]]] = frozenset()
    ocsp_required: bool = True
    rim_dates_at_signing: bool = False
    devices: frozenset[bytes] | None = None
    simulated: UnsafeAcceptSimulated | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MAX_GPUS or not 0 <= self.switches <= MAX_SWITCHES:
            raise WireError(
                f"GPU rules: got {self.count} GPUs and {self.switches} switches,"
                f" expected 1 to {MAX_GPUS} and 0 to {MAX_SWITCHES}"
            )

    def __and__(self, other: GpuRules) -> GpuRules:
        """Return the rules that accept what both accept: nothing where they ask for different devices."""
        alike = (self.count, self.switches) == (other.count, other.switches)
        return GpuRules(
            count=self.count,
            root_sets=self.root_sets & other.root_sets if alike else frozenset(),
            switches=self.switches,
            architectures=self.architectures & other.architectures,
            modes=self.modes & other.modes,
            min_driver=max(self.min_driver, other.min_driver),
            min_firmware=self.min_firmware | other.min_firmware,
            ocsp_required=self.ocsp_required or other.ocsp_required,
            rim_dates_at_signing=self.rim_dates_at_signing and other.rim_dates_at_signing,
            devices=_listed_by_both(self.devices, other.devices),
            simulated=self.simulated if self.simulated == other.simulated else None,
        )

    def refusing(self) -> GpuRules:
        """Return these rules, accepting nothing: what is left where another policy wants no GPU at all."""
        return replace(self, root_sets=frozenset())

    def check_roots(self, roots: GpuRoots) -> None:
        """Refuse GPU roots that these rules do not name.

        Raises:
            AttestationError: step (9).
        """
        if roots.id not in self.root_sets:
            raise AttestationError(Step.GPU, f"GPU root set {roots.id}", f"one of {sorted(self.root_sets)}")
        acknowledged = self.simulated is not None and self.simulated.root_set == roots.id
        if roots.simulated and not acknowledged:
            raise AttestationError(
                Step.GPU,
                f"SIMULATED GPU root set {roots.id}",
                "UnsafeAcceptSimulated for it in the GPU rules",
                Cause.SIMULATED,
            )


def _listed_by_both(
    first: frozenset[bytes] | None, second: frozenset[bytes] | None
) -> frozenset[bytes] | None:
    if first is None or second is None:
        return second if first is None else first
    return first & second
