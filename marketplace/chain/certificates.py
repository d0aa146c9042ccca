"""Certificates as CertifierQuorum takes them: what all say once, then each one's part (protocol 4.5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from enclave_runtime.wire.cvm import CvmCertificate
from enclave_runtime.wire.eip712 import Domain, typed_digest
from enclave_runtime.wire.errors import WireError
from marketplace.chain.reports import compact

__all__ = ["CLAIM", "OWN", "claim_of", "quorum_evidence"]

CLAIM: Final = (
    ("signer", 20),
    ("hpke", 32),
    ("statement", 32),
    ("tls", 32),
    ("operator", 20),
    ("measurement", 32),
    ("tee", 1),
    ("root_set", 32),
    ("tcb_status", 1),
    ("platform_id", 32),
    ("gpu_digest", 32),
)
"""What certifiers must agree on, and its bytes: 266 together (CertificateLib)."""
OWN: Final = (("evidence_id", 32), ("challenge", 32), ("issued_at", 5), ("expires_at", 5))
"""What each says itself: 74 bytes, before its compact signature."""


def claim_of(certificate: CvmCertificate) -> bytes:
    """Return what a certificate claims, 266 bytes."""
    return _packed(certificate, CLAIM)


def quorum_evidence(domain: Domain, certificates: Sequence[tuple[CvmCertificate, bytes]]) -> bytes:
    """Return the certifiers' claim and each one's own part with its signature, in the signers' rising order.

    Args:
        certificates: of one CVM, in any order, each with its 65-byte signature.
    Raises:
        WireError: none, certificates that claim different things, or a signature that recovers no key.
    """
    from enclave_runtime.wire.signatures import recover_signer

    claims = {claim_of(item) for item, _ in certificates}
    if len(claims) != 1:
        raise WireError(f"certificates: got {len(claims)} different claims, expected one")
    ordered = sorted(certificates, key=lambda pair: recover_signer(typed_digest(domain, pair[0]), pair[1]))
    own = (_packed(item, OWN) + b"".join(compact(signature)) for item, signature in ordered)
    return claims.pop() + b"".join(own)


def _packed(certificate: CvmCertificate, members: Sequence[tuple[str, int]]) -> bytes:
    values = ((getattr(certificate, name), size) for name, size in members)
    return b"".join(
        value if isinstance(value, bytes) else int(value).to_bytes(size, "big") for value, size in values
    )
