"""Evidence, verdict, and the two interfaces that carry attestation (docs/protocol.md section 4).

An attester makes evidence inside the TEE; a verifier outside turns evidence and collateral into
`VerifiedEvidence`. Nothing here opens a device, a socket or a clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from enclave_runtime.wire import cvm
from enclave_runtime.wire.errors import WireError

if TYPE_CHECKING:
    from enclave_runtime.attestation.collateral import Collateral
    from enclave_runtime.attestation.policy import AppraisalPolicy
    from enclave_runtime.attestation.roots import RootSet

__all__ = [
    "MAX_EVENT_LOG_BYTES",
    "MAX_GPU_BYTES",
    "MAX_QUOTE_BYTES",
    "Attester",
    "Evidence",
    "TeeKind",
    "VerifiedEvidence",
    "Verifier",
]

MAX_QUOTE_BYTES = 1 << 14
"""A DCAP quote with its certificate chain is about 5 kB; an SEV-SNP report 1184 bytes."""
MAX_EVENT_LOG_BYTES = 1 << 17
MAX_GPU_BYTES = 1 << 17


class TeeKind(StrEnum):
    """Kinds of TEE by their names in evidence, settings and output."""

    TDX = "tdx"
    SGX = "sgx"
    SEV_SNP = "sev-snp"
    NITRO = "nitro"
    CCA = "cca"

    @property
    def wire(self) -> cvm.TeeKind:
        """Return the number that certificates and contracts use."""
        return cvm.TeeKind[self.name]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an attester hands out: signed by hardware, not yet believed by anybody.

    Attributes:
        tee: which rules apply; it chooses the verifier, never the trust anchor.
        quote: raw quote, exact length.
        event_log: bytes of the log that replays to the run-time registers, where there is one.
        gpu: GPU evidence, where there is a GPU.
    Raises:
        WireError: empty or oversize parts.
    """

    tee: TeeKind
    quote: bytes
    event_log: bytes | None = None
    gpu: bytes | None = None

    def __post_init__(self) -> None:
        parts = {
            "quote": (self.quote, MAX_QUOTE_BYTES),
            "event log": (self.event_log, MAX_EVENT_LOG_BYTES),
            "gpu evidence": (self.gpu, MAX_GPU_BYTES),
        }
        for name, (value, limit) in parts.items():
            if value is not None and not 0 < len(value) <= limit:
                raise WireError(f"evidence: got {len(value)} bytes of {name}, expected 1 to {limit}")


@dataclass(frozen=True, slots=True)
class VerifiedEvidence:
    """The verdict. Only `Verifier.verify` makes one; holding one is the proof that it ran.

    Attributes:
        tee: kind of TEE.
        root_set: id of the trust anchor that the chain ended in, such as "intel" or "dev:<hex>".
        simulated: True for every root that is not a vendor's; whoever shows this verdict says SIMULATED.
        measurement: tagged digest of the launch registers, 32 bytes.
        report_data: the 64 bytes that the guest had signed.
        tcb_status: the vendor's word, such as "UpToDate".
        advisory_ids: the vendor's advisories that apply to this platform.
        tcb_eval_number: the lower evaluation data number of the collateral used.
        platform_id_hash: tagged digest of the platform's hardware id (Intel: PPID), 32 bytes.
        canonical_id: tagged digest of the signed region: the identity of this evidence, 32 bytes.
        collateral_expires_at: Unix time, in seconds, when the first part of the collateral expires.
    """

    tee: TeeKind
    root_set: str
    simulated: bool
    measurement: bytes
    report_data: bytes
    tcb_status: str
    advisory_ids: tuple[str, ...]
    tcb_eval_number: int
    platform_id_hash: bytes
    canonical_id: bytes
    collateral_expires_at: int

    @property
    def trust_class(self) -> str:
        """Return the root set id, marked SIMULATED where it is: the words to show to people."""
        return f"SIMULATED ({self.root_set})" if self.simulated else self.root_set


class Attester(Protocol):
    """Inside the TEE: makes evidence over 64 bytes of the runtime's choice."""

    tee: TeeKind

    def evidence(self, report_data: bytes) -> Evidence:
        """Return evidence over `report_data` (64 bytes, from `wire.report_data` only)."""
        ...


class Verifier(Protocol):
    """One TEE vendor's rules, numbered as in section 4.3. Pure: no clock, network, file or environment."""

    tee: TeeKind

    def verify(
        self,
        evidence: Evidence,
        collateral: Collateral,
        *,
        roots: RootSet,
        policy: AppraisalPolicy,
        expected_report_data: bytes,
        now: int,
    ) -> VerifiedEvidence:
        """Return the verdict on `evidence` at Unix time `now`, in seconds.

        Raises:
            AttestationError: names the first step that failed.
        """
        ...
