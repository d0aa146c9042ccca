"""Verifying a TDX quote, as the numbered argument of docs/protocol.md section 4.3.

Who signed it is `dcap.platform`'s work, for TDX and SGX alike; here is what a trust domain must be besides.
Pure: no clock, network, file or environment.
"""

from __future__ import annotations

from enclave_runtime.attestation.binding import check_report_data
from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.dcap import appraisal, layout
from enclave_runtime.attestation.dcap.ccel import parse_any_log
from enclave_runtime.attestation.dcap.platform import platform_id_hash, platform_of
from enclave_runtime.attestation.dcap.registers import TdxRegisters
from enclave_runtime.attestation.dcap.rtmr import replay
from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.model import Evidence, TeeKind, VerifiedEvidence
from enclave_runtime.attestation.policy import AppraisalPolicy
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.wire.errors import WireError

__all__ = ["TdxVerifier", "platform_id_hash"]

SEPT_VE_DISABLE = 1 << 28
DEBUG_MASK = 0xFF
"""TUD, the lowest byte of TD_ATTRIBUTES: any bit in it puts the TD under the host's eyes."""
XFAM_FIXED_ON, XFAM_ALLOWED = 0x3, 0x6DBE7
"""Of the extended features: x87 and SSE are always on, and no others exist (Intel TDX module, XFAM)."""


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
            evidence: quote and logs from the CVM; its GPU evidence is left to `appraise`.
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
        # (4) TCB level, evaluation numbers, advisories, platform and TDX module against policy.
        appraisal.check_platform(platform, policy, now)
        _check_module(body, policy)
        # (5) Debug off, and no attribute bit that policy does not name.
        _check_attributes(body, quote.service_td, policy)
        # (6) The event log, where there is one, replays to the registers.
        _check_event_log(evidence.event_log, body)
        # (7) The measurement is a reference value.
        measurement = TdxRegisters.of(body).measurement()
        policy.check_measurement(measurement)
        # (8) report_data binds these keys, this operator, this purpose and this challenge.
        check_report_data(body.report_data, expected_report_data)
        return appraisal.verdict_on(quote, measurement, platform, roots, _facts)


def _facts(quote: layout.Quote) -> dict[str, str]:
    body = _td_body(quote)
    svn = body.tee_tcb_svn
    return {
        "td report": "1.5" if quote.service_td else "1.0",
        "tdx module": f"major version {svn[1]}, security version {svn[0]}",
        "mr_seam": body.mr_seam.hex(),
        "td_attributes": body.td_attributes.hex(),
        "xfam": body.xfam.hex(),
        "rtmr3": body.rtmr3.hex(),
    }


def _read(evidence: Evidence) -> tuple[layout.Quote, layout.TdBody]:
    quote = appraisal.read_quote(evidence, TeeKind.TDX)
    return quote, _td_body(quote)


def _td_body(quote: layout.Quote) -> layout.TdBody:
    if not isinstance(quote.body, layout.TdBody):
        raise AttestationError(Step.PARSE, "a quote over an enclave's report", "a TD report")
    return quote.body


def _check_module(body: layout.TdBody, policy: AppraisalPolicy) -> None:
    """Refuse a TDX module that is not Intel's own (4); its patch level is in the TCB info.

    MR_SEAM names one build of the module. It is pinned only where policy asks: every update changes it.
    """
    if any(body.mrsigner_seam) or any(body.seam_attributes):
        got = f"TDX module of signer {body.mrsigner_seam.hex()}, attributes {body.seam_attributes.hex()}"
        raise AttestationError(Step.TCB, got, "Intel's TDX module: zeros")
    builds = policy.intel.mr_seams
    if builds is not None and body.mr_seam not in builds:
        raise AttestationError(
            Step.TCB, f"TDX module {body.mr_seam.hex()}", f"one of {len(builds)} listed builds"
        )


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
    xfam = int.from_bytes(body.xfam, "little")
    if xfam & XFAM_FIXED_ON != XFAM_FIXED_ON or xfam & ~XFAM_ALLOWED:
        raise AttestationError(
            Step.DEBUG, f"XFAM {xfam:#018x}", f"bits of {XFAM_ALLOWED:#x}, with {XFAM_FIXED_ON:#x}"
        )
    if any(service_td[16:]):
        raise AttestationError(Step.DEBUG, f"service TD {service_td[16:].hex()}", "no service TD")


def _check_event_log(event_log: bytes | None, body: layout.TdBody) -> None:
    if event_log is None:
        return
    try:
        replayed = replay(parse_any_log(event_log))
    except WireError as error:
        raise AttestationError(Step.EVENT_LOG, str(error), "an event log") from error
    for index, (got, expected) in enumerate(zip(replayed, body.rtmrs, strict=True)):
        if got != expected:
            raise AttestationError(
                Step.EVENT_LOG, f"RTMR{index} {got.hex()} from the log", f"{expected.hex()} as signed"
            )
