"""The market through ape: one order from permit to payout, and refusals with their custom errors."""

from __future__ import annotations

from typing import Any

import ape
import pytest
from eth_abi import encode
from eth_utils import keccak
from stage import FEE_BPS, MEASUREMENT, ROOT_SET, ZERO, Market
from typed import sign

POLICY = ([ROOT_SET], 1 << 1, [MEASUREMENT], 2)
POLICY_TYPE = "RuntimePolicy(bytes32[] trustClasses,uint256 teeMask,bytes32[] measurements,uint8 worstTcb)"
MAX_SECONDS, MAX_UNITS, LAST = 5000, 1000, 2**32 - 1


def amount(price: tuple[int, int, int, int, int], seconds: int, units: int) -> int:
    fixed, per_hour, least, per_unit, _ = price
    return fixed + per_hour * max(seconds, least) // 3600 + per_unit * units


def policy_digest() -> bytes:
    classes, mask, measurements, worst = POLICY
    words = [keccak(text=POLICY_TYPE), keccak(b"".join(classes)), mask, keccak(b"".join(measurements)), worst]
    return keccak(encode(["bytes32", "bytes32", "uint256", "bytes32", "uint8"], words))


@pytest.fixture
def terms(market: Market, chain: Any) -> tuple[Any, ...]:
    prices = [market.compute[2], *(item[2] for item in market.inputs)]
    inputs = [(2 + i, 1, bytes(market.offers.hashTerms(item)), ZERO) for i, item in enumerate(market.inputs)]
    return (
        market.client.address, market.client.address, market.token.address,
        (1, 1, bytes(market.offers.hashTerms(market.compute))), inputs, b"\x01" * 32, b"\x02" * 32, ZERO,
        policy_digest(), chain.blocks.head.timestamp + 3600, (600, 300, 240, 120, 180, MAX_SECONDS, 400),
        MAX_UNITS, (0, 0), 0, ZERO, FEE_BPS, sum(amount(price, MAX_SECONDS, MAX_UNITS) for price in prices),
        b"\x03" * 32,
    )  # fmt: skip


def place(market: Market, terms: tuple[Any, ...]) -> Any:
    deposit, deadline = terms[16], 2**40
    permit = (
        market.client.address,
        market.book.address,
        deposit,
        market.token.nonces(market.client),
        deadline,
    )
    signature = sign(
        market.client_key, "Test Dollar", market.chain_id, market.token.address, "Permit", permit
    )
    r, s, v = signature[:32], signature[32:64], signature[64]
    return market.book.placeWithPermit(terms, "file:///packet", deadline, v, r, s, sender=market.client)


def signed(market: Market, kind: str, values: tuple[Any, ...]) -> bytes:
    return sign(market.cvm_key, "Cloister OrderBook", market.chain_id, market.book.address, kind, values)


def summary(
    market: Market, order_id: bytes, root: bytes, sequence: int, outcome: int, seconds: int, units: int
) -> tuple[Any, ...]:
    result = b"\x05" * 32 if outcome else ZERO
    return (
        order_id, market.cvm_id, 2, sequence, outcome, 255, root, result, b"\x06" * 32, seconds, units,
    )  # fmt: skip


def test_one_order_from_permit_to_payout(market: Market, terms: tuple[Any, ...], chain: Any) -> None:
    preimage = (terms, market.compute, market.inputs)
    receipt = place(market, terms)
    (placed,) = receipt.decode_logs(market.book.OrderPlaced)
    order_id = bytes(placed.id)
    assert order_id == bytes(market.book.orderId(terms))
    assert market.token.balanceOf(market.book) == placed.deposit == terms[16]

    market.book.accept(preimage, POLICY, market.cvm_id, sender=market.operator)
    root = keccak_of_inputs(terms[4])
    start = signed(market, "OrderStart", (order_id, market.cvm_id, root))
    market.book.start(terms, start, sender=market.owner)
    integrity = summary(market, order_id, root, 1, 0, 0, 0)
    proof = signed(market, "ReportSummary", integrity)
    market.book.checkpoint(terms, integrity, proof, "file:///bundle", sender=market.owner)
    chain.mine(deltatime=1000)
    report = summary(market, order_id, root, LAST, 1, 900, 7)
    proof = signed(market, "ReportSummary", report)
    receipt = market.book.complete(preimage, report, proof, "file:///bundle", sender=market.owner)
    (reported,) = receipt.decode_logs(market.book.OrderReported)
    assert (reported.secondsBilled, reported.unitsBilled, reported.state) == (900, 7, 8)

    before = {who.address: market.token.balanceOf(who) for who in (market.client, market.owner)}
    market.book.claim(preimage, 2**256 - 1, sender=market.operator)
    compute = amount(market.compute[2], 900, 7)
    inputs = [amount(item[2], 900, 7) for item in market.inputs]
    fees = [due * FEE_BPS // 10_000 for due in (compute, *inputs)]
    assert market.token.balanceOf(market.provider) == compute - fees[0]
    assert market.token.balanceOf(market.owner) - before[market.owner.address] == sum(inputs) - sum(fees[1:])
    assert market.token.balanceOf(market.treasury) == sum(fees)
    refund = terms[16] - compute - sum(inputs)
    assert market.token.balanceOf(market.client) - before[market.client.address] == refund
    assert market.token.balanceOf(market.book) == 0


def test_refuses_a_caller_who_is_not_the_client(market: Market, terms: tuple[Any, ...]) -> None:
    with ape.reverts(market.book.OrderBook_NotClient):
        market.book.place(terms, "", sender=market.owner)


def test_refuses_an_operator_of_another(market: Market, terms: tuple[Any, ...]) -> None:
    place(market, terms)
    preimage = (terms, market.compute, market.inputs)
    with ape.reverts(market.book.OrderBook_CvmOperator):
        market.book.accept(preimage, POLICY, market.cvm_id, sender=market.provider)


def test_refuses_shares_that_do_not_add_up(market: Market) -> None:
    terms = list(market.inputs[0])
    terms[3] = [(market.owner.address, 9_999)]
    with ape.reverts(market.offers.OfferRegistry_PayeeSum):
        market.offers.list(tuple(terms), "", sender=market.owner)


def test_cancelled_order_gives_everything_back(market: Market, terms: tuple[Any, ...]) -> None:
    before = market.token.balanceOf(market.client)
    place(market, terms)
    market.book.cancel(terms, sender=market.client)
    market.book.claim((terms, market.compute, market.inputs), 1, sender=market.owner)
    assert market.token.balanceOf(market.client) == before


def keccak_of_inputs(inputs: list[tuple[int, int, bytes, bytes]]) -> bytes:
    return keccak(encode(["(uint64,uint32,bytes32,bytes32)[]"], [inputs]))
