"""The chain of a Nitro document: from AWS's root through region, zone and instance to the signing key.

AWS publishes no revocation list for it: certificates live for hours instead (the signing key's for three), so
that their dates are what can be checked. Verified chains stay in a bounded cache by their bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from enclave_runtime.attestation.certificates import MALFORMED
from enclave_runtime.attestation.errors import AttestationError, Step

__all__ = ["NitroChain", "forget", "verified_chain"]

_Found = TypeVar("_Found", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True)
class NitroChain:
    """A chain whose signatures hold; its dates and its root are judged by whoever asks.

    Attributes:
        key: of the leaf.
        root_der_sha256, root_key_sha256: of the root certificate and its SubjectPublicKeyInfo.
        not_before, not_after: when all of it holds, Unix seconds, both included.
    """

    key: ec.EllipticCurvePublicKey
    root_der_sha256: bytes
    root_key_sha256: bytes
    not_before: int
    not_after: int


def forget() -> None:
    """Empty the cache."""
    verified_chain.cache_clear()


@lru_cache(maxsize=64)
def verified_chain(leaf: bytes, bundle: tuple[bytes, ...]) -> NitroChain:
    """Return the chain from `bundle[0]`, the root, down to `leaf`.

    Args:
        leaf: DER.
        bundle: root first, DER.
    Raises:
        AttestationError: step (1).
    """
    try:
        certs = [x509.load_der_x509_certificate(der) for der in (*bundle, leaf)]
        keys = [_key_of(cert) for cert in certs]
        _check_uses(certs)
        for child, issuer in zip(certs, (certs[0], *certs), strict=False):
            child.verify_directly_issued_by(issuer)
        return NitroChain(
            key=keys[-1],
            root_der_sha256=hashlib.sha256(bundle[0]).digest(),
            root_key_sha256=_sha256_of_key(certs[0]),
            not_before=max(int(cert.not_valid_before_utc.timestamp()) for cert in certs),
            not_after=min(int(cert.not_valid_after_utc.timestamp()) for cert in certs),
        )
    except InvalidSignature as error:
        raise AttestationError(
            Step.CHAIN, "a certificate that its issuer did not sign", "AWS's chain"
        ) from error
    except MALFORMED as error:
        raise AttestationError(Step.CHAIN, str(error)[:200], "certificates of AWS's chain") from error


def _key_of(cert: x509.Certificate) -> ec.EllipticCurvePublicKey:
    key = cert.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise ValueError("a certificate for another key than one on P-384")
    return key


def _sha256_of_key(cert: x509.Certificate) -> bytes:
    spki = cert.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).digest()


def _check_uses(certs: Sequence[x509.Certificate]) -> None:
    """Refuse a chain in which a certificate does what it was not issued for."""
    for below, cert in zip(range(len(certs) - 1, -1, -1), certs, strict=True):
        constraints = _extension(cert, x509.BasicConstraints)
        usage = _extension(cert, x509.KeyUsage)
        if below == 0:
            if constraints is not None and constraints.ca:
                raise ValueError("a document signed by an authority's key")
            if usage is not None and not usage.digital_signature:
                raise ValueError("a leaf that may not sign")
            continue
        if constraints is None or not constraints.ca or usage is None or not usage.key_cert_sign:
            raise ValueError("an issuer that is no authority")
        # Authorities between it and the leaf; the leaf does not count (RFC 5280 section 4.2.1.9).
        if constraints.path_length is not None and constraints.path_length < below - 1:
            raise ValueError("a chain longer than an authority allows")


def _extension(cert: x509.Certificate, kind: type[_Found]) -> _Found | None:
    try:
        return cert.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
