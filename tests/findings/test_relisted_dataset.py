"""The theft: a client lists somebody's dataset again, payable to itself, and gets the key for nothing.

A manifest is public, and OfferRegistry takes any terms that name it. The broker asked which content, which
engine and which client, and that the price is high enough; not whose listing the price came from.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from enclave_runtime.wire.offers import Payee, terms_hash
from enclave_runtime.wire.orders import OrderPreimage, order_id
from enclave_runtime.wire.scalars import ZERO_ADDRESS
from marketplace.domain.release import ReleaseStep
from tests.fakes.cvm import OPERATOR, FakeCvm
from tests.fakes.order_world import CLIENT, DOMAIN, SELLER, FakeChain, order_preimage
from tests.unit.marketplace.keybroker.conftest import DATASET_A, Make, World, make

__all__ = ["make"]

_RELISTED = 77


def relisted(world: World) -> OrderPreimage:
    """Return an order of dataset A through the client's own offer of it."""
    honest = order_preimage(world.grant_key)
    stolen = replace(honest.inputs[DATASET_A], payees=(Payee(CLIENT, 10_000),))
    ref = replace(honest.terms.inputs[DATASET_A], offer=_RELISTED, terms_hash=terms_hash(stolen))
    refs, inputs = list(honest.terms.inputs), list(honest.inputs)
    refs[DATASET_A], inputs[DATASET_A] = ref, stolen
    return replace(honest, terms=replace(honest.terms, inputs=tuple(refs)), inputs=tuple(inputs))


def run(world: World, preimage: OrderPreimage) -> FakeCvm:
    cvm = FakeCvm()
    for chain in world.chains:
        chain.sellers[_RELISTED] = CLIENT
        chain.run(order_id(DOMAIN, preimage.terms), cvm.cvm_id, OPERATOR)
    return cvm


def test_an_offer_that_somebody_else_listed_gets_no_key(make: Make) -> None:
    world = make()
    preimage = relisted(world)
    refusal = world.refused(world.body(run(world, preimage), preimage))
    assert refusal["step"] == ReleaseStep.SELLER
    assert CLIENT.hex() in refusal["got"]


def test_an_offer_that_nobody_listed_gets_no_key(make: Make) -> None:
    world = make()
    preimage = relisted(world)
    cvm = run(world, preimage)
    for chain in world.chains:
        chain.sellers[_RELISTED] = ZERO_ADDRESS
    assert world.refused(world.body(cvm, preimage))["step"] == ReleaseStep.SELLER


def test_one_lying_node_cannot_name_the_seller(make: Make) -> None:
    world = make()
    preimage = relisted(world)
    cvm = run(world, preimage)
    world.chains[0].sellers[_RELISTED] = SELLER
    assert world.refused(world.body(cvm, preimage))["step"] == ReleaseStep.SELLER


def test_an_owner_may_say_that_any_listing_will_do(make: Make) -> None:
    world = make(listed_by=None)
    preimage = relisted(world)
    world.granted(world.body(run(world, preimage), preimage))


@pytest.mark.parametrize("index", [3, 200])
def test_an_input_that_the_order_has_not_is_refused_as_such(make: Make, index: int) -> None:
    world = make()
    cvm, preimage = world.running()
    assert world.refused(world.body(cvm, preimage, input_index=index))["step"] == ReleaseStep.INPUT


def test_fake_chain_sells_by_the_owner_unless_told() -> None:
    assert FakeChain().seller(2) == SELLER
