"""A simulated SEV-SNP world and all that a good verification needs; each test then spoils one thing."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import pytest

from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.model import Evidence, TeeKind, VerifiedEvidence
from enclave_runtime.attestation.policy import AppraisalPolicy
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.attestation.rules import UnsafeAcceptSimulated
from enclave_runtime.attestation.sev_snp.registers import SnpRegisters
from enclave_runtime.attestation.sev_snp.verify import SnpVerifier
from enclave_runtime.attestation.simulated.snp import SimulatedAmd, SnpWorld
from enclave_runtime.attestation.snp_rules import SnpRules

__all__ = ["NOW", "REPORT_DATA", "SnpCase", "refused", "vendor"]

NOW = 1_790_000_000
REPORT_DATA = bytes(range(64))


@lru_cache
def vendor(product: str) -> SimulatedAmd:
    """Return one simulated AMD per product line and test process."""
    return SimulatedAmd.create(product)


@dataclass
class SnpCase:
    """The arguments of one verification; those of the good world verify.

    Attributes:
        world: what the platform is like.
        product: product line of the simulated chip.
        rules: SEV-SNP rules of the policy.
        policy: fields of the policy that differ.
    """

    world: SnpWorld = field(default_factory=SnpWorld)
    product: str = "Genoa"
    rules: SnpRules = field(default_factory=SnpRules)
    policy: dict[str, Any] = field(default_factory=dict)
    report: bytes | None = None
    event_log: bytes | None = None
    collateral: Collateral | None = None
    roots: RootSet | None = None
    report_data: bytes = REPORT_DATA
    tee: TeeKind = TeeKind.SEV_SNP
    now: int = NOW

    def __post_init__(self) -> None:
        self.vendor = vendor(self.product)
        self.registers = SnpRegisters(b"\x4d" * 48, b"\x68" * 32, self.world.guest_policy)
        self.report = self.report or self.vendor.report(REPORT_DATA, self.registers, self.world)
        self.collateral = self.collateral or self.vendor.collateral(NOW, self.world)

    def verify(self) -> VerifiedEvidence:
        roots = self.roots or self.vendor.roots
        accepted = {
            "root_sets": frozenset({roots.id}),
            "measurements": frozenset({self.registers.digest()}),
            "simulated": UnsafeAcceptSimulated(roots.id) if roots.simulated else None,
            "snp": self.rules,
        }
        assert self.report is not None and self.collateral is not None
        return SnpVerifier().verify(
            Evidence(self.tee, self.report, self.event_log),
            self.collateral,
            roots=roots,
            policy=AppraisalPolicy(**(accepted | self.policy)),
            expected_report_data=self.report_data,
            now=self.now,
        )


def refused(step: Step, case: SnpCase) -> AttestationError:
    """Check that the case is refused at `step`, and return the refusal."""
    with pytest.raises(AttestationError) as caught:
        case.verify()
    assert caught.value.step == step, caught.value
    return caught.value
