"""What OCSP says of a certificate: signed by its issuer or by a responder that the issuer named for it.

An answer is found by issuer and serial number, verified under the issuer's key, and judged at `now`.
"Revoked" counts however old the answer is; "good" only between its dates; "unknown" is never good.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from enclave_runtime.attestation.nvidia import chain
from enclave_runtime.attestation.nvidia.refusals import Check, DeviceError
from enclave_runtime.wire.errors import WireError

__all__ = ["MAX_OCSP_BYTES", "Answer", "check_certificate", "forget", "parse_answers"]

MAX_OCSP_BYTES = 1 << 13
"""A real answer with its responder's certificate is 950 bytes."""

_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


@dataclass(frozen=True, slots=True)
class Answer:
    """One parsed answer about one certificate, not yet believed.

    Attributes:
        der: the answer as it came.
        response: the same, parsed.
    """

    der: bytes
    response: ocsp.OCSPResponse


def forget() -> None:
    """Empty the caches, as a fresh process has them."""
    for cached in (_parse, _signer_until):
        cached.cache_clear()


def parse_answers(ders: tuple[bytes, ...]) -> tuple[Answer, ...]:
    """Return the answers in `ders`.

    Raises:
        DeviceError: one is oversize, malformed, unsuccessful, or about other than one certificate.
    """
    return tuple(map(_parse, ders))


def check_certificate(
    cert: x509.Certificate, issuer_der: bytes, answers: tuple[Answer, ...], *, required: bool, now: int
) -> int | None:
    """Refuse a certificate that OCSP does not call good; return until when it does, in Unix seconds, or None.

    Args:
        cert: the certificate.
        issuer_der: its issuer's certificate, DER, already verified to have signed it.
        answers: whatever the collateral has.
        required: refuse where there is no answer; else an answer counts only where there is one.
        now: Unix time, in seconds.
    Raises:
        DeviceError: revoked, unknown, not signed for the issuer, out of date, or missing and required.
    """
    name = cert.subject.rfc4514_string()[:60]
    good_until: int | None = None
    stale: str | None = None
    for answer in answers:
        if not _is_about(answer.response, cert, issuer_der):
            continue
        until = _signer_until(answer.der, issuer_der)
        status = answer.response.certificate_status
        if status is not ocsp.OCSPCertStatus.GOOD:
            reason = answer.response.revocation_reason
            words = f"{status.name}{f' ({reason.value})' if reason else ''}"
            raise DeviceError(Check.REVOCATION, f"OCSP status {words} of {name!r}", "GOOD")
        first, last = _window(answer.response, until)
        if first <= now <= last:
            good_until = max(last, good_until or 0)
        else:
            stale = f"an OCSP answer about {name!r} for {first} to {last} at {now}"
    if good_until is None and (required or stale):
        raise DeviceError(Check.REVOCATION, stale or f"no OCSP answer about {name!r}", "a fresh answer, GOOD")
    return good_until


@lru_cache(maxsize=256)
def _parse(der: bytes) -> Answer:
    if len(der) > MAX_OCSP_BYTES:
        raise DeviceError(Check.PARSE, f"an OCSP answer of {len(der)} bytes", f"at most {MAX_OCSP_BYTES}")
    try:
        response = ocsp.load_der_ocsp_response(der)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise DeviceError(
                Check.PARSE, f"OCSP response status {response.response_status.name}", "SUCCESSFUL"
            )
        facts = (response.serial_number, response.certificate_status, response.this_update_utc)
        _ = (facts, response.revocation_reason, response.issuer_name_hash, response.issuer_key_hash)
        _ = (response.signature_algorithm_oid, response.hash_algorithm, response.next_update_utc)
        _ = (response.tbs_response_bytes, response.signature, response.certificates, response.extensions)
        count = len(list(response.responses))
    except chain.MALFORMED as error:
        raise DeviceError(Check.PARSE, "an OCSP answer that does not parse", "a DER OCSP response") from error
    if count != 1:
        raise DeviceError(Check.PARSE, f"an OCSP answer about {count} certificates", "one")
    return Answer(der, response)


def _is_about(response: ocsp.OCSPResponse, cert: x509.Certificate, issuer_der: bytes) -> bool:
    algorithm = response.hash_algorithm
    if response.serial_number != cert.serial_number or not isinstance(algorithm, _HASHES):
        return False
    issuer = chain.load(issuer_der)
    name, key = _issuer_hashes(issuer, algorithm)
    return hmac.compare_digest(name, response.issuer_name_hash) and hmac.compare_digest(
        key, response.issuer_key_hash
    )


def _issuer_hashes(issuer: x509.Certificate, algorithm: hashes.HashAlgorithm) -> tuple[bytes, bytes]:
    """Return the hashes of name and key by which an answer names the issuer (RFC 6960, section 4.1.1)."""
    bits = chain.spki(issuer)[-97:]  # an uncompressed point on P-384: the key without its header
    return _digest(issuer.subject.public_bytes(), algorithm), _digest(bits, algorithm)


def _digest(data: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
    digest = hashes.Hash(algorithm)
    digest.update(data)
    return digest.finalize()


@lru_cache(maxsize=256)
def _signer_until(der: bytes, issuer_der: bytes) -> tuple[int, int] | None:
    """Return the dates of the responder that signed, None where the issuer did; refuse anybody else."""
    response, issuer = _parse(der).response, chain.load(issuer_der)
    certs = response.certificates
    key, dates = chain.p384_key(issuer), None
    try:
        if certs:
            key, dates = _responder(certs[0], issuer)
        if response.signature_algorithm_oid.dotted_string != "1.2.840.10045.4.3.3":
            raise WireError("ocsp: got another signature algorithm than ECDSA with SHA-384")
        if bytes((3, len(response.signature) + 1, 0)) + response.signature not in der:
            raise WireError("ocsp: got a signature that is not whole bytes")
        key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(hashes.SHA384()))
    except (InvalidSignature, x509.ExtensionNotFound, WireError, *chain.MALFORMED) as error:
        raise DeviceError(
            Check.REVOCATION,
            "an OCSP answer that neither the issuer nor its responder signed",
            "their signature",
        ) from error
    return dates


def _responder(
    cert: x509.Certificate, issuer: x509.Certificate
) -> tuple[ec.EllipticCurvePublicKey, tuple[int, int]]:
    """Return key and dates of a responder that `issuer` named for OCSP and nothing else.

    Raises:
        WireError: another issuer, or no such purpose.
        InvalidSignature: the issuer did not sign it.
    """
    chain.load(cert.public_bytes(Encoding.DER))  # of the one form that any certificate here must have
    usage = cert.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    if cert.issuer != issuer.subject or ExtendedKeyUsageOID.OCSP_SIGNING not in usage:
        raise WireError("ocsp: got a responder that its certificate does not name as one")
    chain.p384_key(issuer).verify(cert.signature, cert.tbs_certificate_bytes, ec.ECDSA(hashes.SHA384()))
    dates = (int(cert.not_valid_before_utc.timestamp()), int(cert.not_valid_after_utc.timestamp()))
    return chain.p384_key(cert), dates


def _window(response: ocsp.OCSPResponse, responder: tuple[int, int] | None) -> tuple[int, int]:
    """Return from when and until when an answer counts; one without an end never does."""
    end = response.next_update_utc
    first = int(response.this_update_utc.timestamp())
    last = int(end.timestamp()) if end else first - 1
    if responder is None:
        return first, last
    return max(first, responder[0]), min(last, responder[1])
