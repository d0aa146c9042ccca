"""What orders owe to whom, and fetching it: claims in batches, then withdrawals (protocol section 6.7).

Everybody's amounts are credited to their receivers, whoever calls; nothing here can send money elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from enclave_runtime.wire.orders import OrderPreimage
from marketplace.domain.order import REST_BIT, Hold, OrderRecord
from marketplace.domain.order_state import OrderState
from marketplace.domain.owed import hold_at, named_credits, settlement_of
from marketplace.domain.settlement import Settlement
from marketplace.errors import MarketError
from marketplace.sdk.client import preimage_of

if TYPE_CHECKING:
    from marketplace.chain.claims import Claim, Claims, Collected
    from marketplace.sdk.profile import Session

__all__ = ["Dues", "DuesLine", "collect", "concerned", "dues", "open_claims", "withdraw"]


@dataclass(frozen=True, slots=True)
class DuesLine:
    """One amount of an ended order.

    Attributes:
        bit: number of the offer (0 compute), or `REST_BIT`.
        name: whose part it is, in words.
        receiver: 20 bytes; None for what a contest burned.
        amount: token units.
        claimed: whether it was credited already.
    """

    bit: int
    name: str
    receiver: bytes | None
    amount: int
    claimed: bool


@dataclass(frozen=True, slots=True)
class Dues:
    """Everything that an ended order owes; amounts in token units.

    Attributes:
        held: deposit and additions less what the payer took out.
        held_until: Unix time until which the client may contest; zero where nothing waits for that.
    """

    order_id: bytes
    token: bytes
    record: OrderRecord
    sums: Settlement
    lines: tuple[DuesLine, ...]
    held_until: int


def dues(session: Session, order: bytes) -> Dues:
    """Return every amount of an ended order, by the rules of the contract, and what of it was claimed.

    Raises:
        NotFoundError: no such order.
        MarketError: it has not ended.
    """
    from marketplace.chain.claims import royalties_of

    reader = session.reader
    preimage, record = preimage_of(session, order), reader.get_order(order)
    if not record.state.terminal:
        raise MarketError(
            f"order 0x{order.hex()}: {record.state.name}; what it owes is known when it has ended",
            hint="wait for it with `cloister order wait`",
        )
    params, now = reader.params(record.params_version or None), reader.now()
    listed = named_credits(preimage, params, record, now, royalties_of(reader, preimage))
    lines = tuple(
        DuesLine(one.bit, name, one.receiver, one.amount, _is_claimed(record, one.bit))
        for name, one in listed
    )
    waits = record.state is OrderState.COMPLETED and hold_at(preimage.terms, record, now) is Hold.PENDING
    until = record.since + preimage.terms.holdback.window if waits else 0
    sums = settlement_of(preimage, params, record, now)
    return Dues(order, preimage.terms.token, record, sums, lines, until)


def concerned(session: Session, *, everybody: bool = False) -> list[bytes]:
    """Return the orders that were started and that this wallet has a part in, oldest first.

    Args:
        everybody: all orders of the market.
    """
    reader = session.reader
    placed = reader.placed_all()
    records = reader.orders([one.order_id for one in placed])
    found = []
    for one, record in zip(placed, records, strict=True):
        if record.state in (OrderState.PLACED, OrderState.ACCEPTED) or _is_settled(
            record, len(one.terms.inputs)
        ):
            continue
        if everybody or _has_part(session, reader.preimage(one)):
            found.append(one.order_id)
    return found


def open_claims(session: Session, orders: Sequence[bytes], *, everybody: bool = False) -> list[Claim]:
    """Return the claims that `collect` would make; sends nothing."""
    claims = _claims(session)
    found: list[Claim] = []
    for order in orders:
        preimage, record = preimage_of(session, order), session.reader.get_order(order)
        mine = _parts(session, preimage, record, everybody=everybody)
        found += claims.open_claims(preimage, record, mine.__contains__)
    return found


def collect(session: Session, orders: Sequence[bytes] | None = None, *, everybody: bool = False) -> Collected:
    """Claim what orders owe, and withdraw what is credited; safe to repeat, and idle where all is done.

    Args:
        orders: None takes every order that this wallet has a part in.
        everybody: claim every part, and send every receiver its credit; else this wallet's alone.
    Returns:
        What was claimed, who was paid how much, and what was left out and why.
    Raises:
        NotFoundError: no such order.
        ContractRefusal, ChainError: a batch could not be sent at all.
    """
    claims, reader = _claims(session), session.reader
    known = concerned(session, everybody=everybody) if orders is None else list(orders)
    pairs = [(preimage_of(session, order), reader.get_order(order)) for order in known]
    parts = {id(item): _parts(session, item, record, everybody=everybody) for item, record in pairs}
    done = claims.collect(
        pairs,
        accounts=lambda account: everybody or account == session.address,
        wanted=lambda preimage, number: number in parts[id(preimage)],
    )
    if orders is None:
        # Credit that came by an order which is all claimed by now, or by somebody else's batch.
        done += claims.withdraw_all([(session.address, token) for token in _tokens(session, pairs)])
    return done


def withdraw(session: Session, token: bytes | None = None) -> Collected:
    """Send this wallet what it has credited of a token, by default the market's own."""
    return _claims(session).withdraw_all([(session.address, token or session.deployment.token)])


def _parts(
    session: Session, preimage: OrderPreimage, record: OrderRecord, *, everybody: bool
) -> frozenset[int]:
    """Return which parts of an order this wallet claims: its own, and the rest where that goes first."""
    from marketplace.chain.claims import royalties_of

    offers = (preimage.compute, *preimage.inputs)
    if everybody:
        return frozenset((*range(len(offers)), REST_BIT))
    royalties = royalties_of(session.reader, preimage)
    mine = {
        number
        for number, offer in enumerate(offers)
        if any(one.account == session.address for one in (*offer.payees, *royalties.get(number, ())))
    }
    terms = preimage.terms
    if session.address in (terms.payer, terms.client) or (mine and record.state is OrderState.EXPIRED):
        mine.add(REST_BIT)
    return frozenset(mine)


def _has_part(session: Session, preimage: OrderPreimage) -> bool:
    from marketplace.chain.claims import royalties_of

    named = [one.account for offer in (preimage.compute, *preimage.inputs) for one in offer.payees]
    named += [one.account for items in royalties_of(session.reader, preimage).values() for one in items]
    return session.address in (preimage.terms.payer, preimage.terms.client, *named)


def _is_claimed(record: OrderRecord, bit: int) -> bool:
    # Cancelling credits the payer at once.
    return record.state is OrderState.CANCELLED or record.is_claimed(bit)


def _is_settled(record: OrderRecord, inputs: int) -> bool:
    return record.state is OrderState.CANCELLED or (
        record.rest_claimed and all(record.is_claimed(number) for number in range(inputs + 1))
    )


def _tokens(session: Session, pairs: Iterable[tuple[OrderPreimage, OrderRecord]]) -> list[bytes]:
    return list(dict.fromkeys([session.deployment.token, *(item.terms.token for item, _ in pairs)]))


def _claims(session: Session) -> Claims:
    from marketplace.chain.claims import Claims

    return Claims(session.reader, session.writer)
