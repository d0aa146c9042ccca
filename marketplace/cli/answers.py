"""What a client says of its result: that it is here, or that it was withheld (protocol section 6.9)."""

from __future__ import annotations

import typer

from marketplace.cli.options import AsJson, OrderId, Yes, parse_order, session_of
from marketplace.cli.output import confirm, emit

__all__ = ["contest", "receipt"]


def receipt(context: typer.Context, order: OrderId, as_json: AsJson = False) -> None:
    """Say that you have the result. What was held back of the compute price is the provider's then."""
    from marketplace.sdk import client

    session = session_of(context)
    identity = parse_order(session, order)
    _said(
        as_json, identity, client.receipt(session, identity), "receipt given: nothing is held back any more"
    )


def contest(context: typer.Context, order: OrderId, yes: Yes = False, as_json: AsJson = False) -> None:
    """Say that the result was withheld. What was held back burns, and as much of your own deposit."""
    from marketplace.cli.words import amount
    from marketplace.sdk import client, income

    session = session_of(context)
    identity = parse_order(session, order)
    due = income.dues(session, identity)
    info = session.token(due.token).info()
    confirm(f"burn {amount(due.sums.held, info)} of the provider's and as much of yours?", yes=yes)
    tx = client.contest(session, identity)
    _said(as_json, identity, tx, "contested: nobody gets what was held back")


def _said(as_json: bool, order: bytes, tx: str, words: str) -> None:
    from enclave_runtime.wire.codec import hex_of

    shown = words + (f", sent {tx}" if tx else ": it was so already")
    emit(as_json, {"order_id": hex_of(order), "tx": tx}, [shown])
