"""What an SEV-SNP guest was started from, and the one number for it (docs/protocol.md section 2)."""

from __future__ import annotations

from dataclasses import dataclass

from enclave_runtime.attestation.sev_snp.layout import SnpReport
from enclave_runtime.wire.hashes import tagged

__all__ = ["SnpRegisters"]


@dataclass(frozen=True, slots=True)
class SnpRegisters:
    """What was started: digest of the initial memory, the host's 32 bytes, and the policy of the launch.

    The host writes `host_data` before the launch and nobody can change it later: it names the configuration.
    """

    measurement: bytes
    host_data: bytes
    policy: int

    @classmethod
    def of(cls, report: SnpReport) -> SnpRegisters:
        """Return the launch registers in a report."""
        return cls(report.measurement, report.host_data, report.policy)

    def digest(self) -> bytes:
        """Return the tagged digest over the TEE kind and every launch register, 32 bytes."""
        policy = self.policy.to_bytes(8, "little")
        return tagged("measurement/v1", b"sev-snp", self.measurement, self.host_data, policy)

    def to_json(self) -> dict[str, str]:
        """Return the registers in hex, by name."""
        return {
            "measurement": self.measurement.hex(),
            "host_data": self.host_data.hex(),
            "policy": f"{self.policy:016x}",
        }
