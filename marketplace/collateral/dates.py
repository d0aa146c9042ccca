"""When collateral in hand stops being good, by its own dates. Nothing is verified here: verifiers judge."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from cryptography import x509
from cryptography.x509 import ocsp

from marketplace.collateral.library import MALFORMED
from marketplace.errors import BadInputError

if TYPE_CHECKING:
    from enclave_runtime.attestation.collateral import (
        AmdCollateral,
        Collateral,
        IntelCollateral,
        NvidiaCollateral,
    )

__all__ = ["first_end", "unix_time"]

End: TypeAlias = tuple[int, str]
"""Unix time, in seconds, and the part that ends then."""


def first_end(collateral: Collateral) -> End | None:
    """Return when the first part with a date ends and which part it is, or None where none has a date.

    Raises:
        BadInputError: a part that is not what its name says.
    """
    return min(_ends(collateral), default=None)


def _ends(collateral: Collateral) -> Iterator[End]:
    if collateral.intel is not None:
        yield from _read("Intel", _intel(collateral.intel))
    if collateral.amd is not None:
        yield from _read("AMD", _amd(collateral.amd))
    if collateral.nvidia is not None:
        yield from _read("NVIDIA", _nvidia(collateral.nvidia))


def _read(vendor: str, ends: Iterator[End]) -> Iterator[End]:
    try:
        yield from ends
    except MALFORMED as error:
        got = f"something else ({str(error) or type(error).__name__})"
        raise BadInputError(f"collateral of {vendor}", got, "what the vendor signed, unchanged") from error


def _intel(part: IntelCollateral) -> Iterator[End]:
    yield unix_time(json.loads(part.tcb_info)["nextUpdate"]), "TCB info"
    yield unix_time(json.loads(part.qe_identity)["nextUpdate"]), "QE identity"
    for words, der in (("root CA's CRL", part.root_ca_crl), ("PCK CA's CRL", part.pck_crl)):
        yield from _list(der, words)
    chains = (part.pck_crl_issuer_chain, part.tcb_info_issuer_chain, part.qe_identity_issuer_chain)
    for chain in dict.fromkeys(chains):
        for certificate in x509.load_pem_x509_certificates(chain.encode()):
            yield _end(certificate), "a signer's certificate"


def _amd(part: AmdCollateral) -> Iterator[End]:
    # AMD's own profile: chips' certificates have serial number 0, which libraries are about to refuse.
    from enclave_runtime.attestation.sev_snp.certificates import parse_certificate, parse_crl

    for words, der in (("VCEK or VLEK", part.vek), ("ASK", part.ask), ("ARK", part.ark)):
        yield parse_certificate(der).not_after, f"the certificate of the {words}"
    yield parse_crl(part.crl).next_update, "ARK's CRL"


def _nvidia(part: NvidiaCollateral) -> Iterator[End]:
    # Manifests may outlive the certificates of their signers: a policy says whether those dates count.
    for answer in part.ocsp:
        end = ocsp.load_der_ocsp_response(answer).next_update_utc
        if end is not None:
            yield int(end.timestamp()), "an OCSP answer"


def _list(der: bytes, words: str) -> Iterator[End]:
    end = x509.load_der_x509_crl(der).next_update_utc
    if end is not None:
        yield int(end.timestamp()), words


def _end(certificate: x509.Certificate) -> int:
    return int(certificate.not_valid_after_utc.timestamp())


def unix_time(text: str) -> int:
    """Return Unix time, in seconds, of a moment as Intel writes it (ISO 8601)."""
    return int(datetime.fromisoformat(text).timestamp())
