"""AWS Nitro: documents of the record. No library in PyPI verifies one offline, at a time, under a root.

`ms` is an enclave seen for the first time (a chain of five P-384 certificates), `ms_cached` one whose chain
was verified before; `ms_bare_cryptography` is the limit: the same six signatures on keys loaded beforehand.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from attestlib.result import VendorResult, after, flip_bytes, interleaved
from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.nitro.chain import forget
from enclave_runtime.attestation.nitro.document import parse_document
from tests.evidence.cose_vectors import NitroVector, documents

__all__ = ["run"]


def run() -> VendorResult:
    """Return the row."""
    items = documents()
    missed = tuple(item.name for item in items if not _as_recorded(item))
    timed = next(item for item in items if item.check["result"] == "ok" and not item.is_debug)
    ours = timed.verification()
    whole, cached, bare = interleaved(after(forget, ours), ours, _bare(timed), rounds=31)
    more: dict[str, float | str] = {"ms_cached": round(cached, 4), "ms_bare_cryptography": round(bare, 4)}
    flips = flip_bytes(timed.document, range(len(timed.document)), lambda data: ours(data))
    return VendorResult(len(items), missed, whole, "bare cryptography: no library does it", bare, flips, more)


def _as_recorded(item: NitroVector) -> bool:
    """Return whether the outcome is the record's; debug enclaves, whose signatures hold, are refused so."""
    try:
        item.verification()()
    except AttestationError as error:
        return item.check["result"] == "reject" or (item.is_debug and error.step == Step.DEBUG)
    return item.check["result"] == "ok"


def _bare(item: NitroVector) -> Callable[[], object]:
    """Return every signature check alone, everything parsed and loaded beforehand."""
    document = parse_document(item.document)
    certs = [x509.load_der_x509_certificate(der) for der in (*document.cabundle, document.certificate)]
    pairs = list(zip(certs, (certs[0], *certs), strict=False))
    keys = [issuer.public_key() for _, issuer in pairs]
    leaf = certs[-1].public_key()
    assert isinstance(leaf, ec.EllipticCurvePublicKey)

    def verify() -> None:
        for (cert, _), key in zip(pairs, keys, strict=True):
            assert isinstance(key, ec.EllipticCurvePublicKey) and cert.signature_hash_algorithm is not None
            key.verify(cert.signature, cert.tbs_certificate_bytes, ec.ECDSA(cert.signature_hash_algorithm))
        assert document.signed.is_signed_by(leaf)

    return verify
