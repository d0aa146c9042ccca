"""OCSP answers of the simulated vendor, signed by a responder that each issuer names."""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from enclave_runtime.attestation.simulated.nvidia.certs import Dates, Identity, issue, new_key

__all__ = ["DAY_S", "answer"]

DAY_S = 86_400
"""How long NVIDIA's answers count, in seconds."""

_STARTS = {"stale": -3 * DAY_S, "future": DAY_S}


def answer(cert: x509.Certificate, issuer: Identity, now: int, word: str) -> bytes:
    """Return what OCSP says of `cert` around Unix time `now`, DER.

    Args:
        cert: what is asked about.
        issuer: its issuer, for which a responder answers.
        now: Unix time, in seconds.
        word: "good", "revoked", "unknown", "stale", "future", "impostor" or "endless".
    """
    first = now + _STARTS.get(word, -3600)
    status = {"revoked": ocsp.OCSPCertStatus.REVOKED, "unknown": ocsp.OCSPCertStatus.UNKNOWN}.get(
        word, ocsp.OCSPCertStatus.GOOD
    )
    revoked = status is ocsp.OCSPCertStatus.REVOKED
    signer = Identity(new_key(), issuer.cert) if word == "impostor" else issuer
    dates = Dates(now - 30 * DAY_S, now + 365 * DAY_S)
    responder = issue("DEV SIMULATED OCSP Responder", new_key(), signer, ca=False, dates=dates, ocsp=True)
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=cert,
            issuer=issuer.cert,
            algorithm=hashes.SHA384(),
            cert_status=status,
            this_update=_time(first),
            next_update=None if word == "endless" else _time(first + DAY_S),
            revocation_time=_time(first) if revoked else None,
            revocation_reason=x509.ReasonFlags.key_compromise if revoked else None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, responder.cert)
        .certificates([responder.cert])
    )
    return builder.sign(responder.key, hashes.SHA384()).public_bytes(Encoding.DER)


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
