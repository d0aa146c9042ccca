"""Intel's signed statements about its platforms (docs/protocol.md section 4.2).

The JSON shape is the one that Intel's tools and caches exchange (`QuoteCollateralV3`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from enclave_runtime.attestation.collateral.reading import binary, load, members, text
from enclave_runtime.wire import canonical
from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.errors import WireError

__all__ = ["MAX_INTEL_BYTES", "IntelCollateral"]

MAX_INTEL_BYTES = 1 << 18
"""Real collateral is 14 to 25 kB; the largest certificate revocation list seen was 7 kB."""

_HEX_FIELDS = frozenset({"root_ca_crl", "pck_crl", "tcb_info_signature", "qe_identity_signature"})


@dataclass(frozen=True, slots=True)
class IntelCollateral:
    """Issuer chains in PEM, revocation lists in DER, TCB info and QE identity as signed (JSON text).

    A certificate chain of the quote itself that some caches add is left out on purpose: the chain
    inside the quote is the one that gets verified.

    Raises:
        WireError: more than `MAX_INTEL_BYTES` in all.
    """

    pck_crl_issuer_chain: str
    root_ca_crl: bytes
    pck_crl: bytes
    tcb_info_issuer_chain: str
    tcb_info: str
    tcb_info_signature: bytes
    qe_identity_issuer_chain: str
    qe_identity: str
    qe_identity_signature: bytes

    def __post_init__(self) -> None:
        size = sum(len(getattr(self, name)) for name in _NAMES)
        if size > MAX_INTEL_BYTES:
            raise WireError(f"collateral: got {size} bytes of Intel's, expected at most {MAX_INTEL_BYTES}")

    @classmethod
    def from_bytes(cls, data: bytes) -> IntelCollateral:
        """Return the collateral in `data`, JSON in any layout.

        Raises:
            WireError: oversize, not a JSON object, a duplicate, missing or mistyped field.
        """
        return cls.from_json(load(data, MAX_INTEL_BYTES))

    @classmethod
    def from_json(cls, value: object) -> IntelCollateral:
        """Return the collateral in an object; members that it does not know are ignored, as Intel adds some.

        Raises:
            WireError: no object, or a missing or mistyped member.
        """
        found = members(value)
        read: dict[str, Any] = {
            name: binary(found, name) if name in _HEX_FIELDS else text(found, name) for name in _NAMES
        }
        return cls(**read)

    def to_json(self) -> JsonObject:
        """Return an object of the same shape, binary members in hex."""
        return {name: _text(getattr(self, name)) for name in _NAMES}

    def to_bytes(self) -> bytes:
        """Return `to_json` as canonical JSON: what Intel's tools take."""
        return canonical.dump(self.to_json())


_NAMES = tuple(field.name for field in fields(IntelCollateral))


def _text(value: str | bytes) -> str:
    return value.hex() if isinstance(value, bytes) else value
