"""AMD's signed statements about one SEV-SNP platform, as its key service (KDS) hands them out."""

from __future__ import annotations

from dataclasses import dataclass

from enclave_runtime.attestation.collateral.reading import binary, members, text
from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.errors import WireError

__all__ = ["MAX_AMD_BYTES", "PRODUCTS", "AmdCollateral"]

MAX_AMD_BYTES = 1 << 16
"""All parts together: real certificates are 1.3 to 1.7 kB each, a revocation list 0.9 kB."""

PRODUCTS = ("Milan", "Genoa", "Turin")
"""Product lines, by the names in the KDS' addresses."""

_NAMES = frozenset({"product", "vek", "ask", "ark", "crl"})


@dataclass(frozen=True, slots=True)
class AmdCollateral:
    """The chain of one versioned chip endorsement key, and its issuer's revocation list.

    Attributes:
        product: product line, one of `PRODUCTS`: which root the chain claims to end in.
        vek: certificate of the VCEK or VLEK that signs the report, DER.
        ask: certificate of the ASK (issuer of VCEKs) or ASVK (of VLEKs), DER.
        ark: self-signed certificate of AMD's root for the product line, DER.
        crl: the ARK's revocation list, DER.
    Raises:
        WireError: an unknown product line, an empty part, or parts over `MAX_AMD_BYTES`.
    """

    product: str
    vek: bytes
    ask: bytes
    ark: bytes
    crl: bytes

    def __post_init__(self) -> None:
        if self.product not in PRODUCTS:
            raise WireError(f"collateral: got product {self.product[:40]!r}, expected one of {PRODUCTS}")
        parts = (self.vek, self.ask, self.ark, self.crl)
        if not all(parts) or sum(map(len, parts)) > MAX_AMD_BYTES:
            raise WireError(
                f"collateral: got AMD parts of {[len(part) for part in parts]} bytes,"
                f" expected 1 to {MAX_AMD_BYTES} in all"
            )

    @classmethod
    def from_json(cls, value: object) -> AmdCollateral:
        """Return the collateral in an object.

        Raises:
            WireError: missing, unknown, mistyped or oversize members.
        """
        found = members(value, _NAMES)
        return cls(text(found, "product"), *(binary(found, name) for name in ("vek", "ask", "ark", "crl")))

    def to_json(self) -> JsonObject:
        """Return an object with certificates and list in hex."""
        return {
            "product": self.product,
            "vek": self.vek.hex(),
            "ask": self.ask.hex(),
            "ark": self.ark.hex(),
            "crl": self.crl.hex(),
        }
