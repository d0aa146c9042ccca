"""Certificates of the simulated vendor of GPUs: P-384, under names that say what they are."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from enclave_runtime.attestation.simulated.state import Identity

__all__ = ["FOREVER", "ORGANIZATION", "Dates", "Identity", "issue", "new_key", "raw_signature", "spki"]

ORGANIZATION = "DEV SIMULATED GPU - NOT NVIDIA"


@dataclass(frozen=True, slots=True)
class Dates:
    """From when and until when a certificate holds, Unix seconds."""

    first: int
    last: int


FOREVER = Dates(int(datetime(2020, 10, 17, tzinfo=UTC).timestamp()), 253402300799)


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a fresh key on P-384."""
    return ec.generate_private_key(ec.SECP384R1())


def spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the public half's SubjectPublicKeyInfo, DER."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def raw_signature(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """Return r || s of an ECDSA signature with SHA-384 over `message`, 96 bytes big endian."""
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA384())))
    return r.to_bytes(48, "big") + s.to_bytes(48, "big")


def issue(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: Identity | None,
    *,
    ca: bool = True,
    dates: Dates = FOREVER,
    ocsp: bool = False,
    extensions: Sequence[tuple[str, bytes]] = (),
) -> Identity:
    """Return an identity for `key`, self-signed where `issuer` is None.

    Args:
        name: the subject's common name.
        key: the subject's key.
        issuer: who signs.
        ca: whether the subject may sign certificates.
        dates: from when until when.
        ocsp: whether the subject may answer for its issuer.
        extensions: dotted object identifiers and values, DER, of a leaf's DICE extension.
    """
    subject = _name(name)
    usage = x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.cert.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(int.from_bytes(hashlib.sha256(name.encode() + spki(key)).digest()[:19], "big"))
        .not_valid_before(datetime.fromtimestamp(dates.first, UTC))
        .not_valid_after(datetime.fromtimestamp(dates.last, UTC))
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if ocsp:
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), critical=True
        )
    for oid, value in extensions:
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
        builder = builder.add_extension(extension, critical=False)
    return Identity(key, builder.sign(issuer.key if issuer else key, hashes.SHA384()))


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )
