"""Evidence, verdict, and the two interfaces that carry attestation (docs/protocol.md section 4).

An attester makes evidence inside the TEE; a verifier outside turns evidence and collateral into
`VerifiedEvidence`. Nothing here opens a device, a socket or a clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from enclave_runtime.attestation.roots import DEV_PREFIX
from enclave_runtime.wire import cvm
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import tagged
from enclave_runtime.wire.scalars import ZERO32

if TYPE_CHECKING:
    from enclave_runtime.attestation.collateral import Collateral
    from enclave_runtime.attestation.policy import AppraisalPolicy
    from enclave_runtime.attestation.roots import RootSet

__all__ = [
    "MAX_EVENT_LOG_BYTES",
    "MAX_GPU_BYTES",
    "MAX_QUOTE_BYTES",
    "Attester",
    "DeviceAttester",
    "Evidence",
    "TeeKind",
    "VerifiedDevice",
    "VerifiedEvidence",
    "Verifier",
]

MAX_QUOTE_BYTES = 1 << 14
"""A DCAP quote with its certificate chain is about 5 kB; an SEV-SNP report 1184 bytes."""
MAX_EVENT_LOG_BYTES = 1 << 17
MAX_GPU_BYTES = 1 << 19
"""Eight GPUs and four switches with their chains, in hex within JSON, are about 250 kB."""


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
        gpu: bytes of `nvidia.evidence.GpuEvidence`, where there is a GPU.
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
class VerifiedDevice:
    """One GPU or switch whose evidence was verified.

    Attributes:
        kind: "gpu" or "nvswitch".
        device_id: tagged digest of the identity that the vendor certified (the leaf's serial), 32 bytes.
        architecture: the vendor's word, such as "HOPPER".
        driver: version of the driver, empty where the device has none.
        firmware: version of its firmware (VBIOS).
        facts: more that the device states, in words for people.
        collateral_expires_at: Unix time, in seconds, when the first part of its collateral expires, where one
            has such a time.
    """

    kind: str
    device_id: bytes
    architecture: str
    driver: str
    firmware: str
    facts: Mapping[str, str] = field(default_factory=dict, hash=False)
    collateral_expires_at: int | None = None

    def words(self) -> str:
        """Return one line for people."""
        driver = f", driver {self.driver}" if self.driver else ""
        # The whole id: a part of one can be made to look like another's.
        return f"{self.kind} {self.architecture} 0x{self.device_id.hex()}{driver}, firmware {self.firmware}"


@dataclass(frozen=True, slots=True)
class VerifiedEvidence:
    """The verdict. Only `Verifier.verify` and `appraise` make one; holding one is the proof that they ran.

    Attributes:
        tee: kind of TEE.
        root_set: id of the trust anchor that the chain ended in, such as "intel" or "dev:<hex>".
        simulated: True for every root that is not a vendor's; whoever shows this verdict says SIMULATED.
        measurement: tagged digest of the launch registers, 32 bytes.
        report_data: the 64 bytes that the guest had signed.
        tcb_status: the vendor's word, such as "UpToDate".
        advisory_ids: the vendor's advisories that apply to this platform.
        tcb_eval_number: the lower evaluation data number of the collateral used.
        platform_id_hash: tagged digest of the platform's hardware id (Intel: PPID, AMD: CHIP_ID), 32 bytes.
        canonical_id: tagged digest of the signed region: the identity of this evidence, 32 bytes.
        collateral_expires_at: Unix time, in seconds, when the first part of the collateral expires.
        facts: more that the evidence states, in words for people: product, versions, policy bits.
        devices: GPUs and switches, verified and bound to this CVM.
        gpu_digest: digest of their evidence as `report_data` binds it, or 32 zero bytes where there are none.
        gpu_root_set: id of the trust anchor that their chains ended in, or None.
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
    facts: Mapping[str, str] = field(default_factory=dict, hash=False)
    devices: tuple[VerifiedDevice, ...] = ()
    gpu_digest: bytes = ZERO32
    gpu_root_set: str | None = None

    @property
    def trust_class(self) -> str:
        """Return the root set id, marked SIMULATED where it is: the words to show to people."""
        return f"SIMULATED ({self.root_set})" if self.simulated else self.root_set

    @property
    def devices_digest(self) -> bytes:
        """Return the name of the devices under their root, 32 bytes; zero without any.

        It is the same in every piece of evidence of one CVM, where `gpu_digest` differs with each challenge:
        certificates carry this one, since certifiers have to agree in it.
        """
        if not self.devices:
            return ZERO32
        named = sorted(tagged("gpu-device/v1", one.kind.encode(), one.device_id) for one in self.devices)
        return tagged("gpu-devices/v1", str(self.gpu_root_set).encode(), *named)

    @property
    def device_words(self) -> str:
        """Return how many GPUs and switches were verified, and under which root, or "no GPU"."""
        if not self.devices:
            return "no GPU"
        count = Counter(device.kind for device in self.devices)
        parts = [f"{count[kind]} x {kind}" for kind in sorted(count)]
        root = str(self.gpu_root_set)
        return f"{', '.join(parts)} under {f'SIMULATED ({root})' if root.startswith(DEV_PREFIX) else root}"


class Attester(Protocol):
    """Inside the TEE: makes evidence over 64 bytes of the runtime's choice."""

    tee: TeeKind

    def evidence(self, report_data: bytes) -> Evidence:
        """Return evidence over `report_data` (64 bytes, from `wire.report_data` only)."""
        ...


class DeviceAttester(Protocol):
    """Inside the TEE: makes evidence of every GPU and switch that the CVM has."""

    def evidence(self, nonce: bytes) -> bytes:
        """Return bytes of `nvidia.evidence.GpuEvidence`, every device asked with `nonce` (32 bytes).

        The nonce comes from `wire.report_data.gpu_nonce` only, and the digest of the answer goes into the
        `report_data` of the quote that is asked for next.
        """
        ...


class Verifier(Protocol):
    """One TEE vendor's rules, steps (0) to (8) of section 4.3. Pure: no clock, network, file or environment.

    Step (9), devices, is `appraise`'s: a verifier leaves `Evidence.gpu` alone.
    """

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
