"""Certificates, revocation lists and raw signatures of the simulated vendor."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from enclave_runtime.attestation.dcap.pck import SGX_EXTENSION

__all__ = [
    "ALWAYS",
    "FUTURE",
    "ORGANIZATION",
    "PAST",
    "Validity",
    "issue",
    "raw_public_key",
    "raw_signature",
    "revocation_list",
]

ORGANIZATION = "DEV SIMULATED TEE - NOT INTEL"
Validity = tuple[datetime, datetime]
"""First and last moment of a certificate."""
ALWAYS: Validity = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2049, 12, 31, tzinfo=UTC))
PAST: Validity = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC))
FUTURE: Validity = (datetime(2049, 1, 1, tzinfo=UTC), datetime(2049, 12, 31, tzinfo=UTC))


def issue(
    role: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    ca_path: int | None = None,
    sgx_extension: bytes | None = None,
    validity: Validity = ALWAYS,
    serial: int | None = None,
) -> x509.Certificate:
    """Return a certificate for `key`, self-signed where `issuer` is None.

    Args:
        role: end of the subject's common name.
        key: the subject's key; its public half is certified.
        issuer: certificate of the signer.
        issuer_key: key of the signer.
        ca_path: greatest number of authorities below, or None for an end entity.
        sgx_extension: DER of Intel's SGX extension, for a PCK certificate.
        validity: first and last moment.
        serial: of a certificate that is issued again; random where it is new.
    """
    subject = _name(role)
    ca = ca_path is not None
    usage = x509.KeyUsage(not ca, not ca, False, False, False, ca, ca, False, False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(validity[0])
        .not_valid_after(validity[1])
        .add_extension(x509.BasicConstraints(ca, ca_path), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
    )
    if sgx_extension is not None:
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(SGX_EXTENSION), sgx_extension)
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def revocation_list(
    issuer: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
    issued: datetime,
    next_update: datetime,
    revoked: Sequence[int],
) -> bytes:
    """Return a DER revocation list of `issuer` that names the serial numbers in `revoked`."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(issued)
        .next_update(next_update)
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    for serial in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(issued).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def raw_signature(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """Return r || s of an ECDSA signature over SHA-256 of `message`, 64 bytes big endian."""
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def raw_public_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return x || y of the public key, 64 bytes big endian."""
    point = key.public_key().public_numbers()
    return point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big")


def _name(role: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"DEV SIMULATED SGX {role}"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
        ]
    )
