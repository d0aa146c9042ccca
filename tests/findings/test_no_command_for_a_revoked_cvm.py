"""A client whose order's CVM was revoked had no command to get its money: `expire` knew deadlines alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from enclave_runtime.wire.hashes import sha256
from enclave_runtime.wire.orders import config_digest
from marketplace.chain.devchain import DevChain
from marketplace.domain.order_state import OrderState
from marketplace.domain.packet import OrderPacket
from marketplace.sdk import client
from marketplace.sdk.profile import Profile, Session
from tests.integration.chain_world import SignedCvm, World

pytestmark = [pytest.mark.contracts, pytest.mark.integration]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with DevChain.start() as chain:
        world = World(chain)
        world.ready_provider()
        yield world


@pytest.fixture
def session(world: World, tmp_path: Path) -> Session:
    (tmp_path / "key").write_text("33" * 32)
    (tmp_path / "key").chmod(0o600)
    world.deployment.save(tmp_path / "deployment.json")
    session = Session(Profile.write(tmp_path, rpc=[world.chain.url], deployment="deployment.json", key="key"))
    world.chain.fund(session.address)
    return session


def test_given_running_when_the_cvm_is_revoked(world: World, session: Session) -> None:
    cvm = SignedCvm.named("revoked while it ran")
    order = world.running(cvm, world.order("running"))
    assert client.expire(session, order) == ""
    world.governors.revoke_cvm(cvm.cvm_id)
    assert client.expire(session, order)
    assert world.reader.get_order(order).state is OrderState.REVOKED


def test_given_accepted_when_the_cvm_is_revoked(world: World, session: Session) -> None:
    cvm = SignedCvm.named("revoked before it started")
    packet = OrderPacket(b"{}", b"\x05" * 32, b"\x06" * 1216, world.policy())
    preimage = world.order("accepted")
    digests = {
        "config_digest": config_digest(packet.config, packet.config_salt),
        "result_key_digest": sha256(packet.result_key),
    }
    preimage = replace(preimage, terms=replace(preimage.terms, **digests))
    world.register(cvm)
    world.clients.place(preimage, packet.policy, session.store.put([packet.to_bytes()]))
    world.operators.accept(preimage, packet.policy, world.reader.cvm_index(cvm.cvm_id))
    order = world.id_of(preimage)
    world.governors.revoke_cvm(cvm.cvm_id)
    assert client.expire(session, order)
    assert world.reader.get_order(order).state is OrderState.CANCELLED
