"""Verifying a Nitro attestation document, as the numbered argument of docs/protocol.md section 4.3.

The 64 bytes that bind it stand in `user_data`. AWS rates no platform: the TCB status is always "Unrated",
which a policy refuses unless it names that word. Pure: no clock, network, file or environment; verified
chains are kept.
"""

from __future__ import annotations

from enclave_runtime.attestation.binding import check_report_data
from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.errors import AttestationError, OtherRootError, Step
from enclave_runtime.attestation.model import Evidence, TeeKind, VerifiedEvidence
from enclave_runtime.attestation.nitro.chain import NitroChain, verified_chain
from enclave_runtime.attestation.nitro.document import NitroDocument, parse_document
from enclave_runtime.attestation.policy import AppraisalPolicy
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import tagged

__all__ = ["UNRATED", "NitroVerifier", "platform_id_hash"]

UNRATED = "Unrated"
_MAX_AHEAD_MS = 5 * 60 * 1000
"""How far the hypervisor's clock may run before the verifier's."""


class NitroVerifier:
    """Attestation documents of AWS Nitro enclaves."""

    tee = TeeKind.NITRO

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
            evidence: the document from the enclave.
            collateral: not looked at: the document brings its chain.
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
        # (0) The bytes are one document, exactly.
        document = _parse(evidence)
        # (1) The chain ends in the pinned root and holds now. (2) No list of revocations exists for it: the
        # certificates live for hours.
        chain = verified_chain(document.certificate, document.cabundle)
        _check_chain(chain, document, roots, now)
        # (3) The key at its end signed this document.
        if not document.signed.is_signed_by(chain.key):
            raise AttestationError(
                Step.SIGNATURE, "a document that its key did not sign", "the hypervisor's signature"
            )
        # (4) Nobody rates the platform; policy has to accept that by name, and may list the instance.
        policy.check_tcb(UNRATED, (), (0, 0))
        platform = platform_id_hash(document)
        policy.check_platform(platform)
        # (5) Debug off.
        if document.is_debug:
            raise AttestationError(Step.DEBUG, "registers that are all zero: a debug enclave", "debug off")
        # (6) There is no event log: nothing on this platform would prove one.
        if evidence.event_log is not None:
            raise AttestationError(Step.EVENT_LOG, "an event log", "none: no register vouches for it")
        # (7) The measurement is a reference value.
        policy.check_measurement(document.measurement())
        # (8) user_data binds these keys, this operator, this purpose and this challenge.
        check_report_data(document.user_data or b"", expected_report_data)
        return VerifiedEvidence(
            tee=TeeKind.NITRO,
            root_set=roots.id,
            simulated=roots.simulated,
            measurement=document.measurement(),
            report_data=expected_report_data,
            tcb_status=UNRATED,
            advisory_ids=(),
            tcb_eval_number=0,
            platform_id_hash=platform,
            canonical_id=document.signed.identity(),
            collateral_expires_at=chain.not_after,
            facts=_facts(document),
        )


def platform_id_hash(document: NitroDocument) -> bytes:
    """Return the tagged digest of what names the machine in a document, 32 bytes."""
    return tagged("platform-id/nitro/v1", document.platform())


def _parse(evidence: Evidence) -> NitroDocument:
    if evidence.tee is not TeeKind.NITRO:
        raise AttestationError(Step.PARSE, f"evidence of a {evidence.tee.value} TEE", "nitro")
    try:
        return parse_document(evidence.quote)
    except WireError as error:
        raise AttestationError(Step.PARSE, str(error), "one attestation document, exactly") from error


def _check_chain(chain: NitroChain, document: NitroDocument, roots: RootSet, now: int) -> None:
    fits = chain.root_der_sha256 == roots.der_sha256 and roots.key_sha256 in (None, chain.root_key_sha256)
    if not fits:
        raise OtherRootError(
            f"a chain that ends in root {chain.root_der_sha256.hex()}", f"root set {roots.id}"
        )
    if not chain.not_before <= now <= chain.not_after:
        raise AttestationError(
            Step.CHAIN, f"a chain that holds from {chain.not_before} to {chain.not_after}", f"{now} within"
        )
    # Its own time lies where its key was good, and not in a future beyond what clocks differ.
    made_ms = document.timestamp_ms
    if not chain.not_before * 1000 <= made_ms <= min(chain.not_after * 1000, now * 1000 + _MAX_AHEAD_MS):
        raise AttestationError(
            Step.CHAIN, f"a document made at {made_ms} ms", f"within its chain, before {now} s"
        )


def _facts(document: NitroDocument) -> dict[str, str]:
    """Return words for people about a document that was believed; the instance's id is not spelled out."""
    registers = {f"pcr{number}": value.hex() for number, value in sorted(document.pcrs.items()) if any(value)}
    return {"made at (ms)": str(document.timestamp_ms), **registers}
