"""What a simulated SEV-SNP platform measures at launch: what the simulated TDX does (protocol 4.4)."""

from __future__ import annotations

import hashlib

from enclave_runtime.attestation.sev_snp.registers import SnpRegisters
from enclave_runtime.attestation.simulated.measure import Measured
from enclave_runtime.attestation.simulated.snp.world import GOOD_WORLD, SnpWorld

__all__ = ["registers_of"]


def registers_of(measured: Measured, world: SnpWorld = GOOD_WORLD) -> SnpRegisters:
    """Return the launch registers of a CVM made of the files in `measured`.

    SEV-SNP measures memory pages at launch and has no register for later: runtime, platform, launcher,
    requirements and sandbox base all go into MEASUREMENT, and nothing into HOST_DATA.
    """
    parts = (measured.registers.mrtd, *(event.digest for event in measured.events))
    digest = hashlib.sha384(b"cloister:simulated-snp-launch/v1\x00" + b"".join(parts)).digest()
    return SnpRegisters(digest, bytes(32), world.guest_policy)
