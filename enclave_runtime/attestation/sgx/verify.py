"""Verifying an SGX quote, as the numbered argument of docs/protocol.md section 4.3.

Who signed it is `dcap.platform`'s work, for TDX and SGX alike; here is what an enclave must be besides.
Pure: no clock, network, file or environment.
"""

from __future__ import annotations

from enclave_runtime.attestation.binding import check_report_data
from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.dcap import appraisal, layout
from enclave_runtime.attestation.dcap.platform import platform_of
from enclave_runtime.attestation.dcap.registers import SgxRegisters
from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.model import Evidence, TeeKind, VerifiedEvidence
from enclave_runtime.attestation.policy import AppraisalPolicy
from enclave_runtime.attestation.roots import RootSet

__all__ = ["SgxVerifier"]

INIT, DEBUG, MODE64BIT = 1 << 0, 1 << 1, 1 << 2
CET, KSS, AEX_NOTIFY = 1 << 6, 1 << 7, 1 << 10
_HARMLESS = INIT | MODE64BIT | CET | KSS | AEX_NOTIFY
"""Attributes of any production enclave; keys for provisioning and launching are for Intel's own enclaves."""


class SgxVerifier:
    """SGX quotes, version 3, certified by a PCK chain."""

    tee = TeeKind.SGX

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
            evidence: the quote; an enclave has no event log.
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
        # (0) The bytes are one quote, exactly, of a kind that these rules cover.
        quote, body = _read(evidence)
        # (1) Chains lead to the pinned root. (2) Nothing is revoked. (3) Every signature holds.
        platform = platform_of(evidence.quote, quote, collateral.need("intel"), roots, now)
        # (4) TCB level, evaluation numbers, advisories and platform against policy; one CPU patch level.
        appraisal.check_platform(platform, policy, now)
        _check_cpu_svn(quote, body)
        # (5) Debug off, and no attribute bit that policy does not name.
        _check_attributes(body, policy)
        # (6) An enclave has no registers that a log could explain.
        if evidence.event_log is not None:
            raise AttestationError(Step.EVENT_LOG, "an event log beside an SGX quote", "none")
        # (7) The measurement is a reference value: pages, signer, product, SVN, configuration and attributes.
        measurement = SgxRegisters.of(body).measurement()
        policy.check_measurement(measurement)
        # (8) report_data binds these keys, this operator, this purpose and this challenge.
        check_report_data(body.report_data, expected_report_data)
        return appraisal.verdict_on(quote, measurement, platform, roots, _facts)


def _facts(quote: layout.Quote) -> dict[str, str]:
    return SgxRegisters.of(_enclave_body(quote)).to_json()


def _read(evidence: Evidence) -> tuple[layout.Quote, layout.EnclaveBody]:
    quote = appraisal.read_quote(evidence, TeeKind.SGX)
    body = _enclave_body(quote)
    if any(body.reserved):
        raise AttestationError(Step.PARSE, "reserved bytes of the report in use", "zeros")
    return quote, body


def _enclave_body(quote: layout.Quote) -> layout.EnclaveBody:
    if not isinstance(quote.body, layout.EnclaveBody) or quote.header.version != 3:
        raise AttestationError(Step.PARSE, f"a quote of version {quote.header.version}", "SGX version 3")
    return quote.body


def _check_cpu_svn(quote: layout.Quote, body: layout.EnclaveBody) -> None:
    """Refuse an enclave whose report was made at another patch level of the CPU than its quoting enclave's.

    Both are reports of one processor since its last start, as patches need all enclaves gone.
    """
    own = layout.EnclaveBody.decode(quote.signatures.qe_report).cpu_svn
    if body.cpu_svn != own:
        raise AttestationError(Step.TCB, f"CPU SVN {body.cpu_svn.hex()}", f"{own.hex()} as the QE's")


def _check_attributes(body: layout.EnclaveBody, policy: AppraisalPolicy) -> None:
    flags = int.from_bytes(body.attributes[:8], "little")
    if flags & DEBUG:
        raise AttestationError(Step.DEBUG, f"attributes {flags:#018x}", "debug off")
    if not flags & INIT:
        raise AttestationError(Step.DEBUG, f"attributes {flags:#018x}", "an initialised enclave")
    allowed = _HARMLESS | policy.intel.extra_sgx_attributes
    if flags & ~allowed:
        raise AttestationError(Step.DEBUG, f"attributes {flags:#018x}", f"only bits of {allowed:#018x}")
