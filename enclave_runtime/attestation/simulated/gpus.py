"""The GPUs of a simulated platform, as its CVMs and its relying parties see them (docs/protocol.md 4.4).

Whichever CVM asks has all of them: that a device is given to one guest alone is not simulated.
"""

from __future__ import annotations

from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.roots import GpuRoots
from enclave_runtime.attestation.simulated.nvidia.vendor import SimulatedNvidia
from enclave_runtime.attestation.simulated.nvidia.world import GpuWorld

__all__ = ["Gpus"]


class Gpus:
    """One simulated vendor, and the devices of one machine."""

    def __init__(self, vendor: SimulatedNvidia, world: GpuWorld) -> None:
        self._vendor, self._world = vendor, world

    @property
    def count(self) -> int:
        """Return how many GPUs each CVM has."""
        return self._world.gpus

    @property
    def roots(self) -> GpuRoots:
        """Return the roots to put into settings: "dev:<digest>"."""
        return self._vendor.roots

    def evidence(self, nonce: bytes) -> bytes:
        """Return bytes of `nvidia.evidence.GpuEvidence`, every device asked with `nonce` (32 bytes)."""
        return self._vendor.evidence(nonce, self._world)

    def collateral(self, now: int) -> Collateral:
        """Return the vendor's statements around Unix time `now`, in seconds."""
        return Collateral(nvidia=self._vendor.collateral(now, self._world))
