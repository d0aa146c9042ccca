"""Steps (6) and (7) of verifying an order: raw evidence down to the root, then the measurement (section 8).

Certificates are not believed: each is recomputed from the evidence that came with it, and only then counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from enclave_runtime.attestation.appraise import appraise
from enclave_runtime.attestation.model import VerifiedEvidence
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.cvm import certifier_quorum_domain
from enclave_runtime.wire.eip712 import typed_digest
from enclave_runtime.wire.errors import RefusedError
from enclave_runtime.wire.orders import RuntimePolicy
from enclave_runtime.wire.report_data import Purpose
from enclave_runtime.wire.signatures import recover_signer
from marketplace.certifier.core import certificate_of
from marketplace.sdk.bundle import Certified
from marketplace.sdk.chain_facts import ChainFacts
from marketplace.sdk.verdict import TrustAnchor, equal, same, short

__all__ = ["appraise_all", "check_measurements"]


def appraise_all(
    certified: Sequence[Certified], chain: ChainFacts, anchor: TrustAnchor
) -> tuple[VerifiedEvidence, ...]:
    """Return the verdict on every piece of evidence, after the quorum that it made was counted.

    Raises:
        RefusedError: steps `evidence.*`.
    """
    if not certified:
        raise RefusedError("evidence.bundle", "no evidence in the bundle", "what the certifiers saw")
    verified = tuple(_appraise(one, chain, anchor) for one in certified)
    _check_quorum(certified, chain)
    return verified


def check_measurements(
    verified: Sequence[VerifiedEvidence], chain: ChainFacts, anchor: TrustAnchor, policy: RuntimePolicy
) -> str:
    """Hold the measurement against our reference values, the registry and the order's own policy.

    Raises:
        RefusedError: steps `measurement.*` and `evidence.7.measurement`.
    """
    if not verified:
        raise RefusedError("measurement.evidence", "no verified evidence", "evidence that step 6 accepted")
    for one in verified:
        anchor.policy.check_measurement(one.measurement)
        same("measurement.registry", chain.cvm.measurement, one.measurement)
        if one.measurement not in policy.measurements:
            raise RefusedError("measurement.order", hex_of(one.measurement), "one that the order accepts")
    if anchor.roots.chain_id not in policy.trust_classes:
        raise RefusedError("measurement.trust-class", anchor.roots.id, "a trust class that the order accepts")
    where = "also on chain" if chain.cvm.reference else "not, or no longer, on chain"
    return f"{short(verified[0].measurement)}: ours, the order's, {where}"


def _appraise(one: Certified, chain: ChainFacts, anchor: TrustAnchor) -> VerifiedEvidence:
    certificate = one.certificate
    expected = one.bundle.keys.report_data(
        Purpose.CERTIFY,
        operator=chain.cvm.operator,
        challenge=certificate.challenge,
        gpu=one.bundle.evidence.gpu,
    )
    verified = appraise(
        one.bundle,
        anchor.collateral,
        roots=anchor.roots,
        policy=anchor.policy,
        expected_report_data=expected,
        now=certificate.issued_at,
    )
    same("evidence.id", verified.canonical_id, certificate.evidence_id)
    same("evidence.root-set", anchor.roots.chain_id, chain.cvm.root_set)
    # The certificate says what the evidence says, member by member.
    own = certificate_of(one.bundle, verified, chain.cvm.operator)
    own = replace(own, issued_at=certificate.issued_at, expires_at=certificate.expires_at)
    equal("evidence.certificate", certificate, own)
    started = chain.started_at or 0
    if not certificate.issued_at <= started < certificate.expires_at:
        raise RefusedError(
            "evidence.time",
            f"a certificate from {certificate.issued_at} to {certificate.expires_at}",
            f"one that holds at the start, {started}",
        )
    return verified


def _check_quorum(certified: Sequence[Certified], chain: ChainFacts) -> None:
    domain = certifier_quorum_domain(chain.chain_id, chain.quorum)
    signers = {recover_signer(typed_digest(domain, one.certificate), one.signature) for one in certified}
    known = signers & set(chain.certifiers)
    if chain.threshold < 1 or len(known) < chain.threshold:
        raise RefusedError(
            "evidence.quorum", f"{len(known)} known certifiers", f"{max(1, chain.threshold)} of them"
        )
