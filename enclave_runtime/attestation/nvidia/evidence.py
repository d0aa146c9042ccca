"""Evidence of the GPUs and NVSwitches of one CVM, as it travels (docs/protocol.md section 4.3, step 9).

Canonical JSON {"type", "devices": [{"kind", "report", "chain"}]}: each device's report as the device sent it
and its certificates, leaf first. This module reads the container only; it believes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from enclave_runtime.wire import canonical
from enclave_runtime.wire.errors import WireError

__all__ = [
    "MAX_CERT_BYTES",
    "MAX_CHAIN",
    "MAX_DEVICES",
    "MAX_EVIDENCE_BYTES",
    "MAX_REPORT_BYTES",
    "TYPE",
    "Device",
    "DeviceKind",
    "GpuEvidence",
]

TYPE = "cloister/gpu-evidence/v1"
MAX_EVIDENCE_BYTES = 1 << 19
MAX_DEVICES = 16
"""Eight GPUs and the NVSwitches between them: four on Hopper boards, two on Blackwell's."""
MAX_REPORT_BYTES = 1 << 14
"""A GPU's report is 4.1 kB, a switch's 2.2 kB."""
MAX_CHAIN = 6
"""Real chains have five certificates of 500 to 900 bytes."""
MAX_CERT_BYTES = 1 << 12


class DeviceKind(StrEnum):
    """Kinds of device by their names in evidence."""

    GPU = "gpu"
    NVSWITCH = "nvswitch"


@dataclass(frozen=True, slots=True)
class Device:
    """What one device answered.

    Attributes:
        kind: what the evidence calls it; its certificate must agree.
        report: SPDM request and response, exactly.
        chain: certificates in DER, leaf first, root last.
    Raises:
        WireError: an empty or oversize part.
    """

    kind: DeviceKind
    report: bytes
    chain: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.report) <= MAX_REPORT_BYTES:
            raise WireError(f"gpu report: got {len(self.report)} bytes, expected 1 to {MAX_REPORT_BYTES}")
        if not 2 <= len(self.chain) <= MAX_CHAIN:
            raise WireError(f"gpu chain: got {len(self.chain)} certificates, expected 2 to {MAX_CHAIN}")
        for der in self.chain:
            if not 0 < len(der) <= MAX_CERT_BYTES:
                raise WireError(f"gpu certificate: got {len(der)} bytes, expected 1 to {MAX_CERT_BYTES}")


@dataclass(frozen=True, slots=True)
class GpuEvidence:
    """Every device of one CVM, in any order.

    Raises:
        WireError: none, or too many.
    """

    devices: tuple[Device, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.devices) <= MAX_DEVICES:
            raise WireError(f"gpu evidence: got {len(self.devices)} devices, expected 1 to {MAX_DEVICES}")

    @classmethod
    def from_bytes(cls, data: bytes) -> GpuEvidence:
        """Return the evidence that `to_bytes` wrote.

        Raises:
            WireError: oversize, not canonical, another type, a missing, surplus or mistyped field.
        """
        value = canonical.parse_object(data, limit=MAX_EVIDENCE_BYTES)
        if value.keys() != {"type", "devices"} or value["type"] != TYPE:
            raise WireError(f"gpu evidence: got another type or other fields, expected {TYPE}")
        devices = value["devices"]
        if not isinstance(devices, list):
            raise WireError("gpu evidence: got something else than a list of devices")
        return cls(tuple(_device(item) for item in devices))

    def to_bytes(self) -> bytes:
        """Return canonical JSON."""
        devices = [
            {"kind": item.kind.value, "report": item.report.hex(), "chain": [der.hex() for der in item.chain]}
            for item in self.devices
        ]
        return canonical.dump({"type": TYPE, "devices": devices})


def _device(item: canonical.Json) -> Device:
    if not isinstance(item, dict) or item.keys() != {"kind", "report", "chain"}:
        raise WireError("gpu evidence: got a device of another shape, expected kind, report and chain")
    kind, chain = item["kind"], item["chain"]
    if kind not in (*DeviceKind,) or not isinstance(chain, list) or len(chain) > MAX_CHAIN:
        raise WireError(f"gpu evidence: got an unknown kind or a chain over {MAX_CHAIN}")
    return Device(DeviceKind(str(kind)), _hex(item["report"]), tuple(map(_hex, chain)))


def _hex(value: canonical.Json) -> bytes:
    text = value if isinstance(value, str) else "?"
    try:
        data = bytes.fromhex(text)
    except ValueError as error:
        raise WireError("gpu evidence: got something else than hex") from error
    if data.hex() != text:
        raise WireError("gpu evidence: got hex in another than lower case without spaces")
    return data
