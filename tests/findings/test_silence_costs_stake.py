"""The defect: where no engine could run any more the agent stayed silent, and its stake paid for that.

A CVM signs HOST (unpaid, nothing slashed) once loadWithin or maxSeconds are over or a grant ran out; the
agent had the word for it and no hand. A client that owns an input could bring it there on purpose: a key that
comes late, and the lock pays the client's own offer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from marketplace.domain.order_state import OrderState
from marketplace.provider.agent import Agent
from marketplace.provider.reducer import StepKind
from tests.fakes.provider_world import ProviderWorld, provider_world, small_order
from tests.fakes.sealed_order import WINDOWS

ORDER = replace(small_order(), windows=replace(WINDOWS, max_seconds=1000))


@pytest.fixture
def world() -> Iterator[ProviderWorld]:
    with provider_world() as made:
        yield made


def take(agent: Agent, placed: bytes, last: StepKind) -> None:
    """Take steps until `last` was taken."""
    agent.find_orders()
    for _ in range(30):
        (row,) = [row for row in agent.open_jobs() if row.order_id == placed]
        kind = agent.take_step(row)
        if kind is StepKind.PREPARE_CVM:
            agent.fleet.prepare()
        if kind is last:
            return
    raise AssertionError(last.name)


@pytest.mark.parametrize(
    ("last", "seconds", "reason"),
    [
        (StepKind.ASK_KEY, 1000, "max-seconds"),
        (StepKind.ASK_KEY, 301, "load-window"),
        (StepKind.CHECK, 1000, "max-seconds"),
        (StepKind.CHECKPOINT, 1000, "max-seconds"),
    ],
)
def test_the_agent_has_host_signed_once_time_is_over(
    world: ProviderWorld, last: StepKind, seconds: int, reason: str
) -> None:
    placed, agent = world.place(ORDER), world.agent()
    take(agent, placed, last)
    if reason == "load-window":
        # It has seen the last grant, and then the blob store is gone for a while.
        saved = dict(world.blobs.blobs)
        world.blobs.blobs.clear()
        with pytest.raises(Exception, match="not here"):
            world.drive(agent, placed)
        world.blobs.blobs.update(saved)
    world.cvm(placed).driver.sleep(seconds)
    steps = world.drive(agent, placed)
    assert StepKind.HOST_FAULT in steps
    assert world.chain.order(placed).state is OrderState.HOST
    assert world.note(placed) == f"the order is HOST; {reason}"
    assert world.platform.running() == []


@pytest.mark.parametrize(
    ("last", "state"),
    [(StepKind.ASK_KEY, OrderState.REFUSED), (StepKind.CHECKPOINT, OrderState.HOST)],
)
def test_a_grant_that_ran_out_ends_the_order(world: ProviderWorld, last: StepKind, state: OrderState) -> None:
    """Before the IntegrityReport as a refusal, which pays set-up; after it as the host's."""
    world.services.ttl_s = 100
    placed, agent = world.place(ORDER), world.agent()
    take(agent, placed, last)
    world.cvm(placed).driver.sleep(100)
    world.drive(agent, placed)
    assert world.chain.order(placed).state is state
    assert "grant-expired" in world.note(placed)


def test_a_key_that_never_comes_is_nobodys_fault(world: ProviderWorld) -> None:
    world.services.refusing.add("http://owner-1")
    placed, agent = world.place(ORDER), world.agent()
    take(agent, placed, StepKind.WAIT)
    world.cvm(placed).driver.sleep(ORDER.windows.keys_within)
    world.drive(agent, placed)
    assert world.chain.order(placed).state is OrderState.REFUSED
