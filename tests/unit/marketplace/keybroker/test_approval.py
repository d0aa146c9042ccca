"""Approval by hand: the policy decides what a person is asked, the person decides the rest."""

from __future__ import annotations

import pytest

from enclave_runtime.wire.orders import Phase, order_id
from marketplace.domain.order_state import OrderState
from marketplace.domain.release import OrderView, ReleaseStep
from marketplace.errors import BadInputError, NotFoundError
from marketplace.keybroker import core
from marketplace.keybroker.core import BrokerStep
from marketplace.keybroker.store import Approval
from tests.fakes.order_world import DOMAIN, named
from tests.unit.marketplace.keybroker.conftest import CONTENT_KEY, Make, World, opened

A = named("dataset A manifest")


@pytest.fixture
def world(make: Make) -> World:
    return make(by_hand=True, max_uses=1)


def waiting(world: World, body: object) -> str:
    answer = world.release(body)  # type: ignore[arg-type]
    assert answer.status_code == 202, answer.text
    pending: str = answer.json()["pending"]
    return pending


def test_a_cvm_that_asks_again_after_hours_finds_its_use_approved(world: World) -> None:
    cvm, preimage = world.running()
    pending = waiting(world, world.body(cvm, preimage))
    assert waiting(world, world.body(cvm, preimage)) == pending  # one use, asked for again and again
    assert len(world.broker.store.pending(Approval.WAITING)) == 1
    world.seconds[0] += 10_000  # a person takes longer than a challenge lives
    world.broker.store.settle(pending, Approval.APPROVED)
    world.granted(world.body(cvm, preimage))


def test_approval_is_for_one_cvm_and_order_only(make: Make) -> None:
    world = make(by_hand=True)
    world.broker.store.settle(waiting(world, world.body(*world.running(salt=1))), Approval.APPROVED)
    waiting(world, world.body(*world.running(salt=2)))


def test_waits_until_approved_and_then_answers_the_same_request(world: World) -> None:
    cvm, preimage = world.running()
    body = world.body(cvm, preimage)
    pending = waiting(world, body)
    assert waiting(world, body) == pending
    (row,) = world.broker.store.pending(Approval.WAITING)
    assert row.facts["engine_digest"] == "0x" + named("engine content").hex()
    assert row.facts["trust_class"] == "intel"
    assert world.broker.store.uses(A, but=b"") == 0
    world.broker.store.settle(pending, Approval.APPROVED)
    grant = world.granted(body)
    assert opened(grant, cvm) == CONTENT_KEY
    assert world.granted(body) == grant
    assert world.events() == ["granted"]


def test_denied_is_denied(world: World) -> None:
    body = world.body(*world.running())
    world.broker.store.settle(waiting(world, body), Approval.DENIED)
    assert world.refused(body)["step"] == BrokerStep.APPROVAL
    assert world.broker.store.uses(A, but=b"") == 0


def test_a_person_is_asked_only_about_what_the_policy_would_grant(make: Make) -> None:
    world = make(by_hand=True, clients=frozenset({b"\x01" * 20}))
    assert world.refused(world.body(*world.running()))["step"] == ReleaseStep.CLIENT
    assert world.broker.store.pending(Approval.WAITING) == []


def test_approval_of_an_order_that_has_ended_releases_nothing(world: World) -> None:
    cvm, preimage = world.running()
    body = world.body(cvm, preimage)
    world.broker.store.settle(waiting(world, body), Approval.APPROVED)
    for chain in world.chains:
        chain.heads[order_id(DOMAIN, preimage.terms)] = OrderView(OrderState.EXPIRED, Phase.SETUP, cvm.cvm_id)
    assert world.refused(body)["step"] == ReleaseStep.RUNNING


def test_approval_does_not_stretch_the_uses(world: World) -> None:
    bodies = [world.body(*world.running(salt=salt)) for salt in (1, 2)]
    for body in bodies:
        world.broker.store.settle(waiting(world, body), Approval.APPROVED)
    world.granted(bodies[0])
    assert world.refused(bodies[1])["step"] == ReleaseStep.USES


def test_evidence_is_verified_again_after_approval(world: World) -> None:
    cvm, preimage = world.running()
    body = world.body(cvm, preimage)
    world.broker.store.settle(waiting(world, body), Approval.APPROVED)
    world.appraiser.tcb_status = "OutOfDate"
    assert world.refused(body)["step"] == ReleaseStep.TCB


def test_what_a_person_approved_needs_no_second_approval_for_the_same_cvm_and_order(world: World) -> None:
    cvm, preimage = world.running()
    body = world.body(cvm, preimage)
    world.broker.store.settle(waiting(world, body), Approval.APPROVED)
    world.granted(body)
    world.granted(world.body(cvm, preimage))


def test_denied_for_every_later_request_of_the_same_use(world: World) -> None:
    cvm, preimage = world.running()
    world.broker.store.settle(waiting(world, world.body(cvm, preimage)), Approval.DENIED)
    assert world.refused(world.body(cvm, preimage))["step"] == BrokerStep.APPROVAL


def test_the_queue_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "MAX_WAITING", 1)
    waiting(world, world.body(*world.running(salt=1)))
    assert world.release(world.body(*world.running(salt=2))).status_code == 429
    for chain in world.chains:
        chain.time += 8 * 86_400  # whoever waited for the first one has long gone
    waiting(world, world.body(*world.running(salt=2)))


def test_a_decision_is_for_good(world: World) -> None:
    store = world.broker.store
    pending = waiting(world, world.body(*world.running()))
    store.settle(pending, Approval.APPROVED)
    store.settle(pending, Approval.APPROVED)
    with pytest.raises(BadInputError):
        store.settle(pending, Approval.DENIED)
    with pytest.raises(NotFoundError):
        store.settle("0" * 16, Approval.APPROVED)
