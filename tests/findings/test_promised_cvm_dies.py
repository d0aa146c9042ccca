"""The defect: a CVM that died between promise and acceptance left its order looping, and was promised twice.

The promise stayed with the dead CVM: the agent launched one CVM after the other, none of which the order
could have. And two orders that looked at the same moment were promised the same CVM; the second of them would
have been accepted and never started, which costs the start penalty.
"""

from __future__ import annotations

import threading
from dataclasses import replace

from marketplace.domain.order_state import OrderState
from marketplace.provider.agent import Agent
from marketplace.provider.journal import JobRow
from marketplace.provider.reducer import StepKind
from tests.fakes.provider_world import provider_world, small_order


def row_of(agent: Agent, order: bytes) -> JobRow:
    return next(row for row in agent.open_jobs() if row.order_id == order)


def test_another_cvm_takes_the_place_of_one_that_died() -> None:
    with provider_world() as world:
        world.chain.refusing.add("accept")
        agent = world.agent()
        agent.fleet.prepare()
        placed = world.place(small_order())
        agent.find_orders()
        assert agent.take_step(row_of(agent, placed)) is StepKind.FETCH
        (cvm,) = world.platform.running()
        row = agent.fleet.ready(world.chain.now())
        assert row is not None
        assert world.journal.promise(row.socket, placed)
        cvm.end()
        world.chain.refusing.clear()
        steps = world.drive(agent, placed)
        assert steps.count(StepKind.PREPARE_CVM) == 1
        assert world.chain.order(placed).state is OrderState.COMPLETED
        assert len(world.platform.cvms) == 2


def test_an_order_accepted_with_another_cvm_is_not_started_with_this_one() -> None:
    with provider_world() as world:
        agent = world.agent()
        other, _ = agent.fleet.prepare(), agent.fleet.prepare()
        placed = world.place(small_order())
        agent.find_orders()
        agent.take_step(row_of(agent, placed))
        rows = agent.fleet.spare(world.chain.now())
        mine = next(row for row in rows if row.cvm_id != other)
        assert world.journal.promise(mine.socket, placed)
        preimage, policy = agent.job_of(placed).preimage, agent.job_of(placed).packet.policy
        world.chain.accept(preimage, policy, world.chain.cvm_number(other), lambda _: None)
        assert agent.take_step(row_of(agent, placed)) is StepKind.WAIT
        assert world.note(placed) == "the CVM is gone; the order's deadline settles it"
        # It is free for the next order.
        assert mine.cvm_id in {row.cvm_id for row in agent.fleet.spare(world.chain.now())}


def test_two_orders_that_look_at_once_get_two_cvms() -> None:
    with provider_world() as world:
        order = small_order()
        second = replace(order, changed={**order.changed, "salt": b"\x02" * 32})
        agent, orders = world.agent(), [world.place(order), world.place(second)]
        agent.find_orders()
        for placed in orders:
            assert agent.take_step(row_of(agent, placed)) is StepKind.FETCH
        agent.fleet.prepare()
        barrier, kinds = threading.Barrier(2), []

        def look(placed: bytes) -> None:
            barrier.wait()
            kinds.append(agent.take_step(row_of(agent, placed)))

        threads = [threading.Thread(target=look, args=(placed,)) for placed in orders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(kind.name for kind in kinds) == ["ACCEPT", "PREPARE_CVM"]
        accepted = {world.chain.order(placed).cvm for placed in orders}
        assert len(accepted) == 2
