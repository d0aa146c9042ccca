"""Small secrets sealed to a public key: grants to a CVM, result keys to a client (protocol section 5.1).

HPKE (RFC 9180, base mode) with the hybrid KEM ML-KEM-768 + X25519, HKDF-SHA256 and AES-256-GCM. What is
sealed lies in public storage for decades, so it must hold against a quantum computer and against a flaw in
the young algorithm alike. `info` is bound: change one byte of it, and the secret does not open.

Base mode proves nothing about the sender; a grant's own signature does that.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from enclave_runtime.sealed import labels
from enclave_runtime.sealed.buffers import Entropy
from enclave_runtime.wire.errors import RefusedError, WireError
from enclave_runtime.wire.hashes import sha256

__all__ = [
    "MAX_INFO_BYTES",
    "MAX_SECRET_BYTES",
    "OVERHEAD_BYTES",
    "PRIVATE_BYTES",
    "PUBLIC_BYTES",
    "PrivateKey",
    "check_public_key",
    "generate_keypair",
    "open_with",
    "public_digest",
    "seal_to",
]

_MLKEM_SEED: Final = 64
_MLKEM_PUBLIC: Final = 1184
_X25519: Final = 32
PRIVATE_BYTES: Final = _MLKEM_SEED + _X25519
PUBLIC_BYTES: Final = _MLKEM_PUBLIC + _X25519
OVERHEAD_BYTES: Final = 1120 + 16
"""How much longer a sealed secret is: the KEM's ciphertext in front, the tag behind."""
MAX_SECRET_BYTES: Final = 4 << 10
MAX_INFO_BYTES: Final = 64 << 10
_SUITE: Final = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class PrivateKey:
    """The private half. Prints as its class, never its value."""

    __slots__ = ("_key", "_mlkem", "_x25519", "public_bytes")

    def __init__(self, data: bytes) -> None:
        """Take the 96 raw bytes: ML-KEM-768 seed (64), X25519 scalar (32).

        Raises:
            WireError: another length.
        """
        if len(data) != PRIVATE_BYTES:
            raise WireError(f"HPKE private key: got {len(data)} bytes, expected {PRIVATE_BYTES}")
        self._mlkem = mlkem.MLKEM768PrivateKey.from_seed_bytes(data[:_MLKEM_SEED])
        self._x25519 = x25519.X25519PrivateKey.from_private_bytes(data[_MLKEM_SEED:])
        self._key = MLKEM768X25519PrivateKey(self._mlkem, self._x25519)
        public = self._mlkem.public_key().public_bytes_raw() + self._x25519.public_key().public_bytes_raw()
        self.public_bytes: bytes = public
        """The public half: ML-KEM-768 (1184) and X25519 (32) keys, one after the other."""

    @property
    def public_digest(self) -> bytes:
        """The digest of the public half that keys are named by, 32 bytes."""
        return public_digest(self.public_bytes)

    def to_bytes(self) -> bytes:
        """Return the 96 raw bytes, for a client's own keystore. A CVM never calls this."""
        return self._mlkem.private_bytes_raw() + self._x25519.private_bytes_raw()

    def open(self, sealed: bytes, info: bytes) -> bytes:
        """Return the secret in `sealed`; see `open_with`."""
        _check_info(info)
        if not OVERHEAD_BYTES <= len(sealed) <= OVERHEAD_BYTES + MAX_SECRET_BYTES:
            expected = f"{OVERHEAD_BYTES} to {OVERHEAD_BYTES + MAX_SECRET_BYTES}"
            raise RefusedError(labels.STEP_HPKE, f"{len(sealed)} bytes", expected)
        try:
            return _SUITE.decrypt(sealed, self._key, info)
        except (InvalidTag, ValueError):
            # ValueError: an X25519 point of low order. The cause could say more about the key; it is cut off.
            raise RefusedError(
                labels.STEP_HPKE, "a sealed secret that does not open", "one for this key and info"
            ) from None


def generate_keypair(entropy: Entropy) -> PrivateKey:
    """Return a new key, born from 96 bytes of `entropy`."""
    return PrivateKey(entropy(PRIVATE_BYTES))


def public_digest(public_key: bytes) -> bytes:
    """Return plain SHA-256 of the raw public key: `CvmKeys.hpke`, result key digests.

    Raises:
        WireError: not 1216 bytes.
    """
    _check_public(public_key)
    return sha256(public_key)


def check_public_key(public_key: bytes) -> None:
    """Refuse bytes of the right length to which nothing can be sealed: only sealing to them shows it.

    Raises:
        WireError: coefficients out of range, or an X25519 point of low order.
    """
    seal_to(public_key, b"", b"")


def seal_to(public_key: bytes, secret: bytes, info: bytes) -> bytes:
    """Return `secret` sealed to `public_key` under `info`, `OVERHEAD_BYTES` longer than it.

    Args:
        public_key: 1216 raw bytes, proven by evidence or by the terms of an order.
        secret: at most 4 KiB.
        info: the canonical bytes of what the secret is released for, at most 64 KiB.
    Raises:
        WireError: a key that is none, or lengths outside the limits.
    """
    _check_public(public_key)
    _check_info(info)
    if len(secret) > MAX_SECRET_BYTES:
        raise WireError(f"secret to seal: got {len(secret)} bytes, expected at most {MAX_SECRET_BYTES}")
    try:
        key = MLKEM768X25519PublicKey(
            mlkem.MLKEM768PublicKey.from_public_bytes(public_key[:_MLKEM_PUBLIC]),
            x25519.X25519PublicKey.from_public_bytes(public_key[_MLKEM_PUBLIC:]),
        )
        return _SUITE.encrypt(secret, key, info)
    except ValueError as error:
        raise WireError("HPKE public key: got bytes that are no such key") from error


def open_with(private_key: PrivateKey, sealed: bytes, info: bytes) -> bytes:
    """Return the secret in `sealed`.

    Raises:
        RefusedError: step `sealed.hpke`: another key, another info, altered, or a length outside the limits.
        WireError: `info` is beyond its limit.
    """
    return private_key.open(sealed, info)


def _check_public(public_key: bytes) -> None:
    if len(public_key) != PUBLIC_BYTES:
        raise WireError(f"HPKE public key: got {len(public_key)} bytes, expected {PUBLIC_BYTES}")


def _check_info(info: bytes) -> None:
    if len(info) > MAX_INFO_BYTES:
        raise WireError(f"HPKE info: got {len(info)} bytes, expected at most {MAX_INFO_BYTES}")
