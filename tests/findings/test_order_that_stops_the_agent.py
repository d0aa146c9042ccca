"""The attack: one order, placed for its gas alone, after which no agent of this offer serves anybody.

OrderBook looks at offers only when an order is accepted. The agent looked up each placed order's offers
before it moved its cursor: one order on an offer that does not exist, and it stayed at that block for ever.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from enclave_runtime.wire.orders import OrderTerms
from marketplace.domain.order_state import OrderState
from marketplace.errors import UnreachableError
from tests.fakes.provider_world import ProviderWorld, provider_world, small_order


def _no_such_offer(terms: OrderTerms) -> OrderTerms:
    return replace(terms, inputs=(replace(terms.inputs[0], offer=1 << 40), terms.inputs[1]))


def _other_terms(terms: OrderTerms) -> OrderTerms:
    return replace(terms, inputs=(replace(terms.inputs[0], terms_hash=b"\x66" * 32), terms.inputs[1]))


@pytest.mark.parametrize("poison", [_no_such_offer, _other_terms])
def test_an_order_on_offers_that_are_not_there_stops_nobody_elses(poison) -> None:  # type: ignore[no-untyped-def]
    with provider_world() as world:
        order = small_order()
        honest = world.place(order)
        world.chain.placed.reverse()
        bad = world.announce(poison(order.preimage.terms), "file:nowhere")
        world.chain.placed.reverse()  # first comes the poison
        world.drive(world.agent(), honest)
        assert world.chain.order(honest).state is OrderState.COMPLETED
        assert world.note(bad).startswith("nobody can serve it: ")
        assert world.journal.cursor() == 2


def test_a_node_that_cannot_be_reached_skips_no_order() -> None:
    with provider_world() as world:
        honest = world.place(small_order())
        offer = world.chain.offer
        _fail(world)
        agent = world.agent()
        with pytest.raises(UnreachableError):
            agent.find_orders()
        assert world.journal.jobs() == []
        world.chain.offer = offer  # type: ignore[method-assign]
        world.drive(agent, honest)
        assert world.chain.order(honest).state is OrderState.COMPLETED


def _fail(world: ProviderWorld) -> None:
    def away(*_: object) -> None:
        raise UnreachableError("node: no answer")

    world.chain.offer = away  # type: ignore[method-assign,assignment]
