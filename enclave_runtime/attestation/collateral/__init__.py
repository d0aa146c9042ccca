"""The vendors' signed statements about their platforms, from outside (docs/protocol.md section 4.2).

It is data: each object is believed for its signature, inside its dates, and never for where it came from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, overload

from enclave_runtime.attestation.collateral.amd import AmdCollateral
from enclave_runtime.attestation.collateral.cca import CcaCollateral, CcaPlatformKey
from enclave_runtime.attestation.collateral.intel import IntelCollateral
from enclave_runtime.attestation.collateral.nvidia import NvidiaCollateral
from enclave_runtime.attestation.collateral.reading import load
from enclave_runtime.attestation.errors import AttestationError, Cause, Step
from enclave_runtime.wire import canonical
from enclave_runtime.wire.errors import WireError

__all__ = [
    "COLLATERAL_TYPE",
    "MAX_COLLATERAL_BYTES",
    "AmdCollateral",
    "CcaCollateral",
    "CcaPlatformKey",
    "Collateral",
    "IntelCollateral",
    "NvidiaCollateral",
]

COLLATERAL_TYPE = "cloister/collateral/v1"
MAX_COLLATERAL_BYTES = 1 << 22
"""Of one file or answer; each vendor's part has a limit of its own within it."""

_READERS: dict[str, Callable[..., object]] = {
    "intel": IntelCollateral.from_json,
    "amd": AmdCollateral.from_json,
    "nvidia": NvidiaCollateral.from_json,
    "cca": CcaCollateral.from_json,
}
_WORDS = {"intel": "Intel", "amd": "AMD", "nvidia": "NVIDIA", "cca": "Arm CCA"}


@dataclass(frozen=True, slots=True)
class Collateral:
    """What is at hand of each vendor; a verifier takes its own part and refuses where that is missing."""

    intel: IntelCollateral | None = None
    amd: AmdCollateral | None = None
    nvidia: NvidiaCollateral | None = None
    cca: CcaCollateral | None = None

    @overload
    def need(self, vendor: Literal["intel"]) -> IntelCollateral: ...
    @overload
    def need(self, vendor: Literal["amd"]) -> AmdCollateral: ...
    @overload
    def need(self, vendor: Literal["nvidia"]) -> NvidiaCollateral: ...
    @overload
    def need(self, vendor: Literal["cca"]) -> CcaCollateral: ...

    def need(self, vendor: Literal["intel", "amd", "nvidia", "cca"]) -> object:
        """Return the vendor's part.

        Raises:
            AttestationError: step (1), there is none.
        """
        part = getattr(self, vendor)
        if part is None:
            words = _WORDS[vendor]
            got, expected = f"no {words} collateral", f"{words}'s signed statements"
            raise AttestationError(Step.CHAIN, got, expected, Cause.COLLATERAL_NONE)
        return part

    def __or__(self, other: Collateral) -> Collateral:
        """Return both together: each part of `other` where it has one, or else of this."""
        return Collateral(
            self.intel if other.intel is None else other.intel,
            self.amd if other.amd is None else other.amd,
            self.nvidia if other.nvidia is None else other.nvidia,
            self.cca if other.cca is None else other.cca,
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Collateral:
        """Return the collateral in `data`: ours (see `to_bytes`) or Intel's own, JSON in any layout.

        Raises:
            WireError: oversize, not a JSON object, a duplicate, missing, unknown or mistyped member.
        """
        value = load(data, MAX_COLLATERAL_BYTES)
        kind = value.pop("type", None)
        if kind is None:
            return cls(intel=IntelCollateral.from_json(value))
        if kind != COLLATERAL_TYPE:
            raise WireError(f"collateral: got type {str(kind)[:40]!r}, expected {COLLATERAL_TYPE!r}")
        unknown = sorted(value.keys() - _READERS.keys())
        if unknown:
            raise WireError(f"collateral: got members {unknown[:8]}, expected some of {sorted(_READERS)}")
        return cls(**{name: _READERS[name](part) for name, part in value.items()})  # type: ignore[arg-type]

    def to_bytes(self) -> bytes:
        """Return canonical JSON: type, and each part that there is, binary members in hex."""
        parts = {name: getattr(self, name) for name in _READERS}
        present = {name: part.to_json() for name, part in parts.items() if part is not None}
        return canonical.dump({"type": COLLATERAL_TYPE, **present})
