"""What is measured, and the storage that no contract could do without for the same.

Floors count slots of a design like this one: one word for an order, one for a desk's stake, one for an offer,
one for a CVM, and the token's own. That is the least that a check "not sold any more", "revoked" or "staked
enough" can read, whoever writes the contract. Calls to other contracts are not counted, nor logs, hashes and
signatures.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from enclave_runtime.wire.hashes import keccak256
from enclave_runtime.wire.offers import OfferKind, Price
from enclave_runtime.wire.orders import OrderPreimage
from marketplace.chain.authors import listing_bytes
from marketplace.domain.offer import content_terms, sole_payee
from marketplace.domain.tight import encode_calls, encode_order
from scripts.bench.gaslib.floor import Slot, SlotCost
from scripts.bench.gaslib.market import LOCATION, UNIT, USED_S, Cvm, Market, build
from scripts.bench.gaslib.report import Measured, Operation
from scripts.bench.gaslib.stage import Stage
from scripts.bench.gaslib.unsigned import unsigned_order_book

__all__ = ["OPERATIONS", "prepare"]

_BATCH, _CHECKPOINTS = 10, 8
_ON_STAGE: dict[int, Market] = {}

NEW_ORDER = Slot("the order", SlotCost.NEW)
ORDER = Slot("the order", SlotCost.UPDATE)
MOVE = (Slot("payer's balance", SlotCost.UPDATE), Slot("the book's balance", SlotCost.UPDATE))
ALLOWANCE = Slot("allowance", SlotCost.READ)
PARAMS = Slot("parameters, and whether accepting is paused", SlotCost.READ)
CVM = Slot("the CVM's key, expiry and revocation", SlotCost.READ)
RUNTIME = Slot("whether its runtime is accepted", SlotCost.READ)
STAKE = Slot("the desk's stake", SlotCost.UPDATE)
START = (ORDER, CVM, RUNTIME)
ACCEPT = (
    ORDER,
    PARAMS,
    STAKE,
    CVM,
    RUNTIME,
    Slot("the desk's operator", SlotCost.READ),
    Slot("offers for sale", SlotCost.READ, 4),
)
COMPLETE = (ORDER, CVM, STAKE)


def prepare(stage: Stage) -> None:
    """Build the market on a stage; `OPERATIONS` find it there."""
    _ON_STAGE.clear()
    _ON_STAGE[id(stage)] = build(stage)


def _market(stage: Stage) -> Market:
    return _ON_STAGE[id(stage)]


def _place(market: Market) -> Measured:
    return Measured([market.place(market.order())], [NEW_ORDER, *MOVE, ALLOWANCE])


def _place_bare(market: Market) -> Measured:
    data = market.stage.encode("OrderBook", "place", encode_order(market.order().terms), "")
    call = market.stage.send(market.who["client"], market.stage.at["OrderBook"], data)
    return Measured([call], [NEW_ORDER, *MOVE, ALLOWANCE], note="place without a packet's location")


def _place_permit(market: Market) -> Measured:
    # A permit is for who gave no allowance; the account's nonce is not its first.
    book, stage, signer = market.stage.at["OrderBook"], market.stage, market.keys["client"]
    order = market.order()
    stage.call(signer.address, "TestToken", "approve", book, 0)
    deadline = stage.now() + 10**6
    first = (signer.address, book, 0, deadline, *market.token.permit(signer, book, 0, deadline))
    stage.call(market.who["passer_by"], "TestToken", "permit", *first)
    signed = market.token.permit(signer, book, order.terms.deposit, deadline)
    arguments = (encode_order(order.terms), LOCATION, deadline, *signed)
    call = stage.call(signer.address, "OrderBook", "placeWithPermit", *arguments)
    permit = (Slot("permit's nonce", SlotCost.UPDATE), Slot("allowance, set and spent", SlotCost.READ))
    return Measured([call], [NEW_ORDER, *MOVE, *permit])


def _place_batch(market: Market) -> Measured:
    orders = [encode_order(market.order().terms) for _ in range(_BATCH)]
    call = market.stage.call(market.who["client"], "OrderBook", "placeBatch", orders, LOCATION)
    slots = [Slot("the orders", SlotCost.NEW, _BATCH), *MOVE, ALLOWANCE]
    return Measured([call], slots, units=_BATCH)


def _accept(market: Market) -> Measured:
    order = market.order()
    market.place(order)
    return Measured(
        [market.accept(order, market.cvms[0])], ACCEPT, note="preimages of all four offers' terms"
    )


def _start(market: Market) -> Measured:
    order, cvm = market.order(), market.cvms[0]
    market.place(order)
    market.accept(order, cvm)
    return Measured([market.start(order, cvm)], START)


def _running(market: Market) -> tuple[OrderPreimage, Cvm]:
    order, cvm = market.order(), market.cvms[0]
    market.running(order, cvm)
    market.stage.warp(USED_S)
    return order, cvm


def _ended(market: Market) -> OrderPreimage:
    order, cvm = _running(market)
    market.complete(order, cvm)
    return order


def _checkpoint(market: Market) -> Measured:
    order, cvm = _running(market)
    data = market.checkpoint(order, cvm, 90, 2)
    call = market.stage.send(market.who["operator"], market.stage.at["OrderBook"], data)
    return Measured([call], [ORDER, CVM])


def _checkpoint_batch(market: Market) -> Measured:
    orders = []
    for cvm in market.cvms[1 : _CHECKPOINTS + 1]:
        orders.append((market.order(), cvm))
        market.running(*orders[-1])
    market.stage.warp(USED_S)
    calls = [market.checkpoint(order, cvm, 90, 2) for order, cvm in orders]
    call = market.stage.call(market.who["operator"], "OrderBook", "batch", encode_calls(calls))
    slots = [Slot("the orders", SlotCost.UPDATE, _CHECKPOINTS), Slot(CVM.why, SlotCost.READ, _CHECKPOINTS)]
    return Measured([call], slots, units=_CHECKPOINTS, note="eight orders on eight CVMs")


def _complete(market: Market) -> Measured:
    order, cvm = _running(market)
    note = "what six payees and the client's refund are due is frozen; claims credit it"
    return Measured([market.complete(order, cvm)], COMPLETE, note=note)


def _complete_unsigned(market: Market, *, asks_cvm: bool) -> Measured:
    """Measure on a market of its own, whose OrderBook does not look at the signature."""
    chain = market.stage.chain
    snapshot = chain.snapshot()
    other = build(
        Stage(chain, market.stage.hardfork, market.stage.accounts),
        {"OrderBook": unsigned_order_book(asks_cvm=asks_cvm)},
        market="unsigned",
    )
    order, cvm = _running(other)
    call = other.complete(order, cvm, signed=False)
    chain.revert(snapshot)
    what = "no signature" if asks_cvm else "no signature, and no look at the CVM's registration"
    return Measured([call], [ORDER, *([CVM] if asks_cvm else []), STAKE], note=f"complete with {what}")


def _claim(market: Market, k: int, payees: int) -> Measured:
    call = market.claim(_ended(market), k)
    slots = [ORDER, Slot("credits", SlotCost.UPDATE, payees)]
    return Measured(
        [call], slots, note=f"an offer of {payees} payees" if payees > 1 else "an offer of one payee"
    )


def _claim_rest(market: Market) -> Measured:
    call = market.claim_rest(_ended(market))
    return Measured([call], [ORDER, PARAMS, Slot("credits of client and treasury", SlotCost.UPDATE, 2)])


def _withdraw(market: Market, sender: str) -> Measured:
    order = _ended(market)
    market.claim(order, 1)
    own = sender == "engine_owner"
    credit = Slot("credit", SlotCost.CLEAR if own else SlotCost.UPDATE)
    call = market.withdraw("engine_owner", sender)
    return Measured([call], [credit, *MOVE], note="" if own else "sent by somebody else")


def _list(market: Market) -> Measured:
    terms = content_terms(
        kind=OfferKind.DATASET,
        token=market.deployment.token,
        price=Price(fixed_price=3 * UNIT, per_hour=UNIT, min_seconds=60),
        payees=sole_payee(market.who["owner_a"]),
        manifest_digest=keccak256(b"another manifest"),
        content_digest=keccak256(b"another content"),
        grant_key=market.who["owner_a"],
    )
    arguments = (int(OfferKind.DATASET) << 28 | 77, listing_bytes(terms, LOCATION))
    call = market.stage.call(market.who["owner_a"], "OfferRegistry", "list", *arguments)
    return Measured([call], [Slot("the version", SlotCost.NEW), Slot("the owner's number", SlotCost.READ)])


def _lease(market: Market) -> Measured:
    terms = (Slot("whether the terms are open", SlotCost.READ), Slot("fee", SlotCost.READ))
    return Measured([market.lease(1)], [Slot("the lease", SlotCost.NEW), *MOVE, ALLOWANCE, *terms])


def _life(market: Market) -> Measured:
    order, cvm = market.order(), market.cvms[0]
    calls = [market.place(order), market.accept(order, cvm), market.start(order, cvm)]
    market.stage.warp(USED_S)
    data = market.checkpoint(order, cvm, 60, 1)
    market.stage.send(market.who["operator"], market.stage.at["OrderBook"], data)
    calls.append(market.complete(order, cvm))
    slots = [NEW_ORDER, *MOVE, ALLOWANCE, *ACCEPT, *START, *COMPLETE]
    return Measured(calls, slots, note="place, accept, start, complete")


def _life_paid(market: Market) -> Measured:
    """Add the checkpoint that enters ENGINE, all claims in one batch, and the withdrawal of each receiver."""
    order, cvm = market.order(), market.cvms[0]
    calls = [market.place(order), market.accept(order, cvm), market.start(order, cvm)]
    market.stage.warp(USED_S)
    stage, book = market.stage, market.stage.at["OrderBook"]
    calls.append(stage.send(market.who["operator"], book, market.checkpoint(order, cvm, 60, 1)))
    calls.append(market.complete(order, cvm))
    batch = [market.claim_rest_data(order), *(market.claim_data(order, k) for k in range(4))]
    calls.append(stage.call(market.who["passer_by"], "OrderBook", "batch", encode_calls(batch)))
    receivers = ("client", "provider", "engine_owner", "owner_a", "owner_b", "co_a", "co_b", "treasury")
    pushes = [market.withdraw_data(name) for name in receivers]
    calls.append(stage.call(market.who["passer_by"], "OrderBook", "batch", encode_calls(pushes)))
    slots = [NEW_ORDER, *MOVE, ALLOWANCE, *ACCEPT, *START, ORDER, CVM, *COMPLETE]
    slots += [
        ORDER,
        Slot("credits", SlotCost.UPDATE, 2 * len(receivers)),
        Slot("balances", SlotCost.UPDATE, 9),
    ]
    return Measured(calls, slots, note="until all eight receivers hold their tokens")


_MEASURES: tuple[tuple[str, Callable[[Market], Measured]], ...] = (
    ("place", _place),
    ("place_bare", _place_bare),
    ("place_permit", _place_permit),
    ("place_batch10_each", _place_batch),
    ("accept", _accept),
    ("start", _start),
    ("checkpoint", _checkpoint),
    ("checkpoint_batch8_each", _checkpoint_batch),
    ("complete", _complete),
    ("complete_unsigned", partial(_complete_unsigned, asks_cvm=True)),
    ("complete_unasked", partial(_complete_unsigned, asks_cvm=False)),
    ("claim", partial(_claim, k=1, payees=1)),
    ("claim_two", partial(_claim, k=2, payees=2)),
    ("claim_rest", _claim_rest),
    ("withdraw", partial(_withdraw, sender="engine_owner")),
    ("withdraw_for", partial(_withdraw, sender="passer_by")),
    ("list", _list),
    ("lease", _lease),
    ("life", _life),
    ("life_paid", _life_paid),
)


def _operation(name: str, measure: Callable[[Market], Measured]) -> Operation:
    def run(stage: Stage) -> Measured:
        market = _market(stage)
        market.forget()
        return measure(market)

    return Operation(name, run)


OPERATIONS = [_operation(name, measure) for name, measure in _MEASURES]
