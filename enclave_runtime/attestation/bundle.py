"""The evidence bundle: all that a stranger needs to judge a CVM (docs/protocol.md section 4.2)."""

from __future__ import annotations

from dataclasses import dataclass

from enclave_runtime.attestation.model import Evidence, TeeKind
from enclave_runtime.wire import canonical, report_data
from enclave_runtime.wire.cvm import CvmKeys, cvm_id
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import sha256
from enclave_runtime.wire.report_data import Purpose

__all__ = ["BUNDLE_TYPE", "MAX_BUNDLE_BYTES", "MAX_KEY_BYTES", "CvmPublicKeys", "EvidenceBundle"]

BUNDLE_TYPE = "cloister/evidence/v1"
MAX_BUNDLE_BYTES = 1 << 20
MAX_KEY_BYTES = 1 << 12
"""The largest public key is the ML-KEM-768 + X25519 one, 1216 bytes."""

_KEY_FIELDS = frozenset({"signer", "hpke", "statement", "tls"})
_FIELDS = frozenset({"type", "tee", "quote", "event_log", "gpu", "keys", "operator", "purpose", "challenge"})


@dataclass(frozen=True, slots=True)
class CvmPublicKeys:
    """The public halves of the keys born in a CVM, in full; `digests` are what ids and quotes bind.

    Attributes:
        signer: address of the secp256k1 key, 20 bytes.
        hpke: raw public key that grants are sealed to.
        statement: SubjectPublicKeyInfo (DER) of the P-256 key that signs statements.
        tls: SubjectPublicKeyInfo (DER) of the P-256 key of the CVM's TLS endpoint.
    Raises:
        WireError: a key of a wrong length.
    """

    signer: bytes
    hpke: bytes
    statement: bytes
    tls: bytes

    def __post_init__(self) -> None:
        if len(self.signer) != 20:
            raise WireError(f"cvm keys: got {len(self.signer)} bytes of signer, expected 20")
        for name in ("hpke", "statement", "tls"):
            size = len(getattr(self, name))
            if not 0 < size <= MAX_KEY_BYTES:
                raise WireError(f"cvm keys: got {size} bytes of {name}, expected 1 to {MAX_KEY_BYTES}")

    def digests(self) -> CvmKeys:
        """Return the signer's address and the SHA-256 of each other key."""
        return CvmKeys(self.signer, sha256(self.hpke), sha256(self.statement), sha256(self.tls))

    def cvm_id(self) -> bytes:
        """Return the id of the CVM that has these keys, 32 bytes."""
        return cvm_id(self.digests())

    def report_data(self, purpose: Purpose, *, operator: bytes, challenge: bytes) -> bytes:
        """Return the 64 bytes that a quote for these keys, this operator, purpose and challenge carries.

        A verifier passes its own operator, purpose and challenge, never the bundle's word for them.
        """
        return report_data.bind(
            purpose, signer=self.signer, cvm_id=self.cvm_id(), operator=operator, challenge=challenge
        )


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
    keys: CvmPublicKeys
    operator: bytes
    purpose: Purpose
    challenge: bytes

    def __post_init__(self) -> None:
        for name, size in (("operator", 20), ("challenge", 32)):
            if len(getattr(self, name)) != size:
                raise WireError(f"evidence: got {len(getattr(self, name))} bytes of {name}, expected {size}")

    def to_bytes(self) -> bytes:
        """Return the canonical JSON of the bundle, binary fields in hex."""
        keys = {name: getattr(self.keys, name).hex() for name in _KEY_FIELDS}
        return canonical.dump(
            {
                "type": BUNDLE_TYPE,
                "tee": self.evidence.tee.value,
                "quote": self.evidence.quote.hex(),
                "event_log": _maybe_hex(self.evidence.event_log),
                "gpu": _maybe_hex(self.evidence.gpu),
                "keys": keys,
                "operator": self.operator.hex(),
                "purpose": self.purpose.value,
                "challenge": self.challenge.hex(),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> EvidenceBundle:
        """Return the bundle in `data`.

        Raises:
            WireError: oversize, non-canonical, another type or version, unknown or missing fields.
        """
        value = canonical.parse_object(data, limit=MAX_BUNDLE_BYTES)
        _expect_fields("evidence", value, _FIELDS)
        if value["type"] != BUNDLE_TYPE:
            raise WireError(f"evidence: got type {str(value['type'])[:40]!r}, expected {BUNDLE_TYPE!r}")
        keys = value["keys"]
        if not isinstance(keys, dict):
            raise WireError("evidence: got keys that are no object")
        _expect_fields("cvm keys", keys, _KEY_FIELDS)
        try:
            tee, purpose = TeeKind(str(value["tee"])), Purpose(str(value["purpose"]))
        except ValueError as error:
            raise WireError(f"evidence: {error}") from error
        return cls(
            evidence=Evidence(
                tee,
                _hex("quote", value["quote"]),
                _maybe_bytes("event_log", value["event_log"]),
                _maybe_bytes("gpu", value["gpu"]),
            ),
            keys=CvmPublicKeys(**{name: _hex(name, keys[name]) for name in _KEY_FIELDS}),
            operator=_hex("operator", value["operator"]),
            purpose=purpose,
            challenge=_hex("challenge", value["challenge"]),
        )


def _expect_fields(what: str, value: canonical.JsonObject, names: frozenset[str]) -> None:
    if value.keys() != names:
        raise WireError(f"{what}: got fields {sorted(value)}, expected {sorted(names)}")


def _maybe_hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


def _maybe_bytes(name: str, value: canonical.Json) -> bytes | None:
    return None if value is None else _hex(name, value)


def _hex(name: str, value: canonical.Json) -> bytes:
    """Return the bytes of a lower-case hex string: one spelling per value."""
    if isinstance(value, str):
        try:
            data = bytes.fromhex(value)
        except ValueError:
            data = b""
        if data.hex() == value:
            return data
    raise WireError(f"evidence: got something else than lower-case hex for {name}")
