"""The agent may die at any line: started again it finishes the same order, once, and everybody is paid once.

One market for all; one order for each place to die at. An agent that is started to finish one order is the
one that dies in the next, so that each start serves twice.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from marketplace.demo.ledger import Ledger
from marketplace.domain.order_state import OrderState
from marketplace.provider.reducer import StepKind
from marketplace.sdk import client
from tests.integration.market_kit import OWNERS, Market

pytestmark = pytest.mark.integration

STEPS = (
    "PREPARE_CVM", "FETCH", "ACCEPT", "ADMIT", "START", "ASK_KEY", "FEED", "CHECK", "CHECKPOINT", "RUN",
    "STORE_PUBLISHED", "STORE_RESULT", "REPORT", "COMPLETE", "FORGET",
)  # fmt: skip
SENDINGS = {
    "OrderBook.accept": "accept",
    "OrderBook.start": "start",
    "OrderBook.enterEngine": "checkpoint",
    "OrderBook.complete": "complete",
}
"""Functions of contracts, and what the journal calls their transactions."""
SEED = 20
_KILLED = 9
_ROUNDS = 6
"""Of orders side by side, at most: until one needs no more threads and files than the one before it."""
_SLEEP = b'{"sleep":30}'
_PUBLISH = b'{"publish":2,"sleep":2}'


@pytest.fixture(scope="module")
def ledger(market: Market) -> Ledger:
    return market.ledger()


@pytest.fixture(scope="module")
def orders(ledger: Ledger) -> list[bytes]:
    """Every order of this module, for the one look at the money at its end."""
    return []


@pytest.fixture
def place(market: Market, orders: list[bytes]) -> Callable[..., bytes]:
    def make(*args: bytes, **windows: int) -> bytes:
        orders.append(market.place(*args, **windows))
        return orders[-1]

    return make


def check_finished_once(market: Market, order: bytes) -> None:
    """One acceptance, one start, one entry into the engine, one report, one use for each owner, nothing left.

    Proofs of use come in between as often as half of the grace has passed: on a busy machine, or while no
    agent was there, more than once.
    """
    assert market.record(order).state is OrderState.COMPLETED
    assert market.wait_done(order) == "the order is COMPLETED"
    moved = [name for name in market.events(order) if name not in ("Claimed", "Settled")]
    once = ["OrderPlaced", "OrderAccepted", "OrderStarted", "OrderIntegrity", "OrderReported"]
    assert [name for name in moved if name != "OrderCheckpointed"] == once, moved
    assert moved[moved.index("OrderIntegrity") - 1] == "OrderCheckpointed"
    assert moved[-1] == once[-1] and moved[:3] == once[:3], moved
    assert [market.uses(slug, order) for slug in OWNERS] == [1, 1]
    assert not market.cvm_of(order).running
    verdict = market.verify(order)
    assert verdict.passed, verdict.lines


def wait_for_note(market: Market, order: bytes, text: str) -> None:
    """Wait until the agent says so of an order."""
    market.until(lambda: market.note(order)[0], lambda note: note.startswith(text))


def finish(market: Market, *orders: bytes) -> None:
    """Start an agent that nobody kills, and let it finish."""
    agent = market.start_agent()
    try:
        for order in orders:
            market.wait_for(order, OrderState.COMPLETED)
            check_finished_once(market, order)
    finally:
        assert market.stop_agent(agent) == 0, agent.tail(20)


def test_dies_before_each_step_in_an_order_of_its_own(market: Market, place: Callable[..., bytes]) -> None:
    """From the last step to the first: on its way to its death each agent finishes the order before."""
    placed = []
    for step in reversed(STEPS):
        assert StepKind[step]
        agent = market.start_agent("--stop-before", step)
        placed.append(place(_PUBLISH) if step == "STORE_PUBLISHED" else place())
        assert market.wait_end(agent) == _KILLED, agent.tail(20)
    finish(market, *placed)


def test_dies_again_and_again_in_one_order(market: Market, place: Callable[..., bytes]) -> None:
    order = place()
    for step in STEPS[1::2]:
        assert market.wait_end(market.start_agent("--stop-before", step)) == _KILLED, market.agent_says()
    finish(market, order)


def test_dies_right_after_a_transaction_went_out(market: Market, place: Callable[..., bytes]) -> None:
    placed = []
    for call, noted in reversed(SENDINGS.items()):
        agent = market.start_agent("--after-sending", call)
        placed.append(place())
        assert market.wait_end(agent) == _KILLED, agent.tail(20)
        journal = market.journal()
        assert [purpose for purpose, _ in journal.transactions(placed[-1])][-1] == noted
        journal.close()
    finish(market, *placed)


def test_is_killed_at_random_moments(market: Market, place: Callable[..., bytes]) -> None:
    moments = random.Random(SEED)
    order = place()
    for _ in range(6):
        agent = market.start_agent()
        time.sleep(moments.uniform(0.25, 0.75))
        if market.record(order).state.terminal:
            order = place()
        assert market.stop_agent(agent, signal.SIGKILL) == -signal.SIGKILL
    finish(market, order)


def test_is_told_to_stop_then_the_engine_goes_on(market: Market, place: Callable[..., bytes]) -> None:
    agent = market.start_agent()
    order = place(b'{"sleep":8}')
    wait_for_note(market, order, "the engine runs")
    assert market.stop_agent(agent) == 0, agent.tail(20)
    # An agent that had waited for the engine's end would have noted what came of it.
    assert market.cvm_of(order).running
    assert market.note(order) == ("the engine runs", False)
    assert market.record(order).state is OrderState.RUNNING
    finish(market, order)


def test_client_stops_while_the_agent_is_dead_then_the_cvm_is_wiped(
    market: Market, place: Callable[..., bytes]
) -> None:
    agent = market.start_agent("--stop-before", "STOP")
    order = place(_SLEEP)
    wait_for_note(market, order, "the engine runs")
    client.stop(market.world.homes["centre"].session, order)
    assert market.wait_end(agent) == _KILLED, agent.tail(20)
    assert market.cvm_of(order).running
    agent = market.start_agent()
    assert market.wait_done(order) == "the order is FAILED", "the CVM's last word, in grace: paid as proven"
    assert not market.cvm_of(order).running
    assert market.stop_agent(agent) == 0


def test_serves_orders_side_by_side_and_leaves_nothing(market: Market, place: Callable[..., bytes]) -> None:
    """Threads, and each one's connection to the node, come when as many steps are under way as never before.

    So a round may need more than the one before it, yet not each of them: what an order left would be three
    more for every round.
    """
    agent, held = market.start_agent(), []
    while len(held) < 2 or held[-1] > held[-2]:
        assert len(held) < _ROUNDS, (held, open_files(agent.pid))
        placed = [place() for _ in range(3)]
        for order in placed:
            market.wait_for(order, OrderState.COMPLETED)
            check_finished_once(market, order)
        # The one that waits for the next order is ready, and so nothing is under way.
        market.until(lambda: [row.registered for row in market.cvm_rows()], lambda rows: rows == [True])
        held.append(len(open_files(agent.pid)) + len(os.listdir(f"/proc/{agent.pid}/task")))
    assert len(market.running_cvms()) == 1
    assert market.stop_agent(agent) == 0
    assert len(list((market.world.folder / "cvms").iterdir())) == 1


def open_files(pid: int) -> list[str]:
    """Return what a process has open: paths, sockets, pipes."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.append(str(entry.readlink()))
    return sorted(found)


@pytest.mark.parametrize("when", ["the engine runs", "give ciphertext to the CVM"])
def test_cvm_dies_then_the_deadline_makes_owners_and_client_whole(
    market: Market, place: Callable[..., bytes], when: str
) -> None:
    agent = market.start_agent(*([] if when == "the engine runs" else ["--stop-before", "FEED"]))
    order = place(_SLEEP)
    if when == "the engine runs":
        wait_for_note(market, order, when)
        market.kill_cvm(order)
    else:
        assert market.wait_end(agent) == _KILLED
        market.kill_cvm(order)
        agent = market.start_agent()
    wait_for_note(market, order, "the CVM is gone; the order's deadline settles it")
    windows = market.windows()
    market.world.chain.warp(windows.max_seconds + windows.grace + 1)
    client.expire(market.world.homes["centre"].session, order)
    assert market.record(order).state is OrderState.EXPIRED
    assert market.wait_done(order) == "the order is EXPIRED"
    assert market.stop_agent(agent) == 0


def test_everybody_was_paid_what_the_design_says(market: Market, ledger: Ledger, orders: list[bytes]) -> None:
    """Over all of the above: to the last unit, no stake locked, nothing left in escrow."""
    assert market.money_problems(ledger, orders) == []
