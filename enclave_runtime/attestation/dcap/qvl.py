"""The vendor's arithmetic by the dcap-qvl library, its refusals named by our steps.

dcap-qvl raises bare ValueErrors. `STEPS` maps their words to the numbered steps of docs/protocol.md section
4.3; an error that no row covers is refused too, as step (1), with its own words.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from enclave_runtime.attestation.collateral.intel import IntelCollateral
from enclave_runtime.attestation.errors import AttestationError, Step

if TYPE_CHECKING:
    from dcap_qvl import QuoteCollateralV3

__all__ = ["STEPS", "VendorVerdict", "refusal_of", "run"]

STEPS: tuple[tuple[str, Step, str], ...] = (
    ("Failed to decode quote", Step.PARSE, "a DCAP quote"),
    ("Unsupported quote version", Step.PARSE, "quote version 4 or 5"),
    ("Unsupported DCAP quote version", Step.PARSE, "quote version 4 or 5"),
    ("TDX TEE quote must have version", Step.PARSE, "quote version 4 or 5"),
    ("Unsupported body type", Step.PARSE, "a TD 1.0 or 1.5 report"),
    ("Invalid body size", Step.PARSE, "the size of a TD report"),
    ("Unsupported DCAP attestation key type", Step.PARSE, "an ECDSA P-256 attestation key"),
    ("Unknown QE vendor ID", Step.PARSE, "Intel's quoting enclave"),
    ("Failed to decode TcbInfo", Step.PARSE, "TCB info version 3"),
    ("Failed to decode QeIdentity", Step.PARSE, "a QE identity"),
    ("Failed to extract PCK certificates", Step.PARSE, "a PCK chain in the quote"),
    ("CertRevoked", Step.REVOCATION, "no certificate of the chain on a revocation list"),
    ("CrlExpired", Step.REVOCATION, "revocation lists that are still valid"),
    ("UnknownRevocationStatus", Step.REVOCATION, "a revocation list of every issuer"),
    ("InvalidCrlSignatureForPublicKey", Step.REVOCATION, "revocation lists signed by their issuers"),
    ("IssuerNotCrlSigner", Step.REVOCATION, "revocation lists signed by their issuers"),
    ("Failed to parse root CA CRL", Step.REVOCATION, "a revocation list of the root"),
    ("Failed to parse PCK CRL", Step.REVOCATION, "a revocation list of the PCK issuer"),
    ("Failed to parse CRL", Step.REVOCATION, "revocation lists in DER"),
    ("CRLs required", Step.REVOCATION, "revocation lists"),
    ("Signature is invalid for qe_report", Step.SIGNATURE, "a QE report signed by the PCK key"),
    ("QE report hash mismatch", Step.SIGNATURE, "an attestation key bound by the QE report"),
    ("Invalid QE auth data length", Step.SIGNATURE, "32 bytes of QE auth data"),
    ("ISV enclave report signature is invalid", Step.SIGNATURE, "a quote signed by its attestation key"),
    ("QE report validation failed", Step.SIGNATURE, "the vendor's quoting enclave"),
    ("QE MRSIGNER mismatch", Step.SIGNATURE, "the vendor's quoting enclave"),
    ("QE ISVPRODID mismatch", Step.SIGNATURE, "the vendor's quoting enclave"),
    ("QE ATTRIBUTES mismatch", Step.SIGNATURE, "the vendor's quoting enclave"),
    ("QE MISCSELECT mismatch", Step.SIGNATURE, "the vendor's quoting enclave"),
    ("Signature is invalid for tcb_info", Step.TCB, "TCB info signed by the vendor"),
    ("Signature is invalid for qe_identity", Step.TCB, "a QE identity signed by the vendor"),
    ("TCBInfo expired", Step.TCB, "TCB info that is still valid"),
    ("TCBInfo issue date is in the future", Step.TCB, "TCB info that is valid already"),
    ("QE Identity expired", Step.TCB, "a QE identity that is still valid"),
    ("QE Identity issue date is in the future", Step.TCB, "a QE identity that is valid already"),
    ("Unsupported QE Identity id/version", Step.TCB, "QE identity TD_QE, version 2"),
    ("TDX quote with non-TDX TCB info", Step.TCB, "TCB info for TDX"),
    ("TDX TCB Info is missing tdxModule", Step.TCB, "TCB info with a TDX module"),
    ("Fmspc mismatch", Step.TCB, "TCB info for this platform's FMSPC"),
    ("No matching TCB level found", Step.TCB, "a TCB level that the platform reaches"),
    ("QE ISVSVN", Step.TCB, "a TCB level that the quoting enclave reaches"),
    ("No TCB levels found in QE Identity", Step.TCB, "a TCB level that the quoting enclave reaches"),
    ("TCB status is invalid: Revoked", Step.TCB, "a TCB that is not revoked"),
    ("No TDX module identity with id", Step.TCB, "a known TDX module"),
    ("is below minimum required from TDX module TCB", Step.TCB, "a TDX module at a known level"),
    ("TDX module", Step.TCB, "the vendor's TDX module"),
    ("Failed to evaluate the current TDX TCB", Step.TCB, "a TCB level that the current module reaches"),
    ("Debug mode is enabled", Step.DEBUG, "debug off"),
    ("TD profiling is enabled", Step.DEBUG, "performance monitoring off"),
    ("SEPT_VE_DISABLE is not enabled", Step.DEBUG, "SEPT_VE_DISABLE on"),
    ("SERVTD_EXT is enabled", Step.DEBUG, "no service TD"),
    ("TD migration is enabled", Step.DEBUG, "migration off"),
    ("Reserved bits in TD attributes", Step.DEBUG, "reserved TD attributes clear"),
    ("Invalid MR service TD", Step.DEBUG, "no service TD"),
    ("UnknownIssuer", Step.CHAIN, "certificates that chain to the pinned root"),
    ("InvalidSignatureForPublicKey", Step.CHAIN, "certificates signed by their issuers"),
    ("CertExpired", Step.CHAIN, "certificates that are still valid"),
    ("CertNotValidYet", Step.CHAIN, "certificates that are valid already"),
    ("Certificate chain is too short", Step.CHAIN, "leaf, intermediate and root"),
)
"""(words in the error, step, what was expected); the first row whose words occur wins."""

_PREFIX = "Verification failed: "
_PARTS = (
    "pck_crl_issuer_chain",
    "root_ca_crl",
    "pck_crl",
    "tcb_info_issuer_chain",
    "tcb_info",
    "tcb_info_signature",
    "qe_identity_issuer_chain",
    "qe_identity",
    "qe_identity_signature",
)
"""Of the collateral, in the order of dcap-qvl's constructor."""


@dataclass(frozen=True, slots=True)
class VendorVerdict:
    """What dcap-qvl computed over a quote whose signatures and chains hold.

    Attributes:
        status: merged TCB status of platform, TDX module and quoting enclave.
        advisory_ids: advisories for that status.
        ppid: from the PCK certificate.
        report: the report as dcap-qvl's parser reads it, with bytes under its own field names.
    """

    status: str
    advisory_ids: tuple[str, ...]
    ppid: bytes
    report: object


def run(quote: bytes, collateral: IntelCollateral, root_der: bytes, now: int) -> VendorVerdict:
    """Verify `quote` at Unix time `now` against the one root `root_der`; judge nothing yet.

    Raises:
        AttestationError: the step that dcap-qvl's error belongs to.
    """
    import dcap_qvl  # slow to load, and outside of the CVM only

    try:
        verdict = dcap_qvl.verify_with_root_ca(quote, _package(collateral), root_der, now)
        report = dcap_qvl.parse_quote(quote).report
        return VendorVerdict(verdict.status, tuple(verdict.advisory_ids), verdict.ppid, report)
    except ValueError as error:
        raise refusal_of(str(error)) from error
    except BaseException as error:
        # A panic of the native library is no Exception; evidence must not be able to end a service.
        if type(error).__name__ != "PanicException":
            raise
        raise refusal_of("the library gave up") from error


@functools.lru_cache(maxsize=16)  # equal objects only: a service holds one for weeks
def _package(collateral: IntelCollateral) -> QuoteCollateralV3:
    """Return the collateral as dcap-qvl takes it: a copy of every part, which nothing changes."""
    import dcap_qvl

    return dcap_qvl.QuoteCollateralV3(*(getattr(collateral, name) for name in _PARTS))


def refusal_of(message: str) -> AttestationError:
    """Return the refusal for the words of a dcap-qvl error."""
    got = " ".join(message.removeprefix(_PREFIX).split())[:300]
    for words, step, expected in STEPS:
        if words in got:
            return AttestationError(step, got, expected)
    return AttestationError(Step.CHAIN, got, "evidence that the vendor's library accepts")
