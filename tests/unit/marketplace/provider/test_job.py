"""An order is worked on only with a packet, manifests and ciphertexts that its terms pin by digest."""

from __future__ import annotations

from dataclasses import replace

import pytest

from enclave_runtime.sealed.header import CiphertextMismatchError
from enclave_runtime.wire.errors import WireError
from marketplace.domain.packet import MAX_PACKET_BYTES
from marketplace.errors import MarketError, NotFoundError
from marketplace.provider.job import JobSource, hold_inputs, load_job
from marketplace.provider.ports import Placed
from tests.fakes.provider_world import ProviderWorld, served_order
from tests.fakes.sealed_order import SealedOrder


@pytest.fixture(scope="module")
def order() -> SealedOrder:
    return served_order()


@pytest.fixture
def source(world: ProviderWorld, order: SealedOrder) -> JobSource:
    world.place(order)
    return JobSource.of(world.chain, world.chain.placed[0])


def test_source_survives_the_journal(source: JobSource, order: SealedOrder) -> None:
    assert JobSource.from_text(source.to_text()) == source
    assert source.preimage == order.preimage


def test_source_of_an_offer_that_is_not_there_is_refused(world: ProviderWorld, source: JobSource) -> None:
    terms = source.preimage.terms
    ref = replace(terms.inputs[0], offer=99)
    placed = Placed(b"\x01" * 32, replace(terms, inputs=(ref,)), "", 1)
    with pytest.raises(NotFoundError):
        JobSource.of(world.chain, placed)


def test_loads_what_the_terms_pin(world: ProviderWorld, source: JobSource, order: SealedOrder) -> None:
    job = load_job(source, world.blobs)
    assert job.packet.config == order.config
    assert [held.manifest for held in job.inputs] == [item.manifest for item in order.inputs]
    hold_inputs(job, world.blobs, bytes(32))


def test_a_packet_of_another_order_is_refused(world: ProviderWorld, source: JobSource) -> None:
    world.place(served_order(2, config=b'{"other":1}'))
    other = JobSource.of(world.chain, world.chain.placed[1])
    with pytest.raises(WireError, match="order packet: config"):
        load_job(replace(source, location=other.location), world.blobs)


def test_a_packet_beyond_its_limit_is_not_read(world: ProviderWorld, source: JobSource) -> None:
    uri = world.blobs.put(iter([bytes(MAX_PACKET_BYTES + 1)]))
    with pytest.raises(MarketError, match=f"expected at most {MAX_PACKET_BYTES}"):
        load_job(replace(source, location=uri), world.blobs)


def test_another_manifest_is_refused(world: ProviderWorld, source: JobSource) -> None:
    swapped = (source.manifest_uris[1], *source.manifest_uris[1:])
    with pytest.raises(MarketError, match=r"manifest at .*: got digest"):
        load_job(replace(source, manifest_uris=swapped), world.blobs)


def test_ciphertext_is_looked_for_at_every_location(
    world: ProviderWorld, source: JobSource, order: SealedOrder
) -> None:
    (uri,) = order.inputs[1].manifest.locations
    data = world.blobs.blobs.pop(uri)
    with pytest.raises(MarketError, match="no location has the ciphertext"):
        load_job(source, world.blobs)
    world.blobs.blobs[uri] = data[:-1]
    with pytest.raises(MarketError, match=f"got {len(data) - 1} bytes, expected {len(data)}"):
        load_job(source, world.blobs)


@pytest.mark.parametrize(
    ("at", "part"), [(0, "header and index"), (60, "segment 0"), (-1, "header and index")]
)
def test_ciphertext_that_differs_is_not_held(
    world: ProviderWorld, source: JobSource, order: SealedOrder, at: int, part: str
) -> None:
    (uri,) = order.inputs[1].manifest.locations
    data = bytearray(world.blobs.blobs[uri])
    data[at] ^= 1
    world.blobs.blobs[uri] = bytes(data)
    with pytest.raises(CiphertextMismatchError, match=part):
        hold_inputs(load_job(source, world.blobs), world.blobs, bytes(32))
