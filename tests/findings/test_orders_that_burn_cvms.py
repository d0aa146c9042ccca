"""The attack: orders that will never be accepted, each of which costs the provider a certified CVM.

The agent bound a CVM to an order before it asked whether it would take it, and ended that CVM with the order.
It also ended every CVM whose certificate did not outlast the startWithin of any order that was placed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from marketplace.domain.order_state import OrderState
from marketplace.errors import ChainError
from marketplace.provider.agent import Agent
from marketplace.provider.journal import JobRow
from marketplace.provider.reducer import StepKind
from tests.fakes.provider_world import ProviderWorld, provider_world, small_order
from tests.fakes.sealed_order import WINDOWS, SealedOrder


def free(world: ProviderWorld) -> list[bool]:
    """Return, of each CVM that runs by the journal, whether it is promised to nobody."""
    return [row.order_id is None for row in world.journal.cvms()]


def row_of(agent: Agent, order: bytes) -> JobRow:
    return next(row for row in agent.open_jobs() if row.order_id == order)


def with_windows(**changes: int) -> SealedOrder:
    return small_order(windows=replace(WINDOWS, **changes))


@pytest.mark.parametrize(
    ("order", "policy"),
    [
        (small_order(), {"max_lock": 0}),
        (with_windows(start_within=1 << 31), {}),
        (with_windows(start_within=0), {}),
        (with_windows(grace=1), {}),
        (with_windows(keys_within=1 << 31), {}),
    ],
)
def test_an_order_that_policy_refuses_binds_no_cvm(order: SealedOrder, policy: dict[str, Any]) -> None:
    with provider_world() as world:
        agent = world.agent(**policy)
        agent.fleet.prepare()
        placed = world.place(order)
        assert world.drive(agent, placed) == [StepKind.FORGET]
        assert free(world) == [True]
        assert len(world.platform.running()) == 1


def test_a_long_start_ends_no_cvm_that_others_can_use() -> None:
    """Policy would refuse this one too; here it may pass, and still nobody else's CVM goes."""
    with provider_world() as world:
        agent = world.agent(max_start_s=1 << 32)
        agent.fleet.prepare()
        placed = world.place(with_windows(start_within=world.services.certified_s + 1))
        agent.find_orders()
        agent.take_step(row_of(agent, placed))
        for _ in range(3):
            assert agent.fleet.ready(world.chain.now()) is not None
        assert len(world.platform.cvms) == 1


def test_orders_that_no_certificate_outlasts_launch_one_cvm_and_no_more() -> None:
    with provider_world() as world:
        agent = world.agent(max_start_s=1 << 32)
        order = with_windows(start_within=1 << 20)
        for salt in (b"\x01", b"\x02"):
            placed = world.place(replace(order, changed={**order.changed, "salt": salt * 32}))
            agent.find_orders()
            while any(row.order_id == placed for row in agent.open_jobs()):
                agent._advance(row_of(agent, placed))
            assert "certificates end before" in world.note(placed)
        assert len(world.platform.cvms) == 1
        assert free(world) == [True]


def test_an_order_that_the_contract_refuses_gives_its_cvm_back() -> None:
    """For instance one whose runtime policy no CVM of ours fits; it may stay placed for a year."""
    with provider_world() as world:
        world.chain.refusing.add("accept")
        agent = world.agent()
        agent.fleet.prepare()
        placed = world.place(small_order())
        agent.find_orders()
        with pytest.raises(ChainError, match="accept: refused"):
            while True:
                agent.take_step(row_of(agent, placed))
        assert free(world) == [True]
        world.chain.end(placed, OrderState.CANCELLED)
        assert world.drive(agent, placed) == [StepKind.FORGET]
        assert len(world.platform.running()) == 1


def test_an_order_that_is_cancelled_in_time_costs_no_cvm() -> None:
    with provider_world() as world:
        agent = world.agent()
        agent.fleet.prepare()
        placed = world.place(small_order())
        agent.find_orders()
        assert agent.take_step(row_of(agent, placed)) is StepKind.FETCH
        world.chain.end(placed, OrderState.CANCELLED)
        world.drive(agent, placed)
        assert free(world) == [True]
