"""A whole order on a real local chain, and every other end, to the last unit (protocol sections 6.2 and 6.7).

What each party gets is computed by the Python twin and compared with the contract's word and with balances.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import pytest

from enclave_runtime.wire.codec import to_abi
from enclave_runtime.wire.offers import Price
from enclave_runtime.wire.orders import OrderPreimage, Outcome, Phase
from marketplace.chain.devchain import DevChain
from marketplace.chain.hints import last_location
from marketplace.chain.refusals import ContractRefusal
from marketplace.domain.order_state import OrderState
from marketplace.domain.pricing import lock_required
from marketplace.domain.settlement import Frozen, payouts, settle
from marketplace.domain.why import why
from marketplace.errors import BadInputError, NotFoundError, WaitTimeoutError
from tests.integration.chain_world import PARAMS, SignedCvm, World

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


def holders(world: World, preimage: OrderPreimage) -> dict[bytes, int]:
    """Return the balance of everybody whom an order can pay, and of the two contracts that hold money."""
    accounts = {payee.account for offer in (preimage.compute, *preimage.inputs) for payee in offer.payees}
    accounts |= {PARAMS.treasury, preimage.terms.client}
    accounts |= {world.deployment.order_book, world.deployment.provider_registry}
    return {account: world.balance(account) for account in accounts}


def settle_and_check(world: World, preimage: OrderPreimage, state: OrderState, phase: Phase) -> Frozen:
    """Claim everything and compare receipts, balances and stake with the twin, to the last unit."""
    order = world.id_of(preimage)
    record = world.reader.get_order(order)
    assert (record.state, record.phase) == (state, phase)
    frozen = Frozen(state, phase, record.seconds_used, record.units_used)
    shares = PARAMS if record.params_version else dataclasses.replace(PARAMS, fee_bps=0, treasury=b"\0" * 20)
    expected = payouts(preimage, shares, frozen)
    assert world.reader.payouts(preimage) == expected
    sums = settle(preimage, shares, frozen)
    before = holders(world, preimage)
    paid = world.anyone.claim(preimage)
    assert paid == tuple(item for item in expected if item.amount)
    after = holders(world, preimage)
    due: dict[bytes, int] = {}
    for item in expected:
        due[item.receiver] = due.get(item.receiver, 0) + item.amount
    for account, amount in before.items():
        if account == world.deployment.order_book:
            assert after[account] == amount - preimage.terms.deposit - sums.slashed
        else:
            assert after[account] == amount + due.get(account, 0)
    assert world.anyone.claim(preimage) == ()
    stake = world.reader.stake_of(world.keys["provider"].address, preimage.terms.token)
    assert stake.locked == 0 and stake.free == 10**9 - sums.slashed
    assert why(record, preimage.terms.windows, now=world.reader.now()).deadline is None
    return frozen


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
    world.operators.accept(preimage, world.policy(), CVM.cvm_id)
    stake = world.reader.stake_of(world.keys["provider"].address, preimage.terms.token)
    assert stake.locked == lock_required(preimage, PARAMS.start_penalty_bps)
    world.operators.start(preimage.terms, world.start_signature(CVM, preimage))
    assert world.reader.order_view(order, "finalized").state is OrderState.RUNNING
    world.chain.warp(50)
    world.checkpoint(CVM, preimage, 41)
    world.chain.warp(200)
    summary, signature = world.summary(CVM, preimage, Outcome.COMPLETED, seconds=123)
    world.operators.complete(preimage, summary, signature, "file:bundle")
    frozen = settle_and_check(world, preimage, OrderState.COMPLETED, Phase.ENGINE)
    assert frozen.seconds_used == 123
    names = [event.name for event in world.reader.history(order)]
    assert names[:5] == ["OrderPlaced", "OrderAccepted", "OrderStarted", "OrderCheckpointed", "OrderReported"]
    assert set(names[5:]) == {"Claimed"}


def _cancel(world: World, preimage: OrderPreimage) -> None:
    world.clients.place(preimage, world.policy(), "x")
    world.clients.cancel(preimage.terms)


def _never_accepted(world: World, preimage: OrderPreimage) -> None:
    world.clients.place(preimage, world.policy(), "x")
    assert world.anyone.poke(preimage) is None, "nothing is due before the deadline"
    world.chain.warp(preimage.terms.windows.accept_within + 1)
    assert world.anyone.poke(preimage) is not None


def _accepted(world: World, preimage: OrderPreimage) -> None:
    world.register(CVM)
    world.clients.place(preimage, world.policy(), "x")
    world.operators.accept(preimage, world.policy(), CVM.cvm_id)


def _never_started(world: World, preimage: OrderPreimage) -> None:
    _accepted(world, preimage)
    world.chain.warp(preimage.terms.windows.start_within + 1)
    world.anyone.poke(preimage)


def _void(world: World, preimage: OrderPreimage) -> None:
    _accepted(world, preimage)
    world.governors.revoke_cvm(CVM.cvm_id)
    world.anyone.void(preimage, world.policy())


def _refused(world: World, preimage: OrderPreimage) -> None:
    world.running(CVM, preimage)
    world.chain.warp(100)
    summary, signature = world.summary(
        CVM, preimage, Outcome.REFUSED, seconds=77, phase=Phase.SETUP, at_fault=1
    )
    world.operators.refuse(preimage, summary, signature, "file:refusal")


def _failed(world: World, preimage: OrderPreimage) -> None:
    world.running(CVM, preimage)
    world.checkpoint(CVM, preimage, 0)
    world.chain.warp(5)
    # The CVM claims more time than has passed: the chain's clock bounds it.
    summary, signature = world.summary(CVM, preimage, Outcome.FAILED, seconds=500)
    world.operators.complete(preimage, summary, signature, "file:bundle")


def _host(world: World, preimage: OrderPreimage) -> None:
    world.running(CVM, preimage)
    summary, signature = world.summary(CVM, preimage, Outcome.HOST, seconds=9, phase=Phase.SETUP)
    world.operators.complete(preimage, summary, signature, "file:bundle")


def _silent(world: World, preimage: OrderPreimage) -> None:
    world.running(CVM, preimage)
    windows = preimage.terms.windows
    world.chain.warp(windows.max_seconds + windows.grace + 1)
    world.anyone.poke(preimage)


def _silent_in_engine(world: World, preimage: OrderPreimage) -> None:
    world.running(CVM, preimage)
    world.checkpoint(CVM, preimage, 0)
    windows = preimage.terms.windows
    world.chain.warp(windows.max_seconds + windows.grace + 1)
    world.anyone.expire(preimage)


def _stopped_in_setup(world: World, preimage: OrderPreimage) -> None:
    world.running(CVM, preimage)
    world.chain.warp(20)
    world.clients.stop(preimage)


def _stopped_in_engine(world: World, preimage: OrderPreimage) -> None:
    world.running(CVM, preimage)
    world.checkpoint(CVM, preimage, 0)
    world.chain.warp(20)
    with pytest.raises(ContractRefusal, match="NotClient"):
        world.writer("passer_by").call("OrderBook", "stop", to_abi(preimage))
    world.clients.stop(preimage)


def _revoked(world: World, preimage: OrderPreimage) -> None:
    world.running(CVM, preimage)
    world.chain.warp(40)
    world.checkpoint(CVM, preimage, 33)
    world.chain.warp(60)
    world.governors.revoke_cvm(CVM.cvm_id)
    world.anyone.settle_revoked(preimage)


def _revoked_in_setup(world: World, preimage: OrderPreimage) -> None:
    world.running(CVM, preimage)
    world.governors.revoke_cvm(CVM.cvm_id)
    world.anyone.settle_revoked(preimage)


ENDS: list[tuple[Callable[[World, OrderPreimage], None], OrderState, Phase]] = [
    (_cancel, OrderState.CANCELLED, Phase.NONE),
    (_never_accepted, OrderState.CANCELLED, Phase.NONE),
    (_never_started, OrderState.EXPIRED, Phase.NONE),
    (_void, OrderState.CANCELLED, Phase.NONE),
    (_refused, OrderState.REFUSED, Phase.SETUP),
    (_failed, OrderState.FAILED, Phase.ENGINE),
    (_host, OrderState.HOST, Phase.SETUP),
    (_silent, OrderState.EXPIRED, Phase.SETUP),
    (_silent_in_engine, OrderState.EXPIRED, Phase.ENGINE),
    (_stopped_in_setup, OrderState.STOPPED, Phase.SETUP),
    (_stopped_in_engine, OrderState.STOPPED, Phase.ENGINE),
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
        world.operators.accept(preimage, world.policy(), CVM.cvm_id)
        world.operators.start(preimage.terms, world.start_signature(CVM, preimage))
        world.checkpoint(CVM, preimage, 0)
        summary, signature = world.summary(CVM, preimage, Outcome.COMPLETED, seconds=0)
        world.operators.complete(preimage, summary, signature, "x")
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
    copied = (to_abi(preimage), to_abi(summary), signature, "file:nowhere")
    world.writer("passer_by").call("OrderBook", "complete", *copied)
    order = world.id_of(preimage)
    assert last_location(world.reader.history(order)) == "file:nowhere"
    for _ in range(2):
        world.operators.complete(preimage, summary, signature, "file:bundle")
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
        world.operators.complete(preimage, summary, signature, "x")
    assert "cloister order why" in caught.value.hint
    with pytest.raises(ContractRefusal, match="OrderBook_TooEarly") as early:
        world.anyone.expire(preimage)
    assert early.value.arguments["deadline"] > early.value.arguments["timestamp"]
    with pytest.raises(ContractRefusal, match=r"OrderBook_NotTerminal.*RUNNING"):
        world.anyone.claim(preimage)
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
    author.retire_version(engine.offer, 1)
    assert not world.reader.get_offer(engine.offer, 1).active
    author.set_active(engine.offer, False)
    assert author.set_active(engine.offer, False) is None
    assert not world.reader.get_offer(engine.offer).active
    assert [item.version for item in world.reader.list_offers(kind=engine.kind)] == [2]
    with pytest.raises(ContractRefusal, match="OfferRegistry_NotOwner"):
        author.set_active(compute.offer, False)
    with pytest.raises(NotFoundError, match="no such offer"):
        world.reader.get_offer(99)
    with pytest.raises(NotFoundError, match="expected 1 to 2"):
        world.reader.get_offer(engine.offer, 3)


def test_stake_goes_in_and_comes_out_after_the_unbonding_time(world: World) -> None:
    provider, token = world.keys["provider"].address, world.deployment.token
    before = world.balance(provider)
    world.providers.request_unstake(token, 10**8)
    with pytest.raises(ContractRefusal, match="ProviderRegistry_StillUnbonding"):
        world.providers.finish_unstake(token)
    world.chain.warp(3600)
    world.providers.finish_unstake(token)
    assert world.balance(provider) == before + 10**8
    assert world.reader.stake_of(provider, token).free == 9 * 10**8


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
    summary, signature = world.summary(CVM, early, Outcome.COMPLETED, seconds=0)
    world.operators.complete(early, summary, signature, "x")
    settle_and_check(world, early, OrderState.COMPLETED, Phase.ENGINE)
