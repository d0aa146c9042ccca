"""The time machine: whoever answers for the owner's nodes stops their clock, and revoked platforms stay good.

Evidence and collateral were judged at the time of the nodes' newest block alone. A provider that runs, bribes
or merely freezes the nodes kept collateral of before a revocation valid for ever, and a vendor's cache was
never asked anew. Confidentiality must not depend on the chain (docs/protocol.md section 1).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.errors import Step
from enclave_runtime.attestation.model import Evidence
from marketplace.certifier.core import STEP_RENEWAL
from marketplace.service.appraisal import PolicyAppraiser
from marketplace.service.moments import STEP_TIME
from tests.fakes.cvm import FakeCvm
from tests.fakes.order_world import NOW
from tests.fakes.simulated_tdx import SimulatedTdx
from tests.unit.marketplace.certifier.conftest import World as CertifierWorld
from tests.unit.marketplace.certifier.conftest import make as make_certifier
from tests.unit.marketplace.certifier.test_renewal import possession
from tests.unit.marketplace.keybroker.conftest import Make, World, make

__all__ = ["make", "make_certifier"]

_MONTHS = 90 * 86_400


class Vendor:
    """A source that goes on issuing; it hears for which times it was asked."""

    def __init__(self, tdx: SimulatedTdx) -> None:
        self._tdx = tdx
        self.stale: Collateral | None = None
        self.asked: list[int] = []

    def __call__(self, evidence: Evidence, now: int) -> Collateral:
        self.asked.append(now)
        return self.stale or self._tdx.collateral(now)


@pytest.fixture(scope="module")
def tdx() -> SimulatedTdx:
    return SimulatedTdx()


@pytest.fixture
def vendor(tdx: SimulatedTdx) -> Vendor:
    return Vendor(tdx)


@pytest.fixture
def world(make: Make, tdx: SimulatedTdx, vendor: Vendor) -> World:
    policy = {
        "trust_classes": frozenset({tdx.root_set}),
        "measurements": frozenset({tdx.measurement}),
        "unsafe_accept_simulated": True,
        "accept_host_clock": True,
    }
    made = make(**policy)
    return made.judging(PolicyAppraiser(made.broker.policy.appraisal, {tdx.root_set: vendor}))


def test_the_later_clock_judges_evidence(world: World, tdx: SimulatedTdx, vendor: Vendor) -> None:
    cvm, preimage = world.running()
    vendor.stale = tdx.collateral(NOW)
    world.granted(world.quoted_body(tdx, cvm, preimage))  # as long as the collateral lasts

    world.wall[0] = NOW + _MONTHS  # the nodes stand still; the world does not
    cvm, preimage = world.running(salt=2)
    refusal = world.refused(world.quoted_body(tdx, cvm, preimage))
    assert refusal["step"] in (Step.CHAIN, Step.REVOCATION, Step.TCB)
    assert vendor.asked[-1] == NOW + _MONTHS  # a cache is asked for today, too


def test_nodes_that_turn_back_change_nothing_and_warped_ones_count(
    world: World, tdx: SimulatedTdx, vendor: Vendor
) -> None:
    """A development chain: months before or behind the wall; evidence is judged at the later time."""
    for heads, wall, expected in (
        ((NOW - _MONTHS, NOW - _MONTHS), NOW, NOW),
        ((NOW, NOW + _MONTHS), NOW, NOW + _MONTHS),
    ):
        for chain, head in zip(world.chains, heads, strict=True):
            chain.time = head
        world.wall[0] = wall
        cvm, preimage = world.running(salt=heads[1] % 1000 + 3)
        world.granted(world.quoted_body(tdx, cvm, preimage))
        assert vendor.asked[-1] == expected


@pytest.mark.parametrize(("apart", "words"), [(601, "601 s behind"), (-601, "601 s ahead of")])
def test_nothing_is_released_while_one_node_is_far_from_the_wall(make: Make, apart: int, words: str) -> None:
    world = make(max_head_age_s=600)
    cvm, preimage = world.running()
    world.chains[1].time = world.wall[0] - apart
    refusal = world.refused(world.body(cvm, preimage))
    assert refusal["step"] == STEP_TIME
    assert "node 2" in refusal["got"] and words in refusal["got"] and "600 s" in refusal["expected"]
    assert world.appraiser.calls == 0
    world.chains[1].time = world.wall[0] - (600 if apart > 0 else -600)
    world.granted(world.body(cvm, preimage))


def test_a_grant_is_not_repeated_to_whoever_froze_the_nodes_since(make: Make) -> None:
    world = make(max_head_age_s=600)
    cvm, preimage = world.running()
    asked = world.body(cvm, preimage)
    world.granted(asked)
    world.wall[0] += 601
    assert world.refused(asked)["step"] == STEP_TIME


def test_the_certifier_has_both_clocks_too(make_certifier: Callable[..., CertifierWorld]) -> None:
    world, cvm = make_certifier(), FakeCvm()
    world.wall[0] = world.chain_time[0] + _MONTHS
    answer = world.certify(cvm, world.challenge())
    assert answer.status_code == 200
    assert world.appraiser.judged_at == world.wall[0]
    # Its times are the chain's: the contract compares them with the block's.
    assert answer.json()["certificate"]["issued_at"] == world.chain_time[0]


def test_evidence_ages_on_a_chain_that_stands_still(make_certifier: Callable[..., CertifierWorld]) -> None:
    world, cvm = make_certifier(), FakeCvm()
    assert world.certify(cvm, world.challenge()).status_code == 200
    world.wall[0] += 7_200  # the certificate was good for one hour
    renewed = world.client.post("/v1/renew", json=possession(cvm, world.challenge()))
    refusal = world.refused(renewed)
    assert refusal["step"] == STEP_RENEWAL and "no certificate in force" in refusal["got"]


def test_the_certifier_certifies_nothing_while_its_node_stands_still(
    make_certifier: Callable[..., CertifierWorld],
) -> None:
    world = make_certifier(max_head_age_s=600)
    world.wall[0] = world.chain_time[0] + 601
    assert world.refused(world.certify(FakeCvm(), world.challenge()))["step"] == STEP_TIME
    assert world.appraiser.calls == 0
