"""The agent asks as many brokers of a key in shares as it takes, and others where some fail (section 5.4)."""

from __future__ import annotations

import inspect

import pytest

from marketplace.domain.order_state import OrderState
from marketplace.provider import asking
from marketplace.provider.policy import AgentPolicy
from marketplace.provider.reducer import StepKind
from marketplace.provider.services import Services
from tests.fakes.provider_world import ProviderWorld, served_order
from tests.fakes.sealed_order import SealedOrder
from tests.fakes.shared_key import with_shares

URLS = [f"http://broker-{number}.test" for number in range(1, 5)]
INDEX = 1


@pytest.fixture(scope="module")
def order() -> SealedOrder:
    return with_shares(served_order(), INDEX, 2, 4)[0]


def sharers(world: ProviderWorld) -> list[str]:
    return sorted(url for url in world.services.asked if url in URLS)


def test_asks_two_of_four_and_no_more(world: ProviderWorld, order: SealedOrder) -> None:
    placed = world.place(order)
    world.drive(world.agent(), placed)
    assert world.chain.order(placed).state is OrderState.COMPLETED
    assert sharers(world) == URLS[:2]


@pytest.mark.parametrize("bad", ["silent", "undecided", "lying"])
def test_asks_another_for_each_that_fails(world: ProviderWorld, order: SealedOrder, bad: str) -> None:
    placed = world.place(order)
    getattr(world.services, bad).update({URLS[0], URLS[2]})
    world.drive(world.agent(), placed)
    assert world.chain.order(placed).state is OrderState.COMPLETED
    assert {URLS[1], URLS[3]} <= set(sharers(world))


def test_waits_where_too_few_agree_and_asks_only_the_missing_ones_again(
    world: ProviderWorld, order: SealedOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marketplace.provider.looking._ASK_AGAIN_S", 0.0)
    placed, agent = world.place(order), world.agent()
    world.services.undecided.update(URLS[1:])
    agent.find_orders()
    rounds = 0
    while rounds < 4:
        (row,) = agent.open_jobs()
        taken = agent.take_step(row)
        if taken is StepKind.PREPARE_CVM:
            agent.fleet.prepare()
        rounds += taken is StepKind.ASK_KEY
    assert world.cvm(placed).driver.ok("status")["shares"] == {"1": [1]}
    assert sharers(world) == URLS[:1]  # not asked again: its share is there
    world.services.undecided.discard(URLS[3])
    world.drive(agent, placed)
    assert world.chain.order(placed).state is OrderState.COMPLETED
    assert sharers(world) == [URLS[0], URLS[3]]


def test_a_lying_broker_is_named_to_people(world: ProviderWorld, order: SealedOrder) -> None:
    placed, agent = world.place(order), world.agent()
    world.services.lying.add(URLS[0])
    world.services.undecided.update(URLS[2:])
    world.drive(agent, placed)
    assert any("another share than broker 1 (" in text for _, text in world.said)


def test_slow_brokers_leave_time_to_say_that_no_key_came() -> None:
    limits = inspect.signature(Services).parameters
    longest_s = asking.HEAD_START_S + 2 * limits["broker_s"].default
    assert longest_s <= AgentPolicy(max_lock=0).min_grace_s * 2 / 3
