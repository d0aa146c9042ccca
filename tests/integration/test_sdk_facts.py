"""What an auditor collects of an order on a real local chain (docs/protocol.md section 8, step 1)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from enclave_runtime.wire.canonical import dump
from enclave_runtime.wire.cvm import TeeKind
from enclave_runtime.wire.orders import Outcome
from enclave_runtime.wire.scalars import ZERO32
from marketplace.chain.devchain import DevChain
from marketplace.errors import NotFoundError
from marketplace.sdk.chain_facts import ChainFacts
from marketplace.sdk.collecting import read_facts
from marketplace.sdk.profile import Profile, Session
from marketplace.sdk.reading import last_location, terminal_event
from tests.integration.chain_world import MEASUREMENT, ROOT_SET, SignedCvm, World

pytestmark = [pytest.mark.contracts, pytest.mark.integration]


@pytest.fixture(scope="module")
def deployed() -> Iterator[World]:
    with DevChain.start() as chain:
        world = World(chain)
        world.ready_provider()
        world.offers()
        yield world


@pytest.fixture
def world(deployed: World) -> Iterator[World]:
    snapshot = deployed.chain.snapshot()
    yield deployed
    deployed.chain.revert(snapshot)


@pytest.fixture
def session(world: World, tmp_path: Path) -> Session:
    (tmp_path / "key").write_text("33" * 32)
    (tmp_path / "key").chmod(0o600)
    world.deployment.save(tmp_path / "deployment.json")
    profile = Profile.write(tmp_path, rpc=[world.chain.url], deployment="deployment.json", key="key")
    return Session(profile)


def facts_of(session: Session, order: bytes) -> ChainFacts:
    return read_facts(session, order, session.reader.history(order))


def test_facts_of_a_reported_order_are_the_chains(world: World, session: Session) -> None:
    cvm, preimage = SignedCvm.named("one"), world.order("facts")
    order = world.running(cvm, preimage)
    world.checkpoint(cvm, preimage, 5)
    checkpoint, _ = world.summary(cvm, preimage, Outcome.NONE, seconds=5)
    report, signature = world.summary(cvm, preimage, Outcome.COMPLETED, seconds=9)
    world.operators.complete(preimage.terms, report, signature, "file:bundle")
    facts = facts_of(session, order)
    assert (facts.state, facts.terms, facts.cvm_id) == ("COMPLETED", preimage.terms, cvm.cvm_id)
    assert (facts.checkpoint, facts.terminal) == (checkpoint, report)
    assert facts.cvm.signer == cvm.signer.address and facts.cvm.measurement == MEASUREMENT
    assert facts.cvm.reference and not facts.cvm.revoked
    assert facts.started_at is not None and facts.checkpoint_at is not None
    assert facts.started_at <= facts.checkpoint_at <= session.reader.now()
    assert set(facts.certifiers) == {one.address for one in world.certifiers} and facts.threshold == 2
    assert last_location(session.reader.history(order)) == "file:bundle"
    assert terminal_event(session, order).summary == report
    assert ChainFacts.from_json(facts.to_json()) == facts
    assert dump(facts.to_json())


def test_facts_keep_the_certifiers_of_the_time_of_acceptance(world: World, session: Session) -> None:
    preimage = world.order("certifiers")
    order = world.running(SignedCvm.named("two"), preimage)
    world.governors.remove_certifier(world.certifiers[0].address)
    world.governors.set_threshold(1)
    facts = facts_of(session, order)
    assert world.certifiers[0].address in facts.certifiers and facts.threshold == 2


def test_facts_say_so_where_the_market_does_not_accept_the_runtime_any_more(
    world: World, session: Session
) -> None:
    order = world.running(SignedCvm.named("three"), world.order("removed"))
    world.governors.remove_profiles([world.governors.profile(MEASUREMENT, ROOT_SET, TeeKind.TDX)])
    assert not facts_of(session, order).cvm.reference


def test_facts_of_an_order_that_never_started_are_empty_there(world: World, session: Session) -> None:
    preimage = world.order("placed")
    world.clients.place(preimage, world.policy(), "file:packet")
    facts = facts_of(session, world.id_of(preimage))
    assert facts.state == "PLACED" and facts.cvm_id == ZERO32
    assert facts.started_at is None and facts.terminal is None and facts.threshold == 2
    assert last_location(session.reader.history(world.id_of(preimage))) == ""
    with pytest.raises(NotFoundError, match="no CVM reported"):
        terminal_event(session, world.id_of(preimage))


def test_facts_of_an_unknown_order_are_not_found(session: Session) -> None:
    with pytest.raises(NotFoundError, match="no such order"):
        facts_of(session, bytes(32))
