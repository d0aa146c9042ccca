"""What a client does: know the cost, place in one transaction, watch, fund, end, get and answer the result.

docs/protocol.md sections 6.1 to 6.9. Placing is in `marketplace.sdk.ordering`, opening a result in
`marketplace.sdk.results`; both are part of this module's names. Claims are in `marketplace.sdk.income`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from enclave_runtime.sealed.buffers import Progress
from enclave_runtime.wire.orders import OrderPreimage, OrderTerms, RuntimePolicy
from marketplace.domain.order import OrderRecord, check_preimage
from marketplace.domain.order_state import RUNNING, OrderState
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
    "PlacedOrder",
    "cancel",
    "contest",
    "draft",
    "expire",
    "find",
    "list_orders",
    "place",
    "preimage_of",
    "quote",
    "receipt",
    "reclaim",
    "result",
    "stop",
    "top_up",
    "wait",
    "why",
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
    return session.reader.orders([one.order_id for one in placed])


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
    """Ask for a running order's end: what its CVM proves within grace is paid, and nothing else.

    Returns:
        The transaction's hash; empty if the order is stopping or has ended.
    Raises:
        ContractRefusal: it does not run, or is another's.
    """
    from marketplace.chain.clients import Clients

    return _hash(Clients(session.reader, session.writer).stop(preimage_of(session, order).terms))


def receipt(session: Session, order: bytes) -> str:
    """Say that the result is here, which frees what was held back; empty if that was said.

    Raises:
        ContractRefusal: not completed, contested, nothing is held back, or another's.
    """
    from marketplace.chain.clients import Clients

    return _hash(Clients(session.reader, session.writer).receipt(preimage_of(session, order).terms))


def contest(session: Session, order: bytes) -> str:
    """Say that the result was withheld: what was held back burns, and as much of this wallet's own.

    Raises:
        ContractRefusal: the window is over, a receipt was given, nothing is held back, or another's.
    """
    from marketplace.chain.clients import Clients

    return _hash(Clients(session.reader, session.writer).contest(preimage_of(session, order).terms))


def top_up(session: Session, order: bytes, amount: int) -> str:
    """Add `amount` token units to an order's deposit; anybody may. Repeating it adds again.

    Raises:
        BadInputError: the wallet holds too little.
        ContractRefusal: the order has ended, or is funded in full.
    """
    from marketplace.chain.anyone import Anyone

    return _hash(Anyone(session.reader, session.writer).top_up(preimage_of(session, order), amount))


def reclaim(session: Session, order: bytes, amount: int) -> str:
    """Take `amount` token units out of an order that does not need them soon: credited to this wallet.

    Raises:
        ContractRefusal: not the payer, or more than the order can spare.
    """
    from marketplace.chain.clients import Clients

    return _hash(Clients(session.reader, session.writer).reclaim(preimage_of(session, order), amount))


def expire(session: Session, order: bytes) -> str:
    """Do what anybody may do by now to end an order: settle or void for its CVM, cancel or expire for time.

    Returns:
        The transaction's hash; empty where nothing is due.
    Raises:
        ContractRefusal: the chain moved on meanwhile.
        MarketError: the order's packet, which voiding needs, cannot be had.
    """
    from marketplace.chain.anyone import Anyone

    anyone, terms = Anyone(session.reader, session.writer), preimage_of(session, order).terms
    record = session.reader.get_order(order)
    cvm = session.reader.cvm(record.cvm_id)
    if record.state in RUNNING and cvm is not None and cvm.revoked:
        return _hash(anyone.settle_revoked(terms))
    if record.state is OrderState.ACCEPTED and cvm is not None and not _still_good(session, cvm):
        return _hash(anyone.void(terms, _policy_of(session, order)))
    return _hash(anyone.poke(terms))


def _still_good(session: Session, cvm: CvmRecord) -> bool:
    """Return whether the market still accepts a CVM that an order was accepted with."""
    return not cvm.revoked and session.reader.is_accepted(cvm)


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
