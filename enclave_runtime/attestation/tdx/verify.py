"""Verifying a TDX quote, as the numbered argument of docs/protocol.md section 4.3.

Signatures, chains and TCB matching are dcap-qvl's work (`qvl`); what it leaves unchecked is checked here:
exact length, agreement of two parsers, dates of issue of the revocation lists, PCE id, evaluation numbers,
attribute bits, and everything that is policy or binding. Pure: no clock, network, file or environment.
"""

from __future__ import annotations

import json
from dataclasses import fields

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from enclave_runtime.attestation.collateral import Collateral, IntelCollateral
from enclave_runtime.attestation.dcap import layout, pck
from enclave_runtime.attestation.dcap.registers import TdxRegisters
from enclave_runtime.attestation.dcap.rtmr import parse_log, replay
from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.model import Evidence, TeeKind, VerifiedEvidence
from enclave_runtime.attestation.policy import AppraisalPolicy
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.attestation.tdx import qvl
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import sha256, tagged

__all__ = ["TdxVerifier", "platform_id_hash"]

SEPT_VE_DISABLE = 1 << 28
DEBUG_MASK = 0xFF
"""TUD, the lowest byte of TD_ATTRIBUTES: any bit in it puts the TD under the host's eyes."""

# dcap-qvl's names for the fields of a TD report, where they differ from ours.
_QVL_NAMES = {"mrsigner_seam": "mr_signer_seam", "mrtd": "mr_td"} | {
    f"rtmr{i}": f"rt_mr{i}" for i in range(4)
}


class TdxVerifier:
    """TDX quotes, versions 4 and 5, TD report 1.0 and 1.5."""

    tee = TeeKind.TDX

    def verify(
        self,
        evidence: Evidence,
        collateral: Collateral,
        *,
        roots: RootSet,
        policy: AppraisalPolicy,
        expected_report_data: bytes,
        now: int,
    ) -> VerifiedEvidence:
        """Return the verdict on `evidence` at Unix time `now`, in seconds.

        Args:
            evidence: quote and logs from the CVM.
            collateral: the vendor's signed statements, from anywhere.
            roots: the one trust anchor to believe, from settings.
            policy: what is accepted; an empty one refuses.
            expected_report_data: the 64 bytes that `wire.report_data` makes of the keys in the bundle and
                the verifier's own operator, purpose and challenge.
            now: Unix time, in seconds.
        Raises:
            AttestationError: names the first step that failed, what was got and what was expected.
        """
        # A policy that allows nothing, or does not name this trust anchor, ends it here.
        policy.check_roots(roots)
        intel = collateral.need("intel")
        # (0) The bytes are one quote, exactly, of a kind that these rules cover.
        quote, body, chain = _parse(evidence)
        # (1) Collateral and quote lead to the pinned root. (2) No revocation list is of the future.
        root_der = _pinned_root(intel, roots, chain[-1])
        _check_crl_dates(intel, now)
        # (1) chains and their dates, (2) revocation, (3) signatures; and dcap-qvl's own part of (4) and (5).
        claims = qvl.run(evidence.quote, intel, root_der, now)
        _check_agreement(body, claims, chain[0], intel)
        # (4) TCB level, evaluation numbers, advisories and platform against policy.
        policy.check_tcb(claims.status, claims.advisory_ids, claims.eval_numbers)
        policy.check_platform(platform_id_hash(claims.ppid))
        # (5) Debug off, and no attribute bit that policy does not name.
        _check_attributes(body, quote.service_td, policy)
        # (6) The event log, where there is one, replays to the registers.
        _check_event_log(evidence.event_log, body)
        # (7) The measurement is a reference value.
        policy.check_measurement(TdxRegisters.of(body).measurement())
        # (8) report_data binds these keys, this operator, this purpose and this challenge.
        _check_report_data(body.report_data, expected_report_data)
        return _verdict(quote, body, claims, roots)


def _verdict(
    quote: layout.Quote, body: layout.TdBody, claims: qvl.VendorClaims, roots: RootSet
) -> VerifiedEvidence:
    return VerifiedEvidence(
        tee=TeeKind.TDX,
        root_set=roots.id,
        simulated=roots.simulated,
        measurement=TdxRegisters.of(body).measurement(),
        report_data=body.report_data,
        tcb_status=claims.status,
        advisory_ids=claims.advisory_ids,
        tcb_eval_number=min(claims.eval_numbers),
        platform_id_hash=platform_id_hash(claims.ppid),
        canonical_id=layout.canonical_id(quote),
        collateral_expires_at=claims.expires_at,
    )


def platform_id_hash(ppid: bytes) -> bytes:
    """Return the tagged digest of a platform provisioning id: names hardware without spelling its id."""
    return tagged("platform-id/intel/v1", ppid)


_Chain = tuple[x509.Certificate, x509.Certificate, x509.Certificate]


def _parse(evidence: Evidence) -> tuple[layout.Quote, layout.TdBody, _Chain]:
    try:
        quote = layout.parse_quote(evidence.quote)
        chain = pck.parse_chain(quote.signatures.cert_data)
    except WireError as error:
        raise AttestationError(Step.PARSE, str(error), "one TDX quote, exactly") from error
    header = quote.header
    facts = (evidence.tee, header.tee_type, header.key_type, header.vendor_id, quote.signatures.cert_type)
    expected = (
        TeeKind.TDX,
        layout.TEE_TYPE_TDX,
        layout.KEY_TYPE_ECDSA_P256,
        layout.INTEL_QE_VENDOR_ID,
        pck.PCK_CHAIN_PEM,
    )
    if facts != expected or not isinstance(quote.body, layout.TdBody):
        raise AttestationError(
            Step.PARSE, f"TEE, key type, vendor and certification {facts}", f"{expected} and a TD report"
        )
    return quote, quote.body, chain


def _pinned_root(collateral: IntelCollateral, roots: RootSet, quote_root: x509.Certificate) -> bytes:
    """Return the DER of the pinned root, taken from the collateral and held against the pin."""
    if sha256(quote_root.public_bytes(Encoding.DER)) != roots.der_sha256:
        got = sha256(quote_root.public_bytes(Encoding.DER)).hex()
        raise AttestationError(
            Step.CHAIN, f"a quote whose chain ends in root {got}", f"{roots.der_sha256.hex()}"
        )
    for pem in (
        collateral.tcb_info_issuer_chain,
        collateral.qe_identity_issuer_chain,
        collateral.pck_crl_issuer_chain,
    ):
        try:
            root = x509.load_pem_x509_certificates(pem.encode())[-1]
        except pck.MALFORMED as error:
            raise AttestationError(Step.CHAIN, "an issuer chain that is not PEM", "certificates") from error
        if sha256(root.public_bytes(Encoding.DER)) != roots.der_sha256:
            got = sha256(root.public_bytes(Encoding.DER)).hex()
            raise AttestationError(
                Step.CHAIN, f"collateral whose chain ends in root {got}", roots.der_sha256.hex()
            )
    key = quote_root.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if roots.key_sha256 is not None and sha256(key) != roots.key_sha256:
        raise AttestationError(Step.CHAIN, f"root key {sha256(key).hex()}", roots.key_sha256.hex())
    return quote_root.public_bytes(Encoding.DER)


def _check_crl_dates(collateral: IntelCollateral, now: int) -> None:
    """Refuse revocation lists of the future (2): dcap-qvl checks only their end; Intel's are all number 1."""
    for name, der in (("root", collateral.root_ca_crl), ("PCK", collateral.pck_crl)):
        try:
            issued = int(x509.load_der_x509_crl(der).last_update_utc.timestamp())
        except pck.MALFORMED as error:
            raise AttestationError(
                Step.REVOCATION, f"a {name} CRL that does not parse", "a DER CRL"
            ) from error
        if issued > now:
            raise AttestationError(Step.REVOCATION, f"a {name} CRL issued at {issued}", f"at most {now}")


def _check_agreement(
    body: layout.TdBody, claims: qvl.VendorClaims, leaf: x509.Certificate, collateral: IntelCollateral
) -> None:
    """Refuse a quote that two parsers read differently (0), and a PCE that the TCB info is not about (4)."""
    for field in fields(body):
        name = _QVL_NAMES.get(field.name, field.name)
        if claims.report.get(name) != getattr(body, field.name).hex():
            raise AttestationError(Step.PARSE, f"two readings of {field.name}", "one")
    try:
        extension = pck.parse_extension(leaf)
    except WireError as error:
        raise AttestationError(Step.PARSE, str(error), "Intel's SGX extension") from error
    if (extension.ppid, extension.fmspc, extension.pce_id) != (claims.ppid, claims.fmspc, claims.pce_id):
        raise AttestationError(Step.PARSE, "two readings of the PCK certificate", "one")
    about = str(json.loads(collateral.tcb_info).get("pceId")).lower()
    if about != extension.pce_id.hex():
        raise AttestationError(Step.TCB, f"TCB info for PCE id {about}", extension.pce_id.hex())


def _check_attributes(body: layout.TdBody, service_td: bytes, policy: AppraisalPolicy) -> None:
    attributes = int.from_bytes(body.td_attributes, "little")
    if attributes & DEBUG_MASK:
        raise AttestationError(Step.DEBUG, f"TD_ATTRIBUTES {attributes:#018x}", "debug off")
    if not attributes & SEPT_VE_DISABLE:
        raise AttestationError(Step.DEBUG, f"TD_ATTRIBUTES {attributes:#018x}", "SEPT_VE_DISABLE on")
    allowed = SEPT_VE_DISABLE | policy.extra_td_attributes
    if attributes & ~allowed:
        raise AttestationError(
            Step.DEBUG, f"TD_ATTRIBUTES {attributes:#018x}", f"only bits of {allowed:#018x}"
        )
    if any(service_td[16:]):
        raise AttestationError(Step.DEBUG, f"service TD {service_td[16:].hex()}", "no service TD")


def _check_event_log(event_log: bytes | None, body: layout.TdBody) -> None:
    if event_log is None:
        return
    try:
        replayed = replay(parse_log(event_log))
    except WireError as error:
        raise AttestationError(Step.EVENT_LOG, str(error), "an event log") from error
    for index, (got, expected) in enumerate(zip(replayed, body.rtmrs, strict=True)):
        if got != expected:
            raise AttestationError(
                Step.EVENT_LOG, f"RTMR{index} {got.hex()} from the log", f"{expected.hex()} as signed"
            )


def _check_report_data(got: bytes, expected: bytes) -> None:
    parts = (
        ("signer", 0, 20),
        ("digest of keys, operator, purpose and challenge", 20, 52),
        ("layout tag", 52, 64),
    )
    if len(expected) != 64:
        raise AttestationError(Step.REPORT_DATA, f"{len(expected)} expected bytes", "64")
    for name, start, end in parts:
        if got[start:end] != expected[start:end]:
            raise AttestationError(
                Step.REPORT_DATA, f"{name} {got[start:end].hex()}", expected[start:end].hex()
            )
