"""Holdback, sponsors, funds, signed offers, leases and royalties on a real local chain, to the last unit.

Protocol sections 6.1, 6.3 to 6.6 and 6.9.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from enclave_runtime.wire.offers import OfferKind, Price
from enclave_runtime.wire.orders import Holdback, OrderPreimage, Outcome, Phase
from marketplace.chain.anyone import Anyone
from marketplace.chain.authors import Derivation
from marketplace.chain.clients import Clients
from marketplace.chain.devchain import DevChain
from marketplace.chain.leases import Leases
from marketplace.chain.refusals import ContractRefusal
from marketplace.chain.signedoffers import SignedOffers, signer_of
from marketplace.domain.lease import LeaseTerms, payees_hash
from marketplace.domain.leasing import Leasing, TopUp
from marketplace.domain.offer import sole_payee
from marketplace.domain.order_state import OrderState
from marketplace.domain.owed import held_for, settlement_of
from marketplace.domain.pricing import least_deposit
from marketplace.errors import BadInputError
from tests.integration.chain_world import PARAMS, SignedCvm, World
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


def test_a_receipt_frees_what_was_held_back_and_a_contest_burns_it(world: World) -> None:
    kept = Holdback(bps=2500, window=500)
    world.register(CVM)
    for name, answer in (("received", "receipt"), ("contested", "contest"), ("silent", "")):
        preimage = world.order(name, holdback=kept)
        world.clients.place(preimage, world.policy(), "x")
        world.accept(CVM, preimage)
        world.start(CVM, preimage)
        world.checkpoint(CVM, preimage, 0)
        world.chain.warp(100)
        world.complete(CVM, preimage, Outcome.COMPLETED, 90)
        early = world.collect(preimage)
        gross = 101 + 90_000
        assert ("compute", gross - gross // 4) in [(one.what, one.amount) for one in early.claimed]
        assert not early.failed and not world.reader.get_order(world.id_of(preimage)).rest_claimed
        if answer:
            assert getattr(world.clients, answer)(preimage.terms) is not None
            assert getattr(world.clients, answer)(preimage.terms) is None, "said once"
        else:
            world.chain.warp(501)
        late = world.collect(preimage)
        record, now = world.reader.get_order(world.id_of(preimage)), world.reader.now()
        sums = settlement_of(preimage, PARAMS, record, now)
        assert record.rest_claimed and not late.failed
        assert sums.burned == (2 * (gross // 4) if answer == "contest" else 0)
        paid = sum(one.amount for one in (*early.paid, *late.paid))
        assert paid == preimage.terms.deposit - sums.burned


def test_a_sponsor_pays_and_a_passer_by_carries_an_order(world: World) -> None:
    sponsor = Clients(world.reader, world.writer("treasurer"))
    payer = world.keys["treasurer"].address
    world.chain.fund(payer)
    world.token.mint(sponsor.writer.sender, payer, 10**12)
    preimage, relay = world.order("sponsored", payer=payer), Clients(world.reader, world.writer("passer_by"))
    terms, location = preimage.terms, "file:packet"
    signed = world.clients.sign_order(terms)
    with pytest.raises(ContractRefusal, match="OrderBook_NotSignedBy"):
        relay.place_for(preimage, world.policy(), location, signed, b"\x01" * 65)
    sponsor.allow_deposit(terms)
    assert relay.place_for(preimage, world.policy(), location, signed, sponsor.sign_order(terms)) is not None
    assert relay.place_for(preimage, world.policy(), location, signed, b"") is None
    before = world.balance(payer)
    world.clients.cancel(terms)
    settle_and_check(world, preimage, OrderState.CANCELLED, Phase.NONE)
    assert world.balance(payer) == before + terms.deposit, "the refund is the payer's"


def test_money_is_added_by_anybody_and_taken_out_by_the_payer(world: World) -> None:
    full = world.order("full", max_seconds=7200)
    least = least_deposit(full)
    preimage = world.order("part", max_seconds=7200, deposit=least)
    world.running(CVM, preimage)
    order, windows = world.id_of(preimage), preimage.terms.windows
    assert world.reader.get_order(order).limit(windows) < windows.max_seconds
    helper = Anyone(world.reader, world.writer("provider"))
    helper.top_up(preimage, full.terms.deposit - least)
    assert world.reader.get_order(order).limit(windows) == windows.max_seconds
    world.checkpoint(CVM, preimage, 0)
    world.clients.reclaim(preimage, 1000)
    assert world.reader.credit_of(preimage.terms.payer, preimage.terms.token) == 1000
    world.chain.warp(100)
    world.complete(CVM, preimage, Outcome.COMPLETED, 90)
    record, now = world.reader.get_order(order), world.reader.now()
    assert held_for(preimage.terms, record) == full.terms.deposit - 1000
    paid = world.collect(preimage).paid
    refund = settlement_of(preimage, PARAMS, record, now).refund
    assert {one.account: one.amount for one in paid}[preimage.terms.payer] == refund + 1000


def test_an_offer_by_signature_is_used_as_often_as_its_owner_said(world: World) -> None:
    compute, (engine, data_a, data_b) = world.offers()
    owner = SignedOffers(world.reader, world.writer("author"))
    terms, offer = dataclasses.replace(engine.terms, price=Price(5)), engine.offer + 7
    until = world.reader.now() + 1000
    word = owner.sign(offer, 1, terms, volume=1, expires_at=until, salt=b"\x07" * 32)
    assert signer_of(world.deployment, offer, 1, terms, word) == world.keys["author"].address
    by_word = dataclasses.replace(engine, offer=offer, terms=terms)
    world.register(CVM)
    number = world.reader.cvm_index(CVM.cvm_id)

    def place(name: str) -> OrderPreimage:
        preimage = world.order(name, inputs=(by_word, data_a, data_b))
        world.clients.place(preimage, world.policy(), "x")
        return preimage

    first, second = place("signed 1"), place("signed 2")
    with pytest.raises(ContractRefusal, match="OfferRegistry_"):
        world.accept(CVM, first)
    world.operators.accept_with(first, world.policy(), number, signed={1: word})
    assert world.reader.get_order(world.id_of(first)).state is OrderState.ACCEPTED
    assert owner.left(offer, 1, terms, word) == 0
    with pytest.raises(ContractRefusal, match="OfferRegistry_VolumeUsed"):
        world.operators.accept_with(second, world.policy(), number, signed={1: word})
    more = owner.sign(offer, 1, terms, volume=9, expires_at=until, salt=b"\x08" * 32)
    owner.cancel_all()
    with pytest.raises(ContractRefusal, match="OfferRegistry_OtherEpoch"):
        world.operators.accept_with(second, world.policy(), number, signed={1: more})
    again = owner.sign(offer, 1, terms, volume=9, expires_at=until, salt=b"\x08" * 32)
    assert owner.cancel(offer, 1, terms, again) is not None and owner.cancel(offer, 1, terms, again) is None
    assert compute.active


def test_a_lease_pays_for_an_input_and_comes_back_in_part(world: World) -> None:
    _, (_, data_a, _) = world.offers()
    owner, lessee = (
        Leases(world.reader, world.writer("owner_a")),
        Leases(world.reader, world.writer("client")),
    )
    payees, client = data_a.terms.payees, world.keys["client"].address
    terms = LeaseTerms(
        data_a.offer, 1, data_a.terms_hash, data_a.terms.token, 10**6, 86_400, 12, 1, 3600, 0, 500,
        payees_hash(payees), b"\x01" * 32,
    )  # fmt: skip
    identity = owner.open_terms(terms, payees)
    assert owner.open_terms(terms, payees) == identity, "opened once"
    ((opened,), leasing) = lessee.terms_of(offer=data_a.offer), Leasing(terms, client, client, 7)
    assert (opened.terms, opened.payees, opened.is_open) == (terms, payees, True)
    before = world.balance(client)
    lease = lessee.take(leasing, 2)
    assert world.balance(client) == before - 2 * 10**6
    found = lessee.find(lease)
    assert (found.leasing, found.end - found.start, found.free_places) == (leasing, 2 * 86_400, 1)
    assert lessee.leases_of(lessee=client) == [found]
    none = bytes(32)
    preimage = world.order("leased", leases=(none, lease, none))
    world.running(CVM, preimage)
    assert lessee.find(lease).free_places == 0
    with pytest.raises(ContractRefusal, match="LeaseBook_PlacesTaken"):
        lessee.end(leasing)
    world.checkpoint(CVM, preimage, 0)
    world.chain.warp(30)
    world.complete(CVM, preimage, Outcome.COMPLETED, 20)
    settle_and_check(world, preimage, OrderState.COMPLETED, Phase.ENGINE)
    lessee.renew(leasing, 1)
    lessee.set_top_up(leasing, TopUp(2, world.reader.now() + 10**6, 3600))
    world.chain.warp(86_400)
    owner.collect(leasing, payees)
    assert owner.give_notice(terms) is not None and owner.give_notice(terms) is None
    with pytest.raises(ContractRefusal, match="LeaseBook_NotOpen"):
        lessee.renew(leasing, 1)
    assert lessee.end(leasing) is not None and lessee.end(leasing) is None
    assert 0 < lessee.withdraw(client, terms.token) < 2 * 10**6 and lessee.withdraw(client, terms.token) == 0


def test_a_model_made_by_an_order_owes_its_parents(world: World) -> None:
    compute, (engine, data_a, data_b) = world.offers()
    parent = world.authors["owner_a"].list_offer(
        dataclasses.replace(data_a.terms, royalty_bps=1000), "file:a"
    )
    preimage = world.order("parents", inputs=(engine, parent, data_b))
    world.running(CVM, preimage)
    world.checkpoint(CVM, preimage, 0)
    report, signature = world.summary(CVM, preimage, Outcome.COMPLETED, seconds=0)
    world.operators.complete(preimage.terms, report, signature, "file:bundle")
    world.collect(preimage)
    author = world.authors["client"]
    made_by = Derivation(preimage, report, signature)
    lineage = author.derive(made_by)
    assert lineage.order_id == world.id_of(preimage)
    terms = dataclasses.replace(
        engine.terms, kind=int(OfferKind.MODEL), price=Price(10_000), lineage=lineage.lineage,
        payees=sole_payee(author.writer.signer.address), manifest_digest=b"\x0a" * 32,
    )  # fmt: skip
    with pytest.raises(ContractRefusal, match="OfferRegistry_LineageUnproven"):
        author.list_offer(terms, "file:model")
    model = author.list_offer(terms, "file:model", derivation=made_by)
    assert model.lineage_proof == world.id_of(preimage) + lineage.table
    owed = {one.account: one.bps for one in model.royalties}
    assert owed == {
        one.account: 1000 * one.bps // 10_000 + (n == 1) for n, one in enumerate(parent.terms.payees)
    }
    use = world.order("uses the model", inputs=(engine, model))
    world.clients.place(use, world.policy(), "x")
    other = SignedCvm.named("second")
    world.register(other)
    world.accept(other, use)
    world.start(other, use)
    world.checkpoint(other, use, 0)
    world.complete(other, use, Outcome.COMPLETED, 0)
    paid = {one.account: one.amount for one in world.collect(use).paid}
    net = 10_000 - 10_000 * PARAMS.fee_bps // 10_000
    for account, bps in owed.items():
        assert paid[account] == net * bps // 10_000
    assert world.reader.credit_of(compute.owner, use.terms.token) == 0


def test_orders_of_one_wallet_are_placed_together_or_not_at_all(world: World) -> None:
    orders = [(world.order(f"together {number}"), world.policy()) for number in range(3)]
    world.clients.place(*orders[0], "x")
    before = world.balance(orders[0][0].terms.payer)
    receipt = world.clients.place_batch(orders, "packets")
    assert receipt is not None
    paid = sum(preimage.terms.deposit for preimage, _ in orders[1:])
    assert world.balance(orders[0][0].terms.payer) == before - paid, "what was placed is not paid again"
    assert all(world.reader.get_order(world.id_of(one)).state is OrderState.PLACED for one, _ in orders)
    assert world.clients.place_batch(orders, "packets") is None
    other = dataclasses.replace(
        orders[1][0], terms=dataclasses.replace(orders[1][0].terms, token=b"\x07" * 20)
    )
    with pytest.raises(BadInputError, match="one token"):
        world.clients.place_batch([(world.order("new"), world.policy()), (other, world.policy())], "")


def test_what_a_served_order_earns_is_split_at_once(world: World) -> None:
    client = world.keys["client"].address
    _, (engine_offer, *data) = world.offers()
    terms = dataclasses.replace(engine_offer.terms, price=Price(5, revenue_bps=3000))
    sold = world.authors["author"].list_offer(terms, "file:served")
    preimage = world.order("served", inputs=[sold, *data], access_key_digest=b"\x05" * 32)
    world.running(CVM, preimage)
    world.checkpoint(CVM, preimage, 0)
    token, engine = preimage.terms.token, preimage.inputs[0].payees[0].account
    before = world.reader.credit_of(engine, token), world.reader.credit_of(client, token)
    payer = Anyone(world.reader, world.writer("provider"))
    payer.pay_service(preimage, 10_000)
    share = 3000 - 3000 * PARAMS.fee_bps // 10_000
    assert world.reader.credit_of(engine, token) - before[0] == share
    assert world.reader.credit_of(client, token) - before[1] == 7000
    batch = world.order("a batch order")
    world.running(SignedCvm.named("b"), batch)
    with pytest.raises(ContractRefusal) as refused:
        payer.pay_service(batch, 1)
    assert refused.value.name == "OrderBook_NotServed"


def test_two_words_of_one_cvm_cost_its_desk_the_stake(world: World) -> None:
    preimage = world.order("two words")
    world.running(CVM, preimage)
    order = world.id_of(preimage)
    world.checkpoint(CVM, preimage, 0)
    words = [world.summary(CVM, preimage, Outcome.COMPLETED, seconds=seconds) for seconds in (40, 41)]
    reporter = Anyone(world.reader, world.writer("author"))
    with pytest.raises(ContractRefusal):
        reporter.equivocate(preimage, words[0], words[0])
    reporter.equivocate(preimage, words[0], words[1])
    assert world.reader.cvm(CVM.cvm_id).revoked
    assert world.reader.get_order(order).struck
    assert world.reader.credit_of(world.keys["author"].address, preimage.terms.token) > 0
