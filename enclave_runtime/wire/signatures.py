"""The two signature schemes of the protocol: secp256k1 for the chain, P-256 for statements.

secp256k1 signatures are 65 bytes, r || s || v with v 27 or 28 and s in the lower half (section 6.1);
P-256 ones are DER, over SHA-256.
"""

from __future__ import annotations

from coincurve import PrivateKey, PublicKey
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import keccak256

__all__ = [
    "address_of",
    "p256_public",
    "p256_sign",
    "p256_verify",
    "recover_signer",
    "secp256k1_sign",
    "spki",
]

_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_MAX_SPKI_BYTES = 256


def address_of(key: PrivateKey) -> bytes:
    """Return the Ethereum address of `key`, 20 bytes."""
    return _address(key.public_key)


def secp256k1_sign(key: PrivateKey, digest: bytes) -> bytes:
    """Return r || s || v over a 32-byte `digest`, deterministic, low-s."""
    compact = key.sign_recoverable(digest, hasher=None)
    return compact[:64] + bytes([27 + compact[64]])


def recover_signer(digest: bytes, signature: bytes) -> bytes:
    """Return the address whose key made `signature` over `digest`.

    Raises:
        WireError: wrong length, v other than 27 or 28, s in the upper half, or no such point.
    """
    if len(signature) != 65 or signature[64] not in (27, 28):
        raise WireError("signature: got another form than 65 bytes r || s || v")
    if not 0 < int.from_bytes(signature[32:64], "big") <= _ORDER // 2:
        raise WireError("signature: got s in the upper half, expected the low twin")
    try:
        public = PublicKey.from_signature_and_message(
            signature[:64] + bytes([signature[64] - 27]), digest, hasher=None
        )
    except Exception as error:
        raise WireError("signature: got bytes that recover no key") from error
    return _address(public)


def p256_sign(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """Return a DER ECDSA signature over SHA-256 of `message`."""
    return key.sign(message, ec.ECDSA(hashes.SHA256()))


def p256_verify(public_spki: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether `signature` over `message` verifies under the DER SubjectPublicKeyInfo.

    Raises:
        WireError: the key is not a P-256 key in DER.
    """
    try:
        p256_public(public_spki).verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def p256_public(public_spki: bytes) -> ec.EllipticCurvePublicKey:
    """Return the P-256 public key in `public_spki`.

    Raises:
        WireError: not DER, not P-256, or not the one encoding.
    """
    if len(public_spki) > _MAX_SPKI_BYTES:
        raise WireError("public key: got too many bytes")
    try:
        key = serialization.load_der_public_key(public_spki)
    except Exception as error:
        raise WireError("public key: got bytes that are no SubjectPublicKeyInfo") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise WireError("public key: got another kind than P-256")
    if spki(key) != public_spki:
        raise WireError("public key: got another encoding than the canonical one")
    return key


def spki(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return the DER SubjectPublicKeyInfo of `key`."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _address(public: PublicKey) -> bytes:
    return keccak256(public.format(compressed=False)[1:])[12:]
