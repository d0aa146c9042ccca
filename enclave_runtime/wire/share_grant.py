"""Share grants: one broker's share of a content key, sealed to one CVM (docs/protocol.md section 5.4).

A kind of its own: no member, tag or `info` of it passes for a whole grant, nor the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass

from coincurve import PrivateKey

from enclave_runtime.wire.canonical import dump, parse_object
from enclave_runtime.wire.codec import bytes_from_hex, from_json, hex_of, to_json
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.grant import MAX_GRANT_BYTES, GrantConditions
from enclave_runtime.wire.hashes import sha256, tagged
from enclave_runtime.wire.scalars import U8, Bytes32
from enclave_runtime.wire.signatures import recover_signer, secp256k1_sign

__all__ = ["ShareConditions", "ShareGrant", "sign_share_grant"]


@dataclass(frozen=True, slots=True)
class ShareConditions:
    """What a share is released for. Its canonical bytes are the HPKE `info`.

    Attributes:
        grant: the conditions of any grant.
        threshold: digest of the split that the share is of: shares of two splits never meet.
        share: number of the share, from 1.
    """

    grant: GrantConditions
    threshold: Bytes32
    share: U8

    def to_bytes(self) -> bytes:
        """Return the canonical condition bytes."""
        return dump(to_json(self))


@dataclass(frozen=True, slots=True)
class ShareGrant:
    """Conditions, the HPKE-sealed share, and the signature of the broker that holds it over both."""

    conditions: ShareConditions
    sealed_share: bytes
    signature: bytes

    def grant_key(self) -> bytes:
        """Return the address that signed, 20 bytes.

        Raises:
            WireError: malformed signature.
        """
        return recover_signer(_digest(self.conditions, self.sealed_share), self.signature)

    def to_bytes(self) -> bytes:
        """Return the share grant as canonical JSON."""
        return dump(
            {
                "conditions": to_json(self.conditions),
                "sealed_share": hex_of(self.sealed_share),
                "signature": hex_of(self.signature),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> ShareGrant:
        """Return the share grant in `data`.

        Raises:
            WireError: oversize or malformed.
        """
        value = parse_object(data, limit=MAX_GRANT_BYTES)
        if set(value) != {"conditions", "sealed_share", "signature"}:
            raise WireError("share grant: got other members than a share grant has")
        return cls(
            from_json(ShareConditions, value["conditions"]),
            bytes_from_hex(value["sealed_share"]),
            bytes_from_hex(value["signature"]),
        )


def sign_share_grant(conditions: ShareConditions, sealed_share: bytes, grant_key: PrivateKey) -> ShareGrant:
    """Return a share grant under one broker's grant key."""
    signature = secp256k1_sign(grant_key, _digest(conditions, sealed_share))
    return ShareGrant(conditions, sealed_share, signature)


def _digest(conditions: ShareConditions, sealed_share: bytes) -> bytes:
    return tagged("share-grant/v1", conditions.to_bytes(), sha256(sealed_share))
