"""The agent dies at every single point at which it touches the world, and is started again.

Exhaustive where `tests/integration/test_agent_kill_points.py` is real: one order for each interaction with
chain, CVM, broker, certifier, platform, blob store and journal, ended just before it and just after.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from enclave_runtime.wire.codec import bytes_from_hex
from marketplace.domain.order_state import OrderState
from marketplace.provider.cvm import Answer, CvmClient
from marketplace.provider.journal import Journal
from tests.fakes.provider_world import AgentDiedError, ProviderWorld, provider_world, small_order
from tests.fakes.sealed_order import SealedOrder

WRITES = (
    "intend", "launched", "registered", "promise", "release", "ended", "see_order", "finish", "sent",
     "set_fact", "move_cursor",
)  # fmt: skip


class Fuse:
    """Ends the agent at the n-th touch; counts them."""

    def __init__(self) -> None:
        self.touches: list[str] = []
        self.blows_at = -1

    def __call__(self, what: str) -> None:
        self.touches.append(what)
        if len(self.touches) == self.blows_at:
            raise AgentDiedError(f"touch {self.blows_at}: {what}")


@pytest.fixture(scope="module")
def order() -> SealedOrder:
    """One order for all: every world is another chain."""
    return small_order()


@pytest.fixture
def fuse(monkeypatch: pytest.MonkeyPatch) -> Fuse:
    """Put a fuse around every call to a CVM and every write to the journal."""
    made = Fuse()
    call = CvmClient.call

    def touched_call(self: CvmClient, op: str, body: bytes = b"", **members: Any) -> Answer:
        if op == "status":
            return call(self, op, body, **members)
        made(f"to {op}")
        answer = call(self, op, body, **members)
        made(f"from {op}")
        return answer

    monkeypatch.setattr(CvmClient, "call", touched_call)
    for name in WRITES:
        monkeypatch.setattr(Journal, name, _touched(made, name, getattr(Journal, name)))
    return made


def _touched(fuse: Fuse, name: str, write: Callable[..., Any]) -> Callable[..., Any]:
    def touched_write(self: Journal, *arguments: Any) -> Any:
        result = write(self, *arguments)
        fuse(f"wrote {name} {arguments[1] if name == 'set_fact' else ''}")
        return result

    return touched_write


def worlds() -> Iterator[ProviderWorld]:
    """Give world after world, each ended before the next."""
    while True:
        with provider_world() as world:
            yield world


def serve(world: ProviderWorld, order: bytes) -> None:
    """Serve until the order is over, starting the agent again whenever it dies."""
    for _ in range(3):
        try:
            world.drive(world.agent(), order)
            return
        except AgentDiedError:
            continue
    raise AssertionError("it dies again and again")


def check_served_once(world: ProviderWorld, order: bytes, where: str) -> None:
    assert world.chain.order(order).state is OrderState.COMPLETED, where
    for call in ("accept", "start", "checkpoint", "complete"):
        assert world.chain.calls.count(call) == 1, where
    assert len(world.services.uses) == 2, where
    assert world.note(order) == "the order is COMPLETED", where
    assert world.journal.open_jobs() == [], where
    for name in ("evidence", "start_signature", "integrity", "report", "key_envelope", "result", "wiped"):
        assert world.journal.fact(order, name), f"{name} is lost, {where}"
    # A launch that was cut off is either finished or known to be nothing: no CVM is forgotten.
    known = {row.pid for row in world.journal.cvms()}
    world.fleet().unfinished()
    known |= {row.pid for row in world.journal.cvms()}
    running = {pid for pid, cvm in world.platform.cvms.items() if cvm.running}
    assert running <= known, where


def test_served_to_the_end_wherever_the_agent_dies(fuse: Fuse, order: SealedOrder) -> None:
    given = worlds()
    world = next(given)
    world.touched = fuse
    serve(world, world.place(order))
    touches, last = list(fuse.touches), len(fuse.touches)
    assert last > 80
    for number in range(1, last + 1):
        world = next(given)
        placed = world.place(order)
        fuse.touches.clear()
        fuse.blows_at, world.touched = number, fuse
        serve(world, placed)
        world.touched, fuse.blows_at = lambda _: None, -1
        check_served_once(world, placed, f"died at {number}: {touches[number - 1]}")
    given.close()


def stop_it(world: ProviderWorld, order: SealedOrder) -> bytes:
    """Return an order that its client stopped while the engine ran."""

    def lasting(_: str) -> None:
        for cvm in world.platform.running():
            cvm.engine_lasts = True

    placed, world.touched = world.place(order), lasting
    world.drive(world.agent(), placed)
    world.touched = lambda _: None
    world.chain.time += 5
    world.chain.stop(placed, bytes_from_hex(order.stop()))
    world.chain.time += 1
    world.cvm(placed).driver.sleep(6)
    return placed


def serve_stopped(world: ProviderWorld, placed: bytes) -> None:
    """Serve a stopped order to its end; its engine ends when it is told to."""
    driver = world.cvm(placed).driver
    for _ in range(5):
        with contextlib.suppress(AgentDiedError):
            world.drive(world.agent(), placed)
            if driver.stops and driver.state == "RUNNING":
                driver.end("stopped", None)
        if not world.journal.open_jobs():
            return
    raise AssertionError("it dies again and again")


def test_a_stopped_order_is_proven_and_reported_wherever_the_agent_dies(
    fuse: Fuse, order: SealedOrder
) -> None:
    """Every proof is signed under a sequence of its own: a death costs one, never two words under one."""
    given = worlds()
    world = next(given)
    placed = stop_it(world, order)
    fuse.touches.clear()
    world.touched = fuse
    serve_stopped(world, placed)
    touches = list(fuse.touches)
    assert "to checkpoint" in touches
    assert "to stop" in touches
    for number in range(1, len(touches) + 1):
        world = next(given)
        placed = stop_it(world, order)
        fuse.touches.clear()
        fuse.blows_at, world.touched = number, fuse
        serve_stopped(world, placed)
        world.touched, fuse.blows_at = lambda _: None, -1
        where = f"died at {number}: {touches[number - 1]}"
        assert world.chain.order(placed).state is OrderState.FAILED, where
        assert world.chain.calls.count("prove") == world.chain.calls.count("complete") == 1, where
        assert world.cvm(placed).driver.stops == 1, where
        for name in ("report", "key_envelope", "result", "wiped"):
            assert world.journal.fact(placed, name), f"{name} is lost, {where}"
    given.close()
