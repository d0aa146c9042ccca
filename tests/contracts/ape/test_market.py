"""The market through ape: orders from permit to withdrawal, and refusals with their custom errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ape
import pytest
import tight
from eth_abi import encode
from eth_utils import keccak
from stage import FEE_BPS, MEASUREMENT, PENALTY_BPS, ROOT_SET, STAKE, ZERO, Market
from typed import compact, sign

POLICY = ([ROOT_SET], 1 << 1, [MEASUREMENT], 2)
POLICY_TYPE = "RuntimePolicy(bytes32[] trustClasses,uint256 teeMask,bytes32[] measurements,uint8 worstTcb)"
MAX_SECONDS, MAX_UNITS, GRACE, LAST = 5000, 1000, 400, 2**32 - 1
HOLDBACK_BPS, WINDOW = 2000, 600
NO_INPUT, SETUP, ENGINE = 255, 1, 2
COMPLETED, EXPIRED = 8, 6
REST = 17


@dataclass
class Deal:
    """An order of the market's client, with a holdback, and what its calls repeat."""

    market: Market
    order: bytes
    deposit: int
    id: bytes = b""
    root: bytes = b""

    @property
    def heads(self) -> bytes:
        return tight.heads(self.market.for_sale)


def policy_digest() -> bytes:
    classes, mask, measurements, worst = POLICY
    words = [keccak(text=POLICY_TYPE), keccak(b"".join(classes)), mask, keccak(b"".join(measurements)), worst]
    return keccak(encode(["bytes32", "bytes32", "uint256", "bytes32", "uint8"], words))


@pytest.fixture
def deal(market: Market, chain: Any) -> Deal:
    compute, *inputs = market.for_sale
    most = compute.price.amount(MAX_SECONDS, MAX_UNITS)
    deposit = most + most * HOLDBACK_BPS // 10_000
    deposit += sum(item.price.amount(MAX_SECONDS, MAX_UNITS) for item in inputs)
    numbers = {
        "place_before": chain.blocks.head.timestamp + 3600,
        "windows": [600, 300, 240, 120, 180, MAX_SECONDS, GRACE],
        "max_units": MAX_UNITS, "holdback": (HOLDBACK_BPS, WINDOW), "max_fee_bps": FEE_BPS,
        "deposit": deposit,
    }  # fmt: skip
    digests = [b"\x01" * 32, b"\x02" * 32, ZERO, policy_digest()]
    people = (market.client, market.client, market.token)
    made = Deal(market, tight.order(people, market.for_sale, digests, numbers, b"\x03" * 32), deposit)
    made.id = bytes(market.book.orderId(made.order))
    rows = [(item.id, 1, item.terms_hash, ZERO) for item in inputs]
    made.root = keccak(encode(["(uint64,uint32,bytes32,bytes32)[]"], [rows]))
    return made


# ------------------------------------------------------------------------------------------------ steps
def place(deal: Deal) -> Any:
    market, deadline = deal.market, 2**40
    nonce = market.token.nonces(market.client)
    permit = (market.client.address, market.book.address, deal.deposit, nonce, deadline)
    signature = sign(
        market.client_key, "Test Dollar", market.chain_id, market.token.address, "Permit", permit
    )
    r, s, v = signature[:32], signature[32:64], signature[64]
    return market.book.placeWithPermit(deal.order, "file:///packet", deadline, v, r, s, sender=market.client)


def accept(deal: Deal) -> Any:
    market = deal.market
    return market.book.accept(
        deal.order, deal.heads, tight.policy(*POLICY), market.cvm, sender=market.operator
    )


def start(deal: Deal) -> Any:
    market = deal.market
    r, vs = compact(signed(deal, "OrderStart", (deal.id, market.cvm_id, deal.root)))
    return market.book.start(deal.id, market.cvm_id, deal.root, r, vs, sender=market.owner)


def signed(deal: Deal, kind: str, values: tuple[Any, ...]) -> bytes:
    market = deal.market
    return sign(market.cvm_key, "Cloister OrderBook", market.chain_id, market.book.address, kind, values)


def checkpoint(deal: Deal, sequence: int, seconds: int, units: int, statement: bytes) -> Any:
    """One proof in ENGINE, which is entered with the first."""
    values = (deal.id, ZERO, ENGINE, sequence, 0, NO_INPUT, ZERO, ZERO, statement, seconds, units)
    r, vs = compact(signed(deal, "ReportSummary", values))
    numbers = packed(sequence, 0, seconds, units)
    book, owner = deal.market.book, deal.market.owner
    if statement == ZERO:
        return book.checkpoint(deal.id, numbers, r, vs, sender=owner)
    return book.enterEngine(deal.id, numbers, statement, r, vs, sender=owner)


def complete(deal: Deal, seconds: int, units: int) -> Any:
    market, result, statement = deal.market, b"\x05" * 32, b"\x06" * 32
    values = (
        deal.id, market.cvm_id, ENGINE, LAST, 1, NO_INPUT, deal.root, result, statement, seconds, units,
    )  # fmt: skip
    r, vs = compact(signed(deal, "ReportSummary", values))
    report = (market.cvm_id, result, statement, packed(LAST, 1, seconds, units), r, vs)
    return market.book.complete(deal.order, report, "file:///bundle", sender=market.owner)


def packed(sequence: int, outcome: int, seconds: int, units: int) -> int:
    return ENGINE | outcome << 8 | NO_INPUT << 16 | sequence << 24 | seconds << 56 | units << 88


def claim(deal: Deal, k: int) -> Any:
    offer, book = deal.market.for_sale[k], deal.market.book
    return book.claim(deal.order, tight.proof(k, offer), sender=deal.market.operator)


def credit(deal: Deal, account: Any) -> int:
    return int(deal.market.ledger.creditOf(deal.market.token, account))


def net(gross: int) -> int:
    return gross - gross * FEE_BPS // 10_000


def running(deal: Deal) -> None:
    place(deal)
    accept(deal)
    start(deal)
    checkpoint(deal, 1, 0, 0, b"\x06" * 32)


# ------------------------------------------------------------------------------------------------ tests
def test_one_order_from_permit_to_withdrawal(market: Market, deal: Deal, chain: Any) -> None:
    receipt = place(deal)
    (placed,) = receipt.decode_logs(market.book.OrderPlaced)
    assert bytes(placed.id) == deal.id
    assert bytes(placed.preimage) == deal.order + b"file:///packet"
    assert market.token.balanceOf(market.book) == deal.deposit
    accept(deal)
    start(deal)
    checkpoint(deal, 1, 0, 0, b"\x06" * 32)
    chain.mine(deltatime=300)
    checkpoint(deal, 2, 300, 2, ZERO)
    compute, engine, dataset = (item.price for item in market.for_sale)
    claim(deal, 0)
    earned = 3_600_007 * 300 // 3600 + 3 * 2
    earned -= earned * HOLDBACK_BPS // 10_000
    assert credit(deal, market.provider) == net(earned), "paid while it runs"

    chain.mine(deltatime=390)
    receipt = complete(deal, 600, 7)
    (reported,) = receipt.decode_logs(market.book.OrderReported)
    assert (reported.billed & 2**128 - 1, reported.state) == (600 | 7 << 64, COMPLETED)
    with ape.reverts(market.book_errors.OrderBook_HoldbackPending):
        market.book.claimRest(deal.order, deal.heads, sender=market.owner)
    market.book.receipt(deal.order, b"", sender=market.client)
    dues = [price.amount(600, 7) for price in (compute, engine, dataset)]
    for k in range(3):
        claim(deal, k)
    market.book.claimRest(deal.order, deal.heads, sender=market.owner)
    assert credit(deal, market.provider) == net(dues[0])
    assert credit(deal, market.owner) == net(dues[1]) + net(dues[2])
    assert credit(deal, market.treasury) == sum(dues) - sum(map(net, dues))
    assert credit(deal, market.client) == deal.deposit - sum(dues)
    before = market.token.balanceOf(market.client)
    for account in (market.client, market.provider, market.owner, market.treasury):
        market.ledger.withdraw(market.token, account, sender=market.operator)
    assert market.token.balanceOf(market.client) - before == deal.deposit - sum(dues)
    assert market.token.balanceOf(market.book) == 0


def test_silence_is_paid_by_the_lock(market: Market, deal: Deal, chain: Any) -> None:
    running(deal)
    desk = market.providers.deskOf(market.for_sale[0].id, market.token)
    inputs = [item.price for item in market.for_sale[1:]]
    most = market.for_sale[0].price.amount(MAX_SECONDS, MAX_UNITS) * PENALTY_BPS // 10_000
    required = most + sum(price.lock(GRACE) for price in inputs)
    assert required <= desk.locked < required * (1 + 2**-16)
    chain.mine(deltatime=GRACE + 60)
    market.book.expire(deal.order, sender=market.client)
    assert market.book.getOrder(deal.id).state == EXPIRED
    market.book.claimRest(deal.order, deal.heads, sender=market.client)
    slashed = sum(price.amount(GRACE, 0) for price in inputs)
    assert credit(deal, market.client) == deal.deposit
    assert market.providers.deskOf(market.for_sale[0].id, market.token).free == STAKE - slashed
    assert market.book.getOrder(deal.id).claimed == 1 << REST


def test_a_batch_isolates_what_fails(market: Market, deal: Deal) -> None:
    place(deal)
    calls = [
        market.book.stop.encode_input(deal.order, b""),
        market.book.cancel.encode_input(deal.order),
    ]
    receipt = market.book.batch(tight.calls(calls), sender=market.client)
    (failed,) = receipt.decode_logs(market.book.BatchItemFailed)
    assert failed.index == 0
    assert credit(deal, market.client) == deal.deposit


def test_refuses_a_caller_who_is_not_the_client(market: Market, deal: Deal) -> None:
    with ape.reverts(market.book_errors.OrderBook_NotClient):
        market.book.place(deal.order, "", sender=market.owner)


def test_refuses_another_than_the_desks_operator(market: Market, deal: Deal) -> None:
    place(deal)
    with ape.reverts(market.providers.ProviderRegistry_NotOperator):
        market.book.accept(deal.order, deal.heads, tight.policy(*POLICY), market.cvm, sender=market.provider)


def test_refuses_shares_that_do_not_add_up(market: Market) -> None:
    offer = market.for_sale[1]
    with ape.reverts(market.offers.OfferRegistry_PayeeSum):
        market.offers.list(1 << 28 | 2, offer.listing(market.token, bps=10_001), sender=market.owner)


def test_cancelled_order_gives_everything_back(market: Market, deal: Deal) -> None:
    before = market.token.balanceOf(market.client)
    place(deal)
    market.book.cancel(deal.order, sender=market.client)
    market.ledger.withdraw(market.token, market.client, sender=market.owner)
    assert market.token.balanceOf(market.client) == before
