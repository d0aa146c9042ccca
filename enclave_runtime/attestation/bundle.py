"""The evidence bundle: all that a stranger needs to judge a CVM (docs/protocol.md section 4.2)."""

from __future__ import annotations

from dataclasses import dataclass

from enclave_runtime.attestation.model import Evidence, TeeKind
from enclave_runtime.wire import canonical
from enclave_runtime.wire.codec import bytes_from_hex, hex_of
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.identity import CvmPublic
from enclave_runtime.wire.report_data import Purpose

__all__ = ["BUNDLE_TYPE", "MAX_BUNDLE_BYTES", "EvidenceBundle"]

BUNDLE_TYPE = "cloister/evidence/v1"
MAX_BUNDLE_BYTES = 1 << 20
"""Evidence of eight GPUs and four switches, in hex within hex, is about half of it."""

_FIELDS = frozenset({"type", "tee", "quote", "event_log", "gpu", "keys", "operator", "purpose", "challenge"})


@dataclass(frozen=True, slots=True)
class EvidenceBundle:
    """Evidence and what it claims to be about; unverified until `appraise` says otherwise.

    Attributes:
        evidence: quote, event log, GPU evidence.
        keys: public keys of the CVM.
        operator: address of the operator that the quote was made for, 20 bytes.
        purpose: what the quote was made for.
        challenge: the verifier's value that it answers, 32 bytes.
    """

    evidence: Evidence
    keys: CvmPublic
    operator: bytes
    purpose: Purpose
    challenge: bytes

    def __post_init__(self) -> None:
        for name, size in (("operator", 20), ("challenge", 32)):
            if len(getattr(self, name)) != size:
                raise WireError(f"evidence: got {len(getattr(self, name))} bytes of {name}, expected {size}")

    def to_bytes(self) -> bytes:
        """Return canonical JSON: lower-case 0x-hex, absent parts null, keys as `CvmPublic` writes them."""
        return canonical.dump(
            {
                "type": BUNDLE_TYPE,
                "tee": self.evidence.tee.value,
                "quote": hex_of(self.evidence.quote),
                "event_log": _maybe_hex(self.evidence.event_log),
                "gpu": _maybe_hex(self.evidence.gpu),
                "keys": self.keys.to_json(),
                "operator": hex_of(self.operator),
                "purpose": self.purpose.value,
                "challenge": hex_of(self.challenge),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> EvidenceBundle:
        """Return the bundle in `data`.

        Raises:
            WireError: oversize, non-canonical, another type or version, unknown or missing fields.
        """
        value = canonical.parse_object(data, limit=MAX_BUNDLE_BYTES)
        if value.keys() != _FIELDS:
            raise WireError(f"evidence: got fields {sorted(value)}, expected {sorted(_FIELDS)}")
        if value["type"] != BUNDLE_TYPE:
            raise WireError(f"evidence: got type {str(value['type'])[:40]!r}, expected {BUNDLE_TYPE!r}")
        try:
            tee, purpose = TeeKind(str(value["tee"])), Purpose(str(value["purpose"]))
        except ValueError as error:
            raise WireError(f"evidence: {error}") from error
        return cls(
            evidence=Evidence(
                tee,
                bytes_from_hex(value["quote"]),
                _maybe_bytes(value["event_log"]),
                _maybe_bytes(value["gpu"]),
            ),
            keys=CvmPublic.from_json(value["keys"]),
            operator=bytes_from_hex(value["operator"]),
            purpose=purpose,
            challenge=bytes_from_hex(value["challenge"]),
        )


def _maybe_hex(value: bytes | None) -> str | None:
    return None if value is None else hex_of(value)


def _maybe_bytes(value: canonical.Json) -> bytes | None:
    return None if value is None else bytes_from_hex(value)
