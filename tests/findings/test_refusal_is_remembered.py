"""The defect: an order's last note said that it is REFUSED, and not by whom, at which step and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from marketplace.provider.reducer import StepKind
from tests.fakes.provider_world import ProviderWorld, provider_world, small_order
from tests.fakes.sealed_order import SealedOrder


@pytest.fixture
def world() -> Iterator[ProviderWorld]:
    with provider_world() as made:
        yield made


def test_a_brokers_refusal_outlives_the_order(world: ProviderWorld) -> None:
    order = small_order()
    world.services.refusing.add("http://owner-1")
    placed, agent = world.place(order), world.agent()
    assert world.drive(agent, placed)[-1] is StepKind.WAIT
    refused = "input 1: http://owner-1 refused at release.policy: got this engine, expected another"
    assert world.note(placed) == f"waiting for the owners of inputs [1]; {refused}"
    world.cvm(placed).driver.sleep(order.windows.keys_within)
    world.drive(agent, placed)
    assert world.note(placed) == f"the order is REFUSED; no key of inputs [1] within keysWithin; {refused}"


def test_a_cvms_refusal_outlives_the_order(world: ProviderWorld) -> None:
    honest = small_order()
    lie = _listed_under_another_digest(honest)
    placed = world.place(lie)
    world.drive(world.agent(), placed)
    note = world.note(placed)
    assert note.startswith(
        "the order is REFUSED; the CVM refused the order: input 1 at content-digest: got 0x"
    )
    assert "5a5a5a" in note


def test_a_policys_refusal_is_the_note(world: ProviderWorld) -> None:
    placed = world.place(small_order())
    world.drive(world.agent(max_lock=0), placed)
    assert world.note(placed).startswith("it would lock ")


def test_trouble_that_passed_is_not_kept(world: ProviderWorld) -> None:
    world.services.silent.add("http://owner-1")
    placed = world.place(small_order())
    world.drive(world.agent(), placed)
    world.services.silent.clear()
    world.drive(world.agent(), placed)
    assert world.note(placed) == "the order is COMPLETED"


def _listed_under_another_digest(order: SealedOrder) -> SealedOrder:
    from tests.fakes.sealed_order import offer_of

    data = order.inputs[1]
    sealed = replace(data.manifest.sealed, content_digest=b"\x5a" * 32)
    manifest = replace(data.manifest, sealed=sealed)
    return replace(
        order, inputs=(order.inputs[0], replace(data, manifest=manifest, terms=offer_of(manifest)))
    )
