"""Byte-exact SIMULATED TDX quotes for `FakeCvm`, made in this process: everything below the quote is real."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from enclave_runtime.attestation.bundle import EvidenceBundle
from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.model import Evidence, TeeKind
from enclave_runtime.attestation.simulated.issuer import SimulatedVendor, World
from enclave_runtime.attestation.simulated.measure import Measured, measure
from enclave_runtime.wire.report_data import Purpose
from tests.fakes.cvm import OPERATOR, FakeCvm

__all__ = ["SimulatedTdx"]


def _measured() -> Measured:
    return measure((("enclave_runtime/__main__.py", b"run()\n"),), (("runtime.txt", b"x==1\n"),), b"base")


@dataclass
class SimulatedTdx:
    """One simulated vendor with one platform and one measured runtime."""

    vendor: SimulatedVendor = field(default_factory=SimulatedVendor.create)
    measured: Measured = field(default_factory=_measured)

    @property
    def root_set(self) -> str:
        """Return the id that settings must name."""
        return self.vendor.roots.id

    @property
    def measurement(self) -> bytes:
        """Return the runtime's measurement, 32 bytes."""
        return self.measured.registers.measurement()

    def collateral(self, now: int, **world: object) -> Collateral:
        """Return collateral issued around `now`; `world` says what is bad about it."""
        return self.vendor.collateral(now, World(**world))  # type: ignore[arg-type]

    def bundle(
        self,
        cvm: FakeCvm,
        challenge: bytes,
        *,
        purpose: Purpose = Purpose.CERTIFY,
        operator: bytes = OPERATOR,
    ) -> EvidenceBundle:
        """Return evidence whose quote binds the CVM's keys to all arguments."""
        bundle = cvm.bundle(challenge, purpose=purpose, operator=operator)
        quote = self.vendor.quote(self.measured.body(bundle.evidence.quote))
        return replace(bundle, evidence=Evidence(TeeKind.TDX, quote, self.measured.event_log))
