"""Our reader against web3.py, which shares no code with it: the same chain, the same answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

import pytest
from web3 import Web3
from web3.contract import Contract

from enclave_runtime.wire.codec import to_abi
from enclave_runtime.wire.orders import Outcome
from marketplace.chain.authors import listing_bytes
from marketplace.chain.devchain import DevChain
from marketplace.domain.offer import kind_in
from marketplace.domain.order_state import OrderState
from marketplace.domain.tight import encode_head, encode_order
from tests.integration.chain_world import PARAMS, SignedCvm, World

pytestmark = [pytest.mark.contracts, pytest.mark.integration]
CVM = SignedCvm.named("reference")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with DevChain.start() as chain:
        world = World(chain)
        preimage = world.order("reference")
        world.running(CVM, preimage)
        world.checkpoint(CVM, preimage, 0)
        chain.warp(30)
        world.complete(CVM, preimage, Outcome.COMPLETED, 20)
        world.collect(preimage)
        yield world


def reference(world: World, name: str) -> Contract:
    """Return web3's own view of one of our contracts."""
    abi = json.loads((files("marketplace.chain") / "abi" / f"{name}.json").read_text())["abi"]
    address = Web3.to_checksum_address(world.reader.node.address(name))
    contract: Contract = Web3(Web3.HTTPProvider(world.chain.url)).eth.contract(address=address, abi=abi)
    return contract


def plain(value: Any) -> Any:
    """Return web3's value with addresses and HexBytes as bytes, structs as tuples."""
    if isinstance(value, Mapping):
        return tuple(plain(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return tuple(plain(item) for item in value)
    if isinstance(value, str) and value.startswith("0x") and len(value) == 42:
        return bytes.fromhex(value[2:])
    return bytes(value) if isinstance(value, (bytes, bytearray)) else value


def ours(value: Any) -> Any:
    return tuple(ours(item) for item in value) if isinstance(value, (list, tuple)) else value


def test_views(world: World) -> None:
    (placed,) = world.reader.orders_of(world.keys["client"].address)
    preimage = world.reader.preimage(placed)
    book, order = reference(world, "OrderBook"), placed.order_id
    assert book.functions.orderId(encode_order(preimage.terms)).call() == order
    assert plain(book.functions.decodeOrder(encode_order(preimage.terms)).call()) == ours(
        to_abi(preimage.terms)
    )
    record = world.reader.get_order(order)
    members = plain(book.functions.getOrder(order).call())
    extra = record.extra
    assert members == (
        record.state, record.phase, record.hold, record.drawn, record.struck, record.since, record.last_proof,
        record.sequence, record.claimed, record.seconds_used, record.units_used, record.params_version,
        record.cvm, record.lock, record.events,
        (extra.added, extra.removed, extra.limit, extra.warn_below, extra.stopped_at),
    )  # fmt: skip
    assert record.state is OrderState.COMPLETED and record.rest_claimed
    assert plain(book.functions.params(1).call()) == ours(to_abi(PARAMS))
    for number, offer in enumerate((preimage.compute, *preimage.inputs)):
        theirs = book.functions.dueOf(encode_order(preimage.terms), number, encode_head(offer)).call()
        assert tuple(theirs) == world.reader.due_of(preimage, number)


def test_events(world: World) -> None:
    (placed,) = world.reader.orders_of(world.keys["client"].address)
    book = reference(world, "OrderBook")
    theirs = []
    for name in (
        "OrderPlaced",
        "OrderAccepted",
        "OrderStarted",
        "OrderCheckpointed",
        "OrderIntegrity",
        "OrderReported",
        "Settled",
        "Claimed",
    ):
        logs = book.events[name]().get_logs(from_block=0, argument_filters={"id": placed.order_id})
        theirs += [(log["blockNumber"], log["logIndex"], log["event"], dict(log["args"])) for log in logs]
    history = world.reader.history(placed.order_id)
    assert len(history) == len(theirs)
    for event, (block, index, name, members) in zip(
        history, sorted(theirs, key=lambda it: it[:2]), strict=True
    ):
        assert (event.block, event.index, event.name) == (block, index, name)
        assert {key: ours(value) for key, value in event.members.items()} == {
            key: plain(value) for key, value in members.items()
        }
    assert history == sorted(history, key=lambda event: (event.time, event.block, event.index))


def test_offers(world: World) -> None:
    registry = reference(world, "OfferRegistry")
    for offer in world.reader.list_offers():
        assert registry.functions.hashTerms(to_abi(offer.terms)).call() == offer.terms_hash
        listed = (offer.offer, offer.version)
        assert registry.functions.termsHash(*listed).call() == offer.terms_hash
        assert registry.functions.latestVersion(offer.offer).call() == offer.latest
        assert registry.functions.kindOf(offer.offer).call() == offer.kind == kind_in(offer.offer)
        assert plain(registry.functions.ownerOf(offer.offer).call()) == offer.owner
        terms, uri = registry.functions.decode(listing_bytes(offer.terms, offer.manifest_uri)).call()
        assert (plain(terms), uri) == (ours(to_abi(offer.terms)), offer.manifest_uri)
