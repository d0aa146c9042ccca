"""The defect: orders that waited for a certified CVM held the threads that running orders needed.

Each waited for the same lock while one of them asked a certifier. A certifier that takes its time and a few
orders, placed for their gas, were enough to keep a running order from its report until its deadline.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import Any

from marketplace.domain.order_state import OrderState
from marketplace.provider.agent import AgentSettings
from tests.fakes.provider_world import provider_world, small_order

_WAITING = 40


async def test_a_running_order_goes_on_while_others_wait_for_a_cvm() -> None:
    with provider_world() as world:
        order, certifier_answers = small_order(), threading.Event()
        agent = world.agent(settings=AgentSettings(1, poll_s=0.01, warm=0))
        agent.fleet.prepare()
        certify = world.services.certify

        def slow(*arguments: Any) -> Any:
            certifier_answers.wait(240)
            return certify(*arguments)

        world.services.certify = slow  # type: ignore[method-assign]
        placed = [
            world.place(replace(order, changed={**order.changed, "salt": bytes([number]) * 32}))
            for number in range(1, _WAITING + 1)
        ]
        task = asyncio.ensure_future(agent.run())

        def finished() -> list[bytes]:
            return [one for one in placed if world.chain.order(one).state is OrderState.COMPLETED]

        try:
            async with asyncio.timeout(120):
                while not finished():
                    await asyncio.sleep(0.02)
        finally:
            certifier_answers.set()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
