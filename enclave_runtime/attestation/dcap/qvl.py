"""The vendor's arithmetic by the dcap-qvl library, its refusals named by our steps.

dcap-qvl raises bare ValueErrors. `STEPS` maps their words to the numbered steps of docs/protocol.md section
4.3; an error that no row covers is refused too, as step (1), with its own words.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from enclave_runtime.attestation.collateral.intel import IntelCollateral
from enclave_runtime.attestation.errors import AttestationError, Cause, Step

if TYPE_CHECKING:
    from dcap_qvl import QuoteCollateralV3

__all__ = ["STEPS", "VendorVerdict", "refusal_of", "run"]


class _Row(NamedTuple):
    words: str
    step: Step
    expected: str
    cause: Cause | None = None


STEPS: Final[tuple[_Row, ...]] = (
    _Row("Failed to decode quote", Step.PARSE, "a DCAP quote"),
    _Row("Unsupported quote version", Step.PARSE, "quote version 4 or 5"),
    _Row("Unsupported DCAP quote version", Step.PARSE, "quote version 4 or 5"),
    _Row("TDX TEE quote must have version", Step.PARSE, "quote version 4 or 5"),
    _Row("Unsupported body type", Step.PARSE, "a TD 1.0 or 1.5 report"),
    _Row("Invalid body size", Step.PARSE, "the size of a TD report"),
    _Row("Unsupported DCAP attestation key type", Step.PARSE, "an ECDSA P-256 attestation key"),
    _Row("Unknown QE vendor ID", Step.PARSE, "Intel's quoting enclave"),
    _Row("Failed to decode TcbInfo", Step.PARSE, "TCB info version 3"),
    _Row("Failed to decode QeIdentity", Step.PARSE, "a QE identity"),
    _Row("Failed to extract PCK certificates", Step.PARSE, "a PCK chain in the quote"),
    _Row("CertRevoked", Step.REVOCATION, "no certificate of the chain on a revocation list"),
    _Row("CrlExpired", Step.REVOCATION, "revocation lists that are still valid", Cause.COLLATERAL_OVER),
    _Row("UnknownRevocationStatus", Step.REVOCATION, "a revocation list of every issuer"),
    _Row("InvalidCrlSignatureForPublicKey", Step.REVOCATION, "revocation lists signed by their issuers"),
    _Row("IssuerNotCrlSigner", Step.REVOCATION, "revocation lists signed by their issuers"),
    _Row("Failed to parse root CA CRL", Step.REVOCATION, "a revocation list of the root"),
    _Row("Failed to parse PCK CRL", Step.REVOCATION, "a revocation list of the PCK issuer"),
    _Row("Failed to parse CRL", Step.REVOCATION, "revocation lists in DER"),
    _Row("CRLs required", Step.REVOCATION, "revocation lists"),
    _Row("Signature is invalid for qe_report", Step.SIGNATURE, "a QE report signed by the PCK key"),
    _Row("QE report hash mismatch", Step.SIGNATURE, "an attestation key bound by the QE report"),
    _Row("Invalid QE auth data length", Step.SIGNATURE, "32 bytes of QE auth data"),
    _Row("ISV enclave report signature is invalid", Step.SIGNATURE, "a quote signed by its attestation key"),
    _Row("QE report validation failed", Step.SIGNATURE, "the vendor's quoting enclave"),
    _Row("QE MRSIGNER mismatch", Step.SIGNATURE, "the vendor's quoting enclave"),
    _Row("QE ISVPRODID mismatch", Step.SIGNATURE, "the vendor's quoting enclave"),
    _Row("QE ATTRIBUTES mismatch", Step.SIGNATURE, "the vendor's quoting enclave"),
    _Row("QE MISCSELECT mismatch", Step.SIGNATURE, "the vendor's quoting enclave"),
    _Row(
        "Signature is invalid for tcb_info",
        Step.TCB,
        "TCB info signed by the vendor",
        Cause.COLLATERAL_CHANGED,
    ),
    _Row(
        "Signature is invalid for qe_identity",
        Step.TCB,
        "a QE identity signed by the vendor",
        Cause.COLLATERAL_CHANGED,
    ),
    _Row("TCBInfo expired", Step.TCB, "TCB info that is still valid", Cause.COLLATERAL_OVER),
    _Row(
        "TCBInfo issue date is in the future",
        Step.TCB,
        "TCB info that is valid already",
        Cause.COLLATERAL_EARLY,
    ),
    _Row("QE Identity expired", Step.TCB, "a QE identity that is still valid", Cause.COLLATERAL_OVER),
    _Row(
        "QE Identity issue date is in the future",
        Step.TCB,
        "a QE identity that is valid already",
        Cause.COLLATERAL_EARLY,
    ),
    _Row(
        "Unsupported QE Identity id/version",
        Step.TCB,
        "the QE identity of the quote's own TEE",
        Cause.COLLATERAL_OTHER_TEE,
    ),
    _Row("TDX quote with non-TDX TCB info", Step.TCB, "TCB info for TDX", Cause.COLLATERAL_OTHER_TEE),
    _Row("TDX TCB Info is missing tdxModule", Step.TCB, "TCB info with a TDX module"),
    _Row("Fmspc mismatch", Step.TCB, "TCB info for this platform's FMSPC", Cause.COLLATERAL_OTHER_PLATFORM),
    _Row("No matching TCB level found", Step.TCB, "a TCB level that the platform reaches"),
    _Row("QE ISVSVN", Step.TCB, "a TCB level that the quoting enclave reaches"),
    _Row("No TCB levels found in QE Identity", Step.TCB, "a TCB level that the quoting enclave reaches"),
    _Row("TCB status is invalid: Revoked", Step.TCB, "a TCB that is not revoked"),
    _Row("No TDX module identity with id", Step.TCB, "a known TDX module"),
    _Row("is below minimum required from TDX module TCB", Step.TCB, "a TDX module at a known level"),
    _Row("TDX module", Step.TCB, "the vendor's TDX module"),
    _Row("Failed to evaluate the current TDX TCB", Step.TCB, "a TCB level that the current module reaches"),
    _Row("Debug mode is enabled", Step.DEBUG, "debug off"),
    _Row("TD profiling is enabled", Step.DEBUG, "performance monitoring off"),
    _Row("SEPT_VE_DISABLE is not enabled", Step.DEBUG, "SEPT_VE_DISABLE on"),
    _Row("SERVTD_EXT is enabled", Step.DEBUG, "no service TD"),
    _Row("TD migration is enabled", Step.DEBUG, "migration off"),
    _Row("Reserved bits in TD attributes", Step.DEBUG, "reserved TD attributes clear"),
    _Row("Invalid MR service TD", Step.DEBUG, "no service TD"),
    _Row("UnknownIssuer", Step.CHAIN, "certificates that chain to the pinned root"),
    _Row("InvalidSignatureForPublicKey", Step.CHAIN, "certificates signed by their issuers"),
    _Row("CertExpired", Step.CHAIN, "certificates that are still valid"),
    _Row("CertNotValidYet", Step.CHAIN, "certificates that are valid already"),
    _Row("Certificate chain is too short", Step.CHAIN, "leaf, intermediate and root"),
)
"""Words in the library's error, and what we say for it; the first row whose words occur wins."""

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
    for row in STEPS:
        if row.words in got:
            return AttestationError(row.step, got, row.expected, row.cause)
    return AttestationError(Step.CHAIN, got, "evidence that the vendor's library accepts")
