"""A whole order on a real local chain, and every other end, to the last unit (protocol sections 6.2 and 6.7).

What each party gets is computed by the Python twin and compared with the contract's word and with balances.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import pytest

from enclave_runtime.wire.offers import Price
from enclave_runtime.wire.orders import OrderPreimage, Outcome, Phase
from marketplace.chain.claims import Collected
from marketplace.chain.devchain import DevChain
from marketplace.chain.hints import last_location
from marketplace.chain.refusals import ContractRefusal
from marketplace.chain.reports import report_of
from marketplace.domain.lock import round_lock_up
from marketplace.domain.offer import kind_in
from marketplace.domain.order_state import OrderState
from marketplace.domain.owed import settlement_of
from marketplace.domain.pricing import lock_required
from marketplace.domain.tight import encode_order
from marketplace.errors import BadInputError, NotFoundError, WaitTimeoutError
from tests.integration.chain_world import PARAMS, ROOT_SET, SignedCvm, World
from tests.integration.settling import settle_and_check

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


CVM = SignedCvm.named("a")


def test_completed_order_pays_everybody_to_the_last_unit(world: World) -> None:
    preimage = world.order("complete")
    order, before = world.id_of(preimage), world.balance(preimage.terms.client)
    hashes: list[str] = []
    world.register(CVM)
    receipt = world.clients.place(preimage, world.policy(), "file:packet", sent=hashes.append)
    assert receipt is not None and hashes == [receipt.tx_hash], "placed by one transaction, journalled first"
    assert world.balance(preimage.terms.client) == before - preimage.terms.deposit
    placed, seen = world.reader.placed_since(preimage.terms.compute.offer, 0)
    assert [(item.order_id, item.terms, item.location) for item in placed] == [
        (order, preimage.terms, "file:packet")
    ]
    assert seen == world.reader.node.head() and world.reader.placed_since(1, seen) == ([], seen)
    assert world.reader.preimage(order) == preimage
    world.accept(CVM, preimage)
    desk = world.reader.desk(preimage.terms.compute.offer, preimage.terms.token)
    lock = round_lock_up(lock_required(preimage, PARAMS.start_penalty_bps))
    assert (desk.locked, desk.active, world.reader.get_order(order).lock) == (lock, 1, lock)
    world.start(CVM, preimage)
    assert world.reader.order_view(order, "finalized").state is OrderState.RUNNING
    world.chain.warp(50)
    world.checkpoint(CVM, preimage, 41)
    world.chain.warp(200)
    world.complete(CVM, preimage, Outcome.COMPLETED, 123)
    assert settle_and_check(world, preimage, OrderState.COMPLETED, Phase.ENGINE).seconds_used == 123
    names = [event.name for event in world.reader.history(order)]
    opened = ["OrderPlaced", "OrderAccepted", "OrderStarted", "OrderCheckpointed", "OrderIntegrity"]
    assert names[:6] == [*opened, "OrderReported"]
    assert sorted(names[6:]) == ["Claimed"] * 3 + ["Settled"], "the free input has nothing to claim"


def test_time_is_paid_as_it_is_proven_and_nothing_proven_is_taken_back(world: World) -> None:
    preimage = world.order("streams")
    world.running(CVM, preimage)
    world.chain.warp(50)
    world.checkpoint(CVM, preimage, 41)
    first = world.collect(preimage)
    assert [(one.what, one.amount) for one in first.claimed] == [("compute", 41_000)]
    world.chain.warp(50)
    world.checkpoint(CVM, preimage, 90, sequence=2)
    second = world.collect(preimage)
    assert [(one.what, one.amount) for one in second.claimed] == [("compute", 90_000)]
    paid = sum(one.amount for one in (*first.paid, *second.paid))
    assert paid == 90_000 - 90_000 * PARAMS.fee_bps // 10_000
    assert world.collect(preimage) == Collected()
    world.chain.warp(preimage.terms.windows.grace + 1)
    world.anyone.expire(preimage.terms)
    last = world.collect(preimage)
    record = world.reader.get_order(world.id_of(preimage))
    sums = settlement_of(preimage, PARAMS, record, world.reader.now())
    assert paid + sum(one.amount for one in last.paid) == preimage.terms.deposit + sums.slashed


def _cancel(world: World, preimage: OrderPreimage) -> None:
    world.clients.place(preimage, world.policy(), "x")
    world.clients.cancel(preimage.terms)


def _never_accepted(world: World, preimage: OrderPreimage) -> None:
    world.clients.place(preimage, world.policy(), "x")
    assert world.anyone.poke(preimage.terms) is None, "nothing is due before the deadline"
    world.chain.warp(preimage.terms.windows.accept_within + 1)
    assert world.anyone.poke(preimage.terms) is not None


def _accepted(world: World, preimage: OrderPreimage) -> None:
    world.register(CVM)
    world.clients.place(preimage, world.policy(), "x")
    world.accept(CVM, preimage)


def _never_started(world: World, preimage: OrderPreimage) -> None:
    _accepted(world, preimage)
    world.chain.warp(preimage.terms.windows.start_within + 1)
    world.anyone.poke(preimage.terms)


def _void(world: World, preimage: OrderPreimage) -> None:
    _accepted(world, preimage)
    world.governors.revoke_cvm(CVM.cvm_id)
    world.anyone.void(preimage.terms, world.policy())


def _void_for_its_runtime(world: World, preimage: OrderPreimage) -> None:
    _accepted(world, preimage)
    world.governors.remove_trust_class(ROOT_SET)
    world.anyone.void(preimage.terms, world.policy())


def _refused(world: World, preimage: OrderPreimage) -> None:
    world.running(CVM, preimage)
    world.chain.warp(100)
    summary, signature = world.summary(
        CVM, preimage, Outcome.REFUSED, seconds=77, phase=Phase.SETUP, at_fault=1
    )
    world.operators.refuse(preimage.terms, summary, signature, "file:refusal")


def _failed(world: World, preimage: OrderPreimage) -> None:
    world.running(CVM, preimage)
    world.checkpoint(CVM, preimage, 0)
    world.chain.warp(5)
    # The CVM claims more time than has passed: the chain's clock bounds it.
    world.complete(CVM, preimage, Outcome.FAILED, 500)


def _lapsed(world: World, preimage: OrderPreimage) -> None:
    world.running(CVM, preimage)
    world.checkpoint(CVM, preimage, 0)
    world.chain.warp(700)
    world.complete(CVM, preimage, Outcome.LAPSED, 600)


def _host(world: World, preimage: OrderPreimage) -> None:
    world.running(CVM, preimage)
    world.complete(CVM, preimage, Outcome.HOST, 9)


def _silent(world: World, preimage: OrderPreimage) -> None:
    world.running(CVM, preimage)
    world.chain.warp(preimage.terms.windows.grace - 10)
    assert world.anyone.poke(preimage.terms) is None, "a start keeps an order alive for grace"
    world.chain.warp(12)
    world.anyone.poke(preimage.terms)


def _silent_in_engine(world: World, preimage: OrderPreimage) -> None:
    world.running(CVM, preimage)
    world.checkpoint(CVM, preimage, 0)
    world.chain.warp(300)
    world.checkpoint(CVM, preimage, 290, sequence=2)
    world.chain.warp(preimage.terms.windows.max_seconds + preimage.terms.windows.grace + 1)
    world.anyone.expire(preimage.terms)


def _stop(world: World, preimage: OrderPreimage) -> None:
    order = world.id_of(preimage)
    with pytest.raises(ContractRefusal, match="OrderBook_NotSignedBy"):
        world.anyone.stop(preimage.terms, b"\x01" * 65)
    assert world.clients.stop(preimage.terms) is not None and world.clients.stop(preimage.terms) is None
    assert world.reader.stop_signature(order) == world.clients.sign_stop(order), "the CVM can have it"
    assert world.anyone.poke(preimage.terms) is None, "the CVM has grace for its last word"


def _stopped_without_a_proof(world: World, preimage: OrderPreimage) -> None:
    world.running(CVM, preimage)
    world.chain.warp(20)
    _stop(world, preimage)
    world.chain.warp(preimage.terms.windows.grace + 1)
    world.anyone.poke(preimage.terms)


def _stopped_in_engine(world: World, preimage: OrderPreimage) -> None:
    world.running(CVM, preimage)
    world.checkpoint(CVM, preimage, 0)
    world.chain.warp(20)
    _stop(world, preimage)
    world.chain.warp(5)
    world.checkpoint(CVM, preimage, 22, sequence=2)
    world.chain.warp(preimage.terms.windows.grace + 1)
    world.anyone.poke(preimage.terms)


def _stopped_and_reported(world: World, preimage: OrderPreimage) -> None:
    world.running(CVM, preimage)
    world.checkpoint(CVM, preimage, 0)
    world.chain.warp(20)
    # Signed by the client, carried by somebody else.
    world.anyone.stop(preimage.terms, world.clients.sign_stop(world.id_of(preimage)))
    assert world.reader.get_order(world.id_of(preimage)).state is OrderState.STOPPING
    world.complete(CVM, preimage, Outcome.FAILED, 21)


def _revoked(world: World, preimage: OrderPreimage) -> None:
    world.running(CVM, preimage)
    world.chain.warp(40)
    world.checkpoint(CVM, preimage, 33)
    world.chain.warp(60)
    world.governors.revoke_cvm(CVM.cvm_id)
    world.anyone.settle_revoked(preimage.terms)


def _revoked_in_setup(world: World, preimage: OrderPreimage) -> None:
    world.running(CVM, preimage)
    world.governors.revoke_cvm(CVM.cvm_id)
    world.anyone.settle_revoked(preimage.terms)


ENDS: list[tuple[Callable[[World, OrderPreimage], None], OrderState, Phase]] = [
    (_cancel, OrderState.CANCELLED, Phase.NONE),
    (_never_accepted, OrderState.CANCELLED, Phase.NONE),
    (_never_started, OrderState.EXPIRED, Phase.NONE),
    (_void, OrderState.CANCELLED, Phase.NONE),
    (_void_for_its_runtime, OrderState.CANCELLED, Phase.NONE),
    (_refused, OrderState.REFUSED, Phase.SETUP),
    (_failed, OrderState.FAILED, Phase.ENGINE),
    (_lapsed, OrderState.LAPSED, Phase.ENGINE),
    (_host, OrderState.HOST, Phase.SETUP),
    (_silent, OrderState.EXPIRED, Phase.SETUP),
    (_silent_in_engine, OrderState.EXPIRED, Phase.ENGINE),
    (_stopped_without_a_proof, OrderState.EXPIRED, Phase.SETUP),
    (_stopped_in_engine, OrderState.STOPPED, Phase.ENGINE),
    (_stopped_and_reported, OrderState.FAILED, Phase.ENGINE),
    (_revoked, OrderState.REVOKED, Phase.ENGINE),
    (_revoked_in_setup, OrderState.REVOKED, Phase.SETUP),
]


@pytest.mark.parametrize(("way", "state", "phase"), ENDS, ids=[way.__name__.strip("_") for way, _, _ in ENDS])
def test_every_other_end_settles_as_the_twin_says(
    world: World, way: Callable[[World, OrderPreimage], None], state: OrderState, phase: Phase
) -> None:
    preimage = world.order(way.__name__)
    way(world, preimage)
    settle_and_check(world, preimage, state, phase)


def test_every_step_may_be_repeated_by_an_agent_that_forgot(world: World) -> None:
    preimage = world.order("twice")
    world.register(CVM)
    assert world.clients.place(preimage, world.policy(), "x") is not None
    assert world.clients.place(preimage, world.policy(), "x") is None
    for _ in range(2):
        world.accept(CVM, preimage)
        world.start(CVM, preimage)
        world.checkpoint(CVM, preimage, 0)
        world.complete(CVM, preimage, Outcome.COMPLETED, 0)
        world.register(CVM)
        world.ready_provider()
        world.offers()
    assert world.reader.get_order(world.id_of(preimage)).state is OrderState.COMPLETED
    assert len(world.reader.list_offers()) == 4, "listing the same terms again finds the same offer"


def test_a_stranger_who_carries_a_report_does_not_hide_the_bundle(world: World) -> None:
    preimage = world.order("copied")
    world.running(CVM, preimage)
    world.checkpoint(CVM, preimage, 0)
    summary, signature = world.summary(CVM, preimage, Outcome.COMPLETED, seconds=0)
    copied = (encode_order(preimage.terms), report_of(summary, signature), "file:nowhere")
    world.writer("passer_by").call("OrderBook", "complete", *copied)
    order = world.id_of(preimage)
    assert last_location(world.reader.history(order)) == "file:nowhere"
    for _ in range(2):
        world.operators.complete(preimage.terms, summary, signature, "file:bundle")
    events = world.reader.history(order)
    assert last_location(events) == "file:bundle"
    assert [event.name for event in events].count("OrderLocated") == 1, "said once"


def test_refusals_come_in_words_before_anything_is_sent(world: World) -> None:
    preimage = world.order("refused")
    world.running(CVM, preimage)
    head = world.reader.node.head()
    other = SignedCvm.named("other")
    summary, signature = world.summary(other, preimage, Outcome.COMPLETED, seconds=1)
    with pytest.raises(
        ContractRefusal, match=r"OrderBook_WrongPhase.*actual SETUP, expected ENGINE"
    ) as caught:
        world.operators.complete(preimage.terms, summary, signature, "x")
    assert "cloister order why" in caught.value.hint
    with pytest.raises(ContractRefusal, match="OrderBook_TooEarly") as early:
        world.anyone.expire(preimage.terms)
    assert early.value.arguments["deadline"] > early.value.arguments["timestamp"]
    with pytest.raises(ContractRefusal, match=r"OrderBook_NotTerminal.*RUNNING"):
        world.operators.claim_rest(preimage)
    with pytest.raises(ContractRefusal, match="AccessManagedUnauthorized"):
        world.writer("client").call("CvmRegistry", "revoke", CVM.cvm_id)
    assert world.reader.node.head() == head, "none of these reached the chain"


def test_an_order_that_the_wallet_cannot_pay_is_told_before_it_is_signed(world: World) -> None:
    preimage = world.order("poor")
    balance = world.balance(world.keys["client"].address)
    world.token.transfer(world.clients.writer.sender, b"\x01" * 20, balance)
    with pytest.raises(BadInputError, match="token balance: got 0 units"):
        world.clients.place(preimage, world.policy(), "x")


def test_a_token_allowance_is_used_where_it_stands(world: World) -> None:
    preimage = world.order("approved")
    sender, book = world.clients.writer.sender, world.deployment.order_book
    world.token.approve(sender, book, preimage.terms.deposit)
    world.clients.place(preimage, world.policy(), "x")
    assert world.token.allowance(sender.signer.address, book) == 0


def test_offers_versions_and_closing(world: World) -> None:
    compute, (engine, *_) = world.offers()
    author = world.authors["author"]
    cheaper = author.add_version(
        engine.offer, dataclasses.replace(engine.terms, price=Price(1)), "file:second"
    )
    assert (cheaper.version, cheaper.latest, cheaper.manifest_uri) == (2, 2, "file:second")
    assert world.reader.get_offer(engine.offer, 1).terms == engine.terms
    assert author.close(engine.offer, 1) is not None and author.close(engine.offer, 1) is None
    assert not world.reader.get_offer(engine.offer, 1).active
    assert author.reopen(engine.offer, 1) is not None and author.reopen(engine.offer, 1) is None
    assert world.reader.get_offer(engine.offer, 1).active
    assert author.retire(engine.offer, 1) is not None and author.retire(engine.offer, 1) is None
    assert world.reader.get_offer(engine.offer, 1).retired
    with pytest.raises(ContractRefusal, match="OfferRegistry_Retired"):
        author.reopen(engine.offer, 1)
    assert [item.version for item in world.reader.list_offers(kind=engine.kind)] == [2]
    with pytest.raises(ContractRefusal, match="OfferRegistry_NotOwner"):
        author.close(compute.offer, 1)
    with pytest.raises(NotFoundError, match="no such offer"):
        world.reader.get_offer(99)
    with pytest.raises(NotFoundError, match="expected 1 to 2"):
        world.reader.get_offer(engine.offer, 3)


def test_offers_are_numbered_by_owner_kind_and_serial(world: World) -> None:
    compute, (engine, data_a, data_b) = world.offers()
    assert [kind_in(one.offer) for one in (compute, engine, data_a, data_b)] == [4, 1, 3, 3]
    assert len({one.offer >> 32 for one in (compute, engine, data_a, data_b)}) == 4, "one index per owner"
    other = dataclasses.replace(engine.terms, price=Price(7))
    second = world.authors["author"].list_offer(other, "file:other")
    assert (second.offer - engine.offer, second.terms) == (1, other)


def test_stake_goes_in_and_comes_out_after_the_unbonding_time(world: World) -> None:
    compute, _ = world.offers()
    payee, token = b"\x5a" * 20, world.deployment.token
    world.providers.set_payee(compute.offer, token, payee)
    world.providers.request_unstake(compute.offer, token, 10**8)
    with pytest.raises(ContractRefusal, match="ProviderRegistry_StillUnbonding"):
        world.providers.finish_unstake(compute.offer, token)
    world.chain.warp(3600)
    world.providers.finish_unstake(compute.offer, token)
    assert world.balance(payee) == 10**8, "stake leaves to the payee"
    assert world.reader.desk(compute.offer, token).free == 9 * 10**8


def test_a_full_desk_takes_no_more_orders(world: World) -> None:
    compute, _ = world.offers()
    world.running(CVM, world.order("first"))
    world.providers.set_capacity(compute.offer, world.deployment.token, 1)
    second, other = world.order("second"), SignedCvm.named("other")
    world.register(other)
    world.clients.place(second, world.policy(), "x")
    with pytest.raises(ContractRefusal, match="ProviderRegistry_Full") as caught:
        world.accept(other, second)
    assert "capacity" in caught.value.hint


def test_certificates_of_too_few_certifiers_prove_nothing(world: World) -> None:
    operator, challenge = world.keys["operator"].address, b"\x01" * 32
    fresh = SignedCvm.named("fresh")
    with pytest.raises(ContractRefusal, match="CertifierQuorum_TooFew"):
        world.register(fresh, by=1)
    with pytest.raises(ContractRefusal, match="CvmRegistry_NotPossessed"):
        world.operators.register_cvm(fresh.keys, operator, challenge, b"\x01" * 65, world.certificates(fresh))
    assert world.reader.cvm(fresh.cvm_id) is None
    assert not world.operators.cvm_usable(fresh.cvm_id, world.reader.now())


def test_waiting_names_the_state_that_an_order_stayed_in(world: World) -> None:
    preimage = world.order("waits")
    world.clients.place(preimage, world.policy(), "x")
    order = world.id_of(preimage)
    assert world.reader.wait_for(order, lambda it: it.state is OrderState.PLACED, timeout_s=1)
    with pytest.raises(WaitTimeoutError, match="still PLACED, phase NONE"):
        world.reader.wait_for(order, lambda it: it.state.terminal, timeout_s=0.1)
    with pytest.raises(NotFoundError):
        world.reader.placed(b"\x01" * 32)
    assert [item.order_id for item in world.reader.orders_of(preimage.terms.client)] == [order]


def test_new_shares_count_for_later_orders_and_not_for_accepted_ones(world: World) -> None:
    early = world.order("early")
    world.running(CVM, early)
    world.governors.add_params(dataclasses.replace(PARAMS, fee_bps=0))
    assert world.reader.params_version() == 2 and world.reader.params().fee_bps == 0
    world.checkpoint(CVM, early, 0)
    world.complete(CVM, early, Outcome.COMPLETED, 0)
    settle_and_check(world, early, OrderState.COMPLETED, Phase.ENGINE)
