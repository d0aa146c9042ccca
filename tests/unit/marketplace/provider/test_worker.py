"""Each step's hands: what goes into the CVM and on chain, and what the journal and the bundle keep of it."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from enclave_runtime.wire.canonical import parse_object
from enclave_runtime.wire.orders import Outcome
from marketplace.domain.order_state import OrderState
from marketplace.provider.agent import Agent
from marketplace.provider.bundle import published_at
from marketplace.provider.reducer import Step, StepKind
from marketplace.provider.worker import Worker
from marketplace.sdk.bundle import OrderBundle
from tests.fakes.provider_world import ProviderWorld, served_order
from tests.fakes.sealed_order import SealedOrder
from tests.fakes.session import sealed_info

HONEST = [
    "FETCH", "PREPARE_CVM", "ACCEPT", "ADMIT", "START", "ASK_KEY", "FEED", "FEED", "FEED", "CHECK",
    "CHECKPOINT", "RUN", "STORE_RESULT", "REPORT", "COMPLETE", "FORGET",
]  # fmt: skip


@pytest.fixture(scope="module")
def order() -> SealedOrder:
    return served_order()


def until(world: ProviderWorld, agent: Agent, order: bytes, kind: StepKind) -> None:
    """Drive an order until `kind` was taken."""
    agent.find_orders()
    for _ in range(40):
        (row,) = [row for row in agent.open_jobs() if row.order_id == order]
        taken = agent.take_step(row)
        if taken is StepKind.PREPARE_CVM:
            agent.fleet.prepare()
        if taken is kind:
            return
    raise AssertionError(f"never {kind.name}")


def bundle(world: ProviderWorld, order: bytes) -> OrderBundle:
    location = world.journal.fact(order, "bundle")
    assert location is not None
    return OrderBundle.from_bytes(world.blobs.blobs[location])


def test_an_honest_order_takes_these_steps(world: ProviderWorld, order: SealedOrder) -> None:
    placed = world.place(order)
    assert [step.name for step in world.drive(world.agent(), placed)] == HONEST
    assert world.chain.calls == ["register", "accept", "start", "checkpoint", "complete"]
    assert [purpose for purpose, _ in world.journal.transactions(placed)] == [
        "accept",
        "start",
        "checkpoint",
        "complete",
    ]
    assert sorted(use[1] for use in world.services.uses) == [0, 1, 2]


def test_the_bundle_has_everything_that_an_auditor_asks_for(world: ProviderWorld, order: SealedOrder) -> None:
    placed = world.place(order)
    world.drive(world.agent(), placed)
    found = bundle(world, placed)
    assert found.order_id == placed
    assert found.preimage == order.preimage
    assert len(found.certified) == 2
    assert found.integrity is not None
    assert found.report is not None
    assert found.report.summary.outcome == Outcome.COMPLETED
    assert found.wiped is not None
    assert found.start_signature
    assert found.key_envelope
    assert found.result is not None
    assert world.blobs.blobs[found.result] == world.cvm(placed).driver.result


def test_a_cvm_of_a_finished_order_is_gone(world: ProviderWorld, order: SealedOrder) -> None:
    placed = world.place(order)
    world.drive(world.agent(), placed)
    assert world.platform.running() == []
    assert world.journal.cvms() == []
    assert list((world.folder / "cvms").iterdir()) == []


def test_keys_are_asked_for_in_one_step_and_one_owner_holds_up_no_other(
    world: ProviderWorld, order: SealedOrder
) -> None:
    placed = world.place(order)
    world.services.silent.add("http://owner-1")
    agent = world.agent()
    until(world, agent, placed, StepKind.ASK_KEY)
    assert sorted(use[1] for use in world.services.uses) == [0, 2]
    status = world.cvm(placed).driver.ok("status")
    assert status["missing_keys"] == [1]
    assert world.drive(agent, placed) == [StepKind.WAIT]
    assert world.note(placed) == "waiting for the owners of inputs [1]; input 1: http://owner-1: no answer"


def test_an_owner_that_has_not_decided_is_asked_again(
    world: ProviderWorld, order: SealedOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marketplace.provider.looking._ASK_AGAIN_S", 0.0)
    placed, agent = world.place(order), world.agent()
    world.services.undecided.add("http://owner-2")
    until(world, agent, placed, StepKind.ASK_KEY)
    assert "input 2: the owner has not decided yet" in (world.journal.fact(placed, "trouble") or "")
    world.services.undecided.clear()
    assert world.drive(agent, placed)[0] is StepKind.ASK_KEY
    assert world.chain.order(placed).state is OrderState.COMPLETED
    assert world.note(placed) == "the order is COMPLETED"


def test_a_result_in_many_pieces_is_stored_whole(world: ProviderWorld, order: SealedOrder) -> None:
    placed, agent = world.place(order), world.agent()
    until(world, agent, placed, StepKind.RUN)
    driver = world.cvm(placed).driver
    whole = driver.result

    class Slow(bytes):
        """Gives at most 50 bytes from wherever it is asked."""

        def __getitem__(self, key: Any) -> bytes:
            return whole[key][:50]

    driver.result = Slow(whole)
    until(world, agent, placed, StepKind.STORE_RESULT)
    uri = world.journal.fact(placed, "result")
    assert uri is not None
    assert world.blobs.blobs[uri] == whole


def test_published_checkpoints_are_stored_while_the_engine_runs(
    world: ProviderWorld, order: SealedOrder
) -> None:
    placed, agent = world.place(order), world.agent()
    until(world, agent, placed, StepKind.CHECKPOINT)
    cvm = world.cvm(placed)
    cvm.engine_lasts = True
    until(world, agent, placed, StepKind.RUN)
    data = [os.urandom(sealed_info().ciphertext_bytes) for _ in range(3)]
    cvm.driver.published.append((sealed_info(), data[0]))
    until(world, agent, placed, StepKind.STORE_PUBLISHED)
    assert cvm.driver.state == "RUNNING"
    (first,) = published_at(world.journal, placed)
    assert world.blobs.blobs[first] == data[0] and cvm.driver.released == [0]
    assert world.drive(agent, placed) == [StepKind.WAIT]

    # Two that come with the end are stored before the report; one that cannot be had holds nothing up.
    cvm.driver.published += [(sealed_info(), b""), (sealed_info(), data[2])]
    cvm.driver.published_fault = 1
    cvm.driver.end()
    steps = [step.name for step in world.drive(agent, placed)]
    assert steps[:4] == ["STORE_PUBLISHED", "STORE_PUBLISHED", "STORE_RESULT", "REPORT"]
    found = bundle(world, placed).published
    assert (found[0], found[1]) == (first, "")
    assert world.blobs.blobs[found[2]] == data[2]
    assert world.chain.order(placed).state is OrderState.COMPLETED


def test_no_result_is_stored_where_the_host_could_not_run_the_engine(
    world: ProviderWorld, order: SealedOrder
) -> None:
    placed, agent = world.place(order), world.agent()
    until(world, agent, placed, StepKind.CHECKPOINT)
    cvm = world.cvm(placed)
    cvm.engine_lasts = True
    until(world, agent, placed, StepKind.RUN)
    cvm.driver.end("sandbox", None, sealed=False)
    world.drive(agent, placed)
    assert world.chain.order(placed).state is OrderState.HOST
    assert not bundle(world, placed).result


def test_unknown_steps_and_missing_cvms_are_errors_with_words(
    world: ProviderWorld, order: SealedOrder
) -> None:
    placed, agent = world.place(order), world.agent()
    until(world, agent, placed, StepKind.FETCH)
    worker = Worker(agent.tools, placed, agent.job_of(placed), None)
    for kind, words in (
        (StepKind.ACCEPT, "no CVM is promised"),
        (StepKind.FEED, "no input is named"),
        (StepKind.RUN, "this order has no CVM"),
        (StepKind.COMPLETE, "nothing in the journal yet"),
        (StepKind.ADMIT, "no CVM is promised"),
    ):
        with pytest.raises(Exception, match=words):
            worker.do(Step(kind))


def test_what_is_published_is_json_that_everybody_reads(world: ProviderWorld, order: SealedOrder) -> None:
    placed = world.place(order)
    world.drive(world.agent(), placed)
    data = world.blobs.blobs[world.journal.fact(placed, "bundle") or ""]
    assert parse_object(data) == json.loads(data)
