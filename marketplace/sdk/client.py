"""What a client does: know the cost, place in one transaction, watch, end, get the result, claim.

docs/protocol.md sections 6.1 to 6.7. Placing is in `marketplace.sdk.ordering`, opening a result in
`marketplace.sdk.results`; both are part of this module's names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from enclave_runtime.sealed.buffers import Progress
from enclave_runtime.wire.orders import OrderPreimage, OrderTerms, RuntimePolicy
from marketplace.domain.order import OrderRecord, check_preimage
from marketplace.domain.order_state import OrderState
from marketplace.domain.packet import MAX_PACKET_BYTES, OrderPacket
from marketplace.sdk.orderfile import OrderFile
from marketplace.sdk.ordering import Draft, OrderRequest, PlacedOrder, draft, place, quote
from marketplace.sdk.reading import last_location
from marketplace.storage.base import read_blob

if TYPE_CHECKING:
    from marketplace.chain.reader import CvmRecord
    from marketplace.domain.why import Deadline, Explanation
    from marketplace.sdk.profile import Session

__all__ = [
    "Draft",
    "OrderRequest",
    "OrderStatus",
    "PayoutLine",
    "PlacedOrder",
    "cancel",
    "draft",
    "expire",
    "find",
    "list_orders",
    "payouts",
    "place",
    "preimage_of",
    "quote",
    "result",
    "stop",
    "wait",
    "why",
    "withdraw",
]


@dataclass(frozen=True, slots=True)
class OrderStatus:
    """Where an order stands.

    Attributes:
        location: of the client's packet, as its event says: a hint.
        bundle: of the newest public bundle, as the agent's events say: a hint; empty where there is none.
        deadline: what ends the present state by itself, or None.
        now: chain time, Unix seconds.
    """

    order_id: bytes
    record: OrderRecord
    terms: OrderTerms
    location: str
    bundle: str
    deadline: Deadline | None
    now: int


@dataclass(frozen=True, slots=True)
class PayoutLine:
    """One amount of an ended order: whose, how much in token units, and whether it was paid."""

    index: int
    name: str
    receiver: bytes
    amount: int
    paid: bool


def find(session: Session, order: bytes) -> OrderStatus:
    """Return where an order stands, by the chain's word.

    Raises:
        NotFoundError: the chain knows no such order.
    """
    from marketplace.domain.why import deadline_of

    placed = session.reader.placed(order)
    record = session.reader.get_order(order)
    return OrderStatus(
        order,
        record,
        placed.terms,
        placed.location,
        last_location(session.reader.history(order)),
        deadline_of(record, placed.terms.windows),
        session.reader.now(),
    )


def list_orders(session: Session, client: bytes | None = None) -> list[OrderRecord]:
    """Return the orders of a client, by default this wallet's, oldest first."""
    placed = session.reader.orders_of(session.address if client is None else client)
    return [session.reader.get_order(one.order_id) for one in placed]


def why(session: Session, order: bytes) -> Explanation:
    """Return an order's state in words: what may happen next, and by when.

    Raises:
        NotFoundError: the chain knows no such order.
    """
    from marketplace.domain.why import why as explain

    placed = session.reader.placed(order)
    return explain(session.reader.get_order(order), placed.terms.windows, now=session.reader.now())


def wait(
    session: Session, order: bytes, timeout_s: float, say: Callable[[str], None] = lambda _: None
) -> OrderRecord:
    """Return the order once it has ended; `say` hears of every change on the way.

    Raises:
        NotFoundError: the chain knows no such order.
        WaitTimeoutError: it has not ended in time.
    """
    session.reader.placed(order)
    heard: list[str] = []

    def reached(record: OrderRecord) -> bool:
        words = f"{record.state.name}, {record.phase.name}" if record.phase else record.state.name
        if heard[-1:] != [words]:
            heard.append(words)
            say(words)
        return record.state.terminal

    return session.reader.wait_for(order, reached, timeout_s=timeout_s)


def cancel(session: Session, order: bytes) -> str:
    """Take back an order that nobody accepted; return the transaction's hash, empty if it is cancelled.

    Raises:
        ContractRefusal: it was accepted.
    """
    from marketplace.chain.clients import Clients

    terms = preimage_of(session, order).terms
    return _hash(Clients(session.reader, session.writer).cancel(terms))


def stop(session: Session, order: bytes) -> str:
    """End a running order, paying the time until now; return the transaction's hash, empty if it had ended.

    Raises:
        ContractRefusal: it does not run, or is another's.
    """
    from marketplace.chain.clients import Clients

    return _hash(Clients(session.reader, session.writer).stop(preimage_of(session, order)))


def expire(session: Session, order: bytes) -> str:
    """Do what anybody may do by now to end an order: settle or void for its CVM, cancel or expire for time.

    Returns:
        The transaction's hash; empty where nothing is due.
    Raises:
        ContractRefusal: the chain moved on meanwhile.
        MarketError: the order's packet, which voiding needs, cannot be had.
    """
    from marketplace.chain.anyone import Anyone

    anyone, preimage = Anyone(session.reader, session.writer), preimage_of(session, order)
    record = session.reader.get_order(order)
    cvm = session.reader.cvm(record.cvm_id)
    if record.state is OrderState.RUNNING and cvm is not None and cvm.revoked:
        return _hash(anyone.settle_revoked(preimage))
    if record.state is OrderState.ACCEPTED and cvm is not None and not _still_good(session, cvm):
        return _hash(anyone.void(preimage, _policy_of(session, order)))
    return _hash(anyone.poke(preimage))


def _still_good(session: Session, cvm: CvmRecord) -> bool:
    """Return whether the market still accepts a CVM that an order was accepted with."""
    reader = session.reader
    return not cvm.revoked and reader.is_reference(cvm.measurement) and reader.is_trust_class(cvm.root_set)


def _policy_of(session: Session, order: bytes) -> RuntimePolicy:
    """Return an order's runtime policy from its packet, held against the terms."""
    placed = session.reader.placed(order)
    packet = OrderPacket.from_bytes(read_blob(session.store, placed.location, limit=MAX_PACKET_BYTES))
    packet.check(placed.terms)
    return packet.policy


def result(session: Session, order: bytes, folder: Path, progress: Progress | None = None) -> list[str]:
    """Open the sealed result of an ended order into `folder`, made here or empty; return its files' names.

    Raises:
        RefusedError: steps `result.*`, `sealed.*`, `archive.*`: something is not what the chain's word says.
        NotFoundError: no such order, no result, or its key is not in this keystore.
        MarketError: the order has not ended, or bundle or result cannot be had.
    """
    from marketplace.sdk.results import open_result

    return open_result(session, order, folder, progress)


def payouts(session: Session, order: bytes) -> list[PayoutLine]:
    """Return every amount of an ended order, zero ones left out, as the contract computes them.

    Raises:
        ContractRefusal: it has not ended.
    """
    from marketplace.domain.settlement import payout_name

    paid = session.reader.claimed(order)
    return [
        PayoutLine(one.index, payout_name(one.index), one.receiver, one.amount, bool(paid >> one.index & 1))
        for one in session.reader.payouts(preimage_of(session, order))
        if one.amount
    ]


def withdraw(session: Session, order: bytes, *, everybody: bool = False) -> list[tuple[int, bytes, int]]:
    """Claim what this wallet may receive of an ended order, or everybody's amounts to everybody.

    Returns:
        (payout index, receiver, amount in token units) of what was paid by this call.
    Raises:
        ContractRefusal: the order has not ended, or the token refuses a receiver.
    """
    from marketplace.chain.anyone import Anyone

    due = [line for line in payouts(session, order) if not line.paid]
    mine = [line for line in due if everybody or line.receiver == session.address]
    if not mine:
        return []
    mask = sum(1 << line.index for line in mine)
    claimed = Anyone(session.reader, session.writer).claim(preimage_of(session, order), mask)
    return [(one.index, one.receiver, one.amount) for one in claimed]


def preimage_of(session: Session, order: bytes) -> OrderPreimage:
    """Return an order's preimage: this client's own file, else the chain's events; every hash is checked.

    Raises:
        NotFoundError: no such order.
        RefusedError: steps `order.*`: a file or a node gave something else.
    """
    kept = OrderFile.load(session.profile.orders, order)
    if kept is None:
        return session.reader.preimage(order)
    check_preimage(session.deployment.order_domain, order, kept.preimage)
    return kept.preimage


def _hash(receipt: Any) -> str:
    return "" if receipt is None else str(receipt.tx_hash)
