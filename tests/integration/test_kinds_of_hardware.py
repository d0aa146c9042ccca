"""From boot to keys on every hardware that the simulated platform plays: certified, released, reported."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from enclave_runtime.attestation.bundle import EvidenceBundle
from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.model import Evidence, TeeKind, VerifiedEvidence
from enclave_runtime.attestation.policy import AppraisalPolicy, UnsafeAcceptSimulated
from enclave_runtime.attestation.rules import GpuRules
from enclave_runtime.attestation.simulated.client import CvmState, PlatformClient, PlatformState
from enclave_runtime.attestation.simulated.launch import sandbox_base
from enclave_runtime.attestation.simulated.machine import measurement_of
from enclave_runtime.attestation.simulated.measure import measure_runtime
from enclave_runtime.wire.canonical import dump
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.report import IntegrityReport
from enclave_runtime.wire.report_data import Purpose
from enclave_runtime.wire.scalars import ZERO32
from marketplace.certifier.core import certificate_of
from marketplace.service.appraisal import PolicyAppraiser
from tests.fakes.cvm_client import CvmClient
from tests.fakes.sealed_order import OPERATOR, engine_and_data
from tests.integration.cvm_kit import LOCK, ROOT, running_platform, statement_of

pytestmark = pytest.mark.integration

NOW = 1_790_000_000
FIRST, SECOND = b"\x31" * 32, b"\x32" * 32
KINDS = {
    "tdx": ("--tee", "tdx"),
    "sev-snp": ("--tee", "sev-snp"),
    "tdx+2gpu": ("--tee", "tdx", "--gpus", "2"),
}


@dataclass(frozen=True)
class Stage:
    """A platform, what it plays, one CVM of it, and a relying party that accepts just that."""

    platform: PlatformClient
    facts: PlatformState
    state: CvmState
    cvm: CvmClient
    policy: AppraisalPolicy

    def evidence(self, challenge: bytes) -> EvidenceBundle:
        where: dict[str, Any] = {"operator": hex_of(OPERATOR), "challenge": hex_of(challenge)}
        return EvidenceBundle.from_bytes(dump(self.cvm.ok("evidence", purpose="certify", **where)["bundle"]))

    def judge(
        self,
        bundle: EvidenceBundle,
        challenge: bytes,
        purpose: Purpose = Purpose.CERTIFY,
        policy: AppraisalPolicy | None = None,
    ) -> VerifiedEvidence:
        """Judge as certifiers and brokers do, with collateral from the platform."""

        def source(_: Evidence, now: int) -> Collateral:
            return self.platform.collateral(now)

        judge = PolicyAppraiser(lambda _: policy or self.policy, {self.facts.root_set: source})
        return judge(bundle, purpose=purpose, operator=OPERATOR, challenge=challenge, now=NOW)


def policy_of(facts: PlatformState) -> AppraisalPolicy:
    measured = measure_runtime(ROOT, [LOCK], sandbox_base())
    rules = None
    if facts.gpu_root_set is not None:
        loud = UnsafeAcceptSimulated(facts.gpu_root_set)
        rules = GpuRules(facts.gpus, frozenset({facts.gpu_root_set}), simulated=loud)
    return AppraisalPolicy(
        root_sets=frozenset({facts.root_set}),
        measurements=frozenset({measurement_of(facts.tee, measured)}),
        simulated=UnsafeAcceptSimulated(facts.root_set),
        gpu=rules,
    )


@pytest.fixture(params=KINDS)
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    with running_platform(*KINDS[request.param]) as platform, tempfile.TemporaryDirectory() as name:
        facts = platform.describe()
        state = platform.launch(ROOT, [LOCK], Path(name), plain_mib=64)
        with CvmClient(state.socket) as cvm:
            yield Stage(platform, facts, state, cvm, policy_of(facts))


def test_a_cvm_boots_is_certified_and_gets_its_keys(stage: Stage) -> None:
    # Two certifiers with challenges of their own agree in all but evidence and challenge.
    first, second = stage.evidence(FIRST), stage.evidence(SECOND)
    verdict, other = stage.judge(first, FIRST), stage.judge(second, SECOND)
    assert verdict.simulated and verdict.tee is stage.facts.tee
    assert verdict.measurement == stage.state.measurement
    assert len(verdict.devices) == stage.facts.gpus and verdict.gpu_root_set == stage.facts.gpu_root_set
    made, again = (
        certificate_of(bundle, one, OPERATOR) for bundle, one in ((first, verdict), (second, other))
    )
    assert replace(again, evidence_id=made.evidence_id, challenge=made.challenge) == made
    assert (made.gpu_digest == ZERO32) == (stage.facts.gpus == 0)
    check_refusals(stage, first, second)

    # A broker's own challenge, and the keys it gives.
    order = engine_and_data()
    stage.cvm.ok("admit", **order.admit())
    answer = stage.cvm.ok("key_request", input_index=0, challenge=hex_of(SECOND))
    asked = EvidenceBundle.from_bytes(dump(answer["bundle"]))
    assert stage.judge(asked, SECOND, Purpose.RELEASE).devices_digest == verdict.devices_digest
    with pytest.raises(AttestationError):
        stage.judge(asked, SECOND, Purpose.CERTIFY)
    stage.cvm.open_keys(order)
    stage.cvm.load(order)
    statement, _ = statement_of(stage.cvm.ok("check")["statement"], first.keys)
    trust = IntegrityReport.from_statement(statement).trust
    assert (trust.tee, trust.simulated, trust.measurement) == (
        stage.facts.tee.value,
        True,
        verdict.measurement,
    )
    assert trust.evidence_ids == (verdict.canonical_id, other.canonical_id)


def check_refusals(stage: Stage, first: EvidenceBundle, second: EvidenceBundle) -> None:
    """Hold that devices count as the policy says, and evidence of another challenge not at all."""
    root_set = stage.facts.gpu_root_set or "nvidia"
    loud = None if root_set == "nvidia" else UnsafeAcceptSimulated(root_set)
    counts = [count for count in (1, 2, 3) if count != stage.facts.gpus]
    asked_for: list[GpuRules | None] = [GpuRules(n, frozenset({root_set}), simulated=loud) for n in counts]
    for rules in [*asked_for, None][: 3 if stage.facts.gpus else 2]:
        refused(stage, first, Step.GPU, replace(stage.policy, gpu=rules))
    stranger = b"another" if first.evidence.gpu is None else second.evidence.gpu
    for gpu in {stranger, None} - {first.evidence.gpu}:
        lied = replace(first, evidence=replace(first.evidence, gpu=gpu))
        refused(stage, lied, Step.REPORT_DATA)
    other = TeeKind.SEV_SNP if stage.facts.tee is TeeKind.TDX else TeeKind.TDX
    lied = replace(first, evidence=replace(first.evidence, tee=other))
    with pytest.raises(AttestationError):
        stage.judge(lied, FIRST)


def refused(stage: Stage, bundle: EvidenceBundle, step: Step, policy: AppraisalPolicy | None = None) -> None:
    with pytest.raises(AttestationError) as caught:
        stage.judge(bundle, FIRST, policy=policy)
    assert caught.value.step == step, caught.value
