"""The agent's loop: many orders side by side, failures that hold up nobody, an end that loses nothing."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from marketplace.domain.order_state import OrderState
from marketplace.errors import ChainError, MarketError
from marketplace.provider.agent import Agent, AgentSettings
from marketplace.provider.journal import Journal
from marketplace.provider.policy import AgentPolicy
from tests.fakes.provider_world import ProviderWorld, small_order
from tests.fakes.sealed_order import SealedOrder

SETTINGS = AgentSettings(1, poll_s=0.01, longest_pause_s=0.05)


async def run_until(agent: Agent, reached: Callable[[], bool], timeout_s: float = 120) -> None:
    """Run the agent until `reached`, then cancel it and wait for its end."""
    task = asyncio.ensure_future(agent.run())
    try:
        async with asyncio.timeout(timeout_s):
            while not reached():
                assert not task.done()
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def completed(world: ProviderWorld, *orders: bytes) -> Callable[[], bool]:
    return lambda: (
        all(world.chain.order(order).state is OrderState.COMPLETED for order in orders)
        and not world.journal.open_jobs()
    )


def threads() -> list[str]:
    """Return the agent's threads; the world's own are CVMs' doors."""
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith(("order", "agent", "ask", "certify"))]


@pytest.fixture
def nothing_left_by_others() -> None:
    """Collect what earlier tests left, so that it is not taken for this one's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


def files() -> int:
    """Return how many files this process has open."""
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.filterwarnings("error::ResourceWarning", "error::pytest.PytestUnraisableExceptionWarning")
async def test_twenty_orders_leave_no_thread_no_file_and_no_memory_of_them(
    nothing_left_by_others: None, world: ProviderWorld
) -> None:
    order = small_order()
    first = [world.place(_salted(order, number)) for number in range(4)]
    agent = world.agent(settings=SETTINGS)
    before = files()

    def reached() -> bool:
        if not completed(world, *first)() or len(world.platform.running()) != 1:
            return False
        if len(first) < 20:
            first.extend([world.place(_salted(order, len(first) + number)) for number in range(8)])
            return False
        return True

    await run_until(agent, reached)
    for call in ("accept", "start", "checkpoint", "complete"):
        assert world.chain.calls.count(call) == 20
    assert agent._desks == {}
    assert agent._busy == {}
    assert threads() == []
    async with asyncio.timeout(60):  # doors of CVMs that ended take a moment to close; the last one's stays
        while files() > before + 3:
            await asyncio.sleep(0.05)
    gc.collect()  # what was left open says so now, and not in another test


def _salted(order: SealedOrder, number: int) -> SealedOrder:
    return replace(order, changed={**order.changed, "salt": (number + 1).to_bytes(32, "big")})


async def test_keeps_as_many_cvms_ready_as_it_is_told(world: ProviderWorld) -> None:
    agent = world.agent(settings=AgentSettings(1, poll_s=0.01, warm=3))
    await run_until(agent, lambda: len(agent.fleet.spare(world.chain.now())) == 3)
    assert len(world.platform.running()) == 3


async def test_a_certifier_that_is_away_holds_up_no_running_order(world: ProviderWorld) -> None:
    placed = world.place(small_order())
    agent = world.agent(settings=SETTINGS)
    agent.fleet.prepare()
    world.services.silent.add("http://certifier-1")
    away = "http://certifier-1: no answer"
    await run_until(agent, lambda: (b"", away) in world.said and completed(world, placed)())


async def test_says_a_failure_once_however_often_it_happens(world: ProviderWorld) -> None:
    world.services.silent.add("http://certifier-1")
    agent = world.agent(settings=AgentSettings(1, poll_s=0.001, longest_pause_s=0.002))
    tries: list[int] = []
    prepare = agent.fleet.prepare
    agent.fleet.prepare = lambda: tries.append(1) or prepare()  # type: ignore[method-assign,func-returns-value]
    await run_until(agent, lambda: len(tries) > 5)
    assert sum("no answer" in text for _, text in world.said) == 1


async def test_an_error_that_nobody_foresaw_ends_no_duty(world: ProviderWorld) -> None:
    placed_since, failures = world.chain.placed_since, [KeyError("x"), ValueError("y"), ChainError("z")]

    def fails_first(offer: int, block: int) -> Any:
        if failures:
            raise failures.pop()
        return placed_since(offer, block)

    world.chain.placed_since = fails_first  # type: ignore[method-assign]
    placed = world.place(small_order())
    await run_until(world.agent(settings=SETTINGS), completed(world, placed))


async def test_an_order_that_fails_holds_up_no_other_and_is_tried_ever_later(world: ProviderWorld) -> None:
    order = small_order()
    bad, good = world.place(replace(order, config=b'{"other":1}')), world.place(order)
    location = world.chain.placed[0].location
    packet = world.blobs.blobs.pop(location)
    await run_until(
        world.agent(settings=SETTINGS), lambda: world.chain.order(good).state is OrderState.COMPLETED
    )
    assert "not here" in world.note(bad)
    world.blobs.blobs[location] = packet
    await run_until(world.agent(settings=SETTINGS), completed(world, bad, good))


def test_pauses_grow_to_their_bound_and_no_further(world: ProviderWorld) -> None:
    agent = world.agent(settings=AgentSettings(1, poll_s=0.2))
    pauses = [agent._pause_s(failures) for failures in (0, 1, 2, 5, 6, 2000)]
    assert pauses == [0.2, 0.4, 0.8, 6.4, 10.0, 10.0]


async def test_a_second_agent_on_the_same_journal_is_refused(world: ProviderWorld) -> None:
    first = world.agent(settings=SETTINGS)
    first.tools.journal.own()
    journal = Journal(world.folder / "agent.sqlite3")
    second = Agent(SETTINGS, AgentPolicy(0), replace(first.tools, journal=journal), first.fleet)
    with pytest.raises(MarketError, match="another agent works on it"):
        await second.run()
    journal.close()


async def test_is_told_to_stop_then_a_step_under_way_comes_to_its_end(world: ProviderWorld) -> None:
    placed = world.place(small_order())
    agent = world.agent(settings=SETTINGS)
    inside, go_on = threading.Event(), threading.Event()
    start = world.chain.start

    def slow_start(*arguments: Any) -> None:
        inside.set()
        go_on.wait(60)
        start(*arguments)

    world.chain.start = slow_start  # type: ignore[method-assign]

    def under_way() -> bool:
        if inside.is_set():  # the agent is told to stop right after this
            threading.Timer(1, go_on.set).start()
        return inside.is_set()

    await run_until(agent, under_way)
    assert world.chain.order(placed).state is OrderState.RUNNING
    assert world.cvm(placed).running
    assert world.services.closed
    world.chain.start = start  # type: ignore[method-assign]
    assert world.journal.was_sent(placed, "start")
    await run_until(world.agent(settings=SETTINGS), completed(world, placed))
