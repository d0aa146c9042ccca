"""Certificate chains of devices and of RIM signers: P-384 throughout, leaf first, root last.

What does not depend on the time is computed once per chain and kept in a bounded cache, whose keys are the
certificates' bytes themselves; whether a chain holds *now* is asked every time. A chain proves nothing by
itself: its last certificate must be a pinned root (`roots.GpuRoots`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from enclave_runtime.attestation.certificates import MALFORMED
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import sha256

__all__ = [
    "MALFORMED",
    "Chain",
    "forget",
    "load",
    "p384_key",
    "raw_signature_holds",
    "spki",
    "verified_chain",
]

_ECDSA_SHA384 = "1.2.840.10045.4.3.3"
_MAX_SIGNATURE = 104
"""Of ECDSA on P-384 in DER, in bytes."""
_UNDERSTOOD = frozenset({"2.5.29.15", "2.5.29.19", "2.5.29.37"})
"""Critical extensions that are judged: key usage, basic constraints, extended key usage."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain whose signatures, names and constraints hold; not its dates, and not yet its root.

    Attributes:
        certs: leaf first, root last.
        ders: the same as they came.
        not_before: Unix time, in seconds, from which all of them hold.
        not_after: and until which.
    """

    certs: tuple[x509.Certificate, ...]
    ders: tuple[bytes, ...] = field(repr=False)
    not_before: int
    not_after: int

    @property
    def leaf(self) -> x509.Certificate:
        """Return the end entity's certificate."""
        return self.certs[0]

    @property
    def root_der(self) -> bytes:
        """Return the last certificate, DER: believed only where it is pinned."""
        return self.ders[-1]

    @property
    def root_key_sha256(self) -> bytes:
        """Return the SHA-256 of the root's SubjectPublicKeyInfo."""
        return sha256(spki(self.certs[-1]))


def forget() -> None:
    """Empty the caches, as a fresh process has them."""
    for cached in (verified_chain, load, _check_link):
        cached.cache_clear()


@lru_cache(maxsize=64)
def verified_chain(ders: tuple[bytes, ...]) -> Chain:
    """Return the chain of the certificates `ders`, leaf first, self-signed root last.

    Raises:
        WireError: a certificate does not parse, or is not signed by the next as an authority may.
    """
    if len(ders) < 2:
        raise WireError(f"chain: got {len(ders)} certificates, expected a leaf and its issuers")
    certs = tuple(map(load, ders))
    if len({cert.serial_number for cert in certs}) != len(certs):
        raise WireError("chain: got one certificate twice")
    for depth, cert in enumerate(certs):
        _check_use(cert, depth)
    for place, (child, issuer) in enumerate(zip(certs, (*certs[1:], certs[-1]), strict=True)):
        if child.issuer != issuer.subject:
            raise WireError(f"chain: got certificate {place} of another issuer than the next one")
        _check_link(ders[place], ders[min(place + 1, len(ders) - 1)])
    return Chain(
        certs,
        ders,
        max(int(cert.not_valid_before_utc.timestamp()) for cert in certs),
        min(int(cert.not_valid_after_utc.timestamp()) for cert in certs),
    )


@lru_cache(maxsize=256)
def load(der: bytes) -> x509.Certificate:
    """Return the certificate that `der` is, exactly.

    Raises:
        WireError: anything else, or a signature of another kind than ECDSA with SHA-384.
    """
    try:
        cert = x509.load_der_x509_certificate(der)
        # Parsed lazily by the library: now, while a malformed part is a refusal.
        _ = (cert.extensions, cert.subject.rfc4514_string(), cert.issuer, cert.signature)
        _ = (cert.not_valid_before_utc, cert.not_valid_after_utc, cert.serial_number, cert.public_key())
        oid = cert.signature_algorithm_oid.dotted_string
        inner = der.count(bytes.fromhex("300a06082a8648ce3d040303"))
    except MALFORMED as error:
        raise WireError("chain: got a certificate that does not parse") from error
    if not 0 < cert.serial_number < 1 << 160:
        raise WireError("chain: got a serial number that is not positive or has over 20 bytes")
    if oid != _ECDSA_SHA384 or inner != 2:
        raise WireError(f"chain: got signature algorithm {oid}, expected ECDSA with SHA-384")
    size = len(cert.signature)
    if size > _MAX_SIGNATURE or not der.endswith(bytes((3, size + 1, 0)) + cert.signature):
        raise WireError("chain: got a signature that is not whole bytes, or not the end")
    return cert


def p384_key(cert: x509.Certificate) -> ec.EllipticCurvePublicKey:
    """Return the certificate's key.

    Raises:
        WireError: not on P-384.
    """
    try:
        key = cert.public_key()
    except MALFORMED as error:
        raise WireError("chain: got a key that does not parse") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise WireError("chain: got a key that is not on P-384")
    return key


def spki(cert: x509.Certificate) -> bytes:
    """Return the certificate's SubjectPublicKeyInfo, DER."""
    return p384_key(cert).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def raw_signature_holds(key: ec.EllipticCurvePublicKey, signature: bytes, message: bytes) -> bool:
    """Return whether r || s (48 bytes each, big endian) is an ECDSA signature with SHA-384 over `message`."""
    if len(signature) != 96:
        return False
    r, s = (int.from_bytes(signature[at : at + 48], "big") for at in (0, 48))
    try:
        key.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA384()))
    except InvalidSignature:
        return False
    return True


@lru_cache(maxsize=256)
def _check_link(child_der: bytes, issuer_der: bytes) -> None:
    """Refuse a certificate that `issuer_der` did not sign; machines share all links but the lowest two."""
    child = load(child_der)
    try:
        p384_key(load(issuer_der)).verify(
            child.signature, child.tbs_certificate_bytes, ec.ECDSA(hashes.SHA384())
        )
    except (InvalidSignature, *MALFORMED) as error:
        name = child.subject.rfc4514_string()[:80]
        raise WireError(f"chain: got a signature on {name!r} that its issuer did not make") from error


def _check_use(cert: x509.Certificate, depth: int) -> None:
    """Refuse a certificate that may not stand at `depth`: 0 is the end entity, all above are authorities."""
    extensions = {item.oid.dotted_string: item for item in cert.extensions}
    strange = [oid for oid, item in extensions.items() if item.critical and oid not in _UNDERSTOOD]
    if strange:
        raise WireError(f"chain: got critical extensions {strange}, which nobody here judges")
    basic, usage = (extensions.get(oid) for oid in ("2.5.29.19", "2.5.29.15"))
    constraints = basic.value if basic else None
    key_usage = usage.value if usage else None
    ca = isinstance(constraints, x509.BasicConstraints) and constraints.ca
    if ca != (depth > 0):
        raise WireError(f"chain: got {'an' if ca else 'no'} authority at place {depth} of the chain")
    if isinstance(constraints, x509.BasicConstraints) and ca:
        limit = constraints.path_length
        if limit is not None and limit < depth - 1:
            raise WireError(f"chain: got {depth - 1} authorities below one that allows {limit}")
    if not isinstance(key_usage, x509.KeyUsage):
        raise WireError("chain: got a certificate without key usage")
    if not (key_usage.key_cert_sign if depth else key_usage.digital_signature):
        raise WireError(f"chain: got a key that may not sign {'certificates' if depth else 'evidence'}")
