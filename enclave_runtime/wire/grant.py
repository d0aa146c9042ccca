"""Key requests and grants: what a loader asks of an owner's broker, and what it gets (section 5.1)."""

from __future__ import annotations

from dataclasses import dataclass

from coincurve import PrivateKey
from cryptography.hazmat.primitives.asymmetric import ec

from enclave_runtime.wire.canonical import JsonObject, dump, parse_object
from enclave_runtime.wire.codec import bytes_from_hex, from_json, hex_of, to_json
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import sha256, tagged
from enclave_runtime.wire.scalars import U8, U32, Bytes32
from enclave_runtime.wire.signatures import (
    p256_sign,
    p256_verify,
    recover_signer,
    secp256k1_sign,
    spki,
)

__all__ = [
    "MAX_GRANT_BYTES",
    "MAX_REQUEST_BYTES",
    "Grant",
    "GrantConditions",
    "KeyRequest",
    "SignedKeyRequest",
    "sign_grant",
    "sign_request",
]

MAX_REQUEST_BYTES = 16 << 10
MAX_GRANT_BYTES = 16 << 10


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """One question to one broker about one input of one order.

    `challenge` is the broker's; `orders_before` counts the orders that this CVM admitted earlier.
    """

    order_id: Bytes32
    cvm_id: Bytes32
    input_index: U8
    manifest_digest: Bytes32
    engine_digest: Bytes32
    config_digest: Bytes32
    result_key_digest: Bytes32
    challenge: Bytes32
    orders_before: U32


@dataclass(frozen=True, slots=True)
class SignedKeyRequest:
    """A key request under the CVM's statement key, with the start signature that anyone may submit again."""

    request: KeyRequest
    statement_spki: bytes
    signature: bytes
    start_signature: bytes

    @property
    def digest(self) -> bytes:
        """Tagged digest of the request's canonical bytes: what a grant answers."""
        return tagged("key-request/v1", dump(to_json(self.request)))

    def verify(self) -> bool:
        """Return whether the statement key signed this request."""
        return p256_verify(self.statement_spki, self.digest, self.signature)

    def to_json(self) -> JsonObject:
        """Return the request as a JSON object."""
        return {
            "request": to_json(self.request),
            "statement_spki": hex_of(self.statement_spki),
            "signature": hex_of(self.signature),
            "start_signature": hex_of(self.start_signature),
        }

    @classmethod
    def from_json(cls, value: object) -> SignedKeyRequest:
        """Return the request that `value` describes.

        Raises:
            WireError: missing or unknown members, or malformed ones.
        """
        if not isinstance(value, dict) or set(value) != {
            "request",
            "statement_spki",
            "signature",
            "start_signature",
        }:
            raise WireError("key request: got other members than a signed key request has")
        return cls(
            from_json(KeyRequest, value["request"]),
            bytes_from_hex(value["statement_spki"]),
            bytes_from_hex(value["signature"]),
            bytes_from_hex(value["start_signature"]),
        )


@dataclass(frozen=True, slots=True)
class GrantConditions:
    """What a grant is for. Its canonical bytes are the HPKE `info`: change one, and the key does not open.

    `ttl_s` runs from the moment of the request, on the loader's monotonic clock.
    """

    order_id: Bytes32
    cvm_id: Bytes32
    input_index: U8
    manifest_digest: Bytes32
    engine_digest: Bytes32
    config_digest: Bytes32
    result_key_digest: Bytes32
    request_digest: Bytes32
    ttl_s: U32

    def to_bytes(self) -> bytes:
        """Return the canonical condition bytes."""
        return dump(to_json(self))


@dataclass(frozen=True, slots=True)
class Grant:
    """Conditions, the HPKE-sealed content key and salt, and the owner's signature over both."""

    conditions: GrantConditions
    sealed_key: bytes
    signature: bytes

    def grant_key(self) -> bytes:
        """Return the address that signed this grant, 20 bytes.

        Raises:
            WireError: malformed signature.
        """
        return recover_signer(_grant_digest(self.conditions, self.sealed_key), self.signature)

    def to_bytes(self) -> bytes:
        """Return the grant as canonical JSON."""
        return dump(
            {
                "conditions": to_json(self.conditions),
                "sealed_key": hex_of(self.sealed_key),
                "signature": hex_of(self.signature),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Grant:
        """Return the grant in `data`.

        Raises:
            WireError: oversize or malformed.
        """
        value = parse_object(data, limit=MAX_GRANT_BYTES)
        if set(value) != {"conditions", "sealed_key", "signature"}:
            raise WireError("grant: got other members than a grant has")
        return cls(
            from_json(GrantConditions, value["conditions"]),
            bytes_from_hex(value["sealed_key"]),
            bytes_from_hex(value["signature"]),
        )


def sign_request(
    request: KeyRequest, key: ec.EllipticCurvePrivateKey, start_signature: bytes
) -> SignedKeyRequest:
    """Return `request` under the CVM's statement key."""
    unsigned = SignedKeyRequest(request, spki(key.public_key()), b"", start_signature)
    return SignedKeyRequest(
        request, unsigned.statement_spki, p256_sign(key, unsigned.digest), start_signature
    )


def sign_grant(conditions: GrantConditions, sealed_key: bytes, grant_key: PrivateKey) -> Grant:
    """Return a grant under the owner's grant key: a receipt of consent that nobody can swap."""
    return Grant(conditions, sealed_key, secp256k1_sign(grant_key, _grant_digest(conditions, sealed_key)))


def _grant_digest(conditions: GrantConditions, sealed_key: bytes) -> bytes:
    return tagged("grant/v1", conditions.to_bytes(), sha256(sealed_key))
