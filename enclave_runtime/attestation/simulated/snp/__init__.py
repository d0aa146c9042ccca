"""A simulated AMD: root, chip and revocation list under names of its own, and reports to order.

Every certificate says `DEV SIMULATED SEV-SNP - NOT AMD`. No verifier imports this.
"""

from enclave_runtime.attestation.simulated.snp.vendor import SimulatedAmd
from enclave_runtime.attestation.simulated.snp.world import Crl, SnpWorld, Validity

__all__ = ["Crl", "SimulatedAmd", "SnpWorld", "Validity"]
