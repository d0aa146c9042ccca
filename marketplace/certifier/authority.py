"""Certificates for those who speak TLS and not EIP-712: X.509 for a CVM's `tls` key (docs/protocol.md 4.5).

One root key per certifier, for nothing else. A certificate says no more than the CvmCertificate beside it,
whose digest it carries, so that a verifier who has one finds the other. Extensions, none critical, under the
arc 2.25.272683269132677478302647442220324712445 (a UUID, which nobody needs to register):

    .1  evidence id        OCTET STRING, 32 bytes   canonical id of the evidence that was verified
    .2  certificate digest OCTET STRING, 32 bytes   EIP-712 digest of the CvmCertificate
    .3  CVM id             OCTET STRING, 32 bytes
    .4  trust class        UTF8String               root set id; a SIMULATED one says so, as does the subject
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from enclave_runtime.wire.cvm import CvmCertificate
from enclave_runtime.wire.signatures import p256_public

__all__ = [
    "ARC",
    "CERTIFICATE_DIGEST",
    "CVM_ID",
    "EVIDENCE_ID",
    "TRUST_CLASS",
    "Authority",
    "make_authority",
    "serial_of",
]

ARC: Final = "2.25.272683269132677478302647442220324712445"
EVIDENCE_ID: Final = x509.ObjectIdentifier(f"{ARC}.1")
CERTIFICATE_DIGEST: Final = x509.ObjectIdentifier(f"{ARC}.2")
CVM_ID: Final = x509.ObjectIdentifier(f"{ARC}.3")
TRUST_CLASS: Final = x509.ObjectIdentifier(f"{ARC}.4")

_YEARS_S: Final = 10 * 365 * 86_400
_SERIAL_BYTES: Final = 19
_OCTET_STRING, _UTF8 = b"\x04", b"\x0c"
_PEM: Final = serialization.Encoding.PEM


@dataclass(frozen=True, slots=True)
class Authority:
    """A certifier's X.509 root.

    Attributes:
        key: signs certificates and revocation lists.
        root: self-signed certificate of it.
        crl_url: where the revocation list is served, if certificates shall say so.
    """

    key: ec.EllipticCurvePrivateKey
    root: x509.Certificate
    crl_url: str | None = None

    @property
    def root_pem(self) -> bytes:
        """The root certificate, PEM."""
        return self.root.public_bytes(_PEM)

    @property
    def root_der(self) -> bytes:
        """The root certificate, DER."""
        return self.root.public_bytes(serialization.Encoding.DER)

    def certify(
        self,
        certificate: CvmCertificate,
        digest: bytes,
        tls_spki: bytes,
        trust_class: str,
        *,
        simulated: bool,
    ) -> bytes:
        """Return the certificate, PEM, of the CVM's `tls` key, for as long as `certificate` lasts.

        Args:
            digest: EIP-712 digest of `certificate`.
            tls_spki: DER SubjectPublicKeyInfo of the key whose digest `certificate` names.
            trust_class: id of the root set that verified the evidence.
        Raises:
            WireError: the key is not P-256.
        """
        public = p256_public(tls_spki)
        name = f"{'SIMULATED ' if simulated else ''}CVM {certificate.cvm_id.hex()[:16]}"
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(self.root.subject)
            .public_key(public)
            .serial_number(serial_of(digest))
            .not_valid_before(_moment(certificate.issued_at))
            .not_valid_after(_moment(certificate.expires_at))
        )
        for extension, critical in self._extensions(public, certificate.cvm_id):
            builder = builder.add_extension(extension, critical)
        for oid, value in (
            (EVIDENCE_ID, _der(_OCTET_STRING, certificate.evidence_id)),
            (CERTIFICATE_DIGEST, _der(_OCTET_STRING, digest)),
            (CVM_ID, _der(_OCTET_STRING, certificate.cvm_id)),
            (TRUST_CLASS, _der(_UTF8, trust_class.encode())),
        ):
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(_PEM)

    def _extensions(
        self, public: ec.EllipticCurvePublicKey, cvm_id: bytes
    ) -> list[tuple[x509.ExtensionType, bool]]:
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_key_usage(ca=False), True),
            (
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                False,
            ),
            (x509.SubjectKeyIdentifier.from_public_key(public), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False),
            (
                x509.SubjectAlternativeName(
                    [x509.UniformResourceIdentifier(f"urn:cloister:cvm:{cvm_id.hex()}")]
                ),
                False,
            ),
        ]
        if self.crl_url is not None:
            place = x509.DistributionPoint([x509.UniformResourceIdentifier(self.crl_url)], None, None, None)
            extensions.append((x509.CRLDistributionPoints([place]), False))
        return extensions

    def revocation_list(
        self, revoked: Iterable[tuple[int, int]], *, number: int, now: int, next_s: int
    ) -> bytes:
        """Return the certificate revocation list, DER.

        Args:
            revoked: (serial number, Unix time of the revocation in seconds) of each certificate.
            number: rises with every list that says something else.
            now: Unix time, in seconds.
            next_s: seconds until the next list is due.
        """
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.root.subject)
            .last_update(_moment(now))
            .next_update(_moment(now + next_s))
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
        )
        for serial, at in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(_moment(at))
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def make_authority(
    name: str, key: ec.EllipticCurvePrivateKey, *, now: int, simulated: bool, crl_url: str | None = None
) -> Authority:
    """Return a new root for `key`, good for ten years from a day before `now`, in Unix seconds."""
    common_name = f"{'SIMULATED ' if simulated else ''}Cloister certifier {name}"[:64]
    public = key.public_key()
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    root = (
        x509.CertificateBuilder()
        .subject_name(_name(common_name))
        .issuer_name(_name(common_name))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_moment(now - 86_400))
        .not_valid_after(_moment(now + _YEARS_S))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(key, root, crl_url)


def serial_of(digest: bytes) -> int:
    """Return the serial number beside a certificate with this EIP-712 digest: as unique as that is."""
    return int.from_bytes(digest[:_SERIAL_BYTES], "big") | 1 << (8 * _SERIAL_BYTES - 1)


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _der(tag: bytes, value: bytes) -> bytes:
    """Return one primitive DER value; shorter than 128 bytes, as all of ours are."""
    assert len(value) < 128
    return tag + bytes([len(value)]) + value
