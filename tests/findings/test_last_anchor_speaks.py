"""With several trust anchors in the settings, the wrong one had the last word.

A refusal under the evidence's own root ("certificate expired") was overwritten by a later anchor's "ends in
another root"; and collateral that an anchor of another vendor could not get ended the search before the right
anchor's file was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from enclave_runtime.attestation.bundle import EvidenceBundle
from enclave_runtime.attestation.cca.token import parse_token
from enclave_runtime.attestation.cca.verify import measurement_of
from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.collateral.cca import CcaCollateral, CcaPlatformKey
from enclave_runtime.attestation.errors import AttestationError, OtherRootError, Step
from enclave_runtime.attestation.model import Evidence, TeeKind, VerifiedEvidence
from enclave_runtime.attestation.policy import AppraisalPolicy, UnsafeAcceptSimulated
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.attestation.simulated.issuer import World
from enclave_runtime.wire.report_data import Purpose
from marketplace.collateral import CollateralSource, CollateralUnavailableError
from marketplace.service.appraisal import PolicyAppraiser
from tests.fakes.cose_issuers import Realm
from tests.fakes.cvm import OPERATOR, FakeCvm
from tests.fakes.simulated_tdx import SimulatedTdx

NOW = 1_790_000_000
CHALLENGE = b"\x07" * 32


class Source:
    """Answers the same always, or nothing; counts."""

    def __init__(self, collateral: Collateral | None) -> None:
        self._collateral, self.asked = collateral, 0

    def __call__(self, evidence: Evidence, now: int) -> Collateral:
        self.asked += 1
        if self._collateral is None:
            raise CollateralUnavailableError(f"{evidence.tee.value}: no service hands it out")
        return self._collateral


def judge(
    bundle: EvidenceBundle, sources: Mapping[str, CollateralSource], measurement: bytes
) -> VerifiedEvidence:
    def policy(root_set: str) -> AppraisalPolicy:
        return AppraisalPolicy(
            root_sets=frozenset(sources),
            measurements=frozenset({measurement}),
            tcb_statuses=frozenset({"UpToDate", "Unrated"}),
            simulated=UnsafeAcceptSimulated(root_set) if root_set.startswith("dev:") else None,
        )

    return PolicyAppraiser(policy, sources)(
        bundle, purpose=Purpose.CERTIFY, operator=OPERATOR, challenge=CHALLENGE, now=NOW
    )


@pytest.fixture(scope="module")
def tdx() -> SimulatedTdx:
    return SimulatedTdx()


@pytest.fixture(scope="module")
def other() -> SimulatedTdx:
    return SimulatedTdx()


def expired(tdx: SimulatedTdx) -> EvidenceBundle:
    """Return evidence of a platform whose certificate has run out."""
    bundle = tdx.bundle(FakeCvm(), CHALLENGE)
    body = tdx.measured.body(bundle.keys.report_data(Purpose.CERTIFY, operator=OPERATOR, challenge=CHALLENGE))
    quote = tdx.vendor.quote(body, World(pck_expired=True))
    return replace(bundle, evidence=replace(bundle.evidence, quote=quote))


@pytest.mark.parametrize("later", ["amd-genoa", "intel", "another simulated one"])
@pytest.mark.parametrize("first", [True, False])
def test_the_evidences_own_root_gives_the_reason(
    tdx: SimulatedTdx, other: SimulatedTdx, later: str, first: bool
) -> None:
    root_set = later if later in ("amd-genoa", "intel") else other.root_set
    wrong = Source(other.collateral(NOW))
    sources: dict[str, CollateralSource] = {tdx.root_set: Source(tdx.collateral(NOW)), root_set: wrong}
    if not first:
        sources = dict(reversed(sources.items()))
    with pytest.raises(AttestationError, match="CertExpired") as caught:
        judge(expired(tdx), sources, tdx.measurement)
    assert not isinstance(caught.value, OtherRootError)
    assert wrong.asked == (later != "amd-genoa")  # nobody asks AMD about Intel's processors


def test_collateral_that_one_anchor_cannot_get_does_not_end_the_search(tdx: SimulatedTdx) -> None:
    realm, bundle = Realm(), FakeCvm().bundle(CHALLENGE, purpose=Purpose.CERTIFY, operator=OPERATOR)
    token = realm.token(bundle.evidence.quote)
    bundle = replace(bundle, evidence=Evidence(TeeKind.CCA, token))
    known, root_set = CcaCollateral((CcaPlatformKey(realm.instance_id, realm.spki),)), RootSet.cca(realm.spki)
    intel, stranger = Source(None), Source(None)
    sources = {"intel": intel, "cca:" + "00" * 32: stranger, root_set.id: Source(Collateral(cca=known))}
    verdict = judge(bundle, sources, measurement_of(parse_token(token)))
    assert verdict.root_set == root_set.id
    assert (intel.asked, stranger.asked) == (0, 1)


def test_where_no_anchor_verifies_it_missing_collateral_comes_before_another_root(
    tdx: SimulatedTdx, other: SimulatedTdx
) -> None:
    """A service that is away may be back: whoever asks is told so, and not that the evidence is bad."""
    bundle = tdx.bundle(FakeCvm(), CHALLENGE)
    wrong = {other.root_set: Source(other.collateral(NOW))}
    for sources in (
        {**wrong, tdx.root_set: Source(None)},
        {tdx.root_set: Source(None), **wrong},
    ):
        with pytest.raises(CollateralUnavailableError):
            judge(bundle, sources, tdx.measurement)
    with pytest.raises(OtherRootError):
        judge(bundle, wrong, tdx.measurement)
    with pytest.raises(AttestationError, match="tdx evidence") as caught:
        judge(bundle, {"amd-genoa": Source(None), "aws-nitro": Source(None)}, tdx.measurement)
    assert caught.value.step == Step.CHAIN
