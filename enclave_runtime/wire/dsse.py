"""DSSE envelopes around in-toto Statements, signed with P-256 (section 8).

Sources: DSSE protocol v1.0 (PAE and envelope), in-toto Statement v1.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from enclave_runtime.wire.canonical import JsonObject, dump, parse_object
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import sha256
from enclave_runtime.wire.signatures import p256_sign, p256_verify, spki

__all__ = ["MAX_ENVELOPE_BYTES", "PAYLOAD_TYPE", "Envelope", "pae", "sign_statement"]

PAYLOAD_TYPE = "application/vnd.in-toto+json"
MAX_ENVELOPE_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class Envelope:
    """A statement's exact bytes and one signature; parsing does not verify."""

    payload: bytes
    key_id: str
    signature: bytes

    @property
    def digest(self) -> bytes:
        """SHA-256 of the payload: the `statementDigest` of a summary."""
        return sha256(self.payload)

    def statement(self) -> JsonObject:
        """Return the payload as canonical JSON."""
        return parse_object(self.payload)

    def verify(self, public_spki: bytes) -> bool:
        """Return whether the signature verifies under the DER SubjectPublicKeyInfo of the statement key."""
        return self.key_id == sha256(public_spki).hex() and p256_verify(
            public_spki, pae(self.payload), self.signature
        )

    def to_bytes(self) -> bytes:
        """Return the envelope as canonical JSON."""
        signatures = [{"keyid": self.key_id, "sig": _b64(self.signature)}]
        return dump({"payload": _b64(self.payload), "payloadType": PAYLOAD_TYPE, "signatures": signatures})

    @classmethod
    def from_bytes(cls, data: bytes) -> Envelope:
        """Return the envelope in `data`.

        Raises:
            WireError: oversize, another payload type, or not exactly one signature.
        """
        value = parse_object(data, limit=MAX_ENVELOPE_BYTES)
        signatures = value.get("signatures")
        if set(value) != {"payload", "payloadType", "signatures"} or value["payloadType"] != PAYLOAD_TYPE:
            raise WireError("DSSE: got another envelope than one in-toto statement")
        if not isinstance(signatures, list) or len(signatures) != 1:
            raise WireError("DSSE: got another number of signatures than one")
        (one,) = signatures
        if not isinstance(one, dict) or set(one) != {"keyid", "sig"} or not isinstance(one["keyid"], str):
            raise WireError("DSSE: got a malformed signature")
        return cls(_unb64(value["payload"]), one["keyid"], _unb64(one["sig"]))


def pae(payload: bytes) -> bytes:
    """Return DSSE's pre-authentication encoding of `payload`."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def sign_statement(statement: JsonObject, key: ec.EllipticCurvePrivateKey) -> Envelope:
    """Return `statement` in canonical bytes with its signature by the CVM's statement key."""
    payload = dump(statement)
    return Envelope(payload, sha256(spki(key.public_key())).hex(), p256_sign(key, pae(payload)))


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unb64(text: object) -> bytes:
    if not isinstance(text, str):
        raise WireError("DSSE: got something else than base64 text")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise WireError("DSSE: got malformed base64") from error
    if _b64(data) != text:
        raise WireError("DSSE: got non-canonical base64")
    return data
