"""NVIDIA's statements: signed manifests (RIM) by their ids, and OCSP about every certificate that counts."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from enclave_runtime.attestation.collateral import NvidiaCollateral
from enclave_runtime.attestation.nvidia.evidence import GpuEvidence
from enclave_runtime.attestation.nvidia.needs import manifest_ids, status_pairs
from enclave_runtime.wire.errors import WireError
from marketplace.collateral.hosts import Hosts
from marketplace.collateral.library import DAY_S, HOUR_S, MALFORMED, Library, Statement
from marketplace.collateral.web import Answer, Question

__all__ = ["fetch_nvidia"]

_MAX_RIM_BYTES = 1 << 18
_MAX_OCSP_BYTES = 1 << 13
_RIMS_ANEW_S = 7 * DAY_S
_NO_END = 1 << 40
"""A manifest has no date of its own: its signers' certificates have, which rules judge in two ways."""
_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


def fetch_nvidia(gpu: bytes, library: Library, hosts: Hosts, now: int) -> NvidiaCollateral:
    """Return NVIDIA's statements about the devices in `gpu` (bytes of `GpuEvidence`), at Unix time `now`.

    Raises:
        WireError: evidence that names none, or too many.
        CollateralUnavailableError: a statement that cannot be had.
    """
    evidence = GpuEvidence.from_bytes(gpu)
    rims = [_manifest(library.get(_rim(name, hosts), now)) for name in manifest_ids(evidence)]
    pairs = [pair for device in evidence.devices for pair in status_pairs(device.chain, leaf=False)]
    pairs += [pair for rim in rims for pair in status_pairs(_signers(rim), leaf=True)]
    answers = [library.get(question, now).body for question in _questions(pairs, hosts)]
    return NvidiaCollateral(tuple(dict.fromkeys(rims)), tuple(answers))


def _rim(name: str, hosts: Hosts) -> Statement:
    if not _ID.fullmatch(name):
        raise WireError(f"rim: got id {name[:64]!r}, expected letters, digits, dots and dashes")

    def until(answer: Answer) -> int:
        _signers(_manifest(answer))
        return _NO_END

    url = f"{hosts.rim}/v1/rim/{name}"
    return Statement(f"manifest {name}", Question(url, _MAX_RIM_BYTES), _RIMS_ANEW_S, until)


def _manifest(answer: Answer) -> bytes:
    """Return the signed XML in the service's JSON."""
    value = json.loads(answer.body)
    text = value.get("rim") if isinstance(value, dict) else None
    if not isinstance(text, str):
        raise WireError("rim: got no member rim, expected a manifest in base64")
    return base64.b64decode(text, validate=True)


def _signers(rim: bytes) -> tuple[bytes, ...]:
    from enclave_runtime.attestation.nvidia.rim import verified_rim  # loads an XML library

    return verified_rim(rim).chain.ders


def _questions(pairs: Iterable[tuple[bytes, bytes]], hosts: Hosts) -> Iterable[Statement]:
    for cert_der, issuer_der in dict.fromkeys(pairs):
        try:
            cert, issuer = map(x509.load_der_x509_certificate, (cert_der, issuer_der))
            request = ocsp.OCSPRequestBuilder().add_certificate(cert, issuer, hashes.SHA384()).build()
            der = request.public_bytes(Encoding.DER)
        except MALFORMED as error:
            raise WireError("gpu certificate: got one that nobody can ask about") from error
        # The responder of the settings, whatever the certificate says: evidence chooses no host.
        question = Question(hosts.ocsp, _MAX_OCSP_BYTES, post=("application/ocsp-request", der))
        yield Statement("an OCSP answer", question, 6 * HOUR_S, _Until(cert.serial_number))


class _Until:
    """Reads when an OCSP answer about one serial number ends."""

    def __init__(self, serial: int) -> None:
        self._serial = serial

    def __call__(self, answer: Answer) -> int:
        response = ocsp.load_der_ocsp_response(answer.body)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise WireError(f"ocsp: got status {response.response_status.name}, expected SUCCESSFUL")
        if response.serial_number != self._serial:
            raise WireError("ocsp: got an answer about another certificate")
        end = response.next_update_utc
        if end is None:
            raise WireError("ocsp: got an answer without an end")
        return int(end.timestamp())
