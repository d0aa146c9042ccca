"""An order's deposit after it was placed: more of it by anybody, less of it by the payer (protocol 6.3)."""

from __future__ import annotations

from typing import Annotated

import typer

from marketplace.cli.options import AsJson, OrderId, Yes, parse_order, session_of
from marketplace.cli.output import confirm, emit

__all__ = ["reclaim", "top_up"]

Amount = Annotated[str, typer.Argument(metavar="AMOUNT", help="In whole tokens, such as 12.5.")]


def top_up(
    context: typer.Context, order: OrderId, amount: Amount, yes: Yes = False, as_json: AsJson = False
) -> None:
    """Add to an order's deposit, so that it may run longer. Anybody may; a refund goes to its payer."""
    from marketplace.sdk import client

    _moved(context, order, amount, yes, as_json, "add {} to the deposit?", client.top_up, "added")


def reclaim(
    context: typer.Context, order: OrderId, amount: Amount, yes: Yes = False, as_json: AsJson = False
) -> None:
    """Take out of an order what it does not need soon. Credited to you; `cloister collect` sends it."""
    from marketplace.sdk import client

    _moved(context, order, amount, yes, as_json, "take {} out of the deposit?", client.reclaim, "taken out")


def _moved(
    context: typer.Context,
    order: str,
    amount: str,
    yes: bool,
    as_json: bool,
    question: str,
    move: object,
    words: str,
) -> None:
    from enclave_runtime.wire.codec import hex_of
    from marketplace.cli.words import amount as shown
    from marketplace.domain.money import parse_amount
    from marketplace.sdk import client

    session = session_of(context)
    identity = parse_order(session, order)
    info = session.token(client.preimage_of(session, identity).terms.token).info()
    units = parse_amount(amount, info.decimals)
    confirm(question.format(shown(units, info)), yes=yes)
    tx = move(session, identity, units)  # type: ignore[operator]  # one of the two above
    value: dict[str, object] = {"order_id": hex_of(identity), "amount": str(units), "tx": tx}
    emit(as_json, value, [f"{shown(units, info)} {words}, sent {tx}"])
