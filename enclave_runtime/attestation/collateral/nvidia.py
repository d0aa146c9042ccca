"""NVIDIA's signed statements: reference measurements (RIMs) and certificate status (OCSP)."""

from __future__ import annotations

from dataclasses import dataclass

from enclave_runtime.attestation.collateral.reading import binaries, members
from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.errors import WireError

__all__ = ["MAX_NVIDIA_BYTES", "MAX_OCSP", "MAX_RIMS", "NvidiaCollateral"]

MAX_NVIDIA_BYTES = 1 << 20
"""All parts together: a real RIM is 20 to 25 kB, an OCSP response under 1 kB."""
MAX_RIMS = 16
"""Eight GPUs of one machine share a driver RIM and seldom differ in VBIOS; switches have their own."""
MAX_OCSP = 64

_NAMES = frozenset({"rims", "ocsp"})


@dataclass(frozen=True, slots=True)
class NvidiaCollateral:
    """Reference measurements of drivers and firmware, and what OCSP says about certificates.

    Attributes:
        rims: signed SWID tags (XML), of driver and VBIOS, in any order.
        ocsp: OCSP responses, DER, in any order.
    Raises:
        WireError: too many parts, an empty one, or more than `MAX_NVIDIA_BYTES`.
    """

    rims: tuple[bytes, ...]
    ocsp: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        for name, parts, limit in (("RIMs", self.rims, MAX_RIMS), ("OCSP responses", self.ocsp, MAX_OCSP)):
            if len(parts) > limit or not all(parts):
                raise WireError(
                    f"collateral: got {len(parts)} {name}, expected at most {limit}, none of them empty"
                )
        size = sum(map(len, self.rims + self.ocsp))
        if size > MAX_NVIDIA_BYTES:
            raise WireError(f"collateral: got {size} bytes of NVIDIA's, expected at most {MAX_NVIDIA_BYTES}")

    @classmethod
    def from_json(cls, value: object) -> NvidiaCollateral:
        """Return the collateral in an object.

        Raises:
            WireError: missing, unknown, mistyped or oversize members.
        """
        found = members(value, _NAMES)
        return cls(binaries(found, "rims"), binaries(found, "ocsp"))

    def to_json(self) -> JsonObject:
        """Return an object with lists of hex strings."""
        return {"rims": [item.hex() for item in self.rims], "ocsp": [item.hex() for item in self.ocsp]}
