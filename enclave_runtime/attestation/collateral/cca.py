"""Endorsed platform keys (CPAK) of Arm CCA: no public authority signs them, so each is its own anchor.

An endorsement says which key a platform instance has. It is believed where settings pin the key itself:
root set "cca:<SHA-256 of the key's SubjectPublicKeyInfo>".
"""

from __future__ import annotations

from dataclasses import dataclass

from enclave_runtime.attestation.collateral.reading import binary, members
from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.errors import WireError

__all__ = ["INSTANCE_ID_BYTES", "MAX_CPAKS", "MAX_SPKI_BYTES", "CcaCollateral", "CcaPlatformKey"]

INSTANCE_ID_BYTES = 33
MAX_SPKI_BYTES = 1024
MAX_CPAKS = 64

_KEY_NAMES = frozenset({"instance_id", "spki"})
_NAMES = frozenset({"cpaks"})


@dataclass(frozen=True, slots=True)
class CcaPlatformKey:
    """Which key the platform `instance_id` signs with.

    Attributes:
        instance_id: as in the platform token, 33 bytes.
        spki: public key, DER SubjectPublicKeyInfo.
    Raises:
        WireError: parts of another size.
    """

    instance_id: bytes
    spki: bytes

    def __post_init__(self) -> None:
        if len(self.instance_id) != INSTANCE_ID_BYTES or not 0 < len(self.spki) <= MAX_SPKI_BYTES:
            raise WireError(
                f"collateral: got a CPAK of {len(self.instance_id)} and {len(self.spki)} bytes,"
                f" expected {INSTANCE_ID_BYTES} and 1 to {MAX_SPKI_BYTES}"
            )


@dataclass(frozen=True, slots=True)
class CcaCollateral:
    """Keys of CCA platforms.

    Raises:
        WireError: more than `MAX_CPAKS` keys, or two for one instance.
    """

    cpaks: tuple[CcaPlatformKey, ...]

    def __post_init__(self) -> None:
        distinct = {key.instance_id for key in self.cpaks}
        if len(self.cpaks) > MAX_CPAKS or len(distinct) != len(self.cpaks):
            raise WireError(
                f"collateral: got {len(self.cpaks)} CPAKs for {len(distinct)} instances,"
                f" expected one each and at most {MAX_CPAKS}"
            )

    @classmethod
    def from_json(cls, value: object) -> CcaCollateral:
        """Return the collateral in an object.

        Raises:
            WireError: missing, unknown, mistyped or oversize members.
        """
        keys = members(value, _NAMES)["cpaks"]
        if not isinstance(keys, list):
            raise WireError(f"collateral: got {type(keys).__name__} for cpaks, expected a list")
        found = [members(key, _KEY_NAMES) for key in keys]
        return cls(tuple(CcaPlatformKey(binary(key, "instance_id"), binary(key, "spki")) for key in found))

    def to_json(self) -> JsonObject:
        """Return an object with keys in hex."""
        return {
            "cpaks": [{"instance_id": key.instance_id.hex(), "spki": key.spki.hex()} for key in self.cpaks]
        }
