"""Orders that run for a while: proofs, stops, lapses, funds that end; on chain as the CVM signed them."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from coincurve import PrivateKey

from enclave_runtime.wire.codec import bytes_from_hex
from enclave_runtime.wire.orders import Outcome
from marketplace.domain.order_state import OrderState
from marketplace.domain.pricing import deposit_required
from marketplace.errors import ChainError
from marketplace.provider.agent import Agent
from marketplace.provider.reducer import StepKind
from marketplace.sdk.bundle import OrderBundle
from tests.fakes.provider_world import ProviderWorld, served_order, small_order
from tests.fakes.sealed_order import SealedOrder

PROVE, WAIT = StepKind.PROVE, StepKind.WAIT


@pytest.fixture(scope="module")
def order() -> SealedOrder:
    return small_order()


class Running:
    """One order whose engine runs, in the agent's hands."""

    def __init__(self, world: ProviderWorld, order: SealedOrder, **policy: Any) -> None:
        self.world, self.order = world, order
        self.placed = world.place(order)
        self.agent: Agent = world.agent(**policy)
        self.grace = order.windows.grace
        world.touched = self._lasting
        self.steps = self.drive()
        world.touched = lambda _: None

    def _lasting(self, _: str) -> None:
        for cvm in self.world.platform.running():
            cvm.engine_lasts = True

    def drive(self) -> list[StepKind]:
        """Let the agent work until it waits or is done."""
        return self.world.drive(self.agent, self.placed)

    def later(self, seconds: int) -> list[StepKind]:
        """Let time pass for chain and CVM alike, and the agent look."""
        self.world.chain.time += seconds
        self.driver.sleep(seconds)
        return self.drive()

    @property
    def driver(self) -> Any:
        return self.world.cvm(self.placed).driver

    @property
    def facts(self) -> Any:
        return self.world.chain.order(self.placed)

    def bundle(self) -> OrderBundle:
        """Return what was published."""
        return OrderBundle.from_bytes(
            self.world.blobs.blobs[self.world.journal.fact(self.placed, "bundle") or ""]
        )


@pytest.fixture
def running(world: ProviderWorld, order: SealedOrder) -> Running:
    made = Running(world, order)
    assert made.steps[-2:] == [StepKind.RUN, WAIT]
    return made


def test_use_is_proven_whenever_half_of_grace_is_over(running: Running) -> None:
    half = running.grace // 2
    assert running.later(half) == [WAIT]
    sequence = running.facts.sequence
    for number in range(1, 4):
        assert running.later(half + 1) == [PROVE, WAIT]
        assert running.facts.sequence == sequence + number
        assert running.facts.last_proof == running.facts.seconds_used == half + number * (half + 1)
    assert running.world.chain.calls[-3:] == ["prove"] * 3
    running.driver.end()
    assert running.drive()[-1] is StepKind.FORGET
    assert running.facts.state is OrderState.COMPLETED


def test_a_proof_that_got_lost_is_left_out(running: Running) -> None:
    running.world.chain.refusing.add("prove")
    for _ in range(2):
        with pytest.raises(ChainError, match="refused"):
            running.later(running.grace // 2 + 1)
    running.world.chain.refusing.clear()
    sequence = running.facts.sequence
    assert running.drive() == [PROVE, WAIT]
    assert running.facts.sequence == sequence + 3


def test_a_proof_says_nothing_to_people(running: Running) -> None:
    before = list(running.world.said)
    running.later(running.grace // 2 + 1)
    assert running.world.said == before


@pytest.fixture
def slow(world: ProviderWorld, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Let the worker's clock be the chain's, and every look into the blob store take `seconds`."""
    pace, read = SimpleNamespace(seconds=0), world.blobs.read

    def slow_read(*where: Any) -> bytes:
        world.chain.time += pace.seconds
        return read(*where)

    monkeypatch.setattr(world.blobs, "read", slow_read)
    clock = SimpleNamespace(monotonic=lambda: float(world.chain.time))
    monkeypatch.setattr("marketplace.provider.worker.time", clock)
    return pace


def to_loading(world: ProviderWorld, order: SealedOrder) -> tuple[Agent, bytes]:
    """Return an order that has its keys."""
    placed, agent = world.place(order), world.agent()
    agent.find_orders()
    while True:
        (row,) = agent.open_jobs()
        kind = agent.take_step(row)
        if kind is StepKind.PREPARE_CVM:
            agent.fleet.prepare()
        if kind is StepKind.ASK_KEY:
            return agent, placed


def test_a_large_input_is_fed_with_proofs_on_its_way(world: ProviderWorld, slow: SimpleNamespace) -> None:
    agent, placed = to_loading(world, served_order())
    grace = world.chain.order(placed).since and agent.job_of(placed).preimage.terms.windows.grace
    slow.seconds = grace * 2 // 3
    took = world.chain.time
    (row,) = agent.open_jobs()
    fed = [agent.take_step(row)]
    while fed[-1] in (StepKind.FEED, PROVE):
        fed.append(agent.take_step(row))
    feeding = (world.chain.time - took) // grace
    assert world.chain.calls.count("prove") > fed.count(PROVE), "within steps too"
    assert world.chain.calls.count("prove") >= feeding
    slow.seconds = 0
    world.drive(agent, placed)
    assert world.chain.order(placed).state is OrderState.COMPLETED


@pytest.mark.parametrize("refused", [False, True])
def test_a_large_result_is_stored_with_proofs_on_its_way(
    running: Running, slow: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    world, driver, put = running.world, running.driver, running.world.blobs.put
    whole = driver.result

    class Pieces(bytes):
        """Gives at most 50 bytes from wherever it is asked."""

        def __getitem__(self, key: Any) -> bytes:
            return whole[key][:50]

    def slowly(chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            world.chain.time += running.grace * 2 // 3
            yield chunk

    driver.result = Pieces(whole)
    monkeypatch.setattr(world.blobs, "put", lambda chunks: put(slowly(chunks)))
    driver.end()
    if refused:
        world.chain.refusing.add("prove")  # an endpoint that fails now is no reason to begin again
    assert StepKind.STORE_RESULT in running.drive()
    assert ("prove" in world.chain.calls) is not refused
    assert running.facts.state is OrderState.COMPLETED


# ------------------------------------------------------------------------------------------- stops
def stop(running: Running, signature: bytes = b"") -> list[StepKind]:
    running.world.chain.time += 3
    running.driver.sleep(3)
    running.world.chain.stop(running.placed, signature)
    return running.later(1)


def test_a_signed_stop_ends_the_engine_and_the_client_gets_what_there_is(running: Running) -> None:
    steps = stop(running, bytes_from_hex(running.order.stop()))
    assert steps == [PROVE, StepKind.STOP, WAIT]
    assert running.driver.stops == 1
    assert running.later(1) == [WAIT], "once"
    running.driver.end("stopped", None)
    assert running.drive()[-1] is StepKind.FORGET
    assert running.facts.state is OrderState.FAILED
    assert running.bundle().key_envelope
    assert running.bundle().result


@pytest.mark.parametrize("signed", ["nothing", "by a stranger", "by a contract"])
def test_a_stop_that_no_cvm_takes_ends_as_proven(running: Running, signed: str) -> None:
    stranger = bytes_from_hex(running.order.stop(PrivateKey()))
    signature = {"nothing": b"", "by a stranger": stranger, "by a contract": b"\x01" * 40}[signed]
    assert stop(running, signature) == [PROVE, StepKind.STOP, WAIT]
    assert running.driver.stops == 0
    while not (steps := running.later(running.grace // 4)) or steps[-1] is WAIT:
        assert StepKind.STOP not in steps
    assert steps[-3:] == [StepKind.EXPIRE, StepKind.WIPE, StepKind.FORGET]
    assert running.facts.state is OrderState.STOPPED
    assert running.world.platform.running() == []


def test_an_engine_that_comes_to_its_own_end_after_a_stop_is_reported(running: Running) -> None:
    stop(running)
    running.driver.end()
    running.drive()
    assert running.facts.state is OrderState.COMPLETED


def test_a_stop_that_was_handed_over_ends_the_engine_before_the_chain_knows(running: Running) -> None:
    signature = bytes_from_hex(running.order.stop())
    running.world.journal.set_fact(running.placed, "stop_signature", signature.hex())
    assert running.drive() == [StepKind.STOP, WAIT]
    running.driver.end("stopped", None)
    running.drive()
    assert running.facts.state is OrderState.FAILED


def test_a_stop_during_set_up_is_proven_and_said(world: ProviderWorld, order: SealedOrder) -> None:
    agent, placed = to_loading(world, order)
    world.chain.stop(placed)
    world.chain.time += 1
    assert world.drive(agent, placed)[:3] == [PROVE, StepKind.HOST_FAULT, StepKind.COMPLETE]
    assert world.chain.order(placed).state is OrderState.HOST


# ------------------------------------------------------------------------------------------- lapses, funds
def test_a_grant_that_is_not_renewed_ends_the_order_lapsed(
    world: ProviderWorld, order: SealedOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marketplace.provider.looking._ASK_AGAIN_S", 0.0)
    world.services.ttl_s = 1000
    running = Running(world, order)
    world.services.silent.update(world.services.owners)
    while running.driver.stops == 0:
        running.world.chain.time += 50
        running.driver.sleep(50)
        row = running.agent.open_jobs()[0]
        running.agent.take_step(row)
    assert "no answer" in (world.journal.fact(running.placed, "trouble") or "")
    running.driver.end("stopped", None)
    running.drive()
    assert running.facts.state is OrderState.LAPSED
    bundle = running.bundle()
    assert (bundle.key_envelope, bundle.result or None) == (None, None)
    assert bundle.report is not None
    assert bundle.report.summary.outcome == Outcome.LAPSED


def test_grants_are_renewed_as_long_as_the_owners_agree(
    world: ProviderWorld, order: SealedOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marketplace.provider.looking._ASK_AGAIN_S", 0.0)
    world.services.ttl_s = 1000
    running, asked = Running(world, order), 0
    while running.driver.session._core.order().seconds(running.driver.now_ns) < 3500:
        asked += running.later(50).count(StepKind.ASK_KEY)
    assert running.driver.ok("status")["stop_reason"] is None
    assert asked == 4, "once whenever less than half of grace is left of 1000 s"
    running.driver.end()
    running.drive()
    assert running.facts.state is OrderState.COMPLETED


def test_an_order_that_is_not_funded_whole_is_not_taken(world: ProviderWorld) -> None:
    deposit = deposit_required(small_order().preimage) - 1
    placed, agent = world.place(small_order(changed={"deposit": deposit})), world.agent()
    assert world.drive(agent, placed) == [StepKind.FORGET]
    assert "it is funded with" in world.note(placed)
    topped_up = world.place(small_order(2, changed={"deposit": deposit}))
    world.chain.fund(topped_up, 0, added=1)
    assert StepKind.ACCEPT in world.drive(agent, topped_up)


def test_an_order_whose_funds_end_is_proven_and_given_up_in_time(running: Running) -> None:
    running.world.chain.fund(running.placed, limit=40)
    assert running.later(39) == [WAIT]
    steps = running.later(2)
    assert steps[:3] == [PROVE, StepKind.HOST_FAULT, StepKind.COMPLETE]
    assert running.facts.state is OrderState.HOST
    assert running.facts.last_proof == 41
    assert "unfunded" in running.world.note(running.placed)


def test_an_expired_order_is_settled_once(running: Running) -> None:
    running.world.chain.end(running.placed, OrderState.EXPIRED)
    assert running.drive() == [StepKind.WIPE, StepKind.SETTLE, StepKind.FORGET]
    assert running.world.chain.calls.count("claim_rest") == 1


def test_an_expired_order_that_others_settled_is_left(running: Running) -> None:
    running.world.chain.end(running.placed, OrderState.EXPIRED)
    running.world.chain.claim_rest(running.order.preimage, lambda _: None)
    assert running.drive() == [StepKind.WIPE, StepKind.FORGET]
