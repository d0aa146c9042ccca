"""The theft: one cheap transaction with a location that is no text, and nobody can read the market any more.

Locations are hints by strangers, and Solidity's strings are any bytes. One such listing ended
`cloister market` for everybody; one such order ended the provider's agent, which reads new orders together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from enclave_runtime.wire.offers import OfferKind
from marketplace.chain.abicodec import decode, encode, parse_type
from marketplace.chain.artifacts import contract
from marketplace.chain.authors import listing_bytes
from marketplace.chain.devchain import DevChain
from marketplace.domain.tight import encode_order
from tests.integration.chain_world import World

_MARK = "location"
_NO_TEXT = b"\xff\xfe\x80tion"


def test_a_string_that_is_no_text_is_read_with_its_bad_bytes_marked() -> None:
    string = parse_type({"type": "string"})
    data = encode(string, _MARK).replace(_MARK.encode(), _NO_TEXT + b"!")
    assert decode(string, data) == "\ufffd\ufffd\ufffdtion!"


@pytest.mark.contracts
@pytest.mark.integration
class TestOnChain:
    @pytest.fixture(scope="class")
    def world(self) -> Iterator[World]:
        with DevChain.start() as chain:
            yield World(chain)

    def send(self, world: World, name: str, function: str, *arguments: Any) -> None:
        """Call a contract with the bytes of `_MARK` replaced by no text."""
        data = contract(name).functions[function].call(*arguments)
        poisoned = data.replace(_MARK.encode(), _NO_TEXT + b"!")
        assert poisoned != data
        world.writer("client").sender.send(world.reader.node.address(name), poisoned)

    def test_one_listing_does_not_hide_the_market(self, world: World) -> None:
        compute, inputs = world.offers()
        terms = dataclasses.replace(inputs[0].terms, kind=int(OfferKind.MODEL))
        serial = OfferKind.MODEL << 28 | 1
        self.send(world, "OfferRegistry", "list", serial, listing_bytes(terms, _MARK))
        listed = {offer.offer for offer in world.reader.list_offers()}
        assert {compute.offer, *(offer.offer for offer in inputs)} < listed

    def test_one_order_does_not_hide_the_next(self, world: World) -> None:
        preimage = world.order("poison")
        terms = dataclasses.replace(preimage.terms, deposit=0)
        self.send(world, "OrderBook", "place", encode_order(terms), _MARK)
        after = dataclasses.replace(terms, salt=b"\x77" * 32)
        world.writer("client").call("OrderBook", "place", encode_order(after), _MARK)
        placed, _ = world.reader.placed_since(terms.compute.offer, 0)
        assert [one.terms for one in placed] == [terms, after]
