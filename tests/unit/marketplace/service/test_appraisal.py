"""Appraisal with collateral from a source, by the real verifier (marketplace.service.appraisal)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.model import Evidence, VerifiedEvidence
from enclave_runtime.attestation.policy import AppraisalPolicy, UnsafeAcceptSimulated
from enclave_runtime.wire.report_data import Purpose
from marketplace.collateral import CollateralUnavailableError, FileCollateral
from marketplace.errors import BadInputError
from marketplace.service.appraisal import PolicyAppraiser, take_collateral
from marketplace.service.settings import load
from tests.fakes.cvm import OPERATOR, FakeCvm
from tests.fakes.simulated_tdx import SimulatedTdx

NOW = 1_790_000_000
CHALLENGE = b"\x07" * 32


@dataclass
class VendorSource:
    """A `CollateralSource` that asks the simulated vendor."""

    tdx: SimulatedTdx
    world: dict[str, object] = field(default_factory=dict)
    fetched: int = 0

    def __call__(self, evidence: Evidence, now: int) -> Collateral:
        self.fetched += 1
        return self.tdx.collateral(now, **self.world)


@pytest.fixture(scope="module")
def tdx() -> SimulatedTdx:
    return SimulatedTdx()


@pytest.fixture
def source(tdx: SimulatedTdx) -> VendorSource:
    return VendorSource(tdx)


@pytest.fixture
def policy(tdx: SimulatedTdx) -> AppraisalPolicy:
    return AppraisalPolicy(
        root_sets=frozenset({tdx.root_set}),
        measurements=frozenset({tdx.measurement}),
        simulated=UnsafeAcceptSimulated(tdx.root_set),
    )


def judge(
    tdx: SimulatedTdx, source: VendorSource, policy: AppraisalPolicy, **quoted: object
) -> VerifiedEvidence:
    bundle = tdx.bundle(FakeCvm(), CHALLENGE, **quoted)  # type: ignore[arg-type]
    appraiser = PolicyAppraiser(lambda _root: policy, {tdx.root_set: source})
    return appraiser(bundle, purpose=Purpose.CERTIFY, operator=OPERATOR, challenge=CHALLENGE, now=NOW)


def test_believes_a_simulated_quote_where_the_policy_says_so_loudly(
    tdx: SimulatedTdx, source: VendorSource, policy: AppraisalPolicy
) -> None:
    verdict = judge(tdx, source, policy)
    assert verdict.simulated and verdict.root_set == tdx.root_set and verdict.measurement == tdx.measurement


def test_refuses_it_where_the_policy_does_not_and_fetches_nothing(
    tdx: SimulatedTdx, source: VendorSource, policy: AppraisalPolicy
) -> None:
    for quiet in (replace(policy, simulated=None), replace(policy, measurements=frozenset())):
        with pytest.raises(AttestationError):
            judge(tdx, source, quiet)
    assert source.fetched == 0


@pytest.mark.parametrize(
    "quoted",
    [{"purpose": Purpose.RELEASE}, {"operator": b"\x0d" * 20}],
)
def test_refuses_quotes_for_another_purpose_or_operator(
    tdx: SimulatedTdx, source: VendorSource, policy: AppraisalPolicy, quoted: dict[str, object]
) -> None:
    with pytest.raises(AttestationError) as caught:
        judge(tdx, source, policy, **quoted)
    assert caught.value.step == Step.REPORT_DATA


@pytest.mark.parametrize(
    ("world", "step"),
    [({"tcb_status": "OutOfDate"}, Step.TCB), ({"pck_revoked": True}, Step.REVOCATION)],
)
def test_refuses_what_the_vendor_says_is_bad(
    tdx: SimulatedTdx,
    source: VendorSource,
    policy: AppraisalPolicy,
    world: dict[str, object],
    step: Step,
) -> None:
    source.world = world
    with pytest.raises(AttestationError) as caught:
        judge(tdx, source, policy)
    assert caught.value.step == step


def test_tries_each_configured_anchor_and_no_other(
    tdx: SimulatedTdx, source: VendorSource, policy: AppraisalPolicy
) -> None:
    other = SimulatedTdx()
    both = {other.root_set: VendorSource(other), tdx.root_set: source}
    bundle = tdx.bundle(FakeCvm(), CHALLENGE)

    def policy_of(root_set: str) -> AppraisalPolicy:
        return replace(policy, root_sets=frozenset(both), simulated=UnsafeAcceptSimulated(root_set))

    expected = {"purpose": Purpose.CERTIFY, "operator": OPERATOR, "challenge": CHALLENGE, "now": NOW}
    assert PolicyAppraiser(policy_of, both)(bundle, **expected).root_set == tdx.root_set  # type: ignore[arg-type]
    for sources in ({other.root_set: both[other.root_set]}, {}):
        with pytest.raises(AttestationError) as caught:
            PolicyAppraiser(policy_of, sources)(bundle, **expected)  # type: ignore[arg-type]
        assert caught.value.step in (Step.CHAIN, Step.POLICY)


def test_takes_sources_from_settings(tmp_path: Path, tdx: SimulatedTdx) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('[collateral]\nintel = "file:folder/collateral.json"\n')
    sources = take_collateral(load(path))
    assert sources == {"intel": FileCollateral(tmp_path / "folder" / "collateral.json")}
    with pytest.raises(CollateralUnavailableError):
        sources["intel"](tdx.bundle(FakeCvm(), CHALLENGE).evidence, NOW)
    for line in ('amd = "file:x"', 'intel = "nowhere"', 'intel = "gopher:x"', "intel = 1"):
        path.write_text(f"[collateral]\n{line}\n")
        with pytest.raises(BadInputError):
            take_collateral(load(path))
