"""AMD's statements from its Key Distribution Service (KDS, document 57230): a chip's key and its chain.

AMD hands out VCEKs to whoever names chip and patch levels, about one in ten seconds; VLEKs only to clouds.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from enclave_runtime.attestation.collateral import AmdCollateral
from enclave_runtime.attestation.model import Evidence
from enclave_runtime.attestation.sev_snp.certificates import parse_certificate, parse_crl
from enclave_runtime.attestation.sev_snp.layout import KEY_VLEK, SnpReport, parse_report
from enclave_runtime.attestation.sev_snp.products import GENOA, MILAN, TURIN, decode_tcb, product_of
from enclave_runtime.wire.errors import WireError
from marketplace.collateral.base import CollateralUnavailableError
from marketplace.collateral.hosts import Hosts
from marketplace.collateral.library import DAY_S, HOUR_S, Library, Statement
from marketplace.collateral.web import Answer, Question

__all__ = ["fetch_amd"]

_MAX_CERTIFICATE_BYTES = 1 << 12
_MAX_BYTES = 1 << 14
_CERTIFICATES_ANEW_S = 30 * DAY_S
"""A chip's certificate never changes; whether it still counts, the list says."""
_TURIN_ID_BYTES = 8


def fetch_amd(evidence: Evidence, library: Library, hosts: Hosts, now: int) -> AmdCollateral:
    """Return AMD's statements about the chip that `evidence` names, at Unix time `now`, in seconds.

    Raises:
        WireError: a report that does not parse, or a processor of no known line.
        CollateralUnavailableError: a masked chip, a cloud's key, or a statement that cannot be had.
    """
    report = parse_report(evidence.quote)[0]
    if report.signing_key == KEY_VLEK:
        raise CollateralUnavailableError(
            "SEV-SNP report: signed with a cloud's key (VLEK); AMD gives its certificate to that cloud alone",
            hint="it lies in the guest: `cloister collateral pack --vek` makes a bundle of it",
        )
    if report.chip_masked:
        raise CollateralUnavailableError(
            "SEV-SNP report: the host masks the chip's id, so that nobody can name its certificate",
            hint="the host has to switch MASK_CHIP_ID off",
        )
    product, vek = _chip(report, library, hosts, now)
    base = f"{hosts.kds}/vcek/v1/{product}"
    chain = library.get(_chain(f"{base}/cert_chain"), now)
    crl = library.get(_crl(f"{base}/crl"), now)
    ask, ark = _pair(chain)
    return AmdCollateral(product=product, vek=vek, ask=ask, ark=ark, crl=crl.body)


def _chip(report: SnpReport, library: Library, hosts: Hosts, now: int) -> tuple[str, bytes]:
    """Return product line and certificate. Reports of version 2 name no line: both are asked about."""
    product = product_of(report)
    lines = (GENOA, MILAN) if product is None else (product,)
    refusal: CollateralUnavailableError | None = None
    for line in lines:
        try:
            return line, library.get(_vcek(report, line, hosts), now).body
        except CollateralUnavailableError as error:
            refusal = error
    raise refusal or CollateralUnavailableError("SEV-SNP report: of no product line")


def _vcek(report: SnpReport, product: str, hosts: Hosts) -> Statement:
    tcb = decode_tcb(report.reported_tcb, product)
    chip = report.chip_id[:_TURIN_ID_BYTES] if product == TURIN else report.chip_id
    levels = f"blSPL={tcb.bl:02}&teeSPL={tcb.tee:02}&snpSPL={tcb.snp:02}&ucodeSPL={tcb.ucode:02}"
    if product == TURIN:
        levels = f"fmcSPL={tcb.fmc:02}&{levels}"
    url = f"{hosts.kds}/vcek/v1/{product}/{chip.hex()}?{levels}"

    def until(answer: Answer) -> int:
        return parse_certificate(answer.body).not_after

    return Statement(
        "a chip's certificate", Question(url, _MAX_CERTIFICATE_BYTES), _CERTIFICATES_ANEW_S, until
    )


def _chain(url: str) -> Statement:
    def until(answer: Answer) -> int:
        return min(parse_certificate(der).not_after for der in _pair(answer))

    return Statement("AMD's chain", Question(url, _MAX_BYTES), _CERTIFICATES_ANEW_S, until)


def _crl(url: str) -> Statement:
    def until(answer: Answer) -> int:
        return parse_crl(answer.body).next_update

    return Statement("AMD's list of revoked authorities", Question(url, _MAX_BYTES), HOUR_S, until)


def _pair(answer: Answer) -> tuple[bytes, bytes]:
    """Return ASK and ARK, DER."""
    certificates = x509.load_pem_x509_certificates(answer.body)
    if len(certificates) != 2:
        raise WireError(f"kds: got a chain of {len(certificates)} certificates, expected ASK and ARK")
    ask, ark = (certificate.public_bytes(Encoding.DER) for certificate in certificates)
    return ask, ark
