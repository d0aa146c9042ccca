"""One verdict by a P-256 key, as P256Verdict takes it: for certifiers in an HSM or a KMS (protocol 4.5)."""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature

from enclave_runtime.wire.cvm import CvmCertificate
from enclave_runtime.wire.eip712 import Domain, typed_digest
from enclave_runtime.wire.hashes import keccak256
from marketplace.chain.certificates import claim_of
from marketplace.errors import BadInputError

__all__ = ["p256_evidence", "p256_key_id", "p256_verdict_domain"]

_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def p256_verdict_domain(chain_id: int, verifier: bytes) -> Domain:
    """Return the domain under which P256Verdict reads a `CvmCertificate`."""
    return Domain("Cloister P256Verdict", "1", chain_id, verifier)


def p256_key_id(public: ec.EllipticCurvePublicKey) -> bytes:
    """Return how P256Verdict names a key, 32 bytes."""
    return keccak256(_point(public))


def p256_evidence(domain: Domain, certificate: CvmCertificate, key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the evidence that P256Verdict reads, 468 bytes, signed over the EIP-712 digest itself, low s.

    Args:
        domain: of the P256Verdict (`p256_verdict_domain`).
    Raises:
        BadInputError: the key is not on P-256.
    """
    if not isinstance(key.curve, ec.SECP256R1):
        raise BadInputError("verdict key", key.curve.name, "secp256r1")
    # The digest is signed as it is: SHA-256 here says only how long it is, and makes the nonce (RFC 6979).
    scheme = ec.ECDSA(Prehashed(hashes.SHA256()), deterministic_signing=True)
    r, s = decode_dss_signature(key.sign(typed_digest(domain, certificate), scheme))
    signature = r.to_bytes(32, "big") + min(s, _ORDER - s).to_bytes(32, "big")
    times = certificate.issued_at.to_bytes(5, "big") + certificate.expires_at.to_bytes(5, "big")
    own = certificate.evidence_id + certificate.challenge + times
    return claim_of(certificate) + own + _point(key.public_key()) + signature


def _point(public: ec.EllipticCurvePublicKey) -> bytes:
    numbers = public.public_numbers()
    return numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
