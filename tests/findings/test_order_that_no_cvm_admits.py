"""The theft: an order that the agent accepts and no CVM admits, so that the start penalty goes to its client.

OrderBook never sees manifests or the client's result key. Whatever the loader refuses at `admit` must be seen
before stake is locked: each case here is refused by both, the honest one by neither.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from enclave_runtime.sealed.manifest import Manifest, Release
from enclave_runtime.wire.canonical import dump
from enclave_runtime.wire.hashes import sha256
from enclave_runtime.wire.offers import OfferKind
from marketplace.domain.packet import OrderPacket
from marketplace.provider.job import HeldInput, Job
from marketplace.provider.reducer import StepKind
from marketplace.provider.screening import admit_members, inadmissible, plaintext_needed
from tests.fakes.provider_world import provider_world, small_order
from tests.fakes.sealed_order import OPERATOR, SealedOrder, offer_of
from tests.fakes.session import SessionDriver

HONEST = small_order()
_ROOM = 1 << 30


def _manifest(change: Callable[[Manifest], Manifest]) -> SealedOrder:
    """Return the order with another manifest of its data, listed with what the offer said before."""
    data = HONEST.inputs[1]
    manifest = change(data.manifest)
    terms = replace(data.terms, manifest_digest=manifest.digest())
    return replace(HONEST, inputs=(HONEST.inputs[0], replace(data, manifest=manifest, terms=terms)))


def _sealed(**changes: object) -> SealedOrder:
    return _manifest(lambda one: replace(one, sealed=replace(one.sealed, **changes)))  # type: ignore[arg-type]


def _sizes(segment_bytes: int, plaintext_bytes: int) -> SealedOrder:
    return _sealed(segment_bytes=segment_bytes, plaintext_bytes=plaintext_bytes)


def _result_key(public: bytes) -> SealedOrder:
    return replace(HONEST, changed={**HONEST.changed, "result_key_digest": sha256(public)})


def _terms(**changes: object) -> SealedOrder:
    return replace(HONEST, changed={**HONEST.changed, **changes})


def _relisted() -> SealedOrder:
    data = HONEST.inputs[1]
    terms = replace(data.terms, kind=int(OfferKind.MODEL))
    return replace(HONEST, inputs=(HONEST.inputs[0], replace(data, terms=terms)))


PUBLIC = HONEST.result_key.public_bytes
CASES: dict[str, tuple[SealedOrder, bytes]] = {
    "another content digest": (_sealed(content_digest=b"\x01" * 32), PUBLIC),
    "another grant key": (_manifest(lambda one: replace(one, release=Release(None, b"\x02" * 20))), PUBLIC),
    "another kind": (_relisted(), PUBLIC),
    "another media type": (_manifest(lambda one: replace(one, media_type="application/zip")), PUBLIC),
    "a segment beyond a frame": (_sizes(1 << 22, 1 << 22), PUBLIC),
    "an index beyond a frame": (_sizes(1 << 10, 1 << 28), PUBLIC),
    "a short result key": (_result_key(b"\x05" * 32), b"\x05" * 32),
    "a result key of low order": (_result_key(PUBLIC[:1184] + bytes(32)), PUBLIC[:1184] + bytes(32)),
    "a served order": (_terms(access_key_digest=b"\x06" * 32), PUBLIC),
    "a delivery elsewhere": (_terms(delivery_digest=b"\x07" * 32, delivery=1), PUBLIC),
    "more plaintext than room": (_sizes(1 << 20, _ROOM), PUBLIC),
}


def job_of(order: SealedOrder, public: bytes) -> Job:
    held = tuple(HeldInput(one.manifest.to_bytes(), one.manifest, "") for one in order.inputs)
    packet = OrderPacket(order.config, order.config_salt, public, None)  # type: ignore[arg-type]
    return Job(order.preimage, packet, held)


def refused_by_agent(order: SealedOrder, public: bytes) -> bool:
    job = job_of(order, public)
    if plaintext_needed(job) > _ROOM:
        return True
    return bool(inadmissible(job, admit_members(job, order.order_id, order.domain, OPERATOR)))


def refused_by_loader(order: SealedOrder, public: bytes) -> bool:
    job = job_of(order, public)
    members = admit_members(job, order.order_id, order.domain, OPERATOR)
    answer, _ = SessionDriver(_ROOM).say("admit", **members)
    return answer["ok"] is not True


def test_the_honest_order_is_admitted_by_both() -> None:
    assert not refused_by_loader(HONEST, PUBLIC)
    assert not refused_by_agent(HONEST, PUBLIC)


@pytest.mark.parametrize("name", CASES)
def test_what_the_loader_refuses_is_refused_before_it_is_accepted(name: str) -> None:
    assert refused_by_loader(*CASES[name])
    assert refused_by_agent(*CASES[name])


def test_an_order_that_fits_in_no_frame_is_refused() -> None:
    """Manifests are JSON text inside of JSON: each quote in them takes two bytes more."""
    data = HONEST.inputs[1]
    manifest = replace(data.manifest, locations=('"' * 2000,) * 15)
    bulky = replace(data, manifest=manifest, terms=offer_of(manifest))
    order = replace(HONEST, inputs=(HONEST.inputs[0], *(bulky,) * 15))
    job = job_of(order, PUBLIC)
    members = admit_members(job, order.order_id, order.domain, OPERATOR)
    assert len(dump(members)) > 1 << 20
    assert "its message to a CVM has" in inadmissible(job, members)


def test_the_agent_forgets_such_an_order_and_keeps_its_cvm() -> None:
    order, _ = CASES["another content digest"]
    with provider_world() as world:
        agent = world.agent()
        agent.fleet.prepare()
        placed = world.place(order)
        assert world.drive(agent, placed) == [StepKind.FORGET]
        assert world.note(placed).startswith("input 1: got content digest 0x")
        assert "accept" not in world.chain.calls
        assert agent.fleet.ready(world.chain.now()) is not None
