"""Collecting by role on a real local chain: many orders at once, again and again (protocol section 6.7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from enclave_runtime.wire.orders import Holdback, OrderPreimage, Outcome
from marketplace.chain.claims import Claims, Collected
from marketplace.chain.devchain import DevChain
from marketplace.domain.order import REST_BIT
from marketplace.errors import MarketError
from marketplace.sdk import income
from marketplace.sdk.profile import Profile, Session
from tests.integration.chain_world import PARAMS, SignedCvm, World

pytestmark = [pytest.mark.contracts, pytest.mark.integration]


@pytest.fixture(scope="module")
def deployed() -> Iterator[World]:
    with DevChain.start() as chain:
        world = World(chain)
        world.ready_provider()
        yield world


@pytest.fixture
def world(deployed: World) -> Iterator[World]:
    snapshot = deployed.chain.snapshot()
    yield deployed
    deployed.chain.revert(snapshot)


@pytest.fixture
def session(world: World, tmp_path: Path) -> Callable[[str], Session]:
    world.deployment.save(tmp_path / "deployment.json")

    def made(name: str) -> Session:
        home = tmp_path / name
        home.mkdir()
        (home / "key").write_text(world.keys[name]._key.to_hex())
        (home / "key").chmod(0o600)
        profile = Profile.write(
            home, rpc=[world.chain.url], deployment=tmp_path / "deployment.json", key="key"
        )
        return Session(profile)

    return made


def completed(world: World, name: str, holdback: Holdback | None = None) -> OrderPreimage:
    """Take an order to COMPLETED, 30 s of an hour's price."""
    preimage = world.order(name) if holdback is None else world.order(name, holdback=holdback)
    cvm = SignedCvm.named(name)
    world.running(cvm, preimage)
    world.checkpoint(cvm, preimage, 0)
    world.chain.warp(60)
    world.complete(cvm, preimage, Outcome.COMPLETED, 30)
    return preimage


def test_each_fetches_its_own_and_a_second_time_nothing(
    world: World, session: Callable[[str], Session]
) -> None:
    orders = [completed(world, name) for name in ("one", "two", "three")]
    book, paid = world.deployment.order_book, 0
    for name, parts in (("provider", 3), ("author", 3), ("owner_a", 3), ("treasurer", 0), ("client", 3)):
        mine = session(name)
        before = world.balance(mine.address)
        done = income.collect(mine)
        assert not done.failed and len(done.txs) == 1, "one transaction for three orders"
        assert len(done.claimed) == (parts if name != "client" else 0)
        assert [one.account for one in done.paid] == [mine.address]
        assert world.balance(mine.address) - before == sum(one.amount for one in done.paid)
        assert income.collect(mine) == Collected(), "nothing is left"
        paid += sum(one.amount for one in done.paid)
    # Only the fees are left: nobody here is their treasury.
    deposits = sum(one.terms.deposit for one in orders)
    assert world.balance(book) == world.reader.credit_of(PARAMS.treasury, world.deployment.token)
    assert paid == deposits - world.balance(book)


def test_one_collects_for_everybody(world: World, session: Callable[[str], Session]) -> None:
    orders = [completed(world, name) for name in ("four", "five")]
    mine = session("operator")
    known = income.concerned(mine, everybody=True)
    assert known == [world.id_of(one) for one in orders] and income.concerned(mine) == []
    open_ = income.open_claims(mine, known, everybody=True)
    assert {one.offer for one in open_} == {0, 1, 2, REST_BIT}, "the free input has nothing to claim"
    done = income.collect(mine, everybody=True)
    assert sum(one.amount for one in done.paid) == sum(one.terms.deposit for one in orders)
    assert world.balance(world.deployment.order_book) == 0


def test_dues_name_every_part_and_add_up(world: World, session: Callable[[str], Session]) -> None:
    preimage = completed(world, "six", Holdback(1000, 500))
    order, mine = world.id_of(preimage), session("client")
    due = income.dues(mine, order)
    gross = 101 + 60_000  # the least that is rented
    assert due.sums.held == gross // 10 and due.held_until == due.record.since + 500
    assert {line.name for line in due.lines} == {
        "compute", "engine", "input 1", "refund to the payer", "protocol fee",
    }  # fmt: skip
    assert not any(line.claimed for line in due.lines)
    assert sum(line.amount for line in due.lines) + due.sums.held == preimage.terms.deposit
    income.collect(mine, [order], everybody=True)
    assert {line.name for line in income.dues(mine, order).lines if line.claimed} == {"engine", "input 1"}
    world.chain.warp(501)
    income.collect(mine, [order], everybody=True)
    last = income.dues(mine, order)
    assert all(line.claimed for line in last.lines) and last.held_until == 0
    assert sum(line.amount for line in last.lines) == preimage.terms.deposit


def test_what_an_order_under_way_owes_is_not_told_as_if_it_had_ended(
    world: World, session: Callable[[str], Session]
) -> None:
    preimage = world.order("seven")
    world.clients.place(preimage, world.policy(), "x")
    with pytest.raises(MarketError, match="PLACED"):
        income.dues(session("client"), world.id_of(preimage))


def test_a_bad_item_of_a_batch_is_left_out_and_named(world: World, session: Callable[[str], Session]) -> None:
    preimage = completed(world, "eight")
    mine = session("operator")
    claims = Claims(mine.reader, mine.writer)
    record = mine.reader.get_order(world.id_of(preimage))
    good = claims.open_claims(preimage, record)
    broken = claims.withdrawal(b"\x5a" * 20, b"\x00" * 20)
    twice = [*good, good[0]]
    done = claims.send([*twice, broken])
    assert len(done.claimed) == len(good) - 1, "all but the rest emit a claim"
    assert [one.words for one in done.failed] == [good[0].words]
    assert "AlreadyClaimed" in done.failed[0].reason
