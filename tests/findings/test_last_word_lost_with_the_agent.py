"""The defect: the agent died just after the CVM had signed, and what was signed never reached the chain.

In REPORTED the agent looked for the report in its journal alone, for ever, until the order expired and its
stake paid the inputs. A start signature and a `wiped` statement were lost in the same way; without either no
auditor can verify the order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from marketplace.domain.order_state import OrderState
from marketplace.provider.cvm import Answer, CvmClient
from tests.fakes.provider_world import AgentDiedError, ProviderWorld, provider_world, small_order


def die_after(monkeypatch: pytest.MonkeyPatch, op: str) -> Callable[[], None]:
    """End the agent when the CVM has answered `op`; return what brings it back to life."""
    call = CvmClient.call

    def dying(self: CvmClient, name: str, body: bytes = b"", **members: Any) -> Answer:
        answer = call(self, name, body, **members)
        if name == op:
            raise AgentDiedError(op)
        return answer

    monkeypatch.setattr(CvmClient, "call", dying)
    return lambda: monkeypatch.setattr(CvmClient, "call", call)


@pytest.fixture
def world() -> Any:
    with provider_world() as made:
        yield made


@pytest.mark.parametrize(
    ("op", "fact"), [("report", "report"), ("admit", "start_signature"), ("wipe", "wiped")]
)
def test_what_a_cvm_signed_is_asked_for_again(
    world: ProviderWorld, monkeypatch: pytest.MonkeyPatch, op: str, fact: str
) -> None:
    revive = die_after(monkeypatch, op)
    placed = world.place(small_order())
    with pytest.raises(AgentDiedError):
        world.drive(world.agent(), placed)
    assert world.journal.fact(placed, fact) is None
    revive()
    world.drive(world.agent(), placed)
    assert world.chain.order(placed).state is OrderState.COMPLETED
    assert world.journal.fact(placed, fact) is not None


def test_a_host_fault_that_was_signed_is_asked_for_again(
    world: ProviderWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = small_order()
    placed = world.place(order)
    world.services.silent |= {"http://owner-0", "http://owner-1"}
    agent = world.agent(max_unpaid_s=1 << 30)
    world.drive(agent, placed)
    # The keys come, and then the machine is away until nothing can run any more.
    world.services.silent.clear()
    cvm = world.cvm(placed)
    cvm.driver.open_keys(order)
    cvm.driver.sleep(order.windows.max_seconds)
    revive = die_after(monkeypatch, "host_failure")
    with pytest.raises(AgentDiedError):
        world.drive(agent, placed)
    revive()
    world.drive(world.agent(), placed)
    assert world.chain.order(placed).state is OrderState.HOST
    assert world.chain.calls.count("complete") == 1
