"""Verifying an SEV-SNP report, as the numbered argument of docs/protocol.md section 4.3.

Everything is checked here, over the raw bytes of the report; no library does it for us. The TCB status of the
verdict is the word of the floor tables in `SnpRules` ("UpToDate", "OutOfDate" or "Unrated"), its evaluation
number the edition of the oldest table, its advisories the bulletins whose levels the platform misses. Without
a floor about the platform the status is "Unrated", which `AppraisalPolicy` refuses unless it names that word.
Pure: no clock, network, file or environment; verified chains are kept, see `chain`.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from enclave_runtime.attestation.binding import check_report_data
from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.model import Evidence, TeeKind, VerifiedEvidence
from enclave_runtime.attestation.policy import AppraisalPolicy
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.attestation.sev_snp import chain as chains
from enclave_runtime.attestation.sev_snp import layout, tcb
from enclave_runtime.attestation.sev_snp.products import TURIN, product_of
from enclave_runtime.attestation.sev_snp.registers import SnpRegisters
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import tagged

__all__ = ["SnpVerifier", "platform_id_hash"]

_SHA384 = ec.ECDSA(hashes.SHA384())
_KEYS = {layout.KEY_VCEK: "VCEK", layout.KEY_VLEK: "VLEK"}


class SnpVerifier:
    """SEV-SNP reports, versions 2, 3 and 5, of Milan, Genoa and Turin, signed by a VCEK or a VLEK."""

    tee = TeeKind.SEV_SNP

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
            evidence: the report from the CVM.
            collateral: AMD's certificates and revocation list, from anywhere.
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
        rules, amd = policy.snp, collateral.need("amd")
        # (0) The bytes are one report, exactly, of a version that these rules cover.
        report, r, s = _parse(evidence)
        # (1) The key's chain ends in the pinned root, holds now, and is of the machine that the report names.
        chain = chains.load_chain(amd, roots)
        chains.check_dates(chain, now)
        product = _check_machine(report, chain, policy)
        # (2) The root's revocation list is there, holds now, and names none of the chain.
        expires_at = chains.check_revocation(amd, chain, now, rules)
        # (3) The endorsement key signed these bytes.
        _check_signature(evidence.quote, r, s, chain.vek_key)
        # (4) Patch levels are those of the key, consistent, and accepted; so are machine and switches.
        levels = tcb.check_levels(report, chain.facts, product, rules)
        rating = tcb.rate(report, levels, product, rules)
        policy.check_tcb(rating.status, rating.advisories, (rating.edition, rating.edition))
        tcb.check_switches(report, rules)
        _check_platform(report, policy)
        # (5) Debug off, no migration agent, and the most privileged level asked.
        _check_guest(report, policy)
        # (6) There is no event log: nothing on this platform would prove one.
        if evidence.event_log is not None:
            raise AttestationError(Step.EVENT_LOG, "an event log", "none: no register vouches for it")
        # (7) The measurement is a reference value.
        registers = SnpRegisters.of(report)
        measurement = registers.digest()
        policy.check_measurement(measurement)
        # (8) report_data binds these keys, this operator, this purpose and this challenge.
        check_report_data(report.report_data, expected_report_data)
        facts = _facts(report, chain, levels) | registers.to_json()
        signed, ends = layout.canonical_id(evidence.quote), min(expires_at, chain.expires_at)
        return _verdict(report, roots, rating, measurement, signed, ends, facts)


def _verdict(
    report: layout.SnpReport,
    roots: RootSet,
    rating: tcb.Rating,
    measurement: bytes,
    canonical_id: bytes,
    expires_at: int,
    facts: dict[str, str],
) -> VerifiedEvidence:
    return VerifiedEvidence(
        tee=TeeKind.SEV_SNP,
        root_set=roots.id,
        simulated=roots.simulated,
        measurement=measurement,
        report_data=report.report_data,
        tcb_status=rating.status,
        advisory_ids=rating.advisories,
        tcb_eval_number=rating.edition,
        platform_id_hash=platform_id_hash(report.chip_id),
        canonical_id=canonical_id,
        collateral_expires_at=expires_at,
        facts=facts,
    )


def platform_id_hash(chip_id: bytes) -> bytes:
    """Return the tagged digest of a chip's id, 64 bytes: names hardware without spelling its id."""
    return tagged("platform-id/amd/v1", chip_id)


def _parse(evidence: Evidence) -> tuple[layout.SnpReport, int, int]:
    if evidence.tee is not TeeKind.SEV_SNP:
        raise AttestationError(Step.PARSE, f"evidence of a {evidence.tee.value} TEE", "sev-snp")
    try:
        return layout.parse_report(evidence.quote)
    except WireError as error:
        raise AttestationError(Step.PARSE, str(error), "one SEV-SNP report, exactly") from error


def _check_machine(report: layout.SnpReport, chain: chains.Chain, policy: AppraisalPolicy) -> str:
    """Return the product line on which report, certificates and root agree (1)."""
    facts = chain.facts
    try:
        product = product_of(report)
    except WireError as error:
        raise AttestationError(Step.CHAIN, str(error), "a known product line") from error
    if product is None and chain.product == TURIN:
        raise AttestationError(Step.CHAIN, f"a version {report.version} report of Turin", "version 3 or 5")
    if product not in (None, chain.product):
        raise AttestationError(Step.CHAIN, f"a report of {product}", f"{chain.product}, as its key is for")
    if report.signing_key != facts.key:
        raise AttestationError(
            Step.CHAIN, f"a report by a {_KEYS[report.signing_key]}", f"by the {_KEYS[facts.key]} certified"
        )
    if facts.key == layout.KEY_VLEK and not policy.snp.accept_vlek:
        raise AttestationError(Step.CHAIN, f"a VLEK of {facts.csp_id}", "the chip's own key (VCEK)")
    if facts.hwid and not report.chip_masked and facts.chip_id != report.chip_id:
        raise AttestationError(Step.CHAIN, f"a report of chip {report.chip_id.hex()}", facts.chip_id.hex())
    return chain.product


def _check_signature(quote: bytes, r: int, s: int, key: ec.EllipticCurvePublicKey) -> None:
    try:
        key.verify(encode_dss_signature(r, s), quote[: layout.SIGNED_BYTES], _SHA384)
    except (InvalidSignature, ValueError) as error:
        raise AttestationError(
            Step.SIGNATURE, "a report that its key did not sign", "the endorsement key's signature"
        ) from error


def _check_platform(report: layout.SnpReport, policy: AppraisalPolicy) -> None:
    """Refuse a chip that is hidden or not listed (4); what names no machine is on no list."""
    if report.chip_masked:
        if policy.platforms is not None or not policy.snp.accept_masked_chip:
            raise AttestationError(Step.TCB, "a masked chip id", "the id of the chip")
        return
    # No certificate holds a cloud's key to one chip: on whichever it was taken, it signs any id.
    if policy.platforms is not None and report.signing_key == layout.KEY_VLEK:
        got, expected = "a chip id that a cloud's key (VLEK) signed", "the chip's own key (VCEK)"
        raise AttestationError(Step.TCB, got, f"{expected}, where platforms are listed")
    policy.check_platform(platform_id_hash(report.chip_id))


def _check_guest(report: layout.SnpReport, policy: AppraisalPolicy) -> None:
    got = f"guest policy {report.policy:#x}"
    if report.guest(layout.GuestPolicy.DEBUG):
        raise AttestationError(Step.DEBUG, got, "debug off")
    if report.guest(layout.GuestPolicy.MIGRATION_AGENT) or report.report_id_ma != b"\xff" * 32:
        raise AttestationError(Step.DEBUG, f"{got}, agent {report.report_id_ma.hex()}", "no migration agent")
    if report.vmpl > policy.snp.max_vmpl:
        raise AttestationError(
            Step.DEBUG, f"a report for VMPL {report.vmpl}", f"at most {policy.snp.max_vmpl}"
        )


def _facts(report: layout.SnpReport, chain: chains.Chain, levels: tcb.Levels) -> dict[str, str]:
    """Return words for people about a report that was believed; the chip's id is not spelled out."""
    cloud = f" of {chain.facts.csp_id}" if chain.facts.csp_id else ""
    return {
        "product": chain.facts.product_name,
        "report version": str(report.version),
        "signing key": _KEYS[report.signing_key] + cloud,
        "reported tcb": str(levels.reported),
        "committed tcb": str(levels.committed),
        "launch tcb": str(levels.launch),
        "firmware": ".".join(map(str, levels.current_version)),
        "platform info": f"{report.platform_info:#x}",
        "vmpl": str(report.vmpl),
        "guest svn": str(report.guest_svn),
        "chip id": "masked" if report.chip_masked else "by a cloud's key" if cloud else "shown",
    }
