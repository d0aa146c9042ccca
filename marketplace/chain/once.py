"""Moves an order at most once: looks, sends, and looks again where the contract refused (protocol 10)."""

from __future__ import annotations

from collections.abc import Callable

from marketplace.chain.reader import Reader
from marketplace.chain.refusals import ContractRefusal
from marketplace.chain.writer import Receipt
from marketplace.domain.order import OrderRecord

__all__ = ["once"]


def once(
    reader: Reader, order: bytes, done: Callable[[OrderRecord], bool], send: Callable[[], Receipt]
) -> Receipt | None:
    """Return the receipt of `send`, or None where the order already is where it should go.

    Args:
        order: order id.
        done: tells from the order's stored facts whether nothing is left to do.
        send: sends the one transaction.
    Raises:
        ContractRefusal: refused, and the order is not where it should be.
        ChainError: the node gives no usable answer.
    """
    if done(reader.get_order(order)):
        return None
    try:
        return send()
    except ContractRefusal:
        # Somebody else, or we before a crash, did it between the look and the call.
        if done(reader.get_order(order)):
            return None
        raise
