"""A CVM's public keys in full, the digests that name it, the bytes that bind it (docs/protocol.md 2, 4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from enclave_runtime.wire import report_data
from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.codec import bytes_from_hex, hex_of
from enclave_runtime.wire.cvm import CvmKeys, cvm_id
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import sha256
from enclave_runtime.wire.report_data import Purpose
from enclave_runtime.wire.signatures import p256_public

__all__ = ["HPKE_PUBLIC_BYTES", "CvmPublic"]

HPKE_PUBLIC_BYTES: Final = 1216
"""An ML-KEM-768 encapsulation key (1184) and an X25519 public key (32), one after the other."""

_MEMBERS: Final = {"signer", "hpke", "statement_spki", "tls_spki"}


@dataclass(frozen=True, slots=True)
class CvmPublic:
    """The public halves of the four keys born in a CVM.

    Attributes:
        signer: Ethereum address of the secp256k1 key, 20 bytes.
        hpke: raw hybrid public key that grants are sealed to, 1216 bytes.
        statement_spki: DER SubjectPublicKeyInfo of the P-256 key that signs statements and key requests.
        tls_spki: DER SubjectPublicKeyInfo of the P-256 key of the CVM's endpoint.
    """

    signer: bytes
    hpke: bytes
    statement_spki: bytes
    tls_spki: bytes

    def __post_init__(self) -> None:
        """Refuse keys that are none.

        Raises:
            WireError: a length or an encoding that no such key has.
        """
        for name, size in (("signer", 20), ("hpke", HPKE_PUBLIC_BYTES)):
            if len(getattr(self, name)) != size:
                raise WireError(f"CVM keys: got {len(getattr(self, name))} bytes of {name}, expected {size}")
        p256_public(self.statement_spki)
        p256_public(self.tls_spki)

    @property
    def digests(self) -> CvmKeys:
        """Return the digests that certificates carry and quotes bind: plain SHA-256 of each public key."""
        return CvmKeys(self.signer, sha256(self.hpke), sha256(self.statement_spki), sha256(self.tls_spki))

    @property
    def cvm_id(self) -> bytes:
        """Return the CVM id, 32 bytes."""
        return cvm_id(self.digests)

    def report_data(
        self, purpose: Purpose, *, operator: bytes, challenge: bytes, gpu: bytes | None = None
    ) -> bytes:
        """Return the 64 bytes that a quote for these keys, this operator, purpose and challenge carries.

        A verifier passes its own operator, purpose and challenge, never the bundle's word for them; `gpu` is
        the GPU evidence that came with the quote, whole, or None.
        """
        return report_data.bind(
            purpose,
            signer=self.signer,
            cvm_id=self.cvm_id,
            operator=operator,
            challenge=challenge,
            gpu_digest=report_data.gpu_digest(gpu),
        )

    def to_json(self) -> JsonObject:
        """Return the keys as a JSON object of 0x-hex."""
        return {
            "signer": hex_of(self.signer),
            "hpke": hex_of(self.hpke),
            "statement_spki": hex_of(self.statement_spki),
            "tls_spki": hex_of(self.tls_spki),
        }

    @classmethod
    def from_json(cls, value: object) -> CvmPublic:
        """Return the keys that `value` describes.

        Raises:
            WireError: missing or unknown members, or malformed keys.
        """
        if not isinstance(value, dict) or set(value) != _MEMBERS:
            raise WireError(f"CVM keys: got something else than the members {sorted(_MEMBERS)}")
        return cls(**{name: bytes_from_hex(value[name]) for name in _MEMBERS})
